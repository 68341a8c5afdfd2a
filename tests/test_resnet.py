"""ResNet18-AVC against convolutions written out, and against what its paper says of pairs."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from avc_runs import SCENES, tiny
from scipy import signal
from test_networks import SMALL, pairs

from avc import networks, resnet, training
from avc.reading import open_clips
from avc.recipes import recipe
from crossmodal.pipeline import open_training
from crossmodal.training import TrainingConfig

CONFIG = dataclasses.replace(SMALL, network="resnet18")


def filled(model: keras.Model) -> dict[str, np.ndarray]:
    """Random weights and statistics, by the last two parts of their paths."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1.0, weight.shape) * rng.choice([-1, 1], weight.shape))
        if weight.path.endswith("moving_variance"):
            weight.assign(keras.ops.abs(weight))
    return {"/".join(w.path.split("/")[-2:]): np.asarray(w, np.float64) for w in model.weights}


def convolve(x: np.ndarray, kernel: np.ndarray, strides: int) -> np.ndarray:
    """SciPy's correlation of [height, width, channels], zeros around, of which some are kept."""
    size = kernel.shape[0]
    x = np.pad(x, ((size // 2, size // 2), (size // 2, size // 2), (0, 0)))
    planes = [
        sum(signal.correlate2d(x[..., i], kernel[..., i, o], "valid") for i in range(x.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(planes, -1)[::strides, ::strides]


def plain(x: np.ndarray, weights: dict, name: str, strides: int) -> np.ndarray:
    """Convolution and normalisation by the layer's moving statistics."""
    x = convolve(x, weights[f"{name}_conv/kernel"], strides)
    norm = {key: weights[f"{name}_norm/{key}"]
            for key in ("gamma", "beta", "moving_mean", "moving_variance")}
    deviation = np.sqrt(norm["moving_variance"] + 1e-3)
    return norm["gamma"] * (x - norm["moving_mean"]) / deviation + norm["beta"]


def plain_block(x: np.ndarray, weights: dict, name: str, strides: int) -> np.ndarray:
    shortcut = x
    if f"{name}_shortcut_conv/kernel" in weights:
        shortcut = plain(x, weights, f"{name}_shortcut", strides)
    inner = np.maximum(plain(x, weights, f"{name}_first", strides), 0)
    return np.maximum(plain(inner, weights, f"{name}_second", 1) + shortcut, 0)


@pytest.mark.parametrize(
    ("channels", "filters", "strides", "projected"),
    [(3, 3, 1, False), (2, 4, 2, True), (2, 3, 1, True)],
)
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_a_block_is_what_it_is_written_out(channels, filters, strides, projected, size):
    given = keras.Input((*size, channels))
    model = keras.Model(given, resnet.basic_block(given, CONFIG, filters, strides, "b"))
    weights = filled(model)
    assert ("b_shortcut_conv/kernel" in weights) is projected
    x = np.random.default_rng(1).normal(size=(2, *size, channels))
    expected = np.stack([plain_block(each, weights, "b", strides) for each in x])
    assert (expected > 0).any() and (expected == 0).any()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)


def test_a_trunk_is_its_stem_and_two_blocks_a_stage():
    given = keras.Input((21, 18, 1))
    model = keras.Model(given, resnet.trunk(given, CONFIG, (2, 3), "t"))
    weights = filled(model)
    x = np.random.default_rng(1).normal(size=(1, 21, 18, 1))
    found = np.maximum(plain(x[0], weights, "t_stem", 2), 0)
    padded = np.pad(found, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = ((n + 1) // 2 for n in found.shape[:2])
    found = np.stack([
        [padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1)) for j in range(columns)]
        for i in range(rows)
    ])
    for name, strides in (("stage1_1", 1), ("stage1_2", 1), ("stage2_1", 2), ("stage2_2", 1)):
        found = plain_block(found, weights, f"t_{name}", strides)
    # Numbers grow from block to block.
    np.testing.assert_allclose(model(x)[0], found, rtol=1e-3, atol=1e-3 * found.max())


def test_the_sigmoids_input_is_the_distance_scaled_and_shifted():
    for unit in (True, False):
        config = dataclasses.replace(CONFIG, unit_embeddings=unit)
        found = {k: np.asarray(v) for k, v in networks.build(config).deployed(pairs(4)).items()}
        visual, audio = found["visual_embedding"], found["audio_embedding"]
        assert np.allclose(np.linalg.norm(visual, axis=1), 1, rtol=1e-5) is unit
        distance = np.linalg.norm(visual - audio, axis=1)
        # Of a softmax the difference counts: the probability's log odds.
        found = found["logits"][:, 1] - found["logits"][:, 0]
        expected = -2 * config.score_scale * (distance - config.score_threshold)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert distance.std() > 1e-3


def test_pairs_are_true_at_the_middle_of_the_sound_only():
    config = tiny("resnet18", segment_seconds=0.24, pairs_per_read=1)
    _, encoding, records = open_clips(f"{SCENES}/t*[nt]-*.tfrecord", "x", progress=False)
    run = TrainingConfig(batch_size=12)
    batches = training.draw_batches(
        open_training(records, training.pipeline_config(config, run)), config, encoding
    )
    labels, apart, own = [], [], []
    for batch in batches.take(15).as_numpy_iterator():
        middle = batch["audio_start_seconds"] + 0.12
        labels += batch["label"].tolist()
        apart += np.abs(middle - batch["frame_seconds"]).tolist()
        own += (batch["audio_row"] == np.arange(12)).tolist()
    true, apart, own = np.array(labels) == 1, np.array(apart), np.array(own)
    assert 0.4 < true.mean() < 0.6
    np.testing.assert_allclose(apart[true], 0, atol=1e-5)
    assert own[true].all() and 0.3 < own[~true].mean() < 0.7
    # Another moment of the same clip has no sample in common with its true sound.
    assert (apart[~true & own] >= 0.24 - 1e-5).all()


def test_its_recipe_is_the_papers():
    config = recipe("resnet18")
    assert (config.batch_size, config.max_steps) == (256, 400_000)
    assert (config.network.embedding_dim, config.network.l2) == (128, 0)
    assert config.pairs.positive_rate == 0.5 and config.pairs.misalignment_seconds == 0
    optimizer = training.make_optimizer(config.optimizer, 1)
    for step in (0, 100_000, 400_000):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(1e-3)
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert training.mismatches(config) == 0 and training.mismatches(recipe("resnet18_small")) == 15


def test_gradients_reach_pictures_through_every_stage():
    model = networks.build(CONFIG).deployed
    given = {key: tf.constant(value) for key, value in pairs(2).items()}
    with tf.GradientTape() as tape:
        tape.watch(given)
        logits = model(given, training=True)["logits"][:, 1]
    for gradient in tape.gradient(logits, given).values():
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
