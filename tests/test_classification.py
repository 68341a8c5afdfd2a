"""GAP against a loop over one sorted list, mAP against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from crossmodal import classification
from crossmodal.errors import UserError


def random_case(videos=60, classes=30, seed=0, steps=None):
    rng = np.random.default_rng(seed)
    scores = rng.random((videos, classes)).astype(np.float32)
    if steps:
        scores = np.floor(scores * steps) / np.float32(steps)
    labels = [sorted(set(rng.integers(0, classes, rng.integers(0, 6)).tolist()))
              for _ in range(videos)]
    return scores, labels


def plain_gap(scores, labels, top):
    pooled = []
    for video, line in enumerate(scores.tolist()):
        ranked = sorted(range(len(line)), key=lambda c: (-line[c], c))[:top]
        pooled += [(line[c], c in labels[video]) for c in ranked]
    pooled.sort(key=lambda entry: -entry[0])
    total = hits = 0
    for position, (_, hit) in enumerate(pooled, 1):
        hits += hit
        total += hit * hits / position
    return total / sum(len(row) for row in labels)


@pytest.mark.parametrize("top", [1, 2, 20, 100])
@pytest.mark.parametrize("steps", [None, 5])
def test_gap_matches_a_loop(monkeypatch, top, steps):
    scores, labels = random_case(steps=steps)
    expected = plain_gap(scores, labels, top)
    assert classification.global_average_precision(scores, labels, top) == pytest.approx(expected)
    monkeypatch.setattr(classification, "BLOCK", 100)
    assert classification.global_average_precision(scores, labels, top) == pytest.approx(expected)


def test_gap_by_hand():
    # Pooled: .9 hit, .8 miss, .7 hit, .1 miss: (1/1 + 2/3) / 3 labels.
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.7, 0.0]])
    gap = classification.global_average_precision(scores, [[0], [1, 2]], top=2)
    assert gap == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.parametrize("steps", [None, 5])
def test_map_is_scikit_learns(steps):
    scores, labels = random_case(steps=steps)
    truth = np.zeros(scores.shape, int)
    for video, row in enumerate(labels):
        truth[video, row] = 1
    expected = {c: average_precision_score(truth[:, c], scores[:, c])
                for c in range(scores.shape[1]) if truth[:, c].any()}
    assert len(expected) < scores.shape[1] or truth.any(axis=0).all()
    measured = classification.class_average_precision(scores, labels)
    assert measured == pytest.approx(expected)
    mean = classification.mean_average_precision(scores, labels)
    assert mean == pytest.approx(np.mean(list(expected.values())))


def test_perfect_scores_are_one_and_padding_is_no_label():
    _, labels = random_case()
    scores = np.zeros((60, 30), np.float32)
    padded = np.full((60, 8), -1)
    for video, row in enumerate(labels):
        scores[video, row] = 1
        padded[video, : len(row)] = row
    for form in (labels, padded):
        assert classification.global_average_precision(scores, form) == pytest.approx(1.0)
        assert classification.mean_average_precision(scores, form) == pytest.approx(1.0)


def test_bad_input_is_named():
    scores, labels = random_case()
    with pytest.raises(UserError, match="59 rows of labels for scores of 60"):
        classification.global_average_precision(scores, labels[1:])
    with pytest.raises(UserError, match="no video has a label"):
        classification.mean_average_precision(scores, [[]] * 60)
    with pytest.raises(UserError, match="label 30 of row 0"):
        classification.mean_average_precision(scores, [[30], *labels[1:]])
    scores[7, 3] = np.nan
    with pytest.raises(UserError, match="class scores of row 7"):
        classification.global_average_precision(scores, labels)
