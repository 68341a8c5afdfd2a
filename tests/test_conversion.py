import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from crossmodal import beam_conversion
from crossmodal.errors import BadRecordError, UserError
from yt8m_embed import shard_conversion, shard_planning
from yt8m_embed.conversion import Conversion, Execution, convert
from yt8m_embed.shard_conversion import JOBS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ONE_PROCESS = Execution(num_workers=1, progress=False)
SIZES = {"rgb": 1024, "audio": 128}
RAW = {"compact_float16": "<f2", "compact_uint8": "u1"}


# Records are built and read here without the library's schemas.


def bytes_feature(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def ints_feature(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats_feature(values):
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def video_record(identifier, labels, rgb, audio):
    features = {
        "id": bytes_feature(identifier),
        "mean_rgb": floats_feature(rgb),
        "mean_audio": floats_feature(audio),
    }
    if labels is not None:
        features["labels"] = ints_feature(labels)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def random_videos(count, seed):
    rng = np.random.default_rng(seed)
    low, high = 4 / 512 - 2, 4 / 512 + 2
    return [
        (
            f"{seed}:{i}".encode(),
            rng.integers(0, 3862, rng.integers(0, 5)).tolist(),
            rng.uniform(low, high, 1024).astype(np.float32),
            rng.uniform(low, high, 128).astype(np.float32),
        )
        for i in range(count)
    ]


def sequence_record(context, lists):
    feature_lists = {k: tf.train.FeatureList(feature=v) for k, v in lists.items()}
    return tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(feature_list=feature_lists),
    ).SerializeToString()


def frame_record(identifier, labels, frames):
    context = {"id": bytes_feature(identifier), "labels": ints_feature(labels)}
    lists = {k: [bytes_feature(row.tobytes()) for row in v] for k, v in frames.items()}
    return sequence_record(context, lists)


def write(path, payloads):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    return str(path)


def read(path):
    """Records as (id, labels, {name: float list or bytes})."""
    for payload in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        feature = tf.train.Example.FromString(payload).features.feature
        values = {}
        for name in ("mean_rgb", "mean_audio"):
            floats = feature[name].float_list.value
            values[name] = np.array(floats) if floats else feature[name].bytes_list.value[0]
        labels = list(feature["labels"].int64_list.value)
        yield feature["id"].bytes_list.value[0], labels, values


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_inputs(folder, files=4, count=5):
    folder.mkdir(exist_ok=True)
    for i in range(files):
        write(folder / f"train{i}.tfrecord", [video_record(*v) for v in random_videos(count, i)])
    return str(folder / "train*.tfrecord")


def command(*flags):
    return [sys.executable, "-m", "launch.convert_yt8m", *flags]


def run_command(*flags):
    return subprocess.run(command(*flags), cwd=ROOT, capture_output=True, text=True, check=False)


def test_frame_to_video_is_the_mean_of_dequantised_frames(tmp_path):
    rng = np.random.default_rng(0)
    videos = []
    for i, num_frames in enumerate((1, 7, 301, 2)):
        frames = {k: rng.integers(0, 256, (num_frames, n), np.uint8) for k, n in SIZES.items()}
        videos.append((f"v{i}".encode(), list(range(i)), frames))
    path = write(tmp_path / "in", [frame_record(*v) for v in videos])
    output = str(tmp_path / "out")
    result = shard_conversion.convert_files(JOBS["frame_to_video"], 3862, [path], output, "fail")
    assert result == (4, [])
    for (identifier, labels, frames), record in zip(videos, read(output), strict=True):
        assert record[:2] == (identifier, labels)
        for name, quantized in frames.items():
            dequantized = quantized.astype(np.float64) * (4 / 255) + (4 / 512 - 2)
            mean = dequantized.mean(axis=0)
            np.testing.assert_allclose(record[2][f"mean_{name}"], mean, rtol=0, atol=2e-7)


@pytest.mark.parametrize("job", RAW)
def test_compact_records_keep_ids_and_labels_and_bound_the_error(tmp_path, job):
    (_, _, rgb, audio), (_, _, rgb2, audio2) = random_videos(2, 0)
    rgb[:3] = [4 / 512 - 2, 4 / 512 + 2, 0.0]  # the ends of the range
    videos = [
        (b"\x00\xff,\n\x80", [3861, 0, 3861], rgb, audio),
        ("vidéo".encode(), [], rgb2, audio2),
        (b"n", None, rgb2, audio),
        (b"many", list(range(3862)), rgb, audio2),
    ]
    path = write(tmp_path / "in", [video_record(*v) for v in videos])
    output = str(tmp_path / "out")
    shard_conversion.convert_files(JOBS[job], 3862, [path], output, "fail")
    records = list(read(output))
    for (identifier, labels, *features), record in zip(videos, records, strict=True):
        assert record[:2] == (identifier, labels or [])
        for original, string in zip(features, record[2].values(), strict=True):
            stored = np.frombuffer(string, RAW[job]).astype(np.float64)
            if job == "compact_uint8":
                stored = stored * (4 / 255) + (4 / 512 - 2)
                bound = 2 / 255 + 1e-6
            else:
                bound = np.where(np.abs(original) < 2, 2.0**-11, 2.0**-10)
            error = np.abs(stored - original)
            assert (error <= bound).all() and error.max() > 0


def test_mediapipe_means_each_modality_over_its_own_steps(tmp_path):
    rng = np.random.default_rng(0)

    def record(context, steps):
        frames = {k: rng.normal(0, 3, (steps[k], n)).astype(np.float32) for k, n in SIZES.items()}
        lists = {
            f"{k.upper()}/feature/floats": [floats_feature(row) for row in v]
            for k, v in frames.items()
        }
        return frames, sequence_record(context, lists)

    known = {
        "clip/data_path": bytes_feature(b"/videos/a b.mp4"),
        "clip/label/index": ints_feature([7, 3]),
    }
    cases = [record(known, {"rgb": 5, "audio": 4}), record({}, {"rgb": 1, "audio": 9})]
    framed = write(tmp_path / "a.tfrecord", [payload for _, payload in cases])
    bare = tmp_path / "features.pb"  # as MediaPipe's extractor writes it
    bare.write_bytes(cases[0][1])
    output = str(tmp_path / "out")
    job = JOBS["mediapipe_to_video"]
    shard_conversion.convert_files(job, 3862, [framed, str(bare)], output, "fail")
    expected = [
        (b"/videos/a b.mp4", [7, 3], cases[0][0]),
        (b"a.tfrecord#1", [], cases[1][0]),
        (b"/videos/a b.mp4", [7, 3], cases[0][0]),
    ]
    for (identifier, labels, frames), record in zip(expected, read(output), strict=True):
        assert record[:2] == (identifier, labels)
        for name, values in frames.items():
            mean = values.astype(np.float64).mean(axis=0)
            np.testing.assert_allclose(record[2][f"mean_{name}"], mean, rtol=1e-6, atol=1e-7)


def test_bad_records_are_named_or_left_out(tmp_path):
    videos = random_videos(5, 0)
    payloads = [video_record(*v) for v in videos]
    payloads[1] = video_record(b"nan", [1], [np.nan] * 1024, videos[1][3])
    payloads[3] = video_record(b"wide", [1], [2.5] * 1024, videos[1][3])  # outside uint8's range
    path = tmp_path / "flipped"
    write(path, payloads)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # the last record's checksum no longer fits
    path.write_bytes(data)
    job, output = JOBS["compact_uint8"], str(tmp_path / "out")
    with pytest.raises(BadRecordError, match=r"flipped: record [14] .*"):
        shard_conversion.convert_files(job, 3862, [str(path)], output, "fail")
    assert not os.path.exists(output)
    written, skipped = shard_conversion.convert_files(job, 3862, [str(path)], output, "skip")
    assert written == 2 and [r[0] for r in read(output)] == [videos[0][0], videos[2][0]]
    assert sorted(record.index for record in skipped) == [1, 3, 4]
    reasons = {record.index: str(record) for record in skipped}
    assert "NaN" in reasons[1] and "outside" in reasons[3] and "checksum" in reasons[4]
    assert all(line.startswith(f"{path}: record {i}") for i, line in reasons.items())


def test_a_file_without_a_usable_record_gives_no_shard(tmp_path):
    page = tmp_path / "page"
    page.write_text("<!DOCTYPE html><html>" + "not here " * 100)
    output = str(tmp_path / "out")
    job = JOBS["compact_uint8"]
    with pytest.raises(BadRecordError, match=str(page)):
        shard_conversion.convert_files(job, 3862, [str(page)], output, "fail")
    written, skipped = shard_conversion.convert_files(job, 3862, [str(page)], output, "skip")
    assert written == 0 and str(page) in str(skipped[0]) and not os.path.exists(output)


def test_a_set_is_made_once_taken_up_where_it_broke_off_and_guarded(tmp_path, monkeypatch):
    pattern = write_inputs(tmp_path / "in")
    folder = tmp_path / "out"
    job = Conversion("compact_float16", pattern, str(folder / "t"), num_shards=3)
    made = convert(job, ONE_PROCESS)
    assert made.converted and made.manifest["records"] == 20
    first = contents(folder)
    assert sorted(first) == [f"t-{i:05}-of-00003.tfrecord" for i in range(3)] + ["t.json"]
    # Consecutive files, in order.
    ids = [r[0] for i in range(3) for r in read(folder / f"t-{i:05}-of-00003.tfrecord")]
    assert ids == [v[0] for seed in range(4) for v in random_videos(5, seed)]
    assert json.loads(first["t.json"])["shards"][0]["records"] == 5

    stamps = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert convert(job, ONE_PROCESS) == dataclasses.replace(made, converted=False)
    assert stamps == {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}

    # Broken off while the shards are put in place: some are, some are not.
    os.remove(folder / "t.json")
    for name in first.keys() - {"t.json"}:
        os.remove(folder / name)
    rename, calls = tf.io.gfile.rename, []

    def breaking(source, target, overwrite=False):
        if target.endswith(".tfrecord") and ".converting" not in target:
            calls.append(target)
            if len(calls) == 2:
                raise KeyboardInterrupt
        rename(source, target, overwrite)

    monkeypatch.setattr(tf.io.gfile, "rename", breaking)
    with pytest.raises(KeyboardInterrupt):
        convert(job, ONE_PROCESS)
    monkeypatch.undo()
    assert not (folder / "t.json").exists() and len(list(folder.glob("t-*"))) == 1
    with monkeypatch.context() as patch:  # what is finished is not made again
        patch.setattr(beam_conversion, "_run", lambda *_: pytest.fail("ran"))
        assert convert(job, ONE_PROCESS) == made
    assert contents(folder) == first

    # A shard that was lost is made again, a file that changed is not overlooked.
    os.remove(folder / "t-00001-of-00003.tfrecord")
    assert convert(job, ONE_PROCESS).converted and contents(folder) == first
    with pytest.raises(UserError, match="compact_float16, not compact_uint8"):
        convert(Conversion("compact_uint8", pattern, job.output, 3), ONE_PROCESS)
    write(tmp_path / "in" / "train2.tfrecord", [video_record(*v) for v in random_videos(5, 9)])
    os.utime(tmp_path / "in" / "train2.tfrecord", (1, 1))
    with pytest.raises(UserError, match=r"t\.json"):
        convert(job, ONE_PROCESS)
    assert contents(folder) == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_pattern": "/nowhere/*.tfrecord"}, "no file matches"),
        ({"num_shards": 5}, "--num_shards=5 does not fit 4 input files"),
        ({"num_shards": -1}, "--num_shards=-1"),
        ({"job": "compact"}, "--job=compact"),
        ({"output": ""}, "--output is empty"),
        ({"output": "{in}/train"}, "names files of --output"),
        ({"output": "{in}/../other"}, "is in the way"),
    ],
)
def test_wrong_settings_are_named_before_anything_is_written(tmp_path, changes, message):
    pattern = write_inputs(tmp_path / "in", count=1)
    (tmp_path / "other-00000-of-00004.tfrecord").write_bytes(b"somebody else's")
    settings = {"job": "compact_uint8", "input_pattern": pattern, "output": f"{tmp_path}/x/"}
    settings |= {
        k: v.replace("{in}", str(tmp_path / "in")) if isinstance(v, str) else v
        for k, v in changes.items()
    }
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=message):
        convert(Conversion(**settings), ONE_PROCESS)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_keeps_finished_shards_for_the_next_run(tmp_path):
    pattern = write_inputs(tmp_path / "in")
    bad = tmp_path / "in" / "train1.tfrecord"
    bad.write_bytes(bad.read_bytes()[:-10])
    job = Conversion("compact_uint8", pattern, str(tmp_path / "out" / "t"))
    with pytest.raises(UserError, match=r"train1.tfrecord: record 4 .*cut off"):
        convert(job, ONE_PROCESS)
    assert not list((tmp_path / "out").glob("t*"))
    skipping = Conversion("compact_uint8", pattern, job.output, on_bad_record="skip")
    made = convert(skipping, ONE_PROCESS)
    assert made.manifest["records"] == 19 and made.manifest["skipped"] == 1
    report = str(made)
    assert "records read                  20" in report and f"{bad}: record 4 " in report
    assert not list((tmp_path / "out").glob(".*"))
    with pytest.raises(UserError, match="train1"):  # what skip made is not what fail asks for
        convert(job, ONE_PROCESS)


@pytest.mark.slow
def test_command_with_two_processes_is_killed_and_ends_with_the_bytes_of_one(tmp_path):
    pattern = write_inputs(tmp_path / "in", files=6, count=400)
    flags = ["--job=compact_float16", f"--input_pattern={pattern}", "--num_workers=2"]
    convert(Conversion("compact_float16", pattern, str(tmp_path / "one" / "t")), ONE_PROCESS)
    two = tmp_path / "two"
    flags.append(f"--output={two}/t")
    process = subprocess.Popen(command(*flags), cwd=ROOT, stderr=subprocess.DEVNULL)
    staging = two / ".t.converting"
    while process.poll() is None and not list(staging.glob("*.tfrecord.json")):
        time.sleep(0.002)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(two.glob("t*"))  # nothing but the staging folder
    result = run_command(*flags)
    assert result.returncode == 0, result.stderr
    assert "records written            2,400" in result.stdout
    assert contents(two) == contents(tmp_path / "one")
    again = run_command(*flags)
    assert again.stdout.startswith("already there, nothing to do")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--job=compact_uint8"], "error: {bad}: record 4 "),
        (["--on_bad_record=maybe"], "error: flag --on_bad_record=maybe: "),
    ],
)
def test_command_fails_in_one_line(tmp_path, flags, message):
    pattern = write_inputs(tmp_path / "in", files=1)
    bad = tmp_path / "in" / "train0.tfrecord"
    bad.write_bytes(bad.read_bytes()[:-10])
    result = run_command(*flags, f"--input_pattern={pattern}", f"--output={tmp_path}/out/")
    assert result.returncode == 1 and result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line and "0/1 [" not in line]
    assert len(lines) == 1 and lines[0].startswith(message.format(bad=bad))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.real_data
@pytest.mark.parametrize("job", RAW)
def test_real_shards_survive_compaction(tmp_path, real_data, job):
    paths = sorted(str(p) for p in (real_data / "yt8m" / "train").glob("*.tfrecord"))[:2]
    output = str(tmp_path / "out")
    written, skipped = shard_conversion.convert_files(JOBS[job], 3862, paths, output, "fail")
    assert written > 200 and not skipped
    bound = 2.0**-10 if job == "compact_float16" else 2 / 255 + 1e-6
    originals = (record for path in paths for record in read(path))
    for original, record in zip(originals, read(output), strict=True):
        assert record[:2] == original[:2]
        for name, values in original[2].items():
            stored = np.frombuffer(record[2][name], RAW[job]).astype(np.float64)
            if job == "compact_uint8":
                stored = stored * (4 / 255) + (4 / 512 - 2)
            assert np.abs(stored - values).max() <= bound


@pytest.mark.real_data
def test_frames_with_the_sums_of_real_videos_give_their_real_means(tmp_path, real_data):
    """The data set's means are multiples of a step over the number of frames, which tells it."""
    path = min((real_data / "yt8m" / "train").glob("*.tfrecord"))
    originals, payloads = [], []
    for identifier, labels, values in list(read(path))[:20]:
        steps = {k: (v - (4 / 512 - 2)) * (255 / 4) for k, v in values.items()}
        joint = np.concatenate(list(steps.values()))
        num_frames = next(
            n for n in range(1, 301) if np.abs(joint * n - np.rint(joint * n)).max() < 0.01
        )
        frames = {}
        for name, step in steps.items():
            quotient, rest = np.divmod(np.rint(step * num_frames).astype(int), num_frames)
            later = np.arange(num_frames)[:, None] < rest
            frames[name.removeprefix("mean_")] = (quotient + later).astype(np.uint8)
        originals.append((identifier, labels, values))
        payloads.append(frame_record(identifier, labels, frames))
    output = str(tmp_path / "out")
    frames = write(tmp_path / "in", payloads)
    shard_conversion.convert_files(JOBS["frame_to_video"], 3862, [frames], output, "fail")
    for original, record in zip(originals, read(output), strict=True):
        assert record[:2] == original[:2]
        for name, values in original[2].items():
            np.testing.assert_allclose(record[2][name], values, rtol=0, atol=5e-7)


def test_an_unknown_runner_is_named_before_anything_is_written(tmp_path):
    pattern = write_inputs(tmp_path / "in", count=1)
    with pytest.raises(UserError, match="--runner=NoRunner: "):
        convert(Conversion("compact_uint8", pattern, f"{tmp_path}/o/t"), Execution("NoRunner"))
    assert not (tmp_path / "o").exists()


def test_shards_hold_consecutive_files_and_need_no_more_than_there_are(tmp_path):
    names = [tmp_path / f"f{i}" for i in range(7)]
    for name in names:
        name.write_bytes(b"x")
    inputs = [str(name) for name in names]
    plan = shard_planning.make_plan(str(tmp_path / "o" / "p"), {}, inputs, "/elsewhere/*", 3)
    groups = [[source["path"] for source in shard] for shard in plan.sources]
    assert list(itertools.chain(*groups)) == inputs and sorted(map(len, groups)) == [2, 2, 3]
