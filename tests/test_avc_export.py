"""Networks in use: on JAX, loaded, exported, and with TensorFlow alone."""

import io
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from avc_runs import tiny
from PIL import Image

import avc
from avc import embedding, export, networks, serving
from avc.frames import decode_frame
from crossmodal import configuration
from crossmodal.errors import UserError
from crossmodal.export import run_tflite

ROOT = pathlib.Path(__file__).parents[1]
# Every row of the table, and what follows AVOL's scores.
CASES = {
    "l3": {},
    "ave": {},
    "avol": {},
    "avol_soft": {"pooling": "soft", "temperature": 0.7},
    # With negatives of the batch's own, as the others.
    "resnet18": {"negatives": "in_batch"},
    "ave_mf": {"num_frames": 5},
    "ave_of": {"num_flows": 3},
    "davenet": {"epsilon": 1e-3},
    "davenet_sima": {"similarity": "sima", "image_normalization": True},
}
SIZE, SAMPLES = 32, 12_000
BOTH = {"visual_embedding", "audio_embedding", "logits", "corresponds"}


def random_network(case: str, crop_share: float = 1.0) -> embedding.TrainedNetwork:
    """A network whose weights, moving statistics too, are all different from their first."""
    recipe = case.partition("_s")[0]
    config = tiny(recipe, crop_share=crop_share, **CASES[case])
    keras.utils.set_random_seed(3)
    network = networks.build(config.network)
    rng = np.random.default_rng(4)
    # Kernels that are all larger would grow with each of DAVEnet's unnormalised layers.
    kernels = 0.0 if recipe == "davenet" else 0.1
    values = [
        w + (kernels if w.ndim > 1 else 0.1) * rng.random(w.shape)
        for w in network.training.get_weights()
    ]
    network.training.set_weights(values)
    return embedding.of_network(network, config, case)


@pytest.fixture(scope="module", params=networks.TABLE)
def live(request):
    return random_network(request.param)


@pytest.fixture(scope="module")
def exported(live, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "export"
    metrics = {"accuracy": 0.75, "retrieval": {"ndcg@30": 0.5}}
    export.export(live, str(folder), metrics, tflite=False)
    return folder


def frames(number: int = 3, height: int = SIZE, width: int = SIZE, seed: int = 0) -> np.ndarray:
    """Smooth pictures: noise, enlarged."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (number, 6, 6, 3)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(x).resize((width, height), 2)) for x in noise])


def waveforms(number: int = 3, samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """Multiples of 2^-15, so that int16 says the same."""
    rng = np.random.default_rng(seed)
    return rng.integers(-16384, 16384, (number, samples)).astype(np.float32) / 32768


def pictures(live, number: int = 3, height: int = SIZE, width: int = SIZE) -> dict:
    """What a network takes beside sounds, as arguments of its methods."""
    visual, rng = live.config.network.visual, np.random.default_rng(5)
    several = (visual.num_frames,) if visual.num_frames else ()
    shown = frames(number * (visual.num_frames or 1), height, width)
    found = {"frames": shown.reshape(number, *several, height, width, 3)}
    if visual.num_flows:
        shape = (number, height, width, 2 * visual.num_flows)
        found["flow"] = rng.normal(0, 1, shape).astype(np.float32)
    return found


def sent(live, **given) -> dict:
    """The same by the names of signatures."""
    several = live.config.network.visual.num_frames
    found = {"frame" if name == "frames" and not several else name: v for name, v in given.items()}
    if live.config.network.masks_sound and "waveform" in given:
        number, width = given["waveform"].shape
        found["num_samples"] = np.full(number, width, np.int32)
    return found


def assert_close(found, wanted) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5)


def expected(
    live, frame: np.ndarray, waveform: np.ndarray, flow: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """What the network that is trained says of pairs of its own size."""
    given = sent(live, frames=frame.astype(np.float32) / 255, waveform=waveform)
    if flow is not None:  # in sixteenths of the side
        given["flow"] = np.clip(flow / (SIZE / 16), -1, 1)
    found = {k: v.numpy() for k, v in live.network.deployed(given, training=False).items()}
    logits = found["logits"].astype(np.float64)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return {**found, "corresponds": odds[:, 1] / odds.sum(1)}


@pytest.mark.slow
def test_jax_gives_what_tensorflow_gives(tmp_path):
    number, rng = 4, np.random.default_rng(0)
    given = {
        "frame": frames(number),
        "frames": frames(number * 5).reshape(number, 5, SIZE, SIZE, 3),
        "flow": rng.integers(1, 256, (number, SIZE, SIZE, 6)).astype(np.uint8),
        "waveform": (waveforms(number) * 32768).astype(np.int16),
        "num_samples": np.array([SAMPLES, 5000, 1, SAMPLES], np.int32),
        "brightness": rng.uniform(-0.1, 0.1, number).astype(np.float32),
        "saturation": rng.uniform(0.5, 1.5, number).astype(np.float32),
        "gain": rng.uniform(0.9, 1.1, number).astype(np.float32),
        "partner_offset": np.array([[1, 2], [1, 2], [1, -2], [-3, -2]], np.int32),
    }
    np.savez(tmp_path / "pairs.npz", **given)
    made = {case: random_network(case) for case in CASES}
    for case, each in made.items():
        np.savez(tmp_path / f"{case}.npz", *each.network.training.get_weights())
    cases = {case: configuration.to_dict(each.config.network) for case, each in made.items()}
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu",
                   "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, ROOT / "tests" / "jax_outputs.py", tmp_path / "cases.json", tmp_path],
        capture_output=True, text=True, check=False, env=environment,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    for case, each in made.items():
        found = np.load(tmp_path / f"{case}.found.npz")
        taken = {k: tf.constant(given[k]) for k in each.network.training.input}
        ours = each.network.training(taken, training=False)
        assert set(found.files) == set(ours) and "mismatched_logits" in ours
        for name, value in ours.items():
            np.testing.assert_allclose(found[name], value, atol=1e-4, rtol=1e-4, err_msg=name)


def test_a_loaded_network_says_what_the_trained_one_does(live):
    seen, waveform = pictures(live), waveforms()
    want = expected(live, seen["frames"], waveform, seen.get("flow"))
    found = live.compare(waveforms=(waveform * 32768).astype(np.int16), **seen)
    assert set(found) == set(want) >= BOTH
    for name, value in want.items():
        assert_close(found[name], value)
    assert_close(live.embed_visual(**seen), want["visual_embedding"])
    assert_close(live.embed_audio(waveform), want["audio_embedding"])
    assert np.abs(want["visual_embedding"][0] - want["visual_embedding"][1]).max() > 1e-3
    if "heatmap" in want:
        assert_close(live.localize(seen["frames"], waveform), want["heatmap"])
    else:
        with pytest.raises(UserError, match="does not localise; avol and davenet do"):
            live.localize(seen["frames"], waveform)


def test_an_export_equals_the_live_network(live, exported):
    loaded = avc.load(exported)
    assert loaded.config == live.config and loaded.network is None
    assert loaded.localizes == live.localizes == ("heatmap" in live.network.deployed.output)
    for number, shape in ((1, (SIZE, SIZE)), (70, (40, 52))):
        seen = pictures(live, number, *shape)
        waveform = waveforms(number, SAMPLES + 1001)
        ours, theirs = (x.compare(waveforms=waveform, **seen) for x in (live, loaded))
        assert set(ours) == set(theirs)
        for name, value in ours.items():
            assert len(value) == number
            assert_close(theirs[name], value)
        assert_close(loaded.embed_visual(**seen), live.embed_visual(**seen))
        assert_close(loaded.embed_audio(waveform), live.embed_audio(waveform))
        default = loaded.functions["serving_default"](sent(live, waveform=waveform, **seen))
        for name, value in theirs.items():
            np.testing.assert_array_equal(default.pop(name), value)
        assert not default


def test_no_rows_are_no_mistake(live):
    none = {name: value[:0] for name, value in pictures(live, 1).items()}
    found = live.compare(waveforms=waveforms(1)[:0], **none)
    assert all(len(value) == 0 for value in found.values())


@pytest.fixture(scope="module")
def avol(tmp_path_factory):
    live = random_network("avol", crop_share=0.8)
    folder = tmp_path_factory.mktemp("exports") / "avol"
    differences = export.export(live, str(folder), None)
    assert set(differences) == {"visual", "audio"} and max(differences.values()) < 1e-5
    return live, folder


def jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=95, subsampling=0)
    return content.getvalue()


@pytest.mark.parametrize(
    ("height", "width"), [(96, 96), (64, 96), (101, 51), (20, 33), (40, 47)]
)
def test_an_export_sees_what_an_evaluation_shows(avol, height, width):
    """The towers without the graph around them, on the frame that evaluation decodes."""
    live, folder = avol
    serve = tf.saved_model.load(str(folder)).signatures
    config, waveform = live.config.frames.evaluation(), waveforms(1)
    for frame in frames(2, height, width):
        file = jpeg(frame)
        shown = decode_frame(tf.constant(file), config, tf.zeros([3])).numpy()
        want = expected(live, shown[None], waveform)
        found = serve["embed_jpeg"](jpeg=tf.constant([file]))["embedding"]
        assert_close(found, want["visual_embedding"])
        decoded = tf.io.decode_jpeg(file, channels=3)[None]
        assert_close(
            serve["localize"](frame=decoded, waveform=tf.constant(waveform))["heatmap"],
            want["heatmap"],
        )


@pytest.mark.parametrize("samples", [1, 11_999, 12_001, 48_000, 3_000])
def test_sounds_of_any_length_keep_their_middle(samples):
    waveform = waveforms(2, samples)
    found = np.asarray(serving.fit_waveforms(tf.constant(waveform), SAMPLES))
    assert found.shape == (2, SAMPLES)
    if samples >= SAMPLES:
        start = (samples - SAMPLES) // 2
        np.testing.assert_array_equal(found, waveform[:, start : start + SAMPLES])
    else:
        start = (SAMPLES - samples) // 2
        np.testing.assert_array_equal(found[:, start : start + samples], waveform)
        assert np.abs(found).sum() == pytest.approx(np.abs(waveform).sum())


def test_tensorflow_alone_serves_the_same(avol, tmp_path):
    live, folder = avol
    frame, waveform = frames(2, 40, 40), waveforms(2)
    np.savez(tmp_path / "given.npz", frame=frame, waveform=waveform)
    (tmp_path / "picture.jpg").write_bytes(jpeg(frame[0]))
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "found = tf.saved_model.load(sys.argv[1]).signatures\n"
        "given = {k: tf.constant(v) for k, v in np.load('given.npz').items()}\n"
        "maps = found['localize'](**given)\n"
        "file = tf.constant([open('picture.jpg', 'rb').read()] * 3)\n"
        "vectors = found['embed_jpeg'](jpeg=file)['embedding']\n"
        "np.savez('found.npz', vectors=vectors, **{k: v.numpy() for k, v in maps.items()})\n"
        "assert not {'avc', 'crossmodal'} & set(sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, folder], cwd=tmp_path,
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npz")
    assert_close(found["heatmap"], live.localize(frame, waveform))
    picture = tf.io.decode_jpeg((tmp_path / "picture.jpg").read_bytes()).numpy()
    want = np.repeat(live.embed_visual(picture[None]), 3, axis=0)
    assert_close(found["vectors"], want)


def test_saved_model_cli_runs(avol, tmp_path):
    live, folder = avol
    given = {"frame": frames(2, 48, 36), "waveform": waveforms(2, 5000)}
    for name, values in given.items():
        np.save(tmp_path / f"in_{name}.npy", values)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    run = subprocess.run(
        [tool, "run", "--dir", folder, "--tag_set", "serve", "--signature_def", "correspond",
         "--outdir", tmp_path, "--inputs",
         ";".join(f"{name}={tmp_path}/in_{name}.npy" for name in given)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert run.returncode == 0, run.stderr
    for name, values in live.compare(**{f"{k}s": v for k, v in given.items()}).items():
        assert_close(np.load(tmp_path / f"{name}.npy"), values)


@pytest.mark.parametrize("rows", [1, 5])
def test_tflite_towers_equal_the_live_ones(avol, rows):
    live, folder = avol
    frame, waveform = frames(rows), waveforms(rows)
    found = run_tflite((folder / "visual.tflite").read_bytes(), frame / np.float32(255))
    want = expected(live, frame, waveform)
    assert_close(found, want["visual_embedding"])
    found = run_tflite((folder / "audio.tflite").read_bytes(), waveform)
    assert_close(found, want["audio_embedding"])
    assert "audio.tflite" in (folder / "model_card.md").read_text()


def test_plain_files_explain_the_network(live, exported):
    saved = json.loads((exported / "configuration.json").read_text())
    assert saved["avc"] == configuration.to_dict(live.config)
    assert json.loads((exported / "metrics.json").read_text())["accuracy"] == 0.75
    card = (exported / "model_card.md").read_text()
    assert ("`embed_jpeg`" in card) == live.sees_one_frame
    for part in ("`embed_image`", "`correspond`", "waveform",
                 "| retrieval.ndcg@30 | 0.5 |", "48000 Hz", "0.25 s",
                 "| network.audio.epsilon | 0.001 |", "| optimizer.decay_epochs | 3.0 |"):
        assert part in card
    assert ("localize" in card) == live.localizes


@pytest.mark.parametrize(("frame", "waveform", "message"), [
    (np.zeros((2, 8, 8, 3)), waveforms(2), r"frames are float64 \(2, 8, 8, 3\): they must be"),
    (frames(1)[0], waveforms(1), r"frames are uint8 \(32, 32, 3\)"),
    (np.zeros((2, 0, 8, 3), np.uint8), waveforms(2), "hold no pixel"),
    (frames(2), waveforms(2)[0], r"waveforms have shape \(12000,\)"),
    (frames(2), waveforms(2) * 32768, r"waveform of row \d reaches 16.*: floats must lie in"),
    (frames(2), np.full((2, 5), np.nan), "waveform of row 0 has a NaN or Inf"),
    (frames(2), np.zeros((2, 5), np.int32), "waveforms are int32"),
    (frames(2), waveforms(3), "2 frames and 3 waveforms are no pairs"),
])
def test_what_is_no_pair_is_named(avol, frame, waveform, message):
    with pytest.raises(UserError, match=message):
        avol[0].compare(frame, waveform)


def test_networks_that_see_motion_say_what_they_take():
    several, moving, waveform = random_network("ave_mf"), random_network("ave_of"), waveforms(2)
    with pytest.raises(UserError, match=r"must be uint8 \[n, 5, height, width, 3\]"):
        several.compare(frames(2), waveform)
    with pytest.raises(UserError, match="takes no flow"):
        several.compare(**pictures(several, 2), waveforms=waveform, flow=np.zeros((2, 8, 8, 6)))
    with pytest.raises(UserError, match="takes flow beside frames"):
        moving.compare(frames(2), waveform)
    with pytest.raises(UserError, match=r"must be floats \[2, height, width, 6\]"):
        moving.compare(frames(2), waveform, np.zeros((2, 8, 8, 4)))
    with pytest.raises(UserError, match="NaN or Inf"):
        moving.embed_visual(frames(2), np.full((2, 8, 8, 6), np.nan))
    assert set(serving.tower_signatures(moving.network, moving.config.network)) == {"audio"}


def test_what_cannot_be_loaded_or_exported_is_named(avol, tmp_path):
    with pytest.raises(UserError, match="is an export"):
        export.export(avc.load(avol[1]), str(tmp_path / "again"), None)
    with pytest.raises(UserError, match="nowhere"):
        avc.load(tmp_path / "nowhere")
    (tmp_path / "configuration.json").write_text("{}")
    with pytest.raises(UserError, match="neither a work folder of train_avc nor an export"):
        avc.load(tmp_path)
    with pytest.raises(UserError, match="holds something else than an export"):
        export.export(avol[0], str(tmp_path), None)
    with pytest.raises(AttributeError, match="nothing"):
        _ = avc.nothing
