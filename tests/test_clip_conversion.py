import contextlib
import csv
import dataclasses
import itertools
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import typing

import numpy as np
import odd_media
import pytest
import tensorflow as tf
import tensorflow_io as tfio

from avc import clip_filters, decoder, media
from avc.clip_conversion import Conversion, convert
from avc.clip_shards import ClipConfig
from avc.media import MediaConfig, MediaError
from avc.splits import SplitConfig
from crossmodal import beam_conversion
from crossmodal.beam_conversion import Execution
from crossmodal.errors import ConfigurationError, UserError

ROOT = pathlib.Path(__file__).parents[1]
ONE_PROCESS = Execution(num_workers=1, progress=False)
SMALL = MediaConfig(shorter_side=32, clip_seconds=2.0)
CONFIG = ClipConfig(SMALL, min_seconds=0.9)


def write_video(path, seconds=1.0, pitch=440.0, moves=True, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)

    def paint(number, width, height):
        return odd_media.picture(number if moves else 5, width, height)

    def play(times):
        return 0.3 * np.sin(2 * np.pi * pitch * times)

    return odd_media.write(
        path, seconds, size=(64, 48), paint=paint, play=play, layout="mono", **settings
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A folder of small videos; two have the same sound."""
    folder = tmp_path_factory.mktemp("videos") / "in"
    for i, name in enumerate(["a", "b c/d", "b c/видео 音", "e_000030", "f"]):
        write_video(folder / f"{name}.mp4", 1.0 + i / 2, 300 + 100 * i)
    (folder / "zz.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "f.txt").write_text("no video")
    return folder


class DecodeHere:
    """Decodes in this process, each file once: what is tested is what comes after it."""

    known: typing.ClassVar[dict] = {}

    def read(self, path, config, starts):
        key = (path, os.stat(path).st_mtime_ns, config, None if starts is None else tuple(starts))
        if key not in self.known:
            answers = []
            try:
                answers.append(media.probe(path, config))
                answers.extend(media.read_clips(path, config, starts))
            except MediaError as error:
                answers.append(error)
            self.known[key] = answers
        for answer in self.known[key]:
            if isinstance(answer, MediaError):
                raise answer
            yield answer


@pytest.fixture
def here(monkeypatch):
    """Everything in this process, without Beam's runner."""

    def run(pipeline, plan, shards, make, execution):
        step = beam_conversion._MakeShard(plan.saved, make)
        step.setup()
        for index in shards:
            list(step.process(index))

    monkeypatch.setattr(beam_conversion, "_run", run)
    monkeypatch.setattr(decoder, "borrow", lambda: contextlib.nullcontext(DecodeHere()))


def run(source, output, config=CONFIG, split=None, execution=ONE_PROCESS, **settings):
    conversion = Conversion(str(source), str(output), **settings)
    return convert(conversion, config, split or SplitConfig(), execution)


def manifest(output):
    with open(output / "manifest.csv", newline="") as file:
        return list(csv.DictReader(file))


def statuses(output):
    return {(row["file"], row["start_seconds"]): row["status"] for row in manifest(output)}


def records(output):
    """Records by shard, read without the library's schemas."""
    return {
        path.name: [
            tf.train.Example.FromString(payload).features.feature
            for payload in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        ]
        for path in sorted(output.glob("*.tfrecord"))
    }


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def write_table(tmp_path, text, name="table.csv"):
    (tmp_path / name).write_text(text)
    return (str(tmp_path / name),)


def test_a_folder_becomes_records_and_every_file_has_a_row(tmp_path, videos):
    output = tmp_path / "out"
    result = run(videos, output, split=SplitConfig(40, 1), num_shards=2)
    rows = manifest(output)
    assert {row["file"] for row in rows} == set(contents(videos))
    held = records(output)
    assert all(name.split("-")[0] in ("train", "validation") for name in held)
    for row in rows:
        if row["status"] != "written":
            continue
        record = held[row["shard"]][int(row["record"])]
        strings = {k: v.bytes_list.value for k, v in record.items() if v.bytes_list.value}
        assert strings["id"] == [row["id"].encode()]
        assert strings["file"] == [row["file"].encode()]
        assert strings["video"] == [row["video"].encode()]
        assert row["shard"].startswith(row["split"] + "-")
        assert record["start_seconds"].float_list.value == [float(row["start_seconds"])]
        times = np.array(record["frame_seconds"].float_list.value)
        seconds = float(row["seconds"])
        np.testing.assert_allclose(times, np.arange(len(times)) * 0.04, atol=1e-6)
        assert len(strings["frames"]) == len(times) == pytest.approx(25 * seconds, abs=1)
        picture = tf.io.decode_jpeg(strings["frames"][0]).numpy()
        assert picture.shape == (32, 42, 3)
        # What the record plays is what the decoder gives.
        path = str(videos / row["file"])
        clips = {clip.start_seconds: clip for clip in media.read_clips(path, SMALL)}
        clip = clips[float(row["start_seconds"])]
        sound = tfio.audio.decode_flac(strings["audio_flac"][0], dtype="int16").numpy()
        np.testing.assert_array_equal(sound[:, 0], clip.samples)
        assert strings["frames"] == clip.frames
        assert record["num_samples"].int64_list.value == [len(sound)]
    long = [(r["start_seconds"], r["status"]) for r in rows if r["file"] == "f.mp4"]
    assert long == [("0", "written"), ("2", "written")]
    assert [r["status"] for r in rows if r["file"] == "f.txt"] == ["unreadable"]
    short = next(r for r in rows if r["file"] == "e_000030.mp4" and r["start_seconds"] == "2")
    assert short["status"] == "too_short" and "less than 0.9 s" in short["reason"]
    assert "clips written" in str(result) and "too_short" in str(result)

    # The split is that of the id, the shards of a split have its files in turn.
    plans = json.loads((output / "manifest.json").read_text())
    for split in ("train", "validation"):
        shards = [s for s in plans["shards"] if s["file"].startswith(split)]
        dealt = [
            source["file"]
            for group in itertools.zip_longest(*(shard["sources"] for shard in shards))
            for source in group
            if source
        ]
        assert dealt == sorted(dealt) and len(shards) == 2

    before = {p: p.stat().st_mtime_ns for p in output.rglob("*")}
    again = run(videos, output, split=SplitConfig(40, 1), num_shards=2)
    assert str(again).startswith("already there, nothing to do")
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*")} == before


def test_a_row_may_ask_for_one_picture_and_its_sound(tmp_path, videos, here):
    table = write_table(
        tmp_path,
        "clip,start_seconds,seconds,frame_seconds,labels\n"
        "f,0,1.6,0.8,olive oil\nf,0,2.0,1.0,pan\nf,0.52,1,1,none\ne,30,1,30.4,fig\n"
        "f,2,20,12,late\n",
    )
    output = tmp_path / "out"
    run(videos, output, label_tables=table, split=SplitConfig(0))
    found = {row["id"]: row for row in manifest(output)}
    held = records(output)
    expected = {
        "f_000000000_s001600_f000800": ("f", 20, 0.8, 1.6, b"olive oil"),
        "f_000000000_s002000_f001000": ("f", 25, 1.0, 2.0, b"pan"),
        "f_000000520_s001000_f000480": ("f", 25, 0.48, 1.0, b"none"),
        "e_000030000_s001000_f000400": ("e_000030", 10, 0.4, 1.0, b"fig"),
    }
    whole = {
        name: next(media.read_clips(str(videos / f"{name}.mp4"), SMALL))
        for name in ("e_000030", "f")
    }
    for name, (file, step, seconds, length, label) in expected.items():
        record = held[found[name]["shard"]][int(found[name]["record"])]
        (jpeg,) = record["frames"].bytes_list.value
        assert jpeg == whole[file].frames[step]
        assert record["frame_seconds"].float_list.value == pytest.approx([seconds])
        assert record["num_samples"].int64_list.value == [round(length * 48000)]
        assert record["labels"].bytes_list.value == [label]
        assert found[name]["status"] == "written"
    late = found["f_000002000_s020000_f010000"]
    assert (late["status"], late["reason"]) == ("too_short", "begins after the end of the file")


def test_tables_give_labels_starts_and_splits(tmp_path, videos, here):
    table = write_table(
        tmp_path,
        "clip,start_seconds,labels,split\n"
        'a,,"Dog; Cat, big",\n'
        "b c/d.mp4,0.5,Dog,train\n"
        "e,30,/m/0e,test\n"
        "f,1,Owl,test\n"
        "f,99,Owl,test\n"
        "gone,3,Owl,\n",
    )
    output = tmp_path / "out"
    run(videos, output, label_tables=table, split=SplitConfig(0))
    found = {(r["file"], r["video"], r["start_seconds"]): r for r in manifest(output)}
    held = records(output)

    def look(*key):
        row = found[key]
        record = held[row["shard"]][int(row["record"])]
        labels = [label.decode() for label in record["labels"].bytes_list.value]
        assert labels == (row["labels"].split(";") if row["labels"] else [])
        return row["split"], row["id"], labels, row["seconds"]

    assert look("a.mp4", "a", "0") == ("train", "a_000000000", ["Dog", "Cat, big"], "1")
    assert look("b c/d.mp4", "d", "0.5")[:3] == ("train", "d_000000500", ["Dog"])
    assert look("e_000030.mp4", "e", "0") == ("test", "e_000030000", ["/m/0e"], "2")
    assert look("f.mp4", "f", "1")[:3] == ("test", "f_000001000", ["Owl"])
    late = found["f.mp4", "f", "99"]
    assert (late["status"], late["reason"]) == ("too_short", "begins after the end of the file")
    assert found["", "gone", "3"]["status"] == "missing"
    left = {r["file"] for r in manifest(output) if r["status"] == "not_in_table"}
    assert left == {"b c/видео 音.mp4", "f.txt", "zz.mp4"}

    test_only = tmp_path / "test_only"
    test = write_table(tmp_path, "clip\na\nzz\n", "test.csv")
    result = run(videos, test_only, label_tables=table, test_tables=test)
    assert set(records(test_only)) >= {"test-00000-of-00004.tfrecord"}
    assert result.twice == ("a",) and "1 videos are in public test" in str(result)


def test_only_descendants_are_kept(tmp_path, videos, here):
    table = write_table(tmp_path, "clip,labels\na,Drum\nf,Speech;/d\nzz,Speech\ngone,Speech\n")
    entries = [("/r", "Instrument", ["/d"]), ("/d", "Drum", []), ("/s", "Speech", [])]
    classes = tmp_path / "ontology.json"
    keys = ("id", "name", "child_ids")
    classes.write_text(json.dumps([dict(zip(keys, e, strict=True)) for e in entries]))
    settings = {"label_tables": table, "ontology": str(classes)}
    output = tmp_path / "out"
    run(videos, output, keep_descendants_of="Instrument", **settings)
    found = statuses(output)
    assert found["a.mp4", "0"] == found["f.mp4", "0"] == "written"
    assert found["zz.mp4", ""] == found["", ""] == "filtered"
    for changes, message in [
        ({"keep_descendants_of": "Drums"}, "--keep_descendants_of: 'Drums' is neither"),
        ({"keep_descendants_of": "Drum", "ontology": ""}, "needs --ontology"),
        ({"keep_descendants_of": "Drum", "label_tables": ()}, "needs the labels of a"),
        (
            {"keep_descendants_of": "Drum", "label_tables": write_table(tmp_path, "clip\na\n")},
            "no label of the tables is a class",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            run(videos, tmp_path / "no", **{**settings, **changes})
    assert not (tmp_path / "no").exists()


def test_filters_leave_out_what_they_say(tmp_path, here):
    source = tmp_path / "in"
    write_video(source / "good.mp4")
    write_video(source / "still.mp4", moves=False, pitch=500)
    write_video(source / "copy.mp4", pitch=500)
    quiet = {"size": (64, 48), "layout": "mono"}
    odd_media.write(source / "silent.mp4", 1.0, play=np.zeros_like, **quiet)

    def bark(times):
        return 0.3 * np.sin(2000 * times) * (np.abs(times - 0.5) < 0.1)

    odd_media.write(source / "bark.mp4", 1.0, play=bark, **quiet)
    everything = run(source, tmp_path / "all")
    assert everything.counts["written"] == 5
    config = dataclasses.replace(CONFIG, silence_dbfs=-50.0, still_change=1.0)
    run(source, tmp_path / "some", config)
    assert statuses(tmp_path / "some") == {
        ("good.mp4", "0"): "written",
        ("bark.mp4", "0"): "written",
        ("copy.mp4", "0"): "written",
        ("silent.mp4", "0"): "silent",
        ("still.mp4", "0"): "still",
    }
    config = dataclasses.replace(CONFIG, drop_duplicate_audio=True)
    table = write_table(tmp_path, "clip,split\ncopy,\nstill,test\ngood,\nsilent,\nbark,\n")
    run(source, tmp_path / "unique", config, label_tables=table)
    found = {r["file"]: r for r in manifest(tmp_path / "unique")}
    # Two files with one sound: the one of the test split stays, whatever its name.
    assert found["still.mp4"]["status"] == "written" and found["still.mp4"]["split"] == "test"
    assert found["copy.mp4"]["status"] == "duplicate_audio"
    assert found["copy.mp4"]["reason"] == "has the sound of still_000000000"
    written = [
        f["id"].bytes_list.value[0] for rs in records(tmp_path / "unique").values() for f in rs
    ]
    assert sorted(written) == [
        f"{n}_000000000".encode() for n in ("bark", "good", "silent", "still")
    ]


def test_levels_and_changes_are_those_of_known_signals():
    square = np.tile(np.array([16384, -16384], np.int16), 24000)
    assert clip_filters.loudest_dbfs(square, 48000) == pytest.approx(-6.0206, abs=1e-3)
    burst = np.zeros(480000, np.int16)
    burst[48000:52800] = square[:4800]
    assert clip_filters.loudest_dbfs(burst, 48000) == pytest.approx(-6.0206, abs=1e-3)
    assert clip_filters.loudest_dbfs(burst[:4800], 48000) == -np.inf
    greys = [tf.io.encode_jpeg(np.full((64, 64, 3), v, np.uint8)).numpy() for v in (90, 100, 120)]
    assert clip_filters.largest_change([greys[0]] * 30 + [greys[2]] * 2) == pytest.approx(30, abs=1)
    assert clip_filters.largest_change([greys[1], greys[0], greys[1]]) == pytest.approx(10, abs=1)
    assert clip_filters.largest_change(greys[:1]) == 0 == clip_filters.largest_change(greys[:1] * 9)
    assert clip_filters.digest(square) != clip_filters.digest(square[:-1])


class Killed(BaseException):
    pass


def test_killed_before_any_change_of_a_file_it_ends_the_same(tmp_path, videos, here, monkeypatch):
    config = dataclasses.replace(CONFIG, drop_duplicate_audio=True)
    # Both the file and its copy are in a split with others: a shard is written anew.
    settings = {"config": config, "split": SplitConfig(50, 2), "num_shards": 1}
    run(videos, tmp_path / "whole", **settings)
    whole = contents(tmp_path / "whole")
    assert "duplicate_audio" in statuses(tmp_path / "whole").values()
    assert len([name for name in whole if name.endswith(".tfrecord")]) == 2
    changes = ("rename", "remove", "rmtree")
    originals = {name: getattr(tf.io.gfile, name) for name in changes}
    left = [0]

    def deadly(name):
        def change(*arguments, **named):
            left[0] -= 1
            # A dead process does not tidy up: nothing is changed any more.
            if left[0] < 0:
                raise Killed
            return originals[name](*arguments, **named)

        return change

    for survived in range(100):
        output = tmp_path / f"killed{survived}"
        left[0] = survived
        with monkeypatch.context() as patch:
            for name in changes:
                patch.setattr(tf.io.gfile, name, deadly(name))
            try:
                run(videos, output, **settings)
                break
            except Killed:
                pass
        # What is in sight is whole.
        for name, data in contents(output).items() if output.exists() else ():
            assert name.startswith(".manifest.converting/") or data == whole[name]
        run(videos, output, **settings)
        assert contents(output) == whole, survived
    assert 15 < survived < 100
    assert contents(output) == whole


def test_lost_shards_are_made_again_and_other_settings_refused(tmp_path, videos, here):
    output = tmp_path / "out"
    settings = {
        "config": dataclasses.replace(CONFIG, drop_duplicate_audio=True),
        "num_shards": 2,
        "split": SplitConfig(50, 2),
    }
    run(videos, output, **settings)
    whole = contents(output)
    for name in whole:
        if name != "manifest.json":
            os.remove(output / name)
            run(videos, output, **settings)
            assert contents(output) == whole, name
    pcm = dataclasses.replace(settings["config"], audio_encoding="pcm16")
    with pytest.raises(UserError, match="audio_encoding flac, not pcm16"):
        run(videos, output, **{**settings, "config": pcm})
    with pytest.raises(UserError, match="seed 2, not 3"):
        run(videos, output, **{**settings, "split": SplitConfig(50, 3)})
    table = write_table(tmp_path, "clip\na\n")
    with pytest.raises(UserError, match="label_tables"):
        run(videos, output, label_tables=table, **settings)
    other = tmp_path / "other"
    other.mkdir()
    (other / "test-00000-of-00007.tfrecord").write_bytes(b"somebody else's")
    with pytest.raises(UserError, match="is in the way"):
        run(videos, other, **settings)
    assert contents(output) == whole


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "{}/nowhere"}, "--input={}/nowhere: there is no such folder or file"),
        ({"source": "{}/empty"}, "--input={}/empty: holds no file"),
        ({"source": "{}/in/*.avi"}, "--input={}/in/*.avi: no file matches"),
        ({"source": ""}, "--input is empty"),
        ({"output": ""}, "--output is empty"),
        ({"output": "{}/in/out"}, "--output={}/in/out is inside --input={}/in"),
        ({"output": "{}/in/a.mp4/x"}, "--output={}/in/a.mp4/x is inside"),
        ({"output": "{}/file/out"}, "{}/file/out/.manifest.converting: cannot be written"),
        ({"label_tables": ("{}/none.csv",)}, "{}/none.csv: "),
        ({"label_tables": ("{}/file",)}, "{}/file: line 1: is of no form"),
        ({"execution": Execution("NoRunner")}, "--runner=NoRunner: "),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, settings, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_text("x")
    (tmp_path / "file").write_text("x")
    here = str(tmp_path)

    def fill(value):
        if isinstance(value, tuple):
            return tuple(map(fill, value))
        return value.replace("{}", here) if isinstance(value, str) else value

    given = {"source": "{}/in", "output": "{}/out", **settings}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as caught:
        run(**{name: fill(value) for name, value in given.items()})
    assert str(caught.value).startswith(message.replace("{}", here))
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_values_out_of_range_are_named():
    for wrong in ({"audio_encoding": "mp3"}, {"min_seconds": 11.0}, {"silence_dbfs": 1.0}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            ClipConfig(**wrong)


def test_a_folder_without_a_usable_file_still_has_its_manifest(tmp_path, here):
    source = tmp_path / "in"
    source.mkdir()
    odd_media.text(source)
    for _ in range(2):
        with pytest.raises(UserError, match=r"no clip could be written; .*manifest\.csv says why"):
            run(source, tmp_path / "out")
        assert statuses(tmp_path / "out") == {("text.mp4", ""): "unreadable"}


ODD = {
    odd_media.no_audio: "no_audio",
    odd_media.no_video: "no_video",
    odd_media.empty: "empty",
    odd_media.text: "unreadable",
    odd_media.cut_mp4: "damaged",
    odd_media.cover_art: "no_video",
    odd_media.huge_picture: "too_large",
    odd_media.huge_mp4: "too_large",
    odd_media.short: "too_short",
}


def test_every_odd_file_is_reported_and_ends_nothing(tmp_path):
    source = tmp_path / "in"
    expected = {}
    for make in {*odd_media.REFUSED, *odd_media.CUT, *odd_media.READ}:
        folder = source / make.__name__
        folder.mkdir(parents=True)
        path = make(folder)
        expected[str(path.relative_to(source))] = make
    output = tmp_path / "out"
    run(source, output, ClipConfig(SMALL, min_seconds=0.5), num_shards=3)
    rows = manifest(output)
    files = {str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()}
    assert {row["file"] for row in rows} == files
    for name, make in expected.items():
        found = [row["status"] for row in rows if row["file"] == name]
        if make in ODD:
            assert found == [ODD[make]], name
        elif make in odd_media.CUT:
            assert "written" in found, name
            # An MPEG-1 file does not say how long it is to be.
            assert ("damaged" in found) == (make is not odd_media.cut_mpg), name
        elif make in odd_media.READ:
            assert set(found) <= {"written", "too_short"} and "written" in found, name
    damaged = next(r for r in rows if r["file"].startswith("cut_mkv/cut") and r["reason"])
    assert "cut off or damaged after" in damaged["reason"]
    held = records(output)
    written = [row for row in rows if row["status"] == "written"]
    assert sum(map(len, held.values())) == len(written) > 20
    assert len({row["id"] for row in written}) == len(written)


def test_a_decoder_goes_along_into_another_folder(tmp_path, monkeypatch):
    """One that waits was started elsewhere, and names are those of files here."""
    process = decoder.Decoder()
    for length in (1.0, 2.0):
        folder = tmp_path / str(length)
        folder.mkdir()
        odd_media.write(folder / "video.mp4", length)
        monkeypatch.chdir(folder)
        source, *_ = process.read("video.mp4", MediaConfig())
        assert source.duration_seconds == pytest.approx(length, abs=0.1)
    process.close()


@pytest.mark.slow
def test_a_crash_of_the_decoder_costs_one_file(tmp_path):
    path = str(write_video(tmp_path / "long.mp4", seconds=9.0))
    config = MediaConfig(shorter_side=32, clip_seconds=1.0)
    expected = [media.probe(path, config), *media.read_clips(path, config)]
    process = decoder.Decoder()

    def same(a, b):
        return repr(a) == repr(b)

    def crash():
        os.kill(process._process.pid, signal.SIGSEGV)
        process._process.wait()

    found = []
    for number, item in enumerate(process.read(path, config)):
        found.append(item)
        if number == 2:
            crash()
    assert len(found) == len(expected) and all(map(same, found, expected))
    with pytest.raises(MediaError, match=r"long\.mp4: its decoder was ended by SIGSEGV"):
        for _ in process.read(path, config):
            crash()
    text = odd_media.text(tmp_path)
    with pytest.raises(MediaError, match="not a video file"):
        list(process.read(str(text), config))
    # A reader that stops in the middle leaves nothing for the next one.
    assert same(next(process.read(path, config)), expected[0])
    assert len(list(process.read(path, config, [3.0]))) == 2
    process.close()


def test_other_file_systems_hold_input_and_output(tmp_path, videos, here):
    tf.io.gfile.makedirs("ram://in/b")
    tf.io.gfile.copy(str(videos / "a.mp4"), "ram://in/b/a.mp4", overwrite=True)
    tf.io.gfile.copy(str(videos / "f.txt"), "ram://in/f.mp4", overwrite=True)
    result = run("ram://in", "ram://out", split=SplitConfig(0), num_shards=1)
    assert result.counts == {"written": 1, "written train": 1, "unreadable": 1}
    assert {*tf.io.gfile.listdir("ram://out")} == {
        "manifest.csv",
        "manifest.json",
        "train-00000-of-00001.tfrecord",
    }
    with tf.io.gfile.GFile("ram://out/train-00000-of-00001.tfrecord", "rb") as file:
        (tmp_path / "far.tfrecord").write_bytes(file.read())
    run(f"{videos}/a.mp4", tmp_path / "near", split=SplitConfig(0))
    (far,), (near,) = (
        (held for held in records(tmp_path).values()),
        records(tmp_path / "near").values(),
    )
    assert far[0]["file"].bytes_list.value == [b"b/a.mp4"]
    near[0]["file"].bytes_list.value[0] = b"b/a.mp4"
    assert dict(far[0]) == dict(near[0])


def command(source, output, *flags):
    small = ["--shorter_side=32", "--clip_seconds=2", "--min_seconds=0.9"]
    files = [f"--input={source}", f"--output={output}"]
    return [sys.executable, "-m", "launch.convert_clips", *files, *small, *flags]


def test_the_command_says_a_mistake_in_one_line(tmp_path):
    wrong = command(tmp_path / "no", tmp_path / "out")
    result = subprocess.run(wrong, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == f"error: --input={tmp_path}/no: there is no such folder or file\n"


@pytest.mark.slow
def test_killed_at_random_with_two_processes_it_ends_with_the_bytes_of_one(tmp_path, videos):
    for copy in range(6):
        name = f"copy{copy}.mp4"
        write_video(tmp_path / "in" / name, 1 + copy / 3, 200 + 10 * copy)
    for name in contents(videos):
        target = tmp_path / "in" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((videos / name).read_bytes())
    config = dataclasses.replace(CONFIG, drop_duplicate_audio=True)
    run(tmp_path / "in", tmp_path / "one", config, num_shards=4)
    output = tmp_path / "two"
    flags = ["--num_shards=4", "--num_workers=2", "--drop_duplicate_audio"]
    line = command(tmp_path / "in", output, *flags)
    rng = random.Random(0)
    killed = 0
    for wait in (0.0, rng.uniform(0, 3)):
        process = subprocess.Popen(
            line, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
        )
        staging = output / ".manifest.converting"
        while process.poll() is None and not list(staging.glob("*.tfrecord*")):
            time.sleep(0.01)
        time.sleep(wait)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        for path in output.glob("*.*"):
            whole = tmp_path / "one" / path.name
            assert path.name.startswith(".") or path.read_bytes() == whole.read_bytes()
    assert killed
    result = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert contents(output) == contents(tmp_path / "one")


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_job_in_one_line(tmp_path):
    script = tmp_path / "dying.py"
    script.write_text(
        "import dataclasses, os, signal, time\n"
        "from crossmodal.beam_conversion import Made\n"
        "@dataclasses.dataclass\n"
        "class Make:\n"
        "    def __call__(self, plan, index):\n"
        "        if index == 1:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return Made(0, {}, {})\n"
    )
    job = (
        "import dying\n"
        "from crossmodal.beam_conversion import Execution, make_shards\n"
        "from crossmodal.errors import UserError\n"
        "from crossmodal.shard_plan import Plan\n"
        "names = tuple(f't-0000{i}-of-00004.tfrecord' for i in range(4))\n"
        f"plan = Plan({str(tmp_path / 'm')!r}, {{}}, names, (({{}},),) * 4, ('t',))\n"
        "try:\n"
        "    make_shards(plan, dying.Make, Execution(num_workers=2, progress=False))\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    result = subprocess.run(
        [sys.executable, "-c", job],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0
    assert "a worker process was ended by SIGKILL, as when memory runs out" in result.stdout


@pytest.mark.real_data
def test_every_real_file_gives_records(tmp_path, real_data):
    output = tmp_path / "out"
    run(real_data / "media", output, ClipConfig(MediaConfig(shorter_side=64)))
    rows = manifest(output)
    names = {path.name for path in (real_data / "media").iterdir()}
    assert {row["file"] for row in rows if row["status"] == "written"} == names
