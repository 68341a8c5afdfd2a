"""Ranks against loops in plain Python, on data whose scores are exact."""

import numpy as np
import pytest

from crossmodal import retrieval
from crossmodal.errors import UserError


def integers(items, size, seed, high=3):
    """Small whole numbers: every product and sum is exact, and scores tie often."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-high, high + 1, (items, size)).astype(np.float32) for _ in range(2)]


def plain_ranks(queries, items):
    """(greater, ties) of each query, one comparison at a time."""
    result = []
    for i, query in enumerate(queries.astype(int).tolist()):
        scores = [sum(a * b for a, b in zip(query, item, strict=True))
                  for item in items.astype(int).tolist()]
        rivals = scores[:i] + scores[i + 1 :]
        result.append((sum(s > scores[i] for s in rivals), sum(s == scores[i] for s in rivals)))
    return result


def pairs(ranks):
    return list(zip(ranks.greater.tolist(), ranks.ties.tolist(), strict=True))


@pytest.mark.parametrize("items", [1, 2, 7, 64, 131, 300])
@pytest.mark.parametrize("tile", [16, 100, 1024])
def test_ranks_match_plain_python(items, tile):
    visual, audio = integers(items, 5, seed=items)
    ranks = retrieval.rank_pairs(visual, audio, tile=tile)
    assert pairs(ranks["visual_to_audio"]) == plain_ranks(visual, audio)
    assert pairs(ranks["audio_to_visual"]) == plain_ranks(audio, visual)


def test_ranks_of_scores_are_those_of_their_embeddings():
    visual, audio = integers(60, 5, seed=3)
    by_product, by_score = retrieval.rank_pairs(visual, audio), retrieval.rank_scores(
        visual @ audio.T
    )
    for direction in retrieval.DIRECTIONS:
        assert pairs(by_score[direction]) == pairs(by_product[direction])
    for scores, message in ((np.zeros((2, 3)), "must be"), (np.full((2, 2), np.nan), "NaN")):
        with pytest.raises(UserError, match=message):
            retrieval.rank_scores(scores)


def test_a_wide_tile_overflows_no_counter():
    # 5,000 columns in one tile, all above the match: byte counters would wrap.
    items = 5000
    visual = np.ones((items, 1), np.float32)
    audio = np.arange(items, dtype=np.float32)[:, None]
    ranks = retrieval.rank_pairs(visual, audio, tile=8192)["visual_to_audio"]
    np.testing.assert_array_equal(ranks.greater, np.arange(items)[::-1])
    assert not ranks.ties.any()


@pytest.mark.parametrize("tile", [64, 100, 1024])
def test_identical_embeddings_tie_exactly(tile):
    rng = np.random.default_rng(0)
    visual, audio = rng.standard_normal((2, 500, 251)).astype(np.float32)
    silent = rng.permutation(500)[:40]
    audio[silent] = audio[silent[0]]
    stills = rng.permutation(500)[:25]
    visual[stills] = visual[stills[0]]
    ranks = retrieval.rank_pairs(visual, audio, tile=tile)
    expected = np.zeros(500, int)
    expected[silent] = 39
    np.testing.assert_array_equal(ranks["visual_to_audio"].ties, expected)
    expected = np.zeros(500, int)
    expected[stills] = 24
    np.testing.assert_array_equal(ranks["audio_to_visual"].ties, expected)
    wide = visual.astype(np.float64) @ audio.T.astype(np.float64)
    matches = np.diagonal(wide)[:, None]
    above = ((wide > matches) & (np.abs(wide - matches) > 1e-9)).sum(1)
    np.testing.assert_array_equal(ranks["visual_to_audio"].greater, above)


@pytest.mark.parametrize("tile", [3, 16, 64])
def test_ties_do_not_depend_on_the_rounding_of_the_product(monkeypatch, tile):
    rng = np.random.default_rng(1)
    visual, audio = rng.standard_normal((2, 60, 8)).astype(np.float32)
    audio[10:30] = audio[10]
    visual[20:30] = visual[20]
    honest = retrieval.multiply

    def noisy(queries, items):
        scores = honest(queries, items)
        return scores + rng.uniform(-1e-4, 1e-4, scores.shape).astype(np.float32)

    monkeypatch.setattr(retrieval, "multiply", noisy)
    ranks = retrieval.rank_pairs(visual, audio, tile=tile)
    assert ranks["visual_to_audio"].ties.tolist() == [0] * 10 + [19] * 20 + [0] * 30
    assert ranks["audio_to_visual"].ties.tolist() == [0] * 20 + [9] * 10 + [0] * 30


def test_a_collapsed_model_ranks_at_chance():
    ones = np.ones((37, 4), np.float32)
    ranks = retrieval.rank_pairs(ones, ones)["audio_to_visual"]
    assert pairs(ranks) == [(0, 36)] * 37
    assert ranks.hits(10) == pytest.approx(10 / 37)
    assert ranks.expected().tolist() == [19.0] * 37


def test_expected_values_are_means_over_all_orders_of_the_ties():
    greater, ties = np.meshgrid(np.arange(12), np.arange(6), indexing="ij")
    ranks = retrieval.Ranks(greater.ravel(), ties.ravel())
    possible = [range(g + 1, g + t + 2) for g, t in pairs(ranks)]
    for k in (1, 5, 10):
        assert ranks.hits(k) == pytest.approx([sum(r <= k for r in p) / len(p) for p in possible])
    assert ranks.expected() == pytest.approx([sum(p) / len(p) for p in possible])
    assert ranks.reciprocal() == pytest.approx([sum(1 / r for r in p) / len(p) for p in possible])


def test_bad_embeddings_are_named():
    good = np.ones((4, 2), np.float32)
    bad = good.copy()
    bad[2, 1] = np.nan
    with pytest.raises(UserError, match="audio embedding of row 2 has a NaN or Inf"):
        retrieval.rank_pairs(good, bad)
    with pytest.raises(UserError, match="do not pair up"):
        retrieval.rank_pairs(good, good[:3])
    with pytest.raises(UserError, match="expected"):
        retrieval.rank_pairs(good[0], good[0])
