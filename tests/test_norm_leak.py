"""Joint normalisation gives the match away; nothing else does."""

import keras
import numpy as np
import pytest
from launching import launch
from short_embeddings import read_videos, write_videos

from crossmodal import galleries
from crossmodal.configuration import override
from crossmodal.errors import UserError
from yt8m_embed import configuration, embedding, evaluation, model, moments
from yt8m_embed.layers import JointNormalization, L2Normalization
from yt8m_embed.norm_leak import norm_only_recall
from yt8m_embed.reading import open_records

OF_VIDEOS = sorted(
    name for name, recipe in configuration.RECIPES.items() if recipe.model.feature_level == "video"
)
SMALL = {"visual_layers": 16, "audio_layers": 16, "embedding_dim": 8, "num_classes": 3862}


def random_pairs(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Features without any relation between the modalities."""
    rng = np.random.default_rng(0)
    lengths = rng.uniform(0.5, 2, (2, number, 1))
    return (
        (lengths[0] * rng.standard_normal((number, 1024))).astype(np.float32),
        (lengths[1] * rng.standard_normal((number, 128))).astype(np.float32),
    )


def recalls(scores: dict) -> set[float]:
    return {entry["mean"] for entry in scores.values()}


@pytest.mark.parametrize("size", [64, 256])
def test_joint_norms_alone_find_every_match(size):
    scores = norm_only_recall(*random_pairs(600), size, 3, seed=0)
    assert recalls(scores) == {1.0}
    assert set(scores) == {
        f"{d}/{size}/recall@{k}" for d in ("audio_to_visual", "visual_to_audio")
        for k in (1, 5, 10)
    }
    assert all(entry["galleries"] == 3 and entry["std"] == 0 for entry in scores.values())


def test_norms_of_modalities_normalised_alone_are_exactly_chance():
    scores = norm_only_recall(*random_pairs(600), 256, 3, seed=0, joint=False)
    for key, entry in scores.items():
        assert entry["mean"] == pytest.approx(int(key.split("@")[1]) / 256, abs=1e-12)


def test_a_part_of_the_leak_is_counted_as_a_part():
    """Two sounds of equal norm cannot be told apart: half a match each."""
    visual, audio = random_pairs(40)
    visual[1::2], audio[1::2] = 2 * visual[::2], 2 * audio[::2]  # twins after normalisation
    scores = norm_only_recall(visual, audio, 40, 1, seed=0)
    assert scores["audio_to_visual/40/recall@1"]["mean"] == pytest.approx(0.5)
    assert scores["audio_to_visual/40/recall@5"]["mean"] == pytest.approx(1)


@pytest.mark.parametrize("joint", [True, False])
def test_the_models_own_layers_leak_or_do_not(joint):
    """The norms that the layers give, matched in float32 by plain Python."""
    visual, audio = random_pairs(100)
    if joint:
        visual, audio = JointNormalization()(visual, audio)
    else:
        visual, audio = L2Normalization()(visual), L2Normalization()(audio)
    squares = [np.sum(np.asarray(x, np.float64) ** 2, axis=1).tolist() for x in (visual, audio)]
    found = 0
    for i, own in enumerate(squares[0]):
        gaps = [abs(own + other - 1) for other in squares[1]]
        found += sum(gap < gaps[i] for gap in gaps) == 0
    tied = max(squares[1]) - min(squares[1]) < 1e-5
    assert (found == 100 and not tied) if joint else tied


@pytest.mark.real_data
@pytest.mark.parametrize("size", [256, 1024])
def test_the_leak_is_total_on_real_videos(real_data, size):
    pattern = str(real_data / "yt8m" / "dev" / "*.tfrecord")
    _, opened = open_records(pattern, 3862, "pattern", progress=False)
    visual, audio = moments.stack(moments.normalized_blocks(opened, "none"))
    assert len(visual) > 4 * size
    leaking = norm_only_recall(visual, audio, size, 4, seed=0)
    alone = norm_only_recall(visual, audio, size, 4, seed=0, joint=False)
    for key, entry in leaking.items():
        assert entry["mean"] == pytest.approx(1, abs=1e-9)
        assert alone[key]["mean"] == pytest.approx(int(key.split("@")[1]) / size, abs=1e-9)


@pytest.fixture(scope="module")
def originals(testdata) -> list[dict]:
    return read_videos(testdata / "yt8m" / "dev" / "validate0000.tfrecord")[:60]


def random_model(recipe: str, seed: int = 0) -> embedding.JointEmbedding:
    config = override(configuration.recipe(recipe), SMALL)
    keras.utils.set_random_seed(seed)
    made = embedding.build_model(config.model)
    # Without biases a tower of ReLUs gives the same for any length of its input.
    for weight in made.weights:
        if weight.name == "bias":
            weight.assign(keras.random.normal(weight.shape, stddev=0.1, seed=seed))
    return embedding.of_model(made, config)


def embed(made, path, **options):
    _, opened = open_records(path, 3862, "pattern", progress=False)
    return made.embed_records(opened, **options)


def with_other(videos, name: str) -> list[dict]:
    """The same videos with another's value of one modality, three times as long."""
    return [{**v, name: 3 * videos[i - 1][name]} for i, v in enumerate(videos)]


@pytest.mark.parametrize("recipe", OF_VIDEOS)
@pytest.mark.parametrize(
    ("kept", "replaced"), [("visual", "mean_audio"), ("audio", "mean_rgb")]
)
def test_embeddings_do_not_know_the_other_modality(originals, tmp_path, recipe, kept, replaced):
    made = random_model(recipe)
    paths = [
        write_videos(tmp_path / "a.tfrecord", originals),
        write_videos(tmp_path / "b.tfrecord", with_other(originals, replaced)),
    ]
    first, second = (embed(made, path) for path in paths)
    np.testing.assert_array_equal(getattr(first, kept), getattr(second, kept))
    changed = "audio" if kept == "visual" else "visual"
    assert np.abs(getattr(first, changed) - getattr(second, changed)).max() > 1e-3


@pytest.mark.parametrize("recipe", OF_VIDEOS)
def test_only_pairs_of_the_authors_recipe_know_each_other(originals, tmp_path, recipe):
    """The same comparison through the model that is trained: it does tell the leak."""
    made = random_model(recipe)
    paths = [
        write_videos(tmp_path / "a.tfrecord", originals),
        write_videos(tmp_path / "b.tfrecord", with_other(originals, "mean_audio")),
    ]
    first, second = (embed(made, path, joint_pairs=True).visual for path in paths)
    assert (np.abs(first - second).max() > 1e-4) == (recipe == "authors")


def test_without_the_layer_only_the_named_recipe_is_joint():
    joint = [n for n, r in configuration.RECIPES.items() if r.model.normalization == "joint"]
    assert joint == ["authors"]
    for recipe in configuration.RECIPES:
        made = random_model(recipe)
        layers = [type(layer) for layer in made.model.layers]
        assert (JointNormalization in layers) == (recipe == "authors")
        for modality in model.MODALITIES:
            single = model.single_modality(made.model, modality, made.config.model)
            assert JointNormalization not in [type(layer) for layer in single.layers]
            # What it is not given it cannot know.
            own = [model.VIDEO_FEATURES[modality]]
            if recipe not in OF_VIDEOS:
                own = [model.FRAME_FEATURES[modality], "num_frames"]
            assert list(single.input) == own


def leaking_model() -> embedding.JointEmbedding:
    """A model of the authors' recipe whose towers pass on nothing but the norms they get."""

    class Norms(keras.layers.Layer):
        def __init__(self, sound, **kwargs):
            super().__init__(**kwargs)
            self.sound = sound

        def call(self, x):
            square = keras.ops.sum(x * x, axis=-1, keepdims=True)
            angle = np.pi * (1 - square if self.sound else square)
            return keras.ops.concatenate([keras.ops.cos(angle), keras.ops.sin(angle)], axis=-1)

    config = override(configuration.recipe("authors"), SMALL)
    inputs = model.make_inputs(config.model)
    joint = JointNormalization()(inputs["mean_rgb"], inputs["mean_audio"])
    towers, outputs = {}, {}
    for modality, x in zip(model.MODALITIES, joint, strict=True):
        entry = keras.Input(x.shape[1:])
        norms = Norms(modality == "audio")(entry)
        towers[modality] = keras.Model(entry, norms, name=f"{modality}_tower")
        outputs[f"{modality}_embedding"] = towers[modality](x)
    return embedding.of_model(keras.Model(inputs, outputs), config, "leak")


def test_an_evaluation_does_not_reward_a_model_that_only_leaks(originals, tmp_path):
    path = write_videos(tmp_path / "a.tfrecord", originals)
    made, rules = leaking_model(), evaluation.Protocol((60,), 1)
    leaked = galleries.summarise(evaluation.measure(embed(made, path, joint_pairs=True), rules))
    honest = galleries.summarise(evaluation.measure(embed(made, path), rules))
    for direction in ("audio_to_visual", "visual_to_audio"):
        assert leaked[f"{direction}/60/recall@1"]["mean"] > 0.5
        assert honest[f"{direction}/60/recall@1"]["mean"] < 0.1


def test_the_command_says_what_the_norms_alone_reach(trained, testdata, tmp_path):
    pattern = testdata / "yt8m" / "dev" / "*.tfrecord"
    common = {"workdir": trained, "eval_pattern": pattern, "gallery_sizes": 64,
              "num_galleries": 2, "output": tmp_path / "report.json", "brief": "true"}
    text = launch("evaluate_yt8m", joint_pairs="true", **common).out
    rows = [line for line in text.splitlines() if "joint norms alone" in line]
    assert len(rows) == 2 and all(row.count("100.0") == 3 for row in rows)
    assert "joint norms" not in launch("evaluate_yt8m", **common).out


def test_pairs_need_the_trained_model(originals):
    made = embedding.JointEmbedding(configuration.recipe("paper"), {}, "export")
    with pytest.raises(UserError, match="export: pairs are embedded by the trained model only"):
        made.embed_pairs(originals[0])
