"""Exports against the live model, in this process and with TensorFlow alone."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import yt8m_embed
from crossmodal import configuration, files
from crossmodal.configuration import override
from crossmodal.errors import UserError
from crossmodal.export import run_tflite
from yt8m_embed import embedding, export
from yt8m_embed.reading import open_records
from yt8m_embed.records import read_vocabulary

ROOT = pathlib.Path(__file__).parents[1]
NAMES = {0: "Game", 7: 'Car, "fast"'}
METRICS = {"audio_to_visual/128/recall@10": {"mean": 0.5, "std": 0.1, "galleries": 3}}


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "export"
    differences = export.export(model, str(folder), NAMES, METRICS, tflite=True)
    return folder, differences


@pytest.fixture(scope="module")
def frame_model(tmp_path_factory):
    """A model of frame-level records, with random weights; and its export."""
    config = override(
        yt8m_embed.configuration.recipe("paper"),
        {"feature_level": "frame", "visual_layers": 8, "audio_layers": 8, "embedding_dim": 4},
    )
    keras.utils.set_random_seed(0)
    live = embedding.of_model(embedding.build_model(config.model), config, "frames")
    folder = tmp_path_factory.mktemp("exports") / "frames"
    assert export.export(live, str(folder), {}, None, tflite=True) == {}
    return live, folder


def raw_features(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Not normalised, so that a signature without the normalisation would differ."""
    rng = np.random.default_rng(seed)
    return {
        "mean_rgb": rng.normal(0.3, 2, (rows, 1024)).astype(np.float32),
        "mean_audio": rng.normal(-0.2, 1, (rows, 128)).astype(np.float32),
    }


def live_outputs(model, features) -> dict[str, dict[str, np.ndarray]]:
    """What the signatures should give, by way of the model that is trained."""
    outputs = model.model({k: tf.constant(v) for k, v in features.items()}, training=False)
    visual, audio = (outputs[f"{m}_embedding"].numpy() for m in ("visual", "audio"))
    return {
        "embed_visual": {"embedding": visual},
        "embed_audio": {"embedding": audio},
        "serving_default": {
            "visual_embedding": visual,
            "audio_embedding": audio,
            "cosine": (visual.astype(np.float64) * audio).sum(axis=1),
        },
    }


def inputs_of(signature: str, features):
    kept = {"embed_visual": ("mean_rgb",), "embed_audio": ("mean_audio",)}
    return {k: v for k, v in features.items() if k in kept.get(signature, features)}


@pytest.mark.parametrize("rows", [0, 1, 2, 300])
def test_signatures_equal_the_live_model(model, exported, rows):
    loaded, features = tf.saved_model.load(str(exported[0])), raw_features(rows)
    for signature, expected in live_outputs(model, features).items():
        given = {k: tf.constant(v) for k, v in inputs_of(signature, features).items()}
        found = loaded.signatures[signature](**given)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert found[name].shape == values.shape
            np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_names_and_shapes_are_the_documented_ones(model, exported):
    signatures = tf.saved_model.load(str(exported[0])).signatures
    described = {
        name: (
            {k: v.shape.as_list() for k, v in s.structured_input_signature[1].items()},
            {k: v.shape.as_list() for k, v in s.structured_outputs.items()},
        )
        for name, s in signatures.items()
    }
    size = sum(model.config.model.tower_sizes())
    assert described == {
        "embed_visual": ({"mean_rgb": [None, 1024]}, {"embedding": [None, size]}),
        "embed_audio": ({"mean_audio": [None, 128]}, {"embedding": [None, size]}),
        "serving_default": (
            {"mean_rgb": [None, 1024], "mean_audio": [None, 128]},
            {"visual_embedding": [None, size], "audio_embedding": [None, size], "cosine": [None]},
        ),
    }


def test_normalisation_lies_inside(exported):
    embed = tf.saved_model.load(str(exported[0])).signatures["embed_visual"]
    raw = raw_features(5)["mean_rgb"]
    found = embed(mean_rgb=tf.constant(raw))["embedding"]
    np.testing.assert_allclose(embed(mean_rgb=tf.constant(7 * raw))["embedding"], found, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_tensorflow_alone_serves_the_same(model, exported, tmp_path):
    features = raw_features(9, seed=1)
    np.savez(tmp_path / "features.npz", **features)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "given = dict(np.load(sys.argv[2]))\n"
        "found = tf.saved_model.load(sys.argv[1]).signatures['serving_default'](\n"
        "    **{k: tf.constant(v) for k, v in given.items()})\n"
        "np.savez(sys.argv[3], **{k: v.numpy() for k, v in found.items()})\n"
        "assert not {'yt8m_embed', 'crossmodal'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, exported[0], "features.npz", "found.npz"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npz")
    for name, values in live_outputs(model, features)["serving_default"].items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)


@pytest.mark.parametrize("signature", [
    "serving_default",
    pytest.param("embed_visual", marks=pytest.mark.slow),
    pytest.param("embed_audio", marks=pytest.mark.slow),
])
def test_saved_model_cli_runs(model, exported, tmp_path, signature):
    features = raw_features(3, seed=2)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    command = [tool, "run", "--dir", exported[0], "--tag_set", "serve",
               "--signature_def", signature, "--outdir", tmp_path, "--inputs"]
    inputs = []
    for name, values in inputs_of(signature, features).items():
        np.save(tmp_path / f"in_{name}.npy", values)
        inputs.append(f"{name}={tmp_path}/in_{name}.npy")
    run = subprocess.run(
        [*command, ";".join(inputs)], capture_output=True, text=True, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    for name, values in live_outputs(model, features)[signature].items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), values, atol=1e-6)


def test_tflite_is_close_and_its_difference_is_told(model, exported):
    folder, differences = exported
    features = raw_features(17, seed=3)
    expected = live_outputs(model, features)
    for modality, name in (("visual", "mean_rgb"), ("audio", "mean_audio")):
        content = (folder / f"{modality}.tflite").read_bytes()
        for rows in (1, 17):  # the batch stays open
            found = run_tflite(content, features[name][:rows])
            np.testing.assert_allclose(
                found, expected[f"embed_{modality}"]["embedding"][:rows], atol=1e-4
            )
        assert 0 < differences[modality] < 1e-4
    saved = json.loads((folder / "configuration.json").read_text())
    assert saved["tflite_difference"] == differences
    for value in differences.values():
        assert f"{value:.1e}" in (folder / "model_card.md").read_text()


def test_a_wrong_tflite_would_be_noticed(model, exported):
    content = (exported[0] / "visual.tflite").read_bytes()
    other = embedding.of_model(embedding.build_model(model.config.model), model.config)
    assert export.tflite_difference(other, content, "visual") > 0.01


def test_plain_files_explain_the_model(model, exported):
    folder = exported[0]
    saved = json.loads((folder / "configuration.json").read_text())
    assert saved["embedding"] == configuration.to_dict(model.config)
    with open(folder / "label_names.csv") as file:
        table = list(csv.DictReader(file))
    assert [int(row["index"]) for row in table] == list(range(3862))
    assert {int(r["index"]): r["name"] for r in table if r["name"]} == NAMES
    assert json.loads((folder / "metrics.json").read_text()) == METRICS
    card = (folder / "model_card.md").read_text()
    for part in ("embed_visual", "mean_rgb", "mean_audio", "serving_default", "50.0 %",
                 "contrastive", "temperature"):
        assert part in card, part


def test_an_export_is_loaded_like_a_work_folder(model, exported):
    loaded = yt8m_embed.load(str(exported[0]))
    features = raw_features(1030)  # more than are embedded at once
    for modality, name in (("visual", "mean_rgb"), ("audio", "mean_audio")):
        ours = getattr(loaded, f"embed_{modality}")(features[name].astype(np.float64))
        theirs = getattr(model, f"embed_{modality}")(features[name])
        assert ours.shape == (1030, sum(model.config.model.tower_sizes()))
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert loaded.embed_visual(np.zeros((0, 1024))).shape == (0, ours.shape[1])
    with pytest.raises(UserError, match="is an export"):
        export.export(loaded, str(exported[0].with_name("second")), {}, None, tflite=False)


def test_bundled_names_are_exported(model, testdata, tmp_path):
    names = read_vocabulary(str(testdata / "yt8m" / "vocabulary.csv"))
    export.write_labels(str(tmp_path / "names.csv"), names, 3862)
    with open(tmp_path / "names.csv") as file:
        found = {int(row["index"]): row["name"] for row in csv.DictReader(file) if row["name"]}
    assert found == names and len(names) == 40


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("place", ["write_labels", "model_card", "tflite_difference"])
@pytest.mark.parametrize("older", [False, True])
def test_a_failed_export_leaves_what_was_there(model, tmp_path, monkeypatch, place, older):
    folder = tmp_path / "export"
    if older:
        folder.mkdir()
        (folder / "saved_model.pb").write_text("old")

    def fail(*_):
        raise Interrupted

    monkeypatch.setattr(export, "convert_to_tflite", lambda *_: b"a tower")
    monkeypatch.setattr(export, place, fail)
    with pytest.raises(Interrupted):
        export.export(model, str(folder), {}, None, tflite=place == "tflite_difference")
    assert [path.name for path in tmp_path.iterdir()] == (["export"] if older else [])
    if older:
        assert (folder / "saved_model.pb").read_text() == "old"


def test_a_killed_export_leaves_what_was_there(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from crossmodal import files\n"
        "with files.whole_folder(sys.argv[1]) as folder:\n"
        "    files.write_text(folder + '/saved_model.pb', 'new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").write_text("old")
    run = subprocess.run([sys.executable, "-c", program, tmp_path / "export"],
                         cwd=ROOT, capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    assert (tmp_path / "export" / "saved_model.pb").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["export"]


def test_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    folder, rename = tmp_path / "export", tf.io.gfile.rename
    folder.mkdir()
    (folder / "kept").write_text("old")

    def fail(source, target, overwrite=False):
        if target == str(folder) and not (pathlib.Path(source) / "kept").exists():
            raise tf.errors.ResourceExhaustedError(None, None, "no space")
        rename(source, target, overwrite)

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError), files.whole_folder(str(folder)) as new:
        (pathlib.Path(new) / "new").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["export", "kept"]


def test_a_new_export_replaces_the_old_one_whole(frame_model, tmp_path):
    live, _ = frame_model
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("saved_model.pb", "visual.tflite", "metrics.json"):
        (folder / name).write_text("old")
    export.export(live, str(folder), {}, None, tflite=False)
    assert not (folder / "visual.tflite").exists() and not (folder / "metrics.json").exists()
    assert (folder / "saved_model.pb").stat().st_size > 3
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_what_is_no_export_is_not_replaced(model, trained, tmp_path):
    with pytest.raises(UserError, match="holds something else than an export"):
        export.export(model, str(trained), {}, None, tflite=False)
    assert yt8m_embed.load(str(trained))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        export.check_output(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    export.check_output(str(tmp_path / "empty"))


def test_frame_level_signatures_equal_the_live_model(frame_model):
    live, folder = frame_model
    rng = np.random.default_rng(0)
    given = {
        "rgb": rng.integers(256, size=(5, 11, 1024)).astype(np.uint8),
        "audio": rng.integers(256, size=(5, 11, 128)).astype(np.uint8),
        "num_frames": np.array([1, 11, 4, 0, 7], np.int32),
    }
    outputs = live.model(given, training=False)
    loaded = tf.saved_model.load(str(folder)).signatures
    for modality, name in (("visual", "rgb"), ("audio", "audio")):
        inputs = {k: tf.constant(given[k]) for k in (name, "num_frames")}
        found = loaded[f"embed_{modality}"](**inputs)["embedding"]
        np.testing.assert_allclose(found, outputs[f"{modality}_embedding"], atol=1e-6)
    both = loaded["serving_default"](**{k: tf.constant(v) for k, v in given.items()})
    np.testing.assert_allclose(both["visual_embedding"], outputs["visual_embedding"], atol=1e-6)
    assert not (folder / "visual.tflite").exists()


def test_frame_level_export_embeds_records_as_plain_numpy_pools_them(frame_model, testdata):
    live, folder = frame_model
    pattern = str(testdata / "yt8m" / "frame" / "*")
    _, opened = open_records(pattern, 3862, "pattern", progress=False)
    found = yt8m_embed.load(str(folder)).embed_records(opened)
    tower = live.model.get_layer("visual_tower")
    for row, video in enumerate(read_frames(pattern)):
        assert found.ids[row] == video["id"]
        pooled = np.mean([q.astype(np.float64) * 4 / 255 + 4 / 512 - 2 for q in video["rgb"]], 0)
        unit = (pooled / np.linalg.norm(pooled)).astype(np.float32)
        np.testing.assert_allclose(found.visual[row], tower(unit[None])[0], atol=1e-5)
    assert len(found.ids) == row + 1 == 24


def read_frames(pattern):
    for path in sorted(tf.io.gfile.glob(pattern)):
        for payload in tf.data.TFRecordDataset(path).as_numpy_iterator():
            example = tf.train.SequenceExample.FromString(payload)
            frames = example.feature_lists.feature_list["rgb"].feature
            yield {
                "id": example.context.feature["id"].bytes_list.value[0],
                "rgb": [np.frombuffer(f.bytes_list.value[0], np.uint8) for f in frames],
            }


def infinite(row: int) -> np.ndarray:
    features = raw_features(5)["mean_rgb"]
    features[row, 7] = np.inf
    return features


@pytest.mark.parametrize(("features", "message"), [
    (infinite(3), "mean_rgb of row 3 has a NaN or Inf"),
    (np.zeros((2, 128)), r"mean_rgb has shape \(2, 128\); this model takes \[n, 1024\]"),
    (np.zeros(1024), r"mean_rgb has shape \(1024,\)"),
])
def test_wrong_shapes_are_named(model, features, message):
    with pytest.raises(UserError, match=message):
        model.embed_visual(features)


def test_frames_that_are_no_frames_are_named(frame_model):
    live, _ = frame_model
    frames = np.zeros((2, 3, 1024), np.uint8)
    with pytest.raises(UserError, match="rgb is float32; frames are the data set's own uint8"):
        live.embed_visual(frames.astype(np.float32))
    with pytest.raises(UserError, match=r"num_frames has shape \(3,\), expected \[2\]"):
        live.embed_visual(frames, [1, 2, 3])
    with pytest.raises(UserError, match="num_frames of row 1 is 4: it must be 0 to 3"):
        live.embed_visual(frames, [3, 4])
    whole = live.embed_visual(frames)
    np.testing.assert_array_equal(whole, live.embed_visual(frames, [3, 3]))


def test_what_cannot_be_loaded_is_named(tmp_path, trained):
    with pytest.raises(UserError, match="nowhere"):
        yt8m_embed.load(str(tmp_path / "nowhere"))
    (tmp_path / "configuration.json").write_text("{}")
    with pytest.raises(UserError, match="neither a work folder of train_yt8m nor an export"):
        yt8m_embed.load(str(tmp_path))
    configuration_text = (trained / "configuration.json").read_text()
    (tmp_path / "configuration.json").write_text(configuration_text)
    with pytest.raises(UserError, match="no checkpoint here"):
        yt8m_embed.load(str(tmp_path))
