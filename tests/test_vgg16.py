"""VGG16 as a baseline: what it sees, its weights, and its row in the table of retrieval."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from launching import launch

from avc import records, vgg16
from avc.encoding import encode_jpeg
from avc.reading import open_clips
from avc.vgg16 import VggConfig
from crossmodal import tfrecord
from crossmodal.errors import ConfigurationError, UserError

# ImageNet's mean, blue first, as the network was trained with.
MEAN = np.array([103.939, 116.779, 123.68])
SIZE, RATE = 32, 8000


@pytest.fixture(scope="module")
def whole():
    keras.utils.set_random_seed(3)
    return keras.applications.VGG16(weights=None, input_shape=(SIZE, SIZE, 3))


@pytest.fixture(scope="module")
def weights(whole, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg.weights.h5"
    whole.save_weights(path)
    return path


def picture(seed, height=48, width=64):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3))
    return np.kron(noise, np.ones((16, 16, 1))).astype(np.uint8)


def write_clips(path, numbers, rows=()):
    """Clips of 3 s and a picture a second; of odd numbers the pictures have another size."""
    schema, held = records.clip("pcm16"), {}
    payloads = []
    for n in numbers:
        frames = [encode_jpeg(picture(10 * n + k, 48, 64 + n % 2 * 32)) for k in range(3)]
        held[f"v{n}_0"] = frames
        values = {
            "id": f"v{n}_0", "video": f"v{n}", "file": f"v{n}.mp4",
            "labels": [["/m/a", "/m/b"][n % 2]],
            "start_seconds": [10.0], "frames": [] if n in rows else frames,
            "frame_seconds": [] if n in rows else [0.0, 1.0, 2.0],
            "audio": np.zeros(3 * RATE, np.int16).tobytes(), "sample_rate_hz": [RATE],
            "num_samples": [3 * RATE],
        }
        payloads.append(schema.serialize(values))
    tfrecord.write_records(str(path), payloads)
    return held


def features(path):
    with np.load(path) as arrays:
        return dict(arrays)


def test_features_are_the_last_hidden_layer_of_the_middle_frames(whole, weights, tmp_path):
    held = write_clips(tmp_path / "clips", range(5), rows=(3,))
    outcome = launch(
        "embed_vgg16", input_pattern=tmp_path / "clips", weights=weights, image_size=SIZE,
        crop_share=2 / 3, output=tmp_path / "vgg.npz",
    )
    assert outcome.status == 0, outcome.error
    assert "left out: 1 clips without a frame" in outcome.out and "4 clips" in outcome.out
    found = features(tmp_path / "vgg.npz")
    assert set(found) == {"ids", "visual"} and found["visual"].shape == (4, 4096)
    assert found["ids"].tolist() == [f"v{n}_0".encode() for n in (0, 1, 2, 4)]
    # Layer by layer, on the frame at 1 s: 32 of 48 pixels from the middle, blue first.
    for name, row in zip(found["ids"], found["visual"], strict=True):
        shown = tf.io.decode_jpeg(held[name.decode()][1]).numpy().astype(np.float64)
        left = (shown.shape[1] - 32) // 2
        x = (shown[8:40, left : left + 32, ::-1] - MEAN)[None].astype(np.float32)
        for layer in whole.layers[1:-1]:
            x = layer(x)
        np.testing.assert_allclose(row, x[0], rtol=1e-4, atol=1e-4 * np.abs(x[0]).max())
        assert row.max() > 0


def test_weights_come_from_files_of_either_kind(whole, weights, tmp_path):
    whole.save(tmp_path / "vgg.keras")
    whole.save(tmp_path / "old.h5")
    squares = picture(1, 32, 32)[None]
    inner = keras.Model(whole.input, whole.get_layer("fc2").output)
    expected = inner.predict(vgg16.prepare(squares), verbose=0)
    for path in (weights, tmp_path / "vgg.keras", tmp_path / "old.h5"):
        found = vgg16.build(VggConfig(str(path), SIZE))(vgg16.prepare(squares))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    random = vgg16.build(VggConfig("none", SIZE))(vgg16.prepare(squares))
    assert np.abs(random - expected).max() > 1e-3


def test_weights_that_cannot_be_had(whole, weights, tmp_path, monkeypatch):
    def offline(**_):
        raise Exception("URL fetch failure on there: None -- no route to host")

    with pytest.raises(UserError, match="holds no weights of VGG16 at 64 pixels"):
        vgg16.build(VggConfig(str(weights), 64))
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "text.h5").write_text("no weights")
    for name in ("other.weights.h5", "text.h5"):
        with pytest.raises(UserError, match=f"{name}: (holds|has) no weights"):
            vgg16.build(VggConfig(str(tmp_path / name), SIZE))
    for name in ("/nowhere/vgg.h5", str(tmp_path), "resnet"):
        with pytest.raises(UserError, match="neither `none` nor `imagenet` nor a file"):
            vgg16.build(VggConfig(name, SIZE))
    with pytest.raises(ConfigurationError, match="with weights of ImageNet takes 224"):
        VggConfig("imagenet", SIZE)
    monkeypatch.setattr(keras.applications, "VGG16", offline)
    with pytest.raises(UserError, match=r"cannot be downloaded \(URL .*name a local file"):
        vgg16.build(VggConfig())


def test_alone_and_with_sounds_in_the_table(tmp_path):
    rng = np.random.default_rng(0)
    for name, numbers in (("train", range(100, 140)), ("test", range(12))):
        write_clips(tmp_path / name, numbers)
        # Its own CCA needs no VGG16: features that tell both modalities the same number.
        ids = np.array([f"v{n}_0" for n in numbers], "S")
        shared = rng.standard_normal((len(ids), 3))
        visual = np.pad(shared, ((0, 0), (0, 40)))
        np.savez(tmp_path / f"{name}.npz", ids=ids, visual=visual, audio=shared * [2, 1, 3])
        np.savez(tmp_path / f"{name}_alone.npz", ids=ids, visual=visual)
    ontology = [{"id": "/m/t", "name": "t", "child_ids": ["/m/a", "/m/b"]},
                {"id": "/m/a", "name": "a", "child_ids": []},
                {"id": "/m/b", "name": "b", "child_ids": []}]
    (tmp_path / "ontology.json").write_text(json.dumps(ontology))
    given = {"eval_pattern": tmp_path / "test", "ontology": tmp_path / "ontology.json",
             "moment": "middle", "num_galleries": 2, "output": tmp_path / "report.json"}
    outcome = launch("evaluate_avc", embeddings=tmp_path / "test_alone.npz", **given)
    assert outcome.status == 0, outcome.error
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["ndcg"]["systems"]["test_alone"]) == {"visual_to_visual"}
    outcome = launch("evaluate_avc", embeddings=tmp_path / "test.npz",
                     train_embeddings=tmp_path / "train.npz", **given)
    assert outcome.status == 0, outcome.error
    report = json.loads((tmp_path / "report.json").read_text())["ndcg"]["systems"]
    assert set(report["test"]) == {"visual_to_visual", "audio_to_audio"}
    assert len(report["test + CCA"]) == 4
    outcome = launch("evaluate_avc", embeddings=tmp_path / "test_alone.npz",
                     train_embeddings=tmp_path / "train.npz", **given)
    assert "has no features `audio`" in outcome.error_lines()[0]


def test_sounds_of_another_file_stand_beside(tmp_path, weights):
    write_clips(tmp_path / "clips", (2, 0, 1))
    ids = np.array(["v0_0", "v1_0", "v2_0", "v3_0"], "S")
    sounds = np.arange(8.0).reshape(4, 2)
    np.savez(tmp_path / "l3.npz", ids=ids, visual=sounds, audio=sounds)
    np.savez(tmp_path / "alone.npz", ids=ids, visual=sounds)
    given = {"input_pattern": tmp_path / "clips", "weights": weights, "image_size": SIZE}
    outcome = launch("embed_vgg16", output=tmp_path / "both.npz",
                     audio_embeddings=tmp_path / "l3.npz", **given)
    assert outcome.status == 0, outcome.error
    found = features(tmp_path / "both.npz")
    assert found["audio"].tolist() == sounds[[2, 0, 1]].tolist()
    for changes, message in (
        ({"audio_embeddings": tmp_path / "alone.npz"}, "has no array audio"),
        ({"output": tmp_path / "out.txt"}, "must end with .npz"),
        ({"weights": "/nowhere.h5"}, "--weights=/nowhere.h5"),
        ({"image_size": 8}, "image_size is 8"),
    ):
        outcome = launch("embed_vgg16", **{**given, "output": tmp_path / "x.npz", **changes})
        assert outcome.status == 1 and message in outcome.error_lines()[0]
        assert not (tmp_path / "x.npz").exists()


def test_a_frame_that_is_no_picture_is_named(tmp_path):
    schema = records.clip("pcm16")
    values = {"id": "v_0", "video": "v", "file": "v", "labels": [], "start_seconds": [0.0],
              "frames": [b"no picture"], "frame_seconds": [0.0], "audio": b"\0\0",
              "sample_rate_hz": [RATE], "num_samples": [1]}
    tfrecord.write_records(str(tmp_path / "bad"), [schema.serialize(values)])
    _, _, opened = open_clips(str(tmp_path / "bad"), "input_pattern", progress=False)
    with pytest.raises(UserError, match="record v_0: its frame is not a JPEG picture"):
        list(vgg16.middle_pictures(opened))
