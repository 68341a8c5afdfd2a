"""Exports behind a stand-in for a model server: examples, refusals, the client, configuration."""

import io
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import wave

import keras
import numpy as np
import pytest
import tensorflow as tf
from avc_runs import tiny
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from launching import launch
from PIL import Image

import yt8m_embed
from avc import embedding as avc_embedding
from avc import export as avc_export
from avc import networks
from crossmodal.configuration import override
from crossmodal.errors import UserError
from crossmodal.rest_client import Server
from yt8m_embed import embedding, export

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "serving.md").read_text()
NETWORKS = {
    "avol": {},
    "davenet": {"epsilon": 1e-3},
    "ave_of": {"num_flows": 3},
}
JPEG_START = b"\xff\xd8\xff"


def joint_embedding(level: str) -> embedding.JointEmbedding:
    changes = {
        "feature_level": level, "visual_layers": 8, "audio_layers": 8, "embedding_dim": 4
    }
    config = override(yt8m_embed.configuration.recipe("paper"), changes)
    return embedding.of_model(embedding.build_model(config.model), config, level)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """By name a network in use and the folder of its export."""
    keras.utils.set_random_seed(0)
    folder, found = tmp_path_factory.mktemp("served"), {}
    for name, changes in NETWORKS.items():
        config = tiny(name, **changes)
        live = avc_embedding.of_network(networks.build(config.network), config, name)
        avc_export.export(live, str(folder / name), None, tflite=False)
        found[name] = live, folder / name
    for name, level in (("yt8m", "video"), ("yt8m_frames", "frame")):
        live = joint_embedding(level)
        export.export(live, str(folder / name), {}, None, tflite=False)
        found[name] = live, folder / name
    return found


@pytest.fixture(scope="module")
def ports(exports):
    """Of REST and gRPC, of a process without this project."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "model_server.py",
         *(f"{name}={folder}" for name, (_, folder) in exports.items())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
    )
    try:
        yield tuple(map(int, process.stdout.readline().split()))
    finally:
        process.stdin.close()
        process.wait(timeout=60)


@pytest.fixture
def picture(tmp_path, monkeypatch):
    """The JPEG file of the page, in the working folder."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "dog.jpg", quality=95)
    return tmp_path / "dog.jpg"


def served(ports, model: str) -> Server:
    return Server(f"http://127.0.0.1:{ports[0]}", model)


def examples(heading: str, replaced: str, by: str) -> dict:
    """What the Python of a section of the page finds."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    assert replaced in code
    space = {}
    exec(compile(code.replace(replaced, by), heading, "exec"), space)
    return space["found"]


def assert_close(found, wanted) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-4)


SHOWN = {
    "avol": {"embed_image", "embed_jpeg", "embed_audio", "correspond", "serving_default",
             "localize"},
    "ave_of": {"embed_image"},
    "davenet": {"embed_audio", "localize"},
    "yt8m": {"embed_visual", "embed_audio", "serving_default"},
    "yt8m_frames": {"embed_visual", "embed_audio", "embed_visual_frames", "embed_audio_frames",
                    "serving_default"},
}


def check_examples(found: dict, exports, file: pathlib.Path) -> None:
    """All signatures are shown, and say what the live models do."""
    assert set(found) == {(model, name) for model, names in SHOWN.items() for name in names}
    frame = np.full((1, 48, 64, 3), (200, 30, 30), np.uint8)
    sound = np.tile(np.float32([0.1, -0.1]), (1, 6000))
    live = exports["avol"][0]
    decoded = tf.io.decode_jpeg(file.read_bytes()).numpy()[None]
    assert_close(found["avol", "embed_image"], live.embed_visual(frame))
    assert_close(found["avol", "embed_jpeg"], live.embed_visual(decoded))
    assert_close(found["avol", "embed_audio"][:1], live.embed_audio(sound))
    want = live.compare(frame, sound)
    for name in ("correspond", "serving_default"):
        assert set(found["avol", name]) == set(want)
        for key, value in want.items():
            assert_close(found["avol", name][key], value)
    assert_close(found["avol", "localize"]["heatmap"], want["heatmap"])
    live = exports["davenet"][0]
    short = live.embed_audio(np.concatenate([sound, sound]), np.array([12000, 7000]))
    assert_close(found["davenet", "embed_audio"], short)
    assert_close(found["davenet", "localize"]["heatmap"], live.localize(frame, sound))
    live = exports["yt8m_frames"][0]
    rgb = np.full((1, 5, 1024), 10, np.uint8)
    assert_close(found["yt8m_frames", "embed_visual"], live.embed_visual(rgb))
    both = found["yt8m_frames", "serving_default"]
    assert_close(both["visual_embedding"], live.embed_visual(rgb))
    seconds = np.asarray(found["yt8m_frames", "embed_audio_frames"])
    assert seconds.shape[:2] == (1, 5)
    assert_close(np.linalg.norm(seconds, axis=-1)[0, :4], 1)
    live = exports["yt8m"][0]
    same = live.embed_visual(np.full((1, 1024), 0.1, np.float32))
    assert_close(found["yt8m", "embed_visual"], same)
    assert_close(found["yt8m", "serving_default"]["visual_embedding"], same)


@pytest.mark.slow
def test_the_page_asks_every_signature_over_rest(exports, ports, picture):
    address = f"http://127.0.0.1:{ports[0]}"
    found = examples("Every signature over REST", "http://127.0.0.1:8501", address)
    check_examples(found, exports, picture)
    for model, names in SHOWN.items():
        there = set(served(ports, model).signatures())
        assert names <= there
        if model not in ("davenet", "ave_of"):  # of which the page shows what differs
            assert names == there


def test_the_page_asks_every_signature_over_grpc(exports, ports, picture):
    pytest.importorskip("tensorflow_serving")
    found = examples("Every signature over gRPC", "127.0.0.1:8500", f"127.0.0.1:{ports[1]}")
    first = {
        key: next(iter(value.values())) if len(value) == 1 else value
        for key, value in found.items()
    }
    check_examples(first, exports, picture)


FRAME = np.zeros((2, 8, 8, 3), np.uint8)
SOUND = np.zeros((2, 100), np.float32)
FLOW = np.zeros((2, 8, 8, 6), np.float32)
RGB, AUDIO = np.zeros((2, 3, 1024), np.uint8), np.zeros((2, 3, 128), np.uint8)


def with_value(values: np.ndarray, row: int, value: float) -> np.ndarray:
    values = values.copy()
    values[row].flat[-1] = value
    return values


def whole_jpeg() -> bytes:
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def huge_jpeg() -> bytes:
    """Says that it is 60,000 pixels a side."""
    content = whole_jpeg()
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + b"\xea\x60\xea\x60" + content[place + 4 :]


REFUSED = [
    ("avol", "embed_image", {"frame": FRAME[0]}, "not compatible with expected shape"),
    ("avol", "embed_image", {"frame": FRAME[..., :2]}, "not compatible with expected shape"),
    ("avol", "embed_image", {"frame": FRAME[:, :0]}, "frame must hold a pixel"),
    ("avol", "embed_image", {"frame": FRAME / 2 + 0.5}, "frame must be whole numbers"),
    ("avol", "embed_jpeg", {"jpeg": [whole_jpeg(), b"\x89PNG", b""]},
     r"jpeg must be whole JPEG files.*rows\]? \[1 2\]"),
    ("avol", "embed_jpeg", {"jpeg": [whole_jpeg()[:300]]}, "Invalid JPEG data"),
    ("avol", "embed_jpeg", {"jpeg": [whole_jpeg()[:-500]]}, "Invalid JPEG data"),
    ("avol", "embed_jpeg", {"jpeg": [JPEG_START]}, "Invalid JPEG data"),
    ("avol", "embed_jpeg", {"jpeg": [huge_jpeg()]}, "at most 67108864 pixels.*60000 60000"),
    ("avol", "embed_audio", {"waveform": SOUND[0]}, "not compatible with expected shape"),
    ("avol", "embed_audio", {"waveform": with_value(SOUND, 1, np.nan)},
     r"waveform must be finite numbers in \[-1, 1\]; not so in rows\]? \[1\]"),
    ("avol", "embed_audio", {"waveform": with_value(SOUND, 0, -np.inf)},
     r"waveform must be finite.*rows\]? \[0\]"),
    ("avol", "embed_audio", {"waveform": with_value(SOUND, 1, 2.5)},
     r"waveform must be finite.*rows\]? \[1\]"),
    ("avol", "correspond", {"frame": FRAME, "waveform": SOUND[:1]},
     r"frame, waveform must have equally many rows; they have\]? \[2 1\]"),
    ("avol", "localize", {"frame": FRAME, "waveform": with_value(SOUND, 1, np.nan)},
     "waveform must be finite"),
    ("avol", "serving_default", {"frame": FRAME[:, :, :0], "waveform": SOUND},
     "frame must hold a pixel"),
    ("ave_of", "embed_image", {"frame": FRAME, "flow": with_value(FLOW, 1, np.nan)},
     "flow must be finite numbers, in pixels"),
    ("ave_of", "embed_image", {"frame": FRAME, "flow": FLOW[..., :4]}, "not compatible"),
    ("davenet", "embed_audio", {"waveform": SOUND, "num_samples": np.int32([100, 0])},
     r"num_samples must be at least 1.*rows\]? \[1\]"),
    ("davenet", "embed_audio", {"waveform": SOUND, "num_samples": np.int32([101, 5])},
     r"num_samples must be at least 1.*rows\]? \[0\]"),
    ("davenet", "localize",
     {"frame": FRAME, "waveform": SOUND, "num_samples": np.int32([1])}, "equally many rows"),
    ("yt8m", "embed_visual", {"mean_rgb": np.zeros((2, 1023))}, "not compatible"),
    ("yt8m", "embed_visual", {"mean_rgb": with_value(np.zeros((3, 1024)), 2, np.nan)},
     r"mean_rgb must be finite numbers; not so in rows\]? \[2\]"),
    ("yt8m", "embed_audio", {"mean_audio": with_value(np.zeros((3, 128)), 0, 1e30)},
     "mean_audio must be finite"),
    ("yt8m", "serving_default",
     {"mean_rgb": np.zeros((2, 1024)), "mean_audio": np.zeros((1, 128))}, "equally many rows"),
    ("yt8m_frames", "embed_visual", {"rgb": RGB, "num_frames": np.int32([4, 1])},
     r"num_frames must be at least 0.*rows\]? \[0\]"),
    ("yt8m_frames", "embed_audio_frames", {"audio": AUDIO, "num_frames": np.int32([1, -1])},
     r"num_frames must be at least 0.*rows\]? \[1\]"),
    ("yt8m_frames", "embed_visual_frames",
     {"rgb": RGB[:, :0], "num_frames": np.int32([0, 0])}, "rgb must have a second"),
    ("yt8m_frames", "serving_default",
     {"rgb": RGB, "audio": AUDIO[:, :2], "num_frames": np.int32([2, 2])},
     r"rgb, audio must have equally many seconds; they have\]? \[3 2\]"),
]


@pytest.fixture(scope="module")
def graphs(exports):
    """The exports in this process: JSON cannot say how large a picture without pixels is."""
    return {name: tf.saved_model.load(str(folder)) for name, (_, folder) in exports.items()}


def run_graph(graphs, model: str, signature: str, inputs) -> dict[str, tf.Tensor]:
    graph = graphs[model].signatures[signature]
    kinds = graph.structured_input_signature[1]
    return graph(**{key: tf.constant(value, kinds[key].dtype) for key, value in inputs.items()})


@pytest.mark.parametrize(("model", "signature", "inputs", "message"), REFUSED)
def test_a_malformed_request_is_refused_with_its_reason(
    ports, graphs, model, signature, inputs, message
):
    if any(isinstance(each, np.ndarray) and not each.size for each in inputs.values()):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            run_graph(graphs, model, signature, inputs)
    else:
        with pytest.raises(UserError, match=f"400, (?s:.*){message}"):
            served(ports, model).predict(signature, inputs)


@pytest.mark.parametrize(("model", "signature", "inputs"), [
    ("avol", "embed_image", {"frame": FRAME}),
    ("avol", "embed_audio", {"waveform": SOUND}),
    ("avol", "localize", {"frame": FRAME, "waveform": SOUND}),
    ("avol", "embed_audio", {"waveform": SOUND[:, :0]}),
    ("ave_of", "correspond", {"frame": FRAME, "flow": FLOW, "waveform": SOUND}),
    ("davenet", "localize",
     {"frame": FRAME, "waveform": SOUND, "num_samples": np.int32([1, 100])}),
    ("yt8m", "serving_default",
     {"mean_rgb": np.zeros((2, 1024)), "mean_audio": np.zeros((2, 128))}),
    ("yt8m_frames", "embed_visual_frames", {"rgb": RGB, "num_frames": np.int32([0, 3])}),
    ("yt8m_frames", "serving_default",
     {"rgb": RGB, "audio": AUDIO, "num_frames": np.int32([0, 3])}),
])
def test_silence_and_black_give_numbers_and_no_rows_none(
    ports, graphs, model, signature, inputs
):
    """Rows of nothing but zeros; and of a few there need not be any."""
    for rows in (2, 0):
        given = {key: value[:rows] for key, value in inputs.items()}
        for name, value in run_graph(graphs, model, signature, given).items():
            assert len(value) == rows and np.isfinite(value).all(), name
    found = served(ports, model).predict(signature, inputs)
    assert np.isfinite(np.concatenate([np.ravel(x) for x in tf.nest.flatten(found)])).all()


def test_no_files_are_no_mistake(graphs):
    found = graphs["avol"].signatures["embed_jpeg"](jpeg=tf.constant([], tf.string))
    assert found["embedding"].shape == (0, 8)


@pytest.mark.slow
def test_saved_model_cli_runs_every_signature(exports, ports, tmp_path):
    """All in one process of the tool's own module, as each would take seconds to begin."""
    given = {
        "frame": FRAME + 9, "flow": FLOW + 0.5, "waveform": SOUND + 0.1,
        "num_samples": np.int32([100, 60]), "jpeg": np.array([whole_jpeg()] * 2, object),
        "mean_rgb": np.full((2, 1024), 0.1, np.float32), "rgb": RGB + 7, "audio": AUDIO + 3,
        "mean_audio": np.full((2, 128), 0.3, np.float32), "num_frames": np.int32([3, 1]),
    }
    np.savez(tmp_path / "given.npz", **given)
    calls = {
        (model, name): list(each.inputs)
        for model in exports for name, each in served(ports, model).signatures().items()
    }
    program = (
        "import json, sys, numpy as np\n"
        "from tensorflow.python.tools import saved_model_cli as tool\n"
        "given = np.load('given.npz', allow_pickle=True)\n"
        "for folder, name, inputs, out in json.load(open('calls.json')):\n"
        "    feed = {key: given[key] for key in inputs}\n"
        "    tool.run_saved_model_with_feed_dict(folder, 'serve', name, feed, out, True)\n"
        "assert not {'avc', 'crossmodal', 'yt8m_embed'} & set(sys.modules)\n"
    )
    (tmp_path / "calls.json").write_text(json.dumps([
        [str(exports[model][1]), name, inputs, str(tmp_path / model / name)]
        for (model, name), inputs in calls.items()
    ]))
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True,
                         text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(calls) >= 20
    for (model, name), inputs in calls.items():
        found = served(ports, model).predict(name, {key: given[key] for key in inputs})
        outputs = served(ports, model).signatures()[name].outputs
        if len(outputs) == 1:
            found = {outputs[0]: found}
        for key, value in found.items():
            assert_close(np.load(tmp_path / model / name / f"{key}.npy"), value)


def ask(ports, **values):
    return launch("query_server", server=f"http://127.0.0.1:{ports[0]}", **values)


def write_sound(path: pathlib.Path, samples: np.ndarray, rate: int = 48_000) -> np.ndarray:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return (samples * 32767).astype("<i2").astype(np.float32) / 32768


def test_the_client_prints_what_the_model_says(exports, ports, picture, tmp_path):
    sound = write_sound(tmp_path / "dog.wav", np.sin(np.arange(13_000) / 9))[None]
    frame = tf.io.decode_jpeg(picture.read_bytes()).numpy()[None]
    live = exports["avol"][0]
    run = ask(ports, model="avol", image=picture)
    said = json.loads(run.out)
    assert (said["model"], said["signature"]) == ("avol", "embed_jpeg")
    assert_close(said["outputs"]["embedding"], live.embed_visual(frame))
    said = json.loads(ask(ports, model="avol", image=picture, sound=tmp_path / "dog.wav").out)
    assert said["signature"] == "correspond"
    assert_close(said["outputs"]["corresponds"], live.compare(frame, sound)["corresponds"])
    said = json.loads(ask(ports, model="davenet", sound=tmp_path / "dog.wav").out)
    assert_close(said["outputs"]["embedding"], exports["davenet"][0].embed_audio(sound))
    said = json.loads(
        ask(ports, model="avol", image=picture, sound=tmp_path / "dog.wav",
            signature="localize", version=1).out
    )
    assert set(said["outputs"]) == {"heatmap", "corresponds"}
    rows = np.random.default_rng(1).normal(0, 1, (3, 1024)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", mean_rgb=rows)
    said = json.loads(ask(ports, model="yt8m", features=tmp_path / "rows.npz").out)
    assert said["signature"] == "embed_visual"
    assert_close(said["outputs"]["embedding"], exports["yt8m"][0].embed_visual(rows))


@pytest.mark.parametrize(("flags", "message"), [
    ({"model": "avol"}, "nothing to ask about"),
    ({"model": "other", "image": "dog.jpg"}, "404, Servable not found"),
    ({"model": "avol", "image": "dog.jpg", "signature": "nothing"}, "has correspond, embed_audio"),
    ({"model": "avol", "image": "dog.jpg", "signature": "localize"}, "also takes waveform"),
    ({"model": "yt8m", "image": "dog.jpg"}, "no signature of yt8m takes just what is given"),
    ({"model": "avol", "image": "bad.npz"}, "no picture that can be read"),
    ({"model": "avol", "image": "none.jpg"}, "no picture that can be read"),
    ({"model": "yt8m", "features": "dog.jpg"}, "is no .npz file"),
    ({"model": "yt8m", "features": "bad.npz"}, "400, .*mean_rgb must be finite numbers"),
    ({"model": "avol", "image": "dog.jpg", "version": "new"}, "must be a whole number"),
    ({"model": "avol", "image": "dog.jpg", "server": "localhost:8501"}, "write it as http"),
    ({"model": "avol", "image": "dog.jpg", "server": "http://127.0.0.1:{closed}"},
     "no answer .* start TensorFlow Serving as docs/serving.md says"),
])
def test_a_mistake_ends_as_one_line(exports, ports, picture, tmp_path, flags, message):
    np.savez(tmp_path / "bad.npz", mean_rgb=np.full((1, 1024), np.nan, np.float32))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    flags = {k: v.replace("{closed}", str(closed)) for k, v in flags.items()}
    run = launch("query_server", **{"server": f"http://127.0.0.1:{ports[0]}", **flags})
    assert run.status == 1 and not run.out
    (line,) = run.error_lines()
    assert re.search(message, line), line


@pytest.mark.parametrize("command", ["query_server", "import_openl3"])
def test_help_and_page_name_flags_that_there_are(command):
    text = launch(command, "--help").out
    calls = re.findall(rf"python -m launch\.{command} ((?:.*\\\n)*.*)", text + PAGE)
    assert len(calls) >= 3
    for flag in re.findall(r"--(\w+)", " ".join(calls)):
        assert re.search(rf"^  --(\[no\])?{flag}\b", text, re.MULTILINE), flag


def test_what_is_no_model_server_is_named():
    with pytest.raises(UserError, match="write it as http"):
        Server("file:///etc", "model")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="no answer"):
            Server(address, "model", timeout_seconds=0.2).signatures()


def test_the_list_of_models_is_one_of_the_server():
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    text = (ROOT / "serving" / "models.config").read_text()
    models = text_format.Parse(text, config.ModelServerConfig()).model_config_list.config
    assert [model.name for model in models] == ["avol", "yt8m"]
    for model in models:
        assert model.base_path == f"/models/{model.name}"
        assert f"--output=/srv{model.base_path}/1" in PAGE
        assert model.model_platform == "tensorflow"


def batching_parameters():
    """The server's message, whose definition its Python package lacks."""
    whole = ".google.protobuf.Int64Value"
    wrapped = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches",
               "num_batch_threads")
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    message, kind = file.message_type.add(name="BatchingParameters"), descriptor_pb2
    for number, name in enumerate(wrapped, start=1):
        message.field.add(name=name, number=number, type_name=whole, label=1,
                          type=kind.FieldDescriptorProto.TYPE_MESSAGE)
    message.field.add(name="allowed_batch_sizes", number=6, label=3,
                      type=kind.FieldDescriptorProto.TYPE_INT64)
    message.field.add(name="pad_variable_length_inputs", number=7, label=1,
                      type=kind.FieldDescriptorProto.TYPE_BOOL)
    from google.protobuf import wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))()


def test_the_batching_parameters_are_those_of_the_server():
    text = (ROOT / "serving" / "batching.config").read_text()
    found = text_format.Parse(text, batching_parameters())
    assert found.max_batch_size.value == 64 and found.batch_timeout_micros.value == 2000
    assert found.num_batch_threads.value >= 1 and found.max_enqueued_batches.value >= 1
    # The middle of a padded picture is not the picture's.
    assert not found.pad_variable_length_inputs
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text.replace("max_batch_size", "max_batch"), batching_parameters())
    for name in ("models.config", "batching.config"):
        assert f"/config/{name}" in PAGE
    assert os.path.isdir(ROOT / "serving")
