import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

from avc.instance_pooling import POOLINGS, has_pairs, mil_nce, pool
from crossmodal.errors import ConfigurationError

RNG = np.random.default_rng(0)


def members(similarity, frame_mask, word_mask):
    return [
        float(similarity[f, w])
        for f, w in itertools.product(*map(range, similarity.shape))
        if frame_mask[f] and word_mask[w]
    ]


def pooled(values, pooling, temperature):
    if not values:
        return 0.0
    if pooling == "max":
        return max(values)
    if pooling == "mean":
        return sum(values) / len(values)
    total = sum(math.exp(v / temperature) for v in values)
    return temperature * math.log(total / len(values))


def bags(batch=4, frames=3, words=5):
    similarity = RNG.normal(size=(batch, batch, frames, words)).astype(np.float32)
    frame_mask, word_mask = RNG.random((batch, frames)) < 0.7, RNG.random((batch, words)) < 0.6
    frame_mask[0], word_mask[0] = True, True
    word_mask[1] = False
    return similarity, frame_mask, word_mask


@pytest.mark.parametrize("temperature", [0.2, 3.0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_bags_are_pooled_over_what_is_there(pooling, temperature):
    similarity, frame_mask, word_mask = bags()
    # What is not there may be anything.
    there = frame_mask[:, None, :, None] & word_mask[None, :, None, :]
    spoiled = np.where(there, similarity, np.nan)
    found = pool(
        spoiled, frame_mask[:, None], word_mask[None], pooling=pooling, temperature=temperature
    )
    for i, j in itertools.product(range(4), range(4)):
        values = members(similarity[i, j], frame_mask[i], word_mask[j])
        assert float(found[i, j]) == pytest.approx(pooled(values, pooling, temperature), abs=1e-5)
    unmasked = np.asarray(pool(similarity, pooling=pooling, temperature=temperature))
    full = members(similarity[2, 3], [True] * 3, [True] * 5)
    assert unmasked[2, 3] == pytest.approx(pooled(full, pooling, temperature), abs=1e-5)
    assert np.asarray(has_pairs(frame_mask, word_mask)).tolist() == [
        bool(members(np.zeros((3, 5)), f, w))
        for f, w in zip(frame_mask, word_mask, strict=True)
    ]


def test_soft_lies_between_mean_and_largest():
    similarity = RNG.normal(size=(20, 4, 6))
    low, soft, high = (
        np.asarray(pool(similarity, pooling=each, temperature=0.5)) for each in
        ("mean", "soft", "max")
    )
    assert (low < soft).all() and (soft < high).all()
    cold, hot = (pool(similarity, pooling="soft", temperature=t) for t in (1e-3, 1e4))
    np.testing.assert_allclose(cold, high, atol=5e-3)
    np.testing.assert_allclose(hot, low, atol=1e-3)
    alike = np.full((2, 3, 3), 0.7)
    np.testing.assert_allclose(pool(alike, pooling="soft"), 0.7, atol=1e-6)


def contrast(similarity, same, frame_mask, word_mask, temperature):
    """By loops."""
    def mass(i, j):
        values = members(similarity[i, j], frame_mask[i], word_mask[j])
        return sum(math.exp(v / temperature) for v in values)

    losses = []
    for i in range(len(similarity)):
        own = mass(i, i)
        others = [j for j in range(len(similarity)) if j != i and not same[i, j]]
        rest = sum(mass(i, j) for j in others)
        others = [j for j in range(len(similarity)) if j != i and not same[j, i]]
        rest += sum(mass(j, i) for j in others)
        losses.append(-math.log(own / (own + rest)) if own else 0.0)
    return losses


def test_the_contrast_of_bags_is_mil_nce():
    similarity, frame_mask, word_mask = bags()
    same = np.eye(4, dtype=bool)
    same[0, 2] = same[2, 0] = True
    for temperature in (0.3, 2.0):
        found = mil_nce(similarity, same, frame_mask, word_mask, temperature)
        expected = contrast(similarity, same, frame_mask, word_mask, temperature)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert expected[1] == 0 and min(e for i, e in enumerate(expected) if i != 1) > 0
    # One frame and one word: plain InfoNCE over rows and columns, of which the own one is shared.
    single = RNG.normal(size=(3, 3, 1, 1))
    exponents, diagonal = np.exp(single[..., 0, 0]), np.exp(np.diagonal(single[..., 0, 0]))
    every = exponents.sum(0) + exponents.sum(1) - diagonal
    np.testing.assert_allclose(
        mil_nce(single, np.eye(3)), -np.log(diagonal / every), rtol=1e-5
    )


def test_large_similarities_stay_finite_and_a_better_own_pair_lowers_the_loss():
    similarity = np.full((2, 2, 2, 2), 4000.0, np.float32)
    assert np.isfinite(np.asarray(mil_nce(similarity, np.eye(2), temperature=0.1))).all()
    assert np.isfinite(np.asarray(pool(similarity, pooling="soft", temperature=0.1))).all()
    low, _, _ = bags(2, 2, 2)
    better = low.copy()
    better[0, 0, 1, 1] += 1
    before, after = (np.asarray(mil_nce(each, np.eye(2))) for each in (low, better))
    assert after[0] < before[0] and after[1] == before[1]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients by TensorFlow")
def test_gradients_reach_what_is_there_and_nothing_else():
    import tensorflow as tf

    similarity, frame_mask, word_mask = bags()
    frame_mask[1] = False
    there = frame_mask[:, None, :, None] & word_mask[None, :, None, :]
    value = tf.constant(similarity)
    for function in (
        lambda s: ops.sum(pool(s, frame_mask[:, None], word_mask[None], "soft", 0.5)),
        lambda s: ops.sum(mil_nce(s, np.eye(4), frame_mask, word_mask)),
    ):
        with tf.GradientTape() as tape:
            tape.watch(value)
            total = function(value)
        slope = tape.gradient(total, value).numpy()
        assert np.isfinite(slope).all() and (slope[~there] == 0).all()
        assert (slope[0, 0][there[0, 0]] != 0).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match="pooling is 'most'"):
        pool(np.zeros((1, 1)), pooling="most")
    with pytest.raises(ConfigurationError, match="temperature is 0"):
        mil_nce(np.zeros((1, 1, 1, 1)), np.eye(1), temperature=0)
