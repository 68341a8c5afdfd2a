"""The commands for seconds, from planted records to matches; and the export."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import planted_videos
import pytest
import tensorflow as tf
from launching import launch

import yt8m_embed
from yt8m_embed.reading import open_records

SET = ",".join(f"{name}={value}" for name, value in planted_videos.SMALL.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Planted records, a model trained for some steps by the command, and its export."""
    folder = tmp_path_factory.mktemp("seconds")
    planted_videos.write(folder, 16, 6)
    done = launch(
        "train_yt8m", train_pattern=folder / "train*.tfrecord",
        eval_pattern=folder / "validate*.tfrecord", workdir=folder / "run", recipe="temporal",
        batch_size=8, max_steps=4, gallery_size=4, set=SET, shuffle_window=8,
    )
    assert done.status == 0, done.error
    assert "second_recall@1" in done.out
    done = launch("export_yt8m", workdir=folder / "run", output=folder / "export")
    assert done.status == 0, done.error
    return folder


@pytest.mark.parametrize("command", ["evaluate_seconds", "match_seconds"])
def test_help_says_what_a_command_does_with_an_example(command):
    text = launch(command, "--help").out
    example = text[text.index("python -m"):].split("\n\n")[0]
    assert f"python -m launch.{command} --" in text and "Example" in text
    for flag in re.findall(r"--(\w+)", example):
        assert re.search(rf"^  --(\[no\])?{flag}\b", text, re.MULTILINE), flag


def test_seconds_are_evaluated_with_chance_control_and_reference(folder):
    done = launch(
        "evaluate_seconds", workdir=folder / "run", eval_pattern=folder / "validate*.tfrecord",
        gallery_sizes=64, num_galleries=4, topic_model=folder / "topic_model.json",
    )
    assert done.status == 0, done.error
    report = json.loads((folder / "run" / "seconds.json").read_text())
    assert list(report["systems"]) == sorted(
        ["temporal", "temporal, shuffled sound", "single seconds, planted model"])
    lengths = [len(v.visual) for v in seconds_of(folder / "run", folder)]
    for found in report["systems"].values():
        entry = found["within_video/visual_to_audio/recall@1"]
        assert entry["chance"] == pytest.approx(np.mean([1 / n for n in lengths]))
        assert found["across_videos/64/audio_to_visual/recall@10"]["chance"] == pytest.approx(
            10 / 64)
    reference = report["systems"]["single seconds, planted model"]
    entry = reference["within_video/visual_to_audio/recall@1"]
    assert entry["low"] > 5 * entry["chance"]
    assert "| within video" in done.out and "across videos, N = 64" in done.out


def seconds_of(model, folder):
    _, opened = open_records(str(folder / "validate*"), 3862, "p", progress=False)
    return list(yt8m_embed.load(str(model)).embed_seconds(opened))


def test_matches_are_written_and_are_the_best(folder):
    for name in ("matches.csv", "matches.json"):
        done = launch(
            "match_seconds", saved_model=folder / "export", num_videos=2,
            query_pattern=folder / "validate*.tfrecord", output=folder / name,
        )
        assert done.status == 0, done.error
    videos = seconds_of(folder / "run", folder)
    with open(folder / "matches.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(v.visual) for v in videos[:2])
    listed = json.loads((folder / "matches.json").read_text())["matches"]
    assert [str(m["found_start_seconds"]) for m in listed] == [
        r["found_start_seconds"] for r in rows]
    by_id = {v.id.decode(): v for v in videos}
    for row in rows[::7]:
        query = by_id[row["query_video"]].visual[int(row["query_start_seconds"])]
        found = by_id[row["found_video"]].audio[int(row["found_start_seconds"])]
        best = max((v.audio @ query).max() for v in videos if v.id.decode() != row["query_video"])
        assert row["found_video"] != row["query_video"]
        assert query @ found == pytest.approx(best, abs=1e-5)
        assert float(row["score"]) == pytest.approx(best, abs=1e-5)


def test_seconds_are_embedded_beside_videos(folder):
    given = {"saved_model": folder / "export", "input_pattern": folder / "validate*.tfrecord"}
    done = launch("embed_yt8m", "--seconds", **given, output=folder / "seconds.npz")
    assert done.status == 0, done.error
    held = np.load(folder / "seconds.npz")
    done = launch("embed_yt8m", "--seconds", **given, output=folder / "shards", num_shards=1)
    assert done.status == 0, done.error
    shard = np.load(folder / "shards" / "embeddings-00000-of-00001.npz")
    assert sorted(shard) == sorted(held)
    for name in held:
        np.testing.assert_array_equal(shard[name], held[name])
    videos = seconds_of(folder / "run", folder)
    assert held["ids"].tolist() == [v.id for v in videos]
    assert held["visual"].shape == (6, 8)
    for row, video in enumerate(videos):
        own = held["second_video"] == row
        np.testing.assert_array_equal(held["second_start_seconds"][own], range(own.sum()))
        np.testing.assert_allclose(held["second_visual"][own], video.visual, atol=1e-5)
        np.testing.assert_allclose(held["second_audio"][own], video.audio, atol=1e-5)


def test_tensorflow_alone_serves_seconds_whatever_follows_them(folder, tmp_path):
    rng = np.random.default_rng(0)
    given = {"rgb": rng.integers(256, size=(3, 9, 1024)).astype(np.uint8),
             "num_frames": np.array([9, 4, 0], np.int32)}
    np.savez(tmp_path / "given.npz", **given)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "given = {k: tf.constant(v) for k, v in np.load(sys.argv[2]).items()}\n"
        "signatures = tf.saved_model.load(sys.argv[1]).signatures\n"
        "np.savez(sys.argv[3], video=signatures['embed_visual'](**given)['embedding'],\n"
        "         seconds=signatures['embed_visual_frames'](**given)['frame_embedding'])\n"
        "assert not {'yt8m_embed', 'crossmodal'} & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, folder / "export", "given.npz", "found.npz"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )
    assert run.returncode == 0, run.stderr
    found = np.load(tmp_path / "found.npz")
    live = yt8m_embed.load(str(folder / "run"))
    for row, count in ((0, 9), (1, 4)):
        alone = {k: v[row : row + 1, :count] if v.ndim > 1 else v[row : row + 1]
                 for k, v in given.items()}
        expected = live.embed("visual", alone["rgb"], alone["num_frames"])
        np.testing.assert_allclose(found["video"][row : row + 1], expected, atol=1e-5)
        seconds = np.asarray(live.second_functions["visual"](alone))
        np.testing.assert_allclose(found["seconds"][row, :count], seconds[0], atol=1e-5)
        assert not found["seconds"][row, count:].any()
    assert np.isfinite(found["video"]).all() and not found["seconds"][2].any()
    card = (folder / "export" / "model_card.md").read_text()
    assert "embed_visual_frames" in card and "num_frames" in card
    assert not tf.io.gfile.exists(str(folder / "export" / "visual.tflite"))


@pytest.mark.parametrize(("command", "values", "message"), [
    ("match_seconds", {"video_ids": "none"}, "video 'none' is not among"),
    ("match_seconds", {"output": "x.txt"}, "name a .json or .csv file"),
    ("match_seconds", {"top": 900}, "meets fewer than 900 seconds"),
    ("evaluate_seconds", {"gallery_sizes": "all"}, "'all' is not a number above 0"),
    ("evaluate_seconds", {"min_seconds": 200}, "no video has the 200 seconds"),
])
def test_mistakes_are_one_line(folder, command, values, message):
    pattern = "query_pattern" if command == "match_seconds" else "eval_pattern"
    given = {"workdir": folder / "run", pattern: folder / "validate*.tfrecord", **values}
    done = launch(command, **given)
    assert done.status == 1
    (line,) = done.error_lines()
    assert message in line
