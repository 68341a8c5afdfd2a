"""Embedding into shards with Beam, against the one file that one process writes."""

import functools
import json
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from test_embed_avc import media, workdir, write_clips  # noqa: F401

import avc
from avc import sharded_embedding as avc_embedding
from avc.clip_embedding import EmbeddingSettings
from crossmodal import beam_conversion, collection, network_files
from crossmodal.beam_conversion import Execution
from crossmodal.errors import UserError
from crossmodal.sharded_embedding import Target, fitting, threads_per_process
from yt8m_embed import sharded_embedding as yt8m_embedding

ROOT = pathlib.Path(__file__).parents[1]
ONE_PROCESS = Execution(num_workers=1, progress=False)


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def shards(folder):
    return [arrays(path) for path in sorted(folder.glob("*.npz"))]


def joined(folder):
    """The arrays of all shards, in the order of their names."""
    parts = shards(folder)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same_rows(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)
        else:
            assert found[name].tolist() == values.tolist(), name


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def load_once():
    return functools.cache(avc.embedding.load)


@pytest.fixture
def made(monkeypatch, load_once):
    """Everything in this process, without Beam's runner; a list of the shards it made."""
    monkeypatch.setattr(avc.embedding, "load", load_once)
    indices = []

    def run(pipeline, plan, pending, start, execution):
        step = beam_conversion._MakeShard(plan.saved, start)
        step.setup()
        for index in pending:
            indices.append(index)
            list(step.process(index))

    monkeypatch.setattr(beam_conversion, "_run", run)
    return indices


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number in range(5):
        write_clips(folder / f"{number}.tfrecord", [number], seconds=1.3 + number)
    return folder


def clip_job(workdir, folder, output, num_shards=3, on_bad_record="fail", **settings):  # noqa: F811
    return avc_embedding.Job(
        str(workdir), "best", EmbeddingSettings(**settings),
        Target(str(output), num_shards, on_bad_record), input_pattern=f"{folder}/*.tfrecord",
    )


def test_shards_of_records_hold_the_rows_of_one_file(
    workdir, clips, tmp_path, monkeypatch  # noqa: F811
):
    launch("embed_avc", workdir=workdir, input_pattern=clips / "*.tfrecord",
           output=tmp_path / "one.npz")
    given = {"workdir": workdir, "input_pattern": clips / "*.tfrecord", "num_shards": 3,
             "num_workers": 1, "output": tmp_path / "many"}
    load, loaded = avc.embedding.load, []
    monkeypatch.setattr(avc.embedding, "load", lambda *a: loaded.append(a) or load(*a))
    outcome = launch("embed_avc", **given)
    assert outcome.status == 0, outcome.error
    assert len(loaded) == 1
    wanted = arrays(tmp_path / "one.npz")
    assert_same_rows(joined(tmp_path / "many"), wanted)
    assert f"{len(wanted['ids'])} rows of 5 files in 3 shards" in outcome.out
    # Consecutive files, as even as can be; nothing else is left.
    held = [sorted(set(part["file"].tolist())) for part in shards(tmp_path / "many")]
    assert held == [[b"v0.mp4"], [b"v1.mp4", b"v2.mp4"], [b"v3.mp4", b"v4.mp4"]]
    names = [f"embeddings-{i:05}-of-00003.npz" for i in range(3)] + ["embeddings.json"]
    assert sorted(os.listdir(tmp_path / "many")) == names
    # What searches take it by a pattern.
    paths = [str(tmp_path / "many" / name) for name in names[:3]]
    assert collection.read(paths).ids.tolist() == wanted["ids"].tolist()
    before = contents(tmp_path / "many")
    assert "already there, nothing to do" in launch("embed_avc", **given).out
    assert contents(tmp_path / "many") == before
    outcome = launch("embed_avc", **given, hop_seconds=0.5)
    assert outcome.status == 1 and "hop_seconds 1.0, not 0.5" in outcome.error_lines()[0]
    assert contents(tmp_path / "many") == before


def test_shards_of_files_list_those_that_cannot_be_used(
    workdir, media, tmp_path, made  # noqa: F811
):
    launch("embed_avc", workdir=workdir, input=media, shorter_side=64, output=tmp_path / "one.npz")
    target = Target(str(tmp_path / "many"), 4)
    job = avc_embedding.Job(
        str(workdir), "best", EmbeddingSettings(shorter_side=64), target, input=str(media)
    )
    result = avc_embedding.embed(job, ONE_PROCESS)
    assert_same_rows(joined(tmp_path / "many"), arrays(tmp_path / "one.npz"))
    report = str(result).splitlines()
    assert [line.split(":")[1].strip() for line in report[:-1]] == [
        "silent.mp4", "sound.wav", "text.txt"
    ]
    assert "no audio stream" in report[0] and "in 1 shards" in report[-1]
    # A file that gives nothing leaves no shard that readers would stumble over.
    assert [path.name for path in (tmp_path / "many").glob("*.npz")] == [
        "embeddings-00000-of-00004.npz"
    ]


def test_a_damaged_file_costs_itself_only(workdir, clips, tmp_path, made):  # noqa: F811
    folder = tmp_path / "in"
    folder.mkdir()
    for path in clips.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    data = bytearray((folder / "1.tfrecord").read_bytes())
    data[-100] ^= 1
    (folder / "1.tfrecord").write_bytes(data)
    (folder / "3.tfrecord").write_text("<!DOCTYPE html><html>" + "not here " * 100)
    output = tmp_path / "out"
    with pytest.raises(UserError, match=r"1\.tfrecord: record 0 .*checksum"):
        avc_embedding.embed(clip_job(workdir, folder, output, 5), ONE_PROCESS)
    assert not list(output.glob("*.npz"))
    result = avc_embedding.embed(
        clip_job(workdir, folder, output, 5, on_bad_record="skip"), ONE_PROCESS
    )
    # The first shard was finished before.
    assert made == [0, 1, 2, 3, 4, 1, 2, 3, 4]
    assert sorted(set(joined(output)["video"].tolist())) == [b"v0", b"v2", b"v4"]
    bad, page = str(result).splitlines()[:2]
    assert bad.startswith(f"left out: {folder}/1.tfrecord: record 0 (byte 0)")
    assert page.startswith(f"left out: {folder}/3.tfrecord: record 0")
    with pytest.raises(UserError, match=r"1\.tfrecord"):
        avc_embedding.embed(clip_job(workdir, folder, output, 5), ONE_PROCESS)


def test_what_is_finished_is_kept_and_another_network_is_refused(
    workdir, clips, tmp_path, made, monkeypatch  # noqa: F811
):
    make = avc_embedding.MakeShard.__call__

    def stopping(self, plan, index):
        if index == 2 and len(made) == 3:
            raise KeyboardInterrupt
        return make(self, plan, index)

    output = tmp_path / "out"
    monkeypatch.setattr(avc_embedding.MakeShard, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        avc_embedding.embed(clip_job(workdir, clips, output), ONE_PROCESS)
    assert not list(output.glob("*.npz"))
    avc_embedding.embed(clip_job(workdir, clips, output), ONE_PROCESS)
    assert made == [0, 1, 2, 2]
    avc_embedding.embed(clip_job(workdir, clips, tmp_path / "whole"), ONE_PROCESS)
    assert_same_rows(joined(output), joined(tmp_path / "whole"))

    other = tmp_path / "other"
    subprocess.run(["cp", "-r", str(workdir), str(other)], check=True)
    avc_embedding.embed(clip_job(other, clips, output), ONE_PROCESS)  # the same elsewhere
    (weights,) = other.glob("best/step-*/variables.data*")
    weights.write_bytes(weights.read_bytes()[::-1])
    with pytest.raises(UserError, match=r"something else is there \(network "):
        avc_embedding.embed(clip_job(other, clips, output), ONE_PROCESS)
    known = network_files.describe(str(workdir), "best")
    known.check()
    with pytest.raises(UserError, match="holds another network than when"):
        network_files.NetworkFiles(str(other), "best", known.digest).check()


@pytest.mark.parametrize(("changes", "message"), [
    ({"num_shards": 0, "num_workers": 2}, "--num_workers is for embedding into shards"),
    ({"num_shards": 0, "runner": "DirectRunner"}, "--runner is for embedding into shards"),
    ({"output": "found.npz"}, "with --num_shards it is a folder"),
    ({"num_shards": 6}, "--num_shards=6 does not fit 5 input files"),
    ({"input_pattern": "x"}, "no file matches"),
    ({"workdir": "/nowhere"}, "/nowhere"),
    ({"pipeline_options": "'"}, "--pipeline_options='"),
    ({"runner": "NoRunner"}, "--runner=NoRunner"),
])
def test_mistakes_are_one_line(workdir, clips, tmp_path, changes, message):  # noqa: F811
    given = {"workdir": workdir, "input_pattern": clips / "*.tfrecord", "output": "out",
             "num_shards": 2, **changes}
    given["output"] = tmp_path / given["output"]
    outcome = launch("embed_avc", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not list(tmp_path.iterdir())


def test_without_beam_a_file_is_made_and_shards_are_one_line(
    workdir, clips, tmp_path, monkeypatch  # noqa: F811
):
    for name in [name for name in sys.modules if "beam" in name or "sharded_embed" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    given = {"workdir": workdir, "input_pattern": clips / "0.tfrecord"}
    assert launch("embed_avc", **given, output=tmp_path / "one.npz").status == 0
    outcome = launch("embed_avc", **given, output=tmp_path / "many", num_shards=1)
    assert outcome.status == 1 and "extra beam" in outcome.error_lines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


def test_shards_of_videos_hold_the_rows_of_one_file(trained, testdata, tmp_path, made):
    pattern = f"{testdata}/yt8m/dev/*.tfrecord,{testdata}/yt8m/train/*.tfrecord"
    launch("embed_yt8m", workdir=trained, input_pattern=pattern, output=tmp_path / "one.npz")
    outcome = launch("embed_yt8m", workdir=trained, input_pattern=pattern, num_shards=4,
                     output=tmp_path / "many")
    assert outcome.status == 0, outcome.error
    assert made == [0, 1, 2, 3]
    assert_same_rows(joined(tmp_path / "many"), arrays(tmp_path / "one.npz"))
    manifest = json.loads((tmp_path / "many" / "embeddings.json").read_text())
    assert [s["records"] for s in manifest["shards"]] == [len(p["ids"]) for p in shards(
        tmp_path / "many")]
    frames = testdata / "yt8m" / "frame" / "*.tfrecord"
    job = yt8m_embedding.Job(str(trained), str(frames), Target(str(tmp_path / "no"), 1))
    with pytest.raises(UserError, match="takes video-level records"):
        yt8m_embedding.embed(job, ONE_PROCESS)


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for workers, num_shards, threads in ((1, 9, 0), (3, 9, 2), (0, 9, 1), (9, 2, 4), (16, 16, 1)):
        assert threads_per_process(Execution(num_workers=workers), num_shards) == threads
    assert threads_per_process(Execution("DataflowRunner"), 9) == 1
    assert fitting(Execution()) == Execution()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert fitting(Execution()).num_workers == 1
    assert fitting(Execution(num_workers=3)).num_workers == 3
    assert fitting(Execution("DataflowRunner")).num_workers == 0


def test_a_worker_keeps_to_its_threads(workdir, clips, tmp_path):  # noqa: F811
    """In a process that has imported and read what a worker has when it loads a network."""
    (tmp_path / "note.json").write_text("{}")
    script = (
        "import pickle, sys\n"
        "start = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "from crossmodal import configuration\n"
        f"configuration.load({str(tmp_path / 'note.json')!r})\n"
        "start()\n"
        "import tensorflow as tf\n"
        "get = tf.config.threading\n"
        "print(get.get_intra_op_parallelism_threads(), get.get_inter_op_parallelism_threads())\n"
    )
    network = network_files.describe(str(workdir), "best")
    start = avc_embedding.StartShards(network, EmbeddingSettings(), (), "fail", 3)
    outcome = subprocess.run(
        [sys.executable, "-c", script, pickle.dumps(start).hex()], cwd=ROOT, check=True,
        capture_output=True, text=True,
    )
    assert outcome.stdout.split() == ["3", "3"]
