"""nDCG against every order in plain Python, and against scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from crossmodal import label_sets, ndcg, ranking
from crossmodal.errors import ConfigurationError, UserError


def plain_ndcg(scores, relevance, k, gain):
    """Mean nDCG@k over all orders in which the scores never rise, one at a time."""
    gains = [gain(r) for r in relevance]

    def dcg(ordered):
        return sum(g / math.log2(rank + 1) for rank, g in enumerate(ordered[:k], 1))

    orders = [
        order for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    ideal = dcg(sorted(gains, reverse=True))
    return sum(dcg([gains[i] for i in order]) for order in orders) / len(orders) / ideal


def exponential(relevance):
    return 2**relevance - 1


def small_set(seed, items=6):
    """Embeddings and relevances of whole numbers: every score is exact, many tie."""
    rng = np.random.default_rng(seed)
    visual, audio = rng.integers(-1, 2, (2, items, 2)).astype(np.float32)
    relevance = label_sets.SetRelevance(
        rng.integers(0, 4, (items, 1)), rng.integers(0, 5, (4, 4)) + np.eye(4)
    )
    return visual, audio, relevance


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("gain", ["exponential", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_values_and_chance_match_all_orders(seed, gain, include_self):
    rows = dict(zip(("visual", "audio"), small_set(seed)[:2], strict=True))
    relevance = small_set(seed)[2]
    config = ndcg.NdcgConfig((1, 3, 30), gain, include_self, similarity="dot")
    result = ndcg.evaluate(rows["visual"], rows["audio"], relevance, config)
    matrix = relevance.matrix().astype(int).tolist()
    value_of = exponential if gain == "exponential" else float
    assert list(result) == [
        "visual_to_visual", "visual_to_audio", "audio_to_visual", "audio_to_audio"
    ]
    for direction, scores in result.items():
        query, database = direction.split("_to_")
        for i, j in itertools.product(range(6), range(3)):
            kept = [n for n in range(6) if include_self or n != i]
            products = [int(rows[query][i] @ rows[database][n]) for n in kept]
            relevances = [matrix[i][n] for n in kept]
            for given, found in ((products, scores.values), ([0] * 6, scores.chance)):
                expected = plain_ndcg(given[: len(kept)], relevances, config.cutoffs[j], value_of)
                assert found[i, j] == pytest.approx(expected, rel=1e-12)


def large_set(items=700, classes=12, size=16, seed=0):
    rng = np.random.default_rng(seed)
    labels = [rng.choice(classes, rng.integers(1, 4), replace=False) for _ in range(items)]
    distances = rng.integers(1, 12, (classes, classes))
    distances = np.minimum(distances, distances.T)
    np.fill_diagonal(distances, 0)
    visual, audio = rng.standard_normal((2, items, size)).astype(np.float32)
    return visual, audio, label_sets.SetRelevance(labels, 20.0 - distances)


@pytest.mark.parametrize("gain", ["exponential", "linear"])
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("block", [1, 10_000, 1 << 22])
def test_values_are_those_of_scikit_learn(monkeypatch, block, include_self, gain):
    monkeypatch.setattr(ndcg, "BLOCK", block)
    visual, audio, relevance = large_set(items=150 if block == 1 else 700)
    visual[::9] = visual[0]  # ties, within the first ranks and across the last
    config = ndcg.NdcgConfig((30, 5), gain, include_self)
    found = ndcg.evaluate(visual, audio, relevance, config, ["audio_to_visual"])["audio_to_visual"]
    visual, audio = (
        rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
        for rows in (visual, audio)
    )
    gains = relevance.matrix()
    gains = np.exp2(gains) - 1 if gain == "exponential" else gains
    for column, k in enumerate(config.cutoffs):
        for i in range(0, len(visual), 7):
            kept = np.delete(np.arange(len(visual)), [] if include_self else [i])
            scores = visual[kept] @ audio[i]
            scores[kept % 9 == 0] = visual[0] @ audio[i]
            expected = ndcg_score([gains[i, kept]], [scores], k=k)
            assert found.values[i, column] == pytest.approx(expected, rel=1e-9)


def test_cosine_is_the_order_of_euclidean_distance_between_normalised_rows():
    visual, audio, relevance = large_set(items=120)
    audio *= np.linspace(0.01, 100, 120, dtype=np.float32)[:, None]
    found = ndcg.evaluate(visual, audio, relevance)["visual_to_audio"].mean()[30]
    visual, audio = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (visual, audio))
    distances = np.linalg.norm(visual[:, None] - audio[None], axis=2)
    gains = np.exp2(relevance.matrix()) - 1
    others = ~np.eye(120, dtype=bool)
    expected = ndcg_score(gains[others].reshape(120, 119), -distances[others].reshape(120, 119),
                          k=30)
    assert found == pytest.approx(expected, rel=1e-9)


def test_embeddings_that_say_all_or_nothing_score_one_or_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, (400, 1))
    relevance = label_sets.same_class(labels, 10)
    told = np.eye(10, dtype=np.float32)[labels[:, 0]]
    for scores in ndcg.evaluate(told, told, relevance).values():
        np.testing.assert_allclose(scores.values, 1)
    # Rows like these round differently in different places of a product.
    silent = np.tile(rng.standard_normal((1, 301)).astype(np.float32), (400, 1))
    for scores in ndcg.evaluate(told @ rng.standard_normal((10, 301)), silent, relevance,
                                directions=["visual_to_audio"]).values():
        np.testing.assert_allclose(scores.values, scores.chance, rtol=1e-12)
    dead = np.zeros((400, 4))
    for scores in ndcg.evaluate(dead, dead, relevance).values():
        np.testing.assert_allclose(scores.values, scores.chance, rtol=1e-12)


def test_identical_rows_tie_however_the_product_rounds(monkeypatch):
    rng = np.random.default_rng(0)
    honest = ndcg.retrieval.multiply
    monkeypatch.setattr(
        ndcg.retrieval, "multiply",
        lambda *rows: (lambda s: s + 1e-4 * rng.random(s.shape, np.float32))(honest(*rows)),
    )
    labels = rng.integers(0, 5, (90, 1))
    audio = np.repeat(rng.standard_normal((2, 8)), 45, axis=0)
    scores = ndcg.evaluate(rng.standard_normal((90, 8)), audio, label_sets.same_class(labels, 5),
                           ndcg.NdcgConfig((5,), include_self=True), ["visual_to_audio"])
    # Either half of the items comes first, and in it all are equal.
    share = [np.bincount(half, minlength=5) / 45 for half in (labels[:45, 0], labels[45:, 0])]
    for label, value in zip(labels[:, 0], scores["visual_to_audio"].values[:, 0], strict=True):
        assert min(abs(value - share[half][label]) for half in (0, 1)) < 1e-12


def test_random_rankings_average_to_chance():
    visual, audio, relevance = large_set(items=300)
    rng = np.random.default_rng(1)
    means = []
    for _ in range(30):
        visual, audio = rng.standard_normal((2, 300, 8))
        scores = ndcg.evaluate(visual, audio, relevance, directions=["visual_to_audio"])
        means.append(scores["visual_to_audio"].mean()[30])
    error = np.std(means, ddof=1) / math.sqrt(30)
    assert abs(np.mean(means) - scores["visual_to_audio"].mean_chance()[30]) < 4 * error
    assert error < 0.003


def test_a_query_within_its_modality_finds_itself_first_only_if_it_may():
    rows = np.random.default_rng(0).standard_normal((2, 50, 8))
    relevance = label_sets.same_class(np.arange(50)[:, None] % 25, 25)
    for include_self in (True, False):
        config = ndcg.NdcgConfig((1,), include_self=include_self)
        means = {d: s.mean()[1] for d, s in ndcg.evaluate(*rows, relevance, config).items()}
        within = means.pop("visual_to_visual"), means.pop("audio_to_audio")
        assert within == (1, 1) if include_self else max(within) < 0.2
        assert max(means.values()) < 0.2


def test_items_without_labels_or_relevant_candidates_are_left_out_and_counted():
    labels = [[0], [], [1], [0], [2], [], [0]]
    rows = np.arange(1, 15, dtype=np.float32).reshape(7, 2)
    scores = ndcg.evaluate(rows, rows, label_sets.same_class(labels, 3))["visual_to_audio"]
    assert (scores.unlabelled, scores.without_relevant) == (2, 2)
    assert scores.measured().tolist() == [True, False, False, True, False, False, True]
    assert np.isnan(scores.values[~scores.measured()]).all()
    kept = [0, 2, 3, 4, 6]
    alone = ndcg.evaluate(rows[kept], rows[kept],
                          label_sets.same_class([labels[i] for i in kept], 3))["visual_to_audio"]
    np.testing.assert_array_equal(scores.values[kept], alone.values)
    assert scores.mean() == {30: pytest.approx(scores.values[[0, 3, 6], 0].mean())}
    interval = scores.interval(30, seed=0)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == pytest.approx(scores.mean()[30])


def test_paired_interval_is_narrower_than_either():
    visual, audio, relevance = large_set(items=300)
    noise = np.random.default_rng(3).standard_normal(audio.shape)
    near = [ndcg.evaluate(visual, visual + s * noise, relevance)["visual_to_audio"]
            for s in (0.5, 0.6)]
    difference = ndcg.paired_interval(*near, 30, seed=0)
    assert difference.estimate == pytest.approx(near[0].mean()[30] - near[1].mean()[30])
    single = near[0].interval(30, seed=0)
    assert difference.high - difference.low < (single.high - single.low) / 2
    other = ndcg.evaluate(visual[:50], visual[:50], label_sets.same_class(np.zeros((50, 1)), 1))
    with pytest.raises(UserError, match="same items"):
        ndcg.paired_interval(near[0], other["visual_to_audio"], 30, seed=0)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_highest_scores_are_those_of_a_sort(k):
    rng = np.random.default_rng(0)
    for columns in (12, 13, 400, 403):
        for high in (4, 1 << 20):
            scores = rng.integers(0, high, (40, columns)).astype(np.float32)
            scores[:, 3] = -np.inf
            values, places = ranking.highest(scores, min(k, columns))
            np.testing.assert_array_equal(values, -np.sort(-scores, axis=1)[:, :k])
            np.testing.assert_array_equal(np.take_along_axis(scores, places, axis=1), values)
            assert all(len(set(row)) == k for row in places.tolist())


def test_large_relevances_do_not_overflow():
    rows = np.random.default_rng(0).standard_normal((40, 4))
    for top in (20, 1000):
        relevance = label_sets.SetRelevance(np.arange(40)[:, None] % 2, top * np.eye(2))
        scores = ndcg.evaluate(rows, rows, relevance)["visual_to_audio"]
        half = ndcg.evaluate(rows, rows, label_sets.same_class(np.arange(40)[:, None] % 2, 2))
        np.testing.assert_allclose(scores.values, half["visual_to_audio"].values, rtol=1e-12)
    relevance = label_sets.SetRelevance(np.zeros((40, 1)), [[1001.0]])
    with pytest.raises(UserError, match="1001 is too large"):
        ndcg.evaluate(rows, rows, relevance)


def test_mistakes_are_one_line():
    rows = np.ones((3, 2))
    relevance = label_sets.same_class([[0], [0], [1]], 2)
    with pytest.raises(UserError, match="2 visual embeddings for labels of 3 items"):
        ndcg.evaluate(rows[:2], rows, relevance)
    with pytest.raises(UserError, match=r"visual embeddings of 2 values cannot .* audio .* of 1"):
        ndcg.evaluate(rows, rows[:, :1], relevance)
    with pytest.raises(UserError, match="audio embedding of row 1 has a NaN"):
        ndcg.evaluate(rows, [[1, 1], [np.nan, 1], [1, 1]], relevance)
    for labels in ([[], [], []], [[0], [1], []]):
        with pytest.raises(UserError, match="no item has a relevant one"):
            ndcg.evaluate(rows, rows, label_sets.same_class(labels, 2))
    assert ndcg.evaluate(rows, rows[:, :1], relevance, directions=["visual_to_visual"])
    for change in ({"gain": "log"}, {"cutoffs": ()}, {"cutoffs": (0,)}, {"cutoffs": (5, 5)},
                   {"similarity": "l1"}):
        with pytest.raises(ConfigurationError):
            ndcg.NdcgConfig(**change)
    with pytest.raises(ConfigurationError, match="direction"):
        ndcg.evaluate(rows, rows, relevance, directions=["audio_to_text"])
