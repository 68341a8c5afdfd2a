"""DAVEnet: sounds of any length in one batch, its maps, its statistics and its weights."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_networks import SMALL, drawn, pairs

from avc import davenet_trunks, matchmaps, networks
from avc.masks import StepNormalization
from avc.recipes import recipe
from avc.triplet import triplet
from crossmodal.errors import ConfigurationError, UserError

# With what the recipe does to the waveform, and does so to the end of a sound.
AUDIO = dataclasses.replace(SMALL.audio, remove_mean=True, pre_emphasis=0.97)
DAVENET = dataclasses.replace(SMALL, network="davenet", audio=AUDIO)
LENGTHS = [4000, 3999, 2500, 368, 80, 1]


def kind(similarity: str):
    matchmap = dataclasses.replace(DAVENET.matchmap, similarity=similarity)
    return dataclasses.replace(DAVENET, matchmap=matchmap)


@functools.cache
def network(similarity: str = "misa") -> networks.Network:
    """Not as it begins: its statistics have seen something."""
    keras.utils.set_random_seed(2)
    made = networks.build(kind(similarity))
    batch = drawn(pairs(4, "davenet"))
    for _ in range(3):
        made.training(batch, training=True)
    return made


def sounds(lengths=LENGTHS, behind: float = 0.0):
    rng = np.random.default_rng(5)
    waveform = np.full((len(lengths), 4000), behind, np.float32)
    for row, length in enumerate(lengths):
        waveform[row, :length] = 0.1 * rng.normal(size=length) + 0.05
    frame = rng.random((len(lengths), 64, 64, 3)).astype(np.float32)
    return {"frame": frame, "waveform": waveform, "num_samples": np.array(lengths, np.int32)}


def steps_of(length: int) -> int:
    """A column begins at each hop within the sound; four pools halve their number."""
    steps = -(-length // 80)
    for _ in range(4):
        steps = (steps + 1) // 2
    return steps


@pytest.mark.parametrize("similarity", ["sisa", "misa", "sima", "soft"])
@pytest.mark.parametrize("behind", [0.0, 0.9])
def test_padding_has_no_effect(similarity, behind):
    model, batch = network(similarity).deployed, sounds(behind=behind)
    padded = {name: value.numpy() for name, value in model(batch).items()}
    for row, length in enumerate(LENGTHS):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        one["waveform"] = one["waveform"][:, :length]
        alone = {name: value.numpy()[0] for name, value in model(one).items()}
        steps = steps_of(length)
        assert len(alone["matchmap"]) == steps
        assert not padded["matchmap"][row, steps:].any()
        for name in ("matchmap", "heatmaps"):
            there = padded[name][row, :steps]
            np.testing.assert_allclose(there, alone.pop(name), atol=2e-5, rtol=1e-4)
        for name, value in alone.items():
            np.testing.assert_allclose(padded[name][row], value, atol=2e-5, rtol=1e-4, err_msg=name)
    assert np.abs(padded["audio_embedding"][0] - padded["audio_embedding"][2]).max() > 1e-3


def test_outputs_are_those_of_the_map():
    found = {k: v.numpy() for k, v in network("misa").deployed(sounds()).items()}
    for row, length in enumerate(LENGTHS):
        matchmap = found["matchmap"][row, : steps_of(length)]
        wanted = matchmap.max((1, 2)).mean()
        assert found["similarity"][row] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
        mean = found["visual_embedding"][row] @ found["audio_embedding"][row]
        assert matchmap.mean() == pytest.approx(mean, rel=1e-3, abs=1e-5)
        order = np.argsort(matchmap.mean(0).ravel())
        assert (np.diff(found["heatmap"][row].ravel()[order]) >= 0).all()
    assert ((found["heatmap"] > 0) & (found["heatmap"] < 1)).all()
    np.testing.assert_array_equal(
        np.argsort(found["similarity"]), np.argsort(found["logits"][:, 1])
    )


def test_statistics_of_a_batch_do_not_see_padding():
    rng = np.random.default_rng(0)
    x, count = rng.normal(3, 2, (3, 7, 5)).astype(np.float32), np.array([7, 2, 4])
    kept = np.concatenate([x[row, :number].ravel() for row, number in enumerate(count)])
    x[1, 2:], x[2, 4:] = 1e4, -1e4
    layer = StepNormalization(momentum=0.75)
    found = np.asarray(layer(x, count, training=True))
    for row, number in enumerate(count):
        wanted = (x[row, :number] - kept.mean()) / np.sqrt(kept.var() + 1e-3)
        np.testing.assert_allclose(found[row, :number], wanted, atol=1e-4)
        assert not found[row, number:].any()
    assert float(layer.moving_mean.numpy()) == pytest.approx(0.25 * kept.mean(), rel=1e-5)
    assert float(layer.moving_variance.numpy()) == pytest.approx(0.75 + 0.25 * kept.var(), rel=1e-4)


def test_the_middle_is_that_of_true_and_mismatched_pairs():
    standard = matchmaps.Standardized(momentum=0.0)
    observer, rng = matchmaps.Observer(standard), np.random.default_rng(0)
    own, other = rng.normal(5, 1, 6), rng.normal(1, 2, (6, 2))
    places, others = rng.normal(3, 2, (6, 2, 2)), rng.normal(3, 4, (6, 2, 2, 2))
    offset = np.array([[1, 2], [1, 0], [-1, 1], [2, 1], [1, -1], [0, 0]])
    standard.build((6,))
    values = [v.astype(np.float32) for v in (own, other, places, others)]
    observer(*values, offset, training=True)
    placed = offset != 0
    middle = (own.mean() + other[placed].mean()) / 2
    variance = (own.var() + other[placed].var()) / 2
    found = np.asarray(standard(np.array([middle, middle + 2], np.float32)))
    np.testing.assert_allclose(found, [0, 2 / np.sqrt(variance)], atol=1e-4)
    spread = (np.square(places - middle).mean() + np.square(others[placed] - middle).mean()) / 2
    found = np.asarray(standard(np.full((1, 1, 1), middle + 2, np.float32)))
    np.testing.assert_allclose(found.ravel(), 2 / np.sqrt(spread), rtol=1e-4)
    before = standard.get_weights()
    observer(*values, offset, training=False)
    assert before == standard.get_weights()


@pytest.mark.parametrize("similarity", ["sisa", "sima"])
@pytest.mark.parametrize("lengths", [[368] * 4, [1] * 4, [4000, 2000, 1, 368]])
@pytest.mark.parametrize("silent", [False, True])
def test_short_sounds_and_silence_have_finite_gradients(similarity, lengths, silent):
    model, batch = network(similarity).training, sounds(lengths)
    if silent:
        batch["waveform"] *= 0
    batch = drawn(batch) | {
        "key": np.arange(4), "impostor_chance": np.full((4, 2), 0.5, np.float32)
    }
    before = model.get_weights()
    with tf.GradientTape() as tape:
        given = {name: batch[name] for name in model.input}
        loss = triplet(model(given, training=True), batch, 1.0, similarity)["loss"]
    gradients = tape.gradient(loss, [w.value for w in model.trainable_weights])
    model.set_weights(before)
    assert np.isfinite(float(loss))
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_weights_of_a_file_come_into_the_trunk(tmp_path, monkeypatch):
    config = dataclasses.replace(
        recipe("davenet").network, image_size=32, embedding_dim=4,
    )
    own = tmp_path / "vgg16.weights.h5"
    keras.utils.set_random_seed(7)
    source = keras.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
    source.save_weights(own)

    def changed(**fields):
        return dataclasses.replace(
            config, matchmap=dataclasses.replace(config.matchmap, **fields)
        )

    loaded = changed(image_weights=str(own))
    model = networks.build(loaded).deployed
    davenet_trunks.load_image_weights(model, loaded)
    towers = model.get_layer("towers")
    frame = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    trunk = keras.Model(towers.inputs[0], towers.get_layer("block5_relu3").output)
    wanted = keras.Model(source.input, source.get_layer("block5_conv3").output)(
        keras.applications.vgg16.preprocess_input(255 * frame)
    )
    np.testing.assert_allclose(trunk(frame), wanted, rtol=1e-3, atol=1e-4)
    for path, line in (
        ("nowhere.h5", "image_weights=nowhere.h5: is neither `none` nor `imagenet` nor a file"),
        (str(tmp_path / "other.weights.h5"), "holds no weights of VGG16|has no weights of the"),
    ):
        if path != "nowhere.h5":
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]).save_weights(path)
        with pytest.raises(UserError, match=line):
            davenet_trunks.load_image_weights(model, changed(image_weights=path))

    def unreachable(**options):
        raise OSError("URL fetch failure\nand more")

    monkeypatch.setattr(keras.applications, "VGG16", unreachable)
    with pytest.raises(UserError, match=r"^image_weights=imagenet: cannot be downloaded.*a local"):
        davenet_trunks.load_image_weights(model, changed(image_weights="imagenet"))
    with pytest.raises(ConfigurationError, match=r"width is 0.5: image_weights=imagenet"):
        dataclasses.replace(changed(image_weights="imagenet"), width=0.5)
