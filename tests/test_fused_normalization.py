"""Batch normalisation in one operation: what Keras computes, and used where that is right."""

import avc_runs
import numpy as np
import pytest
import tensorflow as tf
import training_runs

from avc import fused_normalization
from avc.convolutions import BatchNorm

SHAPES = {"pictures": (6, 5, 4, 3), "frames": (2, 3, 5, 4, 3), "vectors": (8, 3)}


def drawn(shape):
    rng = np.random.default_rng(0)
    return (rng.normal(2, 3, shape) * [1, 10, 0.1] + [0, -4, 1]).astype(np.float32)


def result(layer, x, weight):
    """Outputs and the gradients of their weighted sum by x, gamma and beta."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        value = tf.reduce_sum(tf.cast(outputs, tf.float32) * weight)
    variables = [x, layer.gamma.value, layer.beta.value]
    return [outputs, *tape.gradient(value, variables)]


@pytest.mark.parametrize("name", SHAPES)
def test_it_computes_what_keras_computes(name):
    x = drawn(SHAPES[name])
    weight = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    plain, fused = (BatchNorm(momentum=0.9, gamma_initializer="ones") for _ in range(2))
    for layer in (plain, fused):
        layer.build(x.shape)
        layer.gamma.assign([0.5, 2.0, -1.0])
        layer.beta.assign([0.0, 1.0, 3.0])
    fused.kernel = fused_normalization.batch_norm
    for ours, theirs in zip(
        result(fused, tf.constant(x), weight), result(plain, tf.constant(x), weight), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
    np.testing.assert_allclose(fused.moving_mean, 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(fused.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    np.testing.assert_allclose(plain.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    np.testing.assert_array_equal(fused(x, training=False), fused(x))


def test_a_frozen_layer_and_one_in_use_keep_their_statistics():
    x = drawn(SHAPES["pictures"])
    layer = BatchNorm()
    layer.build(x.shape)
    layer.kernel = fused_normalization.batch_norm
    np.testing.assert_allclose(layer(x, training=False), x / np.sqrt(1.001), rtol=1e-5, atol=1e-5)
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1.001), rtol=1e-5, atol=1e-5)
    assert not np.any(layer.moving_mean)


def test_channels_that_never_change_have_finite_gradients():
    x = np.full((4, 3, 3, 3), 7.0, np.float32)
    layer = BatchNorm()
    layer.build(x.shape)
    layer.kernel = fused_normalization.batch_norm
    outputs, *gradients = result(layer, tf.constant(x), drawn(x.shape))
    np.testing.assert_allclose(outputs, 0, atol=1e-3)
    assert all(np.isfinite(g).all() for g in gradients)


def test_half_precision_goes_through_with_statistics_in_float32():
    x = drawn(SHAPES["pictures"])
    layer = BatchNorm(dtype="mixed_bfloat16")
    layer.build(x.shape)
    layer.kernel = fused_normalization.batch_norm
    half = tf.cast(x, tf.bfloat16)
    outputs = layer(half, training=True)
    assert outputs.dtype == tf.bfloat16
    exact = tf.cast(half, tf.float32).numpy()
    expected = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.02)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * exact.mean((0, 1, 2)), rtol=1e-4)


def test_training_takes_it_on_one_replica_only():
    with training_runs.two_devices() as executor:
        assert executor.submit(avc_runs.fused_layers, "default").result() == 16 * [True]
        assert executor.submit(avc_runs.fused_layers, "mirrored").result() == 16 * [False]
