"""Bootstrap intervals against theory and SciPy, class tables against loops."""

import numpy as np
import pytest
import scipy.stats

from crossmodal import comparison, galleries
from crossmodal.errors import UserError


def measured(seed, items=300, noise=1.0, num_galleries=12):
    rng = np.random.default_rng(0)
    visual = rng.standard_normal((items, 8))
    audio = visual + noise * np.random.default_rng(seed).standard_normal((items, 8))
    return galleries.evaluate(visual, audio, [50], num_galleries)["visual_to_audio/50"]


def test_an_interval_is_scipys():
    values = np.random.default_rng(1).exponential(size=200)
    ours = comparison.bootstrap_mean(values, np.ones(200), seed=0, samples=4000)
    scipys = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, random_state=0
    ).confidence_interval
    spread = values.std() / np.sqrt(200)
    assert ours.estimate == pytest.approx(values.mean())
    assert ours.low == pytest.approx(scipys.low, abs=0.15 * spread)
    assert ours.high == pytest.approx(scipys.high, abs=0.15 * spread)


def test_weights_count_and_unmeasured_videos_do_not():
    values = np.array([0.0, 1.0, np.nan])
    interval = comparison.bootstrap_mean(values, np.array([1, 3, 0]), seed=0)
    assert interval.estimate == 0.75
    assert (interval.low, interval.high) == (0.0, 1.0)
    with pytest.raises(UserError, match="at least one"):
        comparison.bootstrap_mean(values, np.zeros(3), seed=0)


def test_an_interval_follows_from_its_seed_and_confidence():
    scores = measured(1)
    wide = comparison.system_interval(scores, "recall@1", seed=0)
    assert wide == comparison.system_interval(scores, "recall@1", seed=0)
    assert wide != comparison.system_interval(scores, "recall@1", seed=1)
    narrow = comparison.system_interval(scores, "recall@1", seed=0, confidence=0.5)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    assert wide.estimate == pytest.approx(scores.per_gallery["recall@1"].mean())


def test_a_paired_interval_sees_a_real_difference_and_only_that():
    better, worse = measured(1, noise=0.8), measured(1, noise=1.0)
    gain = comparison.paired_interval(better, worse, "recall@1", seed=0)
    assert gain.low > 0 and gain.excludes_zero()
    loss = comparison.paired_interval(worse, better, "recall@1", seed=0)
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low), abs=0.02)
    assert loss.excludes_zero()
    same = comparison.paired_interval(better, better, "recall@1", seed=0)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    assert not same.excludes_zero()
    alone = comparison.system_interval(better, "recall@1", seed=0)
    assert gain.high - gain.low < alone.high - alone.low


def test_other_galleries_cannot_be_paired():
    visual, audio = np.random.default_rng(0).standard_normal((2, 300, 4))
    one, two = (galleries.evaluate(visual, audio, [50], 12, seed=s) for s in (0, 1))
    with pytest.raises(UserError, match="same galleries"):
        comparison.paired_interval(
            one["visual_to_audio/50"], two["visual_to_audio/50"], "mrr", seed=0
        )


def test_classes_match_a_loop():
    scores = measured(2, items=130, num_galleries=2)
    rng = np.random.default_rng(0)
    lists = [sorted(set(rng.integers(0, 9, rng.integers(0, 4)).tolist())) for _ in range(130)]
    padded = np.full((130, 4), -1)
    for row, labels in enumerate(lists):
        padded[row, : len(labels)] = labels
    assert (scores.draws == 0).any()
    expected = {}
    for label in range(9):
        hits = [scores.per_query["recall@5"][i] for i, row in enumerate(lists)
                if label in row and scores.draws[i]]
        expected[label] = (len(hits), sum(hits) / len(hits))
    for labels in (lists, padded):
        table = comparison.per_class(scores, labels)
        assert table.keys() == expected.keys()
        for label, (videos, recall) in expected.items():
            assert table[label]["videos"] == videos
            assert table[label]["recall@5"] == pytest.approx(recall)
    with pytest.raises(UserError, match="129 rows of labels for 130"):
        comparison.per_class(scores, lists[1:])
