"""One suite over every network of the table, and what tells them apart."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from avc import heads, losses, networks
from avc.configuration import NetworkConfig
from avc.recipes import RECIPES
from avc.spectrogram import SpectrogramConfig
from avc.visual_inputs import unit_range
from crossmodal.errors import ConfigurationError

NAMES = tuple(networks.TABLE)
PICTURES = ("frame", "frames")
# A quarter of a second at 16 kHz: 129 x 50 where the paper has 257 x 200.
SMALL = NetworkConfig(
    image_size=64,
    width=1 / 16,
    segment_seconds=0.25,
    audio=SpectrogramConfig(16_000, 0.01, 0.005, 256),
    embedding_dim=16,
    num_frames=5,
    num_flows=3,
)
# Conv bias, gamma and beta of batch normalisation; facts of the papers' architectures.
PARAMETERS = {"l3": 9_508_738, "ave": 9_541_636, "avol": 9_541_634}
# AVE's, with other trunks of the picture: 4,689,216 of two dimensions; of two streams as in
# figure 8; and with each 3x3 kernel, of 4,683,456 weights in all, threefold in time.
PARAMETERS["ave_of"] = 9_541_636 - 4_689_216 + 7_025_856
PARAMETERS["ave_mf"] = 9_541_636 + 2 * 4_683_456
# Twice ResNet18 as published for 1000 classes, with 128 outputs in place of these and, for
# sound, one channel in place of three; and the four weights of the distance.
RESNET18_OF_1000 = 11_689_512
# Published VGG16 without its dense layers, a 3x3 convolution from 512 to 1024; and of the sound
# a normalisation of one channel, filters times width times channels, and the biases. Two
# weights scale the similarity.
PARAMETERS["davenet"] = (
    14_714_688 + (9 * 512 * 1024 + 1024)
    + 2 + 40 * 128 + 11 * 128 * 256 + 17 * (256 * 512 + 512 * 512 + 512 * 1024)
    + (128 + 256 + 512 + 512 + 1024) + 2
)
PARAMETERS["resnet18"] = (
    2 * (RESNET18_OF_1000 - 1000 * (512 + 1) + 128 * (512 + 1)) - 2 * 7 * 7 * 64 + 4
)


def small(name: str, **changes) -> NetworkConfig:
    return dataclasses.replace(SMALL, network=name, **changes)


def pairs(number: int, name: str = "ave", seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = {"num_samples": np.full(number, 4000, np.int32)} if name == "davenet" else {}
    shapes = small(name).visual.shapes(64)
    return {
        **{x: unit_range(x, drawn_bytes(rng, (number, *s), x)) for x, s in shapes.items()},
        "waveform": rng.integers(-16384, 16384, (number, 4000)).astype(np.float32) / 32768,
        **lengths,
    }


def drawn_bytes(rng: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    return rng.integers(1 if name == "flow" else 0, 256, shape).astype(np.float32)


def drawn(batch: dict) -> dict:
    """The same pairs as training batches hold them, each with the next row's sound as partner."""
    number = len(batch["waveform"])
    offsets = np.roll(np.arange(number), -1) - np.arange(number)
    return {
        **{x: np.rint(batch[x] * 255).astype(np.uint8) for x in PICTURES if x in batch},
        **{x: np.rint(batch[x] * 127 + 128).astype(np.uint8) for x in ("flow",) if x in batch},
        "waveform": np.rint(batch["waveform"] * 32768).astype(np.int16),
        **{x: batch[x] for x in ("num_samples",) if x in batch},
        "brightness": np.zeros(number, np.float32),
        "saturation": np.ones(number, np.float32),
        "gain": np.ones(number, np.float32),
        "partner_offset": offsets[:, None].astype(np.int32),
    }


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(1)


@pytest.mark.parametrize("name", NAMES)
def test_full_networks_have_the_papers_parameters(name):
    # Only of DAVEnet the spectrogram decides on the number of weights.
    config = RECIPES["davenet"].network if name == "davenet" else NetworkConfig(network=name)
    model = networks.build(config).deployed
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == PARAMETERS[name]


def test_full_trunks_have_the_sizes_of_the_figure():
    model = networks.build(NetworkConfig(network="l3")).deployed
    towers = model.get_layer("towers")
    sizes = {layer.name: layer.output.shape[1:] for layer in towers.layers}
    for tower, rows in {
        "visual": [(112, 112, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (14, 14, 512)],
        "audio": [(128, 100, 64), (64, 50, 64), (32, 25, 128), (16, 12, 256), (16, 12, 512)],
    }.items():
        layers = ("conv1_1", "pool1", "pool2", "pool3", "conv4_2")
        assert [sizes[f"{tower}_{layer}"] for layer in layers] == rows


def test_the_trunk_of_frame_and_flow_is_that_of_the_figure():
    towers = networks.build(NetworkConfig(network="ave_of")).deployed.get_layer("towers")
    trunk = [x for x in towers.layers if x.name.startswith(("visual_conv", "visual_norm", "flow"))]
    assert sum(np.prod(w.shape) for x in trunk for w in x.trainable_weights) == 7_025_856
    sizes = {layer.name: layer.output.shape[1:] for layer in towers.layers}
    for stream in ("visual", "flow"):
        pools = [sizes[f"{stream}_pool{number}"] for number in (1, 2, 3)]
        assert pools == [(56, 56, 64), (28, 28, 128), (14, 14, 256)]
    assert sizes["streams"] == (14, 14, 512) == sizes["visual_conv4_2"]


def test_times_shrink_as_stated():
    def times(**changes):
        config = dataclasses.replace(small("ave_mf"), num_frames=25, **changes)
        towers = networks.build(config).deployed.get_layer("towers")
        found = {layer.name: layer.output.shape[1] for layer in towers.layers}
        return [found[f"visual_conv{block}_1"] for block in (1, 2, 3, 4)]

    assert times() == [13, 7, 4, 2]
    assert times(temporal_stride=1, temporal_pool=1) == [25] * 4


def test_networks_that_see_motion_answer_to_it_alone():
    own = pairs(4, "ave_mf")
    network = networks.build(small("ave_mf")).deployed
    mixed = {**own, "frames": own["frames"][:, [2, 0, 4, 1, 3]]}
    assert np.abs(network(own)["logits"] - network(mixed)["logits"]).max() > 1e-4
    own = pairs(4, "ave_of")
    network = networks.build(small("ave_of")).deployed
    for name in ("frame", "flow"):
        other = {**own, name: np.flip(own[name], 0)}
        assert np.abs(network(own)["logits"] - network(other)["logits"]).max() > 1e-4


def test_less_their_mean_frames_that_stand_still_are_all_alike():
    own = pairs(4, "ave_mf")
    still = {**own, "frames": np.repeat(own["frames"][:, :1], own["frames"].shape[1], 1)}
    network = networks.build(small("ave_mf", subtract_mean_frame=True)).deployed
    for bias in network.trainable_variables:
        # At first all are zero, and so is what becomes of stillness: a vector without direction.
        if bias.ndim == 1:
            bias.assign(bias + np.linspace(-0.5, 0.5, bias.shape[0]))
    seen = network(still)["visual_embedding"].numpy()
    np.testing.assert_allclose(seen, np.repeat(seen[:1], 4, 0), atol=1e-6)
    assert np.abs(network(own)["visual_embedding"] - seen).max() > 1e-3
    brighter = {**own, "frames": own["frames"] + 0.1}
    np.testing.assert_allclose(
        network(brighter)["visual_embedding"], network(own)["visual_embedding"], atol=1e-4
    )


@pytest.mark.parametrize("name", NAMES)
def test_outputs_have_their_names_and_shapes(name):
    outputs = networks.build(small(name)).deployed(pairs(3, name))
    dims = 32 if name == "l3" else 16
    expected = {"logits": (3, 2), "visual_embedding": (3, dims), "audio_embedding": (3, dims)}
    if name == "avol":
        expected["heatmap"] = (3, 4, 4)
    if name == "davenet":
        # Four pools of 50 columns: 25, 13, 7, 4; and of 64 pixels: 4.
        expected |= {"heatmap": (3, 4, 4), "similarity": (3,)}
        expected |= dict.fromkeys(("matchmap", "heatmaps"), (3, 4, 4, 4))
    assert {key: tuple(value.shape) for key, value in outputs.items()} == expected
    assert all(np.isfinite(value).all() for value in outputs.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_mismatched_pair_scores_as_if_it_came_in_as_one(name):
    network = networks.build(small(name))
    training, single = network.training, network.deployed
    own = pairs(5, name)
    batch = drawn(own)
    exchanged = {**own, "waveform": np.roll(own["waveform"], -1, axis=0)}
    np.testing.assert_allclose(
        training(batch)["mismatched_logits"][:, 0],
        single(exchanged)["logits"],
        rtol=1e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        training(batch)["logits"], single(own)["logits"], rtol=1e-5, atol=1e-5
    )
    difference = training(batch)["mismatched_logits"][:, 0] - training(batch)["logits"]
    assert np.abs(difference).max() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_several_mismatched_pairs_of_a_row_score_as_if_they_came_in_as_ones(name):
    network = networks.build(small(name), 3)
    offsets = np.array([[1, 2, -0], [3, 1, -1], [1, -1, -2], [-1, 1, -3], [-4, -1, -2]])
    own = pairs(5, name)
    batch = drawn(own) | {"partner_offset": offsets.astype(np.int32)}
    found = np.asarray(network.training(batch)["mismatched_logits"])
    assert found.shape == (5, 3, 2)
    for k in range(3):
        sounds = own["waveform"][np.arange(5) + offsets[:, k]]
        single = network.deployed({**own, "waveform": sounds})["logits"]
        np.testing.assert_allclose(found[:, k], single, rtol=1e-5, atol=1e-5)


def gradients(model: keras.Model, batch: dict) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        loss = losses.correspondence(model(batch, training=True), batch)["loss"]
    return [np.asarray(g) for g in tape.gradient(loss, [w.value for w in model.trainable_weights])]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["noise", "silence", "one colour", "all alike"])
def test_gradients_are_finite_and_reach_every_weight(name, case):
    batch = pairs(4, name)
    if case == "silence":
        batch["waveform"] *= 0
    if case == "one colour":
        batch |= {x: np.ones_like(batch[x]) for x in PICTURES if x in batch}
    if case == "all alike":
        batch = {key: np.repeat(value[:1], 4, axis=0) for key, value in batch.items()}
    model = networks.build(small(name)).training
    found = gradients(model, drawn(batch))
    assert all(np.isfinite(g).all() for g in found)
    if case == "noise":
        # A convolution's bias is taken away again by the normalisation after it.
        idle = [w.path for w, g in zip(model.trainable_weights, found, strict=True) if not g.any()]
        assert all("conv" in path and path.endswith("bias") for path in idle), idle


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        *(
            pytest.param(name, "max", marks=() if name == "ave" else pytest.mark.slow)
            for name in NAMES
        ),
        ("avol", "soft"),
    ],
)
def test_steps_lower_the_loss(name, pooling):
    model = networks.build(small(name, pooling=pooling)).training
    optimizer = keras.optimizers.Adam(3e-3)
    batch = drawn(pairs(8, name))
    weights = [w.value for w in model.trainable_weights]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = losses.correspondence(model(batch, training=True), batch)["loss"]
        optimizer.apply(tape.gradient(loss, weights), model.trainable_weights)
        return loss

    history = [float(step()) for _ in range(30)]
    assert np.mean(history[-5:]) < 0.7 * np.mean(history[:5])


def test_the_distance_is_euclidean_and_a_small_one_corresponds():
    rng = np.random.default_rng(0)
    visual, audio = (
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in rng.normal(size=(2, 6, 8))
    )
    audio[0] = visual[0]
    head = heads.Distance(scale=2.0, threshold=0.75)
    logits = np.asarray(head(visual.astype("float32"), audio.astype("float32")))
    distance = np.linalg.norm(visual - audio, axis=1)
    expected = 2.0 * (distance - 0.75)
    np.testing.assert_allclose(logits, np.stack([expected, -expected], -1), atol=1e-5)
    assert logits[0, 1] > logits[0, 0]


def test_scores_are_products_of_every_place_and_pooled_as_said():
    rng = np.random.default_rng(0)
    visual, audio = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 5))
    scores = np.asarray(heads.ScoreMap(scale=2.0, threshold=0.5)(visual, audio))
    expected = 2.0 * ((visual * audio[:, None, None]).sum(-1) / 5**0.5 - 0.5)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    flat = expected.reshape(2, -1)
    hard = np.asarray(heads.ScorePooling()(scores))
    np.testing.assert_allclose(hard, np.stack([[0, 0], flat.max(1)], -1), rtol=1e-5)
    weights = np.exp(flat / 0.7) / np.exp(flat / 0.7).sum(1, keepdims=True)
    soft = np.asarray(heads.ScorePooling("soft", 0.7)(scores))
    np.testing.assert_allclose(soft[:, 1], (weights * flat).sum(1), rtol=1e-5)


def test_the_heat_map_is_high_where_the_score_is():
    outputs = networks.build(small("avol")).deployed(pairs(3))
    logit = np.asarray(outputs["logits"])[:, 1]
    highest = np.asarray(outputs["heatmap"]).reshape(3, -1).max(1)
    np.testing.assert_allclose(highest, 1 / (1 + np.exp(-logit)), rtol=1e-5)


@pytest.mark.parametrize("network", ["ave", "ave_mf", "ave_of"])
def test_embeddings_of_ave_are_unit_vectors(network):
    outputs = networks.build(small(network)).deployed(pairs(3, network))
    for name in ("visual_embedding", "audio_embedding"):
        np.testing.assert_allclose(np.linalg.norm(outputs[name], axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weight_decay_is_half_the_squares_of_all_kernels(name):
    model = networks.build(small(name, l2=0.01)).deployed
    kernels = [
        w for w in model.trainable_weights if w.path.endswith("kernel") and len(w.shape) > 1
    ]
    # The two weights that scale a distance are left alone.
    scaling = {"ave": "fc3", "ave_mf": "fc3", "ave_of": "fc3", "resnet18": "distance"}
    if name in scaling:
        kernels = [w for w in kernels if scaling[name] not in w.path]
    # A ResNet18 is named after its 16 + 1 convolutions and its last layer; and three shortcuts.
    numbers = {"l3": 16 + 2, "ave": 16 + 4, "avol": 16 + 4, "resnet18": 42}
    numbers["davenet"] = 13 + 1 + 5
    numbers |= {"ave_mf": 16 + 4, "ave_of": 16 + 6 + 4}  # three more blocks, of the flow
    assert len(kernels) == numbers[name]
    expected = 0.01 / 2 * sum(float(np.sum(np.square(w))) for w in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert not networks.build(small(name, l2=0.0)).deployed.losses


def test_statistics_of_a_batch_are_those_of_all_replicas():
    towers = networks.build(small("ave")).deployed.get_layer("towers")
    norms = [x for x in towers.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 16 and all(norm.synchronized for norm in norms)


@pytest.mark.parametrize(
    ("field", "value"),
    [("network", "vgg"), ("visual_blocks", 5), ("audio_blocks", 0), ("pooling", "mean"),
     ("image_size", 8), ("segment_seconds", 0.05)],
)
def test_what_is_no_network_names_its_field(field, value):
    with pytest.raises(ConfigurationError, match=field):
        dataclasses.replace(SMALL, **{field: value})


def test_an_l3_net_has_as_many_blocks_for_picture_and_sound():
    assert small("ave", visual_blocks=3).visual_blocks == 3
    with pytest.raises(ConfigurationError, match="visual_blocks is 3 and audio_blocks 4"):
        small("l3", visual_blocks=3)
    outputs = networks.build(small("l3", visual_blocks=3, audio_blocks=3)).deployed(pairs(2))
    assert outputs["visual_embedding"].shape == outputs["audio_embedding"].shape == (2, 16)
