"""Losses of correspondence against NumPy, row by row."""

import numpy as np
import pytest

from avc import losses


def entropy(logits: np.ndarray, label: int) -> float:
    return float(np.log(np.exp(logits).sum()) - logits[label])


def test_labelled_pairs_are_scored_by_cross_entropy():
    logits = np.random.default_rng(0).normal(size=(6, 2))
    label = np.array([1, 0, 0, 1, 1, 0])
    found = losses.correspondence({"logits": logits}, {"label": label})
    expected = np.mean([entropy(row, y) for row, y in zip(logits, label, strict=True)])
    assert float(found["loss"]) == pytest.approx(expected, rel=1e-6)
    assert float(found["accuracy"]) == pytest.approx(np.mean(logits.argmax(1) == label))


def test_rows_without_a_mismatched_pair_count_as_true_pairs_only():
    rng = np.random.default_rng(1)
    true, false = rng.normal(size=(2, 4, 2))
    offset = np.array([1, 0, 1, -2])
    found = losses.correspondence(
        {"logits": true, "mismatched_logits": false[:, None]}, {"partner_offset": offset[:, None]}
    )
    terms = [entropy(row, 1) for row in true]
    terms += [entropy(row, 0) for row, o in zip(false, offset, strict=True) if o]
    assert float(found["loss"]) == pytest.approx(np.mean(terms), rel=1e-6)
    right = [row.argmax() == 1 for row in true]
    right += [row.argmax() == 0 for row, o in zip(false, offset, strict=True) if o]
    assert float(found["accuracy"]) == pytest.approx(np.mean(right))


def test_the_mismatched_pairs_of_a_clip_count_together_as_much_as_its_true_one():
    rng = np.random.default_rng(3)
    true, false = rng.normal(size=(4, 2)), rng.normal(size=(4, 3, 2))
    offset = np.array([[1, 2, 3], [1, 0, 2], [-1, 1, 0], [-2, -3, -1]])
    found = losses.correspondence(
        {"logits": true, "mismatched_logits": false}, {"partner_offset": offset}
    )
    terms = [(1.0, entropy(row, 1), row.argmax() == 1) for row in true]
    terms += [
        (1 / 3, entropy(false[i, k], 0), false[i, k].argmax() == 0)
        for i in range(4) for k in range(3) if offset[i, k]
    ]
    weight = sum(term[0] for term in terms)
    loss, accuracy = (sum(term[0] * term[k] for term in terms) / weight for k in (1, 2))
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-6)
    assert float(found["accuracy"]) == pytest.approx(accuracy, rel=1e-6)


def test_the_contrast_leaves_out_clips_of_the_same_video():
    rng = np.random.default_rng(2)
    visual, audio = rng.normal(size=(2, 5, 3))
    key = np.array([7, 8, 7, 9, 10])
    found = losses.infonce(
        {"visual_embedding": visual, "audio_embedding": audio}, {"key": key}, 0.2
    )
    visual, audio = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (visual, audio))
    scores = visual @ audio.T / 0.2
    terms, right = [], []
    for matrix in (scores, scores.T):
        for i in range(5):
            kept = [j for j in range(5) if j == i or key[j] != key[i]]
            terms.append(entropy(matrix[i, kept], kept.index(i)))
            right.append(kept[matrix[i, kept].argmax()] == i)
    assert float(found["loss"]) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(np.mean(right))
