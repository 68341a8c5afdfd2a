import dataclasses
import os

import pytest

from avc import clip_files, clip_planning
from avc.clip_files import InputFile
from avc.label_tables import Row
from avc.splits import SplitConfig
from crossmodal.errors import UserError

CONFIG = SplitConfig(validation_percent=0)


def files(*names):
    return [InputFile(f"/in/{name}", name, {"path": f"/in/{name}"}) for name in sorted(names)]


def row(clip, start=None, labels=("dog",), split=None):
    return Row(clip, clip.rpartition("/")[2].removesuffix(".mp4"), start, labels, split)


def assign(names, rows, keep=None, config=CONFIG):
    return clip_planning.assign(files(*names), rows, keep, config)


def summary(assignment):
    """By file: id of the video, where the file begins in it, clips and labels of the whole."""
    return {v.file.name: (v.video, v.offset_seconds, v.starts, v.labels) for v in assignment.videos}


def left(assignment):
    return [(r["file"], r.get("video"), r["status"]) for r in assignment.left_out]


def test_without_a_table_every_file_is_a_video_named_by_its_stem():
    plan = assign(["b/ID_000300.mp4", "a.b.webm", "notes"], None)
    assert summary(plan) == {
        "a.b.webm": ("a.b", 0, {}, []),
        "b/ID_000300.mp4": ("ID_000300", 0, {}, []),
        "notes": ("notes", 0, {}, []),
    }
    assert plan.left_out == [] and {v.split for v in plan.videos} == {"train"}


def test_files_that_share_a_name_share_a_split_but_not_an_id():
    names = ["cat/001.mp4", "dog/001.mp4", "dog/001.webm", "002.mp4"]
    for seed in range(8):
        plan = assign(names, None, config=SplitConfig(50, seed))
        assert [v.video for v in plan.videos] == ["002", "cat/001", "dog/001.mp4", "dog/001.webm"]
        assert len({v.split for v in plan.videos[1:]}) == 1


@pytest.mark.parametrize(
    "name",
    [
        "ID_000030.mp4",
        "x/ID_30.mkv",
        "ID_30.000_40.000.mp4",
        "ID_30_40.mp4",
        "ID_30-40.mp4",
        "ID_30000_40000.mp4",
        "ID_30000_40500.webm",
    ],
)
def test_cut_files_begin_where_their_names_say(name):
    plan = assign([name, "ID_000031.mp4", "ID_3.mp4"], [row("ID", 30.0)])
    assert summary(plan) == {name: ("ID", 30.0, {0: ["dog"]}, [])}
    assert [status for _, _, status in left(plan)] == ["not_in_table"] * 2


def test_rows_of_a_whole_file_are_its_clips():
    rows = [row("ID", 30.0), row("ID", 0.5, ("cat", "dog")), row("ID", 30.0, ("owl", "dog"))]
    plan = assign(["x/ID.mp4"], rows)
    starts = {30000: ["dog", "owl"], 500: ["cat", "dog"]}
    assert summary(plan) == {"x/ID.mp4": ("ID", 0.0, starts, [])}
    source = plan.videos[0].source()
    assert source["starts"] == [[0.5, ["cat", "dog"]], [30.0, ["dog", "owl"]]]
    plan = assign(["ID.mp4"], [*rows, row("ID", None, ("all",))])
    assert plan.videos[0].source()["starts"][1] == [30.0, ["dog", "owl", "all"]]
    plan = assign(["ID.mp4"], [row("ID", None, ("a", "b"))])
    assert plan.videos[0].source()["starts"] is None and plan.videos[0].labels == ["a", "b"]


def test_a_cut_file_goes_before_the_whole_and_a_path_before_names():
    plan = assign(["ID.mp4", "ID_000030.mp4"], [row("ID", 30.0), row("ID", 60.0)])
    assert summary(plan) == {
        "ID.mp4": ("ID", 0.0, {60000: ["dog"]}, []),
        "ID_000030.mp4": ("ID", 30.0, {0: ["dog"]}, []),
    }
    rows = [row("a/v.mp4", None, ("a",)), row("b/v", None, ("b",))]
    plan = assign(["a/v.mp4", "b/v.mp4", "c/v.mp4"], rows)
    assert {v.file.name: v.labels for v in plan.videos} == {"a/v.mp4": ["a"], "b/v.mp4": ["b"]}
    assert left(plan) == [("c/v.mp4", None, "not_in_table")]


def test_nothing_is_lost():
    rows = [
        row("here"),
        row("gone", 3.0),
        row("quiet", None, ("wind",)),
        row("other", None, ("wind",)),
        row("here_30"),  # the same file by its name, and cut by what the name may mean
        row("cut", 30.0),
    ]
    names = ["here.mp4", "quiet.mp4", "extra.mp4", "cut_30.mp4"]
    plan = assign(names, rows, keep={"dog"})
    assert list(summary(plan)) == ["cut_30.mp4", "here.mp4"]
    assert left(plan) == [
        ("", "gone", "missing"),
        ("quiet.mp4", "quiet", "filtered"),
        ("", "other", "filtered"),
        ("", "here_30", "missing"),
        ("extra.mp4", None, "not_in_table"),
    ]
    plan = assign(["cut_30.mp4"], [row("cut_30"), row("cut", 30.0)])
    assert summary(plan) == {"cut_30.mp4": ("cut_30", 0.0, {}, ["dog"])}
    assert left(plan) == [("cut_30.mp4", "cut", "missing")]
    assert "taken by video cut_30" in plan.left_out[0]["reason"]


def test_public_test_videos_are_in_no_other_split():
    rows = [row("a", 0.0, split="train"), row("a", 10.0, split="test"), row("b", split="train")]
    plan = assign(["a_0.mp4", "a_10.mp4", "b.mp4"], rows, config=SplitConfig(100))
    splits = {v.file.name: v.split for v in plan.videos}
    assert splits == {"a_0.mp4": "test", "a_10.mp4": "test", "b.mp4": "validation"}
    assert plan.twice == {"a"}


def test_a_file_that_cannot_be_used_is_listed():
    pipe = dataclasses.replace(files("pipe.mp4")[0], problem="is not a regular file")
    for rows in (None, [row("pipe")]):
        plan = clip_planning.assign([pipe], rows, None, CONFIG)
        assert plan.left_out[0]["status"] == "unreadable" and not plan.videos


def test_folders_are_searched_and_patterns_expanded(tmp_path):
    for name in ["b/c d/ü.mp4", "a.mp4", ".hidden", ".cache/x.mp4", "b/.y.mp4"]:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    os.symlink(tmp_path / "in", tmp_path / "in" / "b" / "circle")
    os.symlink("nowhere", tmp_path / "in" / "broken.mp4")
    os.mkfifo(tmp_path / "in" / "pipe.mp4")
    with open(os.fsencode(tmp_path / "in") + b"/\xff.mp4", "wb"):
        pass
    found = clip_files.list_inputs(str(tmp_path / "in"))
    assert {f.name: f.problem for f in found} == {
        "a.mp4": "",
        "b/c d/ü.mp4": "",
        "broken.mp4": "No such file or directory",
        "pipe.mp4": "is not a regular file",
        "\\udcff.mp4": "its name is not UTF-8: rename it",
    }
    assert [f.name for f in found] == sorted(f.name for f in found)
    found = clip_files.list_inputs(f"{tmp_path}/in/b/c?d/*.mp4,{tmp_path}/in/a.mp4")
    assert [f.name for f in found] == ["a.mp4", "b/c d/ü.mp4"]
    assert found[0].description["bytes"] == 1
    found = clip_files.list_inputs(f"{tmp_path}/in/b/c?d/*,{tmp_path}/in/b/**/*.mp4")
    assert [f.name for f in found if "circle" not in f.name] == ["c d/ü.mp4"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.mp4").write_bytes(b"x")
    found = clip_files.list_inputs(f"{tmp_path}/in/a*,{tmp_path}/other/*,{tmp_path}/in/*.mp4")
    assert [f.name for f in found if not f.problem] == ["in/a.mp4", "other/a.mp4"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("{}/no", "--input={}/no: there is no such folder or file"),
        ("{}/empty", "--input={}/empty: holds no file"),
        ("{}/*.avi", "--input={}/*.avi: no file matches"),
        ("", "--input is empty"),
    ],
)
def test_inputs_that_are_not_there_are_named(tmp_path, where, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as caught:
        clip_files.list_inputs(where.format(tmp_path))
    assert str(caught.value).startswith(message.format(tmp_path))


def test_the_output_must_not_be_input(tmp_path):
    (tmp_path / "in").mkdir()
    for output in ("in", "in/", "in/x/y"):
        with pytest.raises(UserError, match="choose a folder outside"):
            clip_files.check_output(str(tmp_path / "in"), str(tmp_path / output))
    with pytest.raises(UserError, match="choose a folder outside"):
        clip_files.check_output(f"{tmp_path}/*/*", str(tmp_path / "out"))
    clip_files.check_output(str(tmp_path / "in"), str(tmp_path / "inside"))
    clip_files.check_output(f"{tmp_path}/in/*.mp4", str(tmp_path / "in" / "out"))


@pytest.mark.parametrize(
    ("number", "asked", "expected"),
    [(3, 0, 3), (100, 0, 16), (1000, 0, 32), (40_000, 0, 1024), (10, 4, 4), (10, 40, 10)],
)
def test_files_are_dealt_out_to_shards(number, asked, expected):
    conversion = pytest.importorskip("avc.clip_conversion")
    plan = assign([f"{i:06}.mp4" for i in range(number)], None)
    made = conversion.make_plan("/out", {}, plan.videos, asked)
    assert list(made.names) == [f"train-{i:05}-of-{expected:05}.tfrecord" for i in range(expected)]
    sizes = {len(shard) for shard in made.sources}
    assert sum(map(len, made.sources)) == number and max(sizes) - min(sizes) <= 1
    assert [s["file"] for s in made.sources[1]] == [
        f"{i:06}.mp4" for i in range(1, number, expected)
    ]


def test_clips_of_their_own_length_and_picture_are_kept_apart():
    rows = [
        Row("ID", "ID", 0.0, ("a",), None, 16.0, 6.0),
        Row("ID", "ID", 0.0, ("b",), None, 17.0, 7.0),
        Row("ID", "ID", 0.0, ("c",)),
        Row("ID", "ID", 0.0, ("d",), None, 16.0, 6.0),
        Row("ID", "ID", 30.0, ("e",), None, 20.0, 40.0),
    ]
    whole, cut = files("x/ID.mp4"), files("ID_000030.mp4", "x/ID.mp4")
    (video,) = clip_planning.assign(whole, rows, None, SplitConfig()).videos
    assert video.source()["starts"] == [
        [0.0, ["c"]],
        [0.0, ["a", "d"], 16.0, 6.0],
        [0.0, ["b"], 17.0, 7.0],
        [30.0, ["e"], 20.0, 10.0],
    ]
    first, _ = clip_planning.assign(cut, rows, None, SplitConfig()).videos
    assert first.source()["starts"] == [[0.0, ["e"], 20.0, 10.0]]
