"""Galleries against plain Python, chance against enumeration and simulation."""

import statistics

import numpy as np
import pytest

from crossmodal import galleries, retrieval
from crossmodal.errors import UserError


def embeddings(items, size=4, seed=0):
    """Whole numbers, so scores are exact and ties are frequent."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 3, (2, items, size)).astype(np.float32)


def plain_ranks(queries, items, query):
    """All ranks the match may have, from scores of plain integers."""
    scores = [sum(int(a) * int(b) for a, b in zip(queries[query], item, strict=True))
              for item in items]
    greater = sum(s > scores[query] for s in scores)
    return range(greater + 1, greater + scores.count(scores[query]) + 1)


def mean(values):
    values = list(values)
    return sum(values) / len(values)


@pytest.mark.parametrize("size", [1, 7, 20, 33])
def test_scores_match_plain_python(size):
    visual, audio = embeddings(33)
    evaluation = galleries.evaluate(visual, audio, [size], num_galleries=4, seed=3)
    summary = galleries.summarise(evaluation)
    for direction, queries, items in (("visual_to_audio", visual, audio),
                                      ("audio_to_visual", audio, visual)):
        drawn = evaluation[f"{direction}/{size}"].galleries
        ranks = [[plain_ranks(queries[g], items[g], q) for q in range(size)] for g in drawn]
        expected = {
            "mrr": [mean(mean(1 / r for r in rs) for rs in gallery) for gallery in ranks],
            "median_rank": [statistics.median(mean(rs) for rs in gallery) for gallery in ranks],
        }
        for k in (1, 5, 10):
            expected[f"recall@{k}"] = [
                mean(mean(r <= k for r in rs) for rs in gallery) for gallery in ranks
            ]
        for metric, values in expected.items():
            cell = summary[f"{direction}/{size}/{metric}"]
            assert cell["mean"] == pytest.approx(statistics.mean(values))
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            assert cell["std"] == pytest.approx(spread, abs=1e-12)
            assert cell["galleries"] == len(values) == (1 if size == 33 else 4)


def test_queries_average_to_their_galleries():
    visual, audio = embeddings(50)
    scores = galleries.evaluate(visual, audio, [20], num_galleries=5)["audio_to_visual/20"]
    measured = scores.draws > 0
    assert scores.draws.sum() == 100
    assert np.isnan(scores.per_query["mrr"][~measured]).all()
    for metric, values in scores.per_query.items():
        weighted = np.average(values[measured], weights=scores.draws[measured])
        assert weighted == pytest.approx(scores.per_gallery[metric].mean())


def test_galleries_are_disjoint_until_the_set_is_used_up():
    drawn = galleries.draw_galleries(100, 30, 8, seed=5)
    assert drawn.shape == (8, 30)
    assert all(len(set(gallery)) == 30 for gallery in drawn.tolist())
    for start in (0, 3, 6):
        together = drawn[start : start + 3].ravel().tolist()
        assert len(set(together)) == len(together)
    assert set(range(100)) - set(drawn[:3].ravel()) != set(range(100)) - set(drawn[3:6].ravel())


def test_galleries_follow_from_the_seed():
    drawn = galleries.draw_galleries(100, 30, 8, seed=5)
    np.testing.assert_array_equal(drawn, galleries.draw_galleries(100, 30, 8, seed=5))
    np.testing.assert_array_equal(drawn[:2], galleries.draw_galleries(100, 30, 2, seed=5))
    assert (drawn != galleries.draw_galleries(100, 30, 8, seed=6)).any()


def test_chance_is_the_mean_over_all_ranks():
    row = galleries.chance([7])
    ranks = range(1, 8)
    for direction in retrieval.DIRECTIONS:
        cells = {m: row[f"{direction}/7/{m}"]["mean"] for m in ("recall@1", "recall@10", "mrr")}
        assert cells["recall@1"] == pytest.approx(mean(r <= 1 for r in ranks))
        assert cells["recall@10"] == 1.0
        assert cells["mrr"] == pytest.approx(mean(1 / r for r in ranks))
        assert row[f"{direction}/7/median_rank"]["mean"] == statistics.median(ranks)


def test_random_embeddings_score_at_chance():
    visual, audio = np.random.default_rng(0).standard_normal((2, 4000, 16))
    measured = galleries.summarise(galleries.evaluate(visual, audio, [100], num_galleries=40))
    expected = galleries.chance([100])
    assert measured.keys() == expected.keys()
    for key, cell in measured.items():
        error = cell["std"] / np.sqrt(40)
        assert cell["mean"] == pytest.approx(expected[key]["mean"], abs=4 * error)


def test_a_gallery_larger_than_the_set_is_refused():
    visual, audio = embeddings(33)
    with pytest.raises(UserError, match="a gallery of 256 needs as many items, the set has 33"):
        galleries.evaluate(visual, audio, [256])
    with pytest.raises(UserError, match="at least 1"):
        galleries.draw_galleries(10, 5, 0, seed=0)
