"""The network: shapes, what it sees, and that each modality can be embedded alone."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from crossmodal.configuration import from_dict, override, to_dict
from yt8m_embed import configuration, embedding, losses, model
from yt8m_embed.configuration import EmbeddingConfig, ModelConfig

RNG = np.random.default_rng(5)
# The recipe `temporal` is for frame-level records only: see test_temporal_model.py.
OF_VIDEOS = [name for name, of in configuration.RECIPES.items() if not of.model.temporal]
SMALL = {"visual_layers": (24, 16), "audio_layers": (12, 8), "embedding_dim": 6, "num_classes": 9}


@pytest.fixture(autouse=True)
def seeded():
    # Initial weights must not hang on which tests ran before: with six rectified dimensions
    # some weights give the zero vector.
    keras.utils.set_random_seed(5)


def small(recipe):
    config = configuration.recipe(recipe)
    changes = {**SMALL, "embedding_dim": 6}
    return override(config, changes)


def features(rows=5):
    return {
        "mean_rgb": RNG.normal(size=(rows, 1024)).astype("float32"),
        "mean_audio": RNG.normal(size=(rows, 128)).astype("float32"),
    }


def test_the_paper_network_has_its_layers():
    made = model.build_model(configuration.recipe("paper").model)
    count = 0
    for sizes in ((1024, 2000, 2000, 700, 700, 250), (128, 450, 450, 200, 200, 250), (250, 3862)):
        count += sum(a * b + b for a, b in itertools.pairwise(sizes))
    assert made.count_params() == count


@pytest.mark.parametrize("recipe", OF_VIDEOS)
def test_outputs_are_unit_vectors_and_logits(recipe):
    config = small(recipe)
    outputs = model.build_model(config.model)(features())
    dim = sum(config.model.tower_sizes())
    for modality in ("visual", "audio"):
        vectors = np.asarray(outputs[f"{modality}_embedding"])
        assert vectors.shape == (5, dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
        assert (f"{modality}_logits" in outputs) == config.model.classifier
        if config.model.classifier:
            assert outputs[f"{modality}_logits"].shape == (5, 9)
        if config.model.embedding_activation == "relu":
            assert (vectors >= 0).all()


@pytest.mark.parametrize("recipe", OF_VIDEOS)
def test_gradients_reach_every_weight_and_stay_finite(recipe):
    config = small(recipe)
    config = override(
        config, {"classifier": True, "class_weight": 0.1, "class_weight_step": 0}
    )
    made = model.build_model(config.model)
    given = features(8)
    given["mean_audio"][3] = 0  # silence
    given["mean_rgb"][4] = 0
    given["mean_audio"][5] = given["mean_audio"][6]
    labels = np.array([[0, 1], [2, -1]] * 4)
    batch = {"labels": labels, "audio_labels": labels, "match": np.array([1, -1] * 4)}
    batch["unplaced"] = np.zeros(8)
    with tf.GradientTape() as tape:
        outputs = made(given, training=True)
        loss = losses.embedding_losses(
            outputs,
            batch,
            0,
            config.loss,
            config.model.tower_sizes(),
            lambda embedded: model.classify(made, embedded, config.model),
        )
    gradients = tape.gradient(loss["loss"], [v.value for v in made.trainable_variables])
    for variable, gradient in zip(made.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path


@pytest.mark.parametrize(
    ("recipe", "leaks"), [("paper", False), ("contrastive", False), ("authors", True)]
)
def test_only_the_authors_recipe_lets_one_modality_into_the_other(recipe, leaks):
    made = model.build_model(small(recipe).model)
    for variable in made.trainable_variables:
        if variable.name == "bias":  # without biases a ReLU network cannot see a norm
            variable.assign(RNG.normal(size=variable.shape))
    one, other = features(), features()
    mixed = {"mean_rgb": one["mean_rgb"], "mean_audio": other["mean_audio"] * 3}
    difference = np.abs(
        np.asarray(made(one)["visual_embedding"]) - np.asarray(made(mixed)["visual_embedding"])
    ).max()
    assert (difference > 1e-3) == leaks


@pytest.mark.parametrize("recipe", ["paper", "contrastive"])
def test_one_modality_alone_is_embedded_as_in_training(recipe):
    config = small(recipe)
    made = model.build_model(config.model)
    given = features()
    together = made(given)
    alone = embedding.of_model(made, config)
    np.testing.assert_allclose(
        alone.embed_visual(given["mean_rgb"]), together["visual_embedding"], atol=1e-6
    )
    np.testing.assert_allclose(
        alone.embed_audio(given["mean_audio"]), together["audio_embedding"], atol=1e-6
    )


def test_joint_normalisation_is_of_the_concatenation():
    config = ModelConfig(normalization="joint")
    given = features()
    inputs = model.make_inputs(config)
    joint = model.JointNormalization()(inputs["mean_rgb"], inputs["mean_audio"])
    visual, audio = keras.Model(inputs, list(joint))(given)
    both = np.concatenate([given["mean_rgb"], given["mean_audio"]], axis=1)
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    np.testing.assert_allclose(np.concatenate([visual, audio], axis=1), both, atol=1e-6)


def test_frame_level_pools_the_seconds_that_exist():
    frame = ModelConfig(feature_level="frame", **SMALL)
    made = model.build_model(frame)
    rgb = RNG.integers(0, 256, (3, 7, 1024), dtype=np.uint8)
    audio = RNG.integers(0, 256, (3, 7, 128), dtype=np.uint8)
    num_frames = np.array([7, 2, 0], np.int32)
    outputs = made({"rgb": rgb, "audio": audio, "num_frames": num_frames})
    for row, count in enumerate(num_frames):
        values = rgb[row, :count].astype(float) * 4 / 255 + 4 / 512 - 2
        expected = values.mean(0) if count else np.zeros(1024)
        np.testing.assert_allclose(outputs["visual_features"][row], expected, atol=1e-5)
    assert np.isfinite(outputs["visual_embedding"]).all()


def test_the_linear_path_starts_at_the_projection():
    config = override(
        small("contrastive"), {"num_towers": 2, "linear_towers": 1, "linear_dim": 4}
    )
    made = model.build_model(config.model)
    starts = {
        name: model.Start(RNG.normal(size=size), 0.7, RNG.normal(size=(size, 4)))
        for name, size in model.SIZES.items()
    }
    model.start_from(made, starts, config.model)
    given = features()
    vectors = np.asarray(made(given)["visual_embedding"])
    expected = (given["mean_rgb"] - starts["visual"].mean) @ starts["visual"].projection
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    linear = vectors[:, :4]
    linear = linear / np.linalg.norm(linear, axis=1, keepdims=True)
    np.testing.assert_allclose(linear, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization": "both"}, "normalization is 'both'"),
        ({"embedding_dim": 0}, "embedding_dim is 0"),
        ({"linear_towers": 1}, "needs standardize"),
        ({"visual_layers": (0,)}, "visual_layers is 0"),
        ({"hidden_dropout": 1.5}, "hidden_dropout is 1.5"),
    ],
)
def test_impossible_configurations_name_the_field(changes, message):
    with pytest.raises(configuration.ConfigurationError, match=message):
        override(configuration.recipe("paper"), changes)


def test_a_configuration_survives_json():
    for name in configuration.RECIPES:
        config = configuration.recipe(name)
        values = to_dict(config)
        assert from_dict(EmbeddingConfig, values, "test") == config
