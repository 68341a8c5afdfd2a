import csv
import re

import pytest

from avc import label_tables
from avc.label_tables import Row
from crossmodal.errors import UserError

AUDIOSET = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=3
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
-0DLPzsiXXE, 0.000, 10.000, "/m/04rlf"
"""
SPEECH = Row("--PJHxphWEs", "--PJHxphWEs", 30.0, ("/m/09x0r", "/t/dd00088"))
MUSIC = Row("-0DLPzsiXXE", "-0DLPzsiXXE", 0.0, ("/m/04rlf",))


def table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (AUDIOSET, [SPEECH, MUSIC]),
        ("\n".join(AUDIOSET.splitlines()[3:]), [SPEECH, MUSIC]),  # without its comments
        (
            '---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,30,"alligators, hissing",train\n',
            [
                Row("---g-f_I2yQ", "---g-f_I2yQ", 1.0, ("people marching",), "test"),
                Row("--0PQM4-hqg", "--0PQM4-hqg", 30.0, ("alligators, hissing",), "train"),
            ],
        ),
        (
            'glLQrEijrKg_000300.mp4,playing hammond organ\nA_B_C-D_E_F_000049.mp4,"heart, beat"\n',
            [
                Row("glLQrEijrKg", "glLQrEijrKg", 300.0, ("playing hammond organ",)),
                Row("A_B_C-D_E_F", "A_B_C-D_E_F", 49.0, ("heart, beat",)),
            ],
        ),
        (
            '\ufeffclip,start_seconds,labels\r\na b/ünï.mp4,2.5,"dog; cat, big ;"\r\n\r\nv.2,,\r\n',
            [
                Row("a b/ünï.mp4", "ünï", 2.5, ("dog", "cat, big")),
                Row("v.2", "v.2", None, ()),
            ],
        ),
        (
            "split,clip\ntest,x.MOV\n,y\n",
            [
                Row("x.MOV", "x", None, (), "test"),
                Row("y", "y", None, ()),
            ],
        ),
    ],
)
def test_forms_are_told_by_their_contents(tmp_path, text, rows):
    assert label_tables.read(table(tmp_path, text)) == rows


def test_a_split_from_outside_goes_before_the_table(tmp_path):
    assert {row.split for row in label_tables.read(table(tmp_path, AUDIOSET), "test")} == {"test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("clip,labels\n", "holds no rows"),
        ("# YTID, start_seconds\n", "holds no rows"),
        ("<!DOCTYPE html>\n<html>\n", "line 1: is of no form"),
        ("name,label\na,b\n", "line 1: is of no form"),
        ("clip,colour\na,b\n", "line 1: the header is clip,colour"),
        ("clip,clip\na,b\n", "line 1: the header is clip,clip"),
        ("clip,labels\na,b\na,b,c\n", "line 3: has 3 columns, not 2"),
        ("clip,labels\n,b\n", "line 2: clip is empty"),
        ("clip,start_seconds\na,soon\n", "line 2: 'soon' is not a time in seconds"),
        ("clip,start_seconds\na,-1\n", "line 2: '-1' is not a time"),
        ("clip,start_seconds\na,nan\n", "line 2: 'nan' is not a time"),
        ("clip,split\na,dev\n", "line 2: split 'dev' is neither"),
        (AUDIOSET + "x, 1, 2\n", "line 6: has 3 columns, not 4"),
        (AUDIOSET + 'x, 1, 2, "/m/0\n', "line 6: "),
        ("a_000001.mp4,b\nc.mp4,d\n", "line 2: 'c.mp4' is not a file such as"),
        ("v,1,dog,train\nw,1,dog,valid\n", "line 2: split 'valid'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(UserError, match=rf"^{re.escape(path)}: .*{re.escape(message)}") as caught:
        label_tables.read(path)
    assert "\n" not in str(caught.value)


def test_a_missing_table_and_a_picture_are_one_line(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        label_tables.read(str(tmp_path / "nowhere.csv"))
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\xff\xd8\xff\xe0" * 10)
    with pytest.raises(UserError, match="is not a text file"):
        label_tables.read(str(path))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/b.c/ID.mp4", "ID"),
        ("v1.2", "v1.2"),
        ("x.MKV", "x"),
        (".mp4", ".mp4"),
        ("a.txt", "a.txt"),
    ],
)
def test_names_of_videos_have_no_folder_and_no_suffix(file, name):
    assert label_tables.video_name(file) == name


@pytest.mark.real_data
def test_real_tables_are_read_whole(real_data):
    audioset = label_tables.read(str(real_data / "metadata" / "balanced_train_segments.csv"))
    assert len(audioset) == 22160 and sum(len(row.labels) for row in audioset) == 52882
    assert len({label for row in audioset for label in row.labels}) == 527
    path = real_data / "metadata" / "vggsound_test.csv"
    vggsound = label_tables.read(str(path))
    names = [f"{row.video}_{row.start_seconds:06.0f}.mp4,{row.labels[0]}" for row in vggsound]
    with open(path, newline="") as file:
        assert names == [",".join(cells) for cells in csv.reader(file)]
    assert len({row.labels for row in vggsound}) > 300


def test_rows_may_say_how_long_a_clip_is_and_which_picture_it_has(tmp_path):
    (tmp_path / "t.csv").write_text(
        "clip,start_seconds,seconds,frame_seconds,labels\nv,2.5,20,12.5,fig\nw,3,,4,\nx,3,1,,\n"
    )
    found = label_tables.read(str(tmp_path / "t.csv"))
    assert found == [
        Row("v", "v", 2.5, ("fig",), None, 20.0, 12.5),
        Row("w", "w", 3.0, (), None, None, 4.0),
        Row("x", "x", 3.0, (), None, 1.0, None),
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (",20,", "has seconds or frame_seconds, but no start_seconds"),
        ("2,0,", "seconds is 0"),
        ("2,20,1", "frame_seconds 1 is before start_seconds 2"),
        ("2,20,22", "frame_seconds 22 is after the clip's end"),
        ("2,a,", "'a' is not a time"),
    ],
)
def test_a_clip_that_cannot_be_is_one_line(tmp_path, cells, message):
    (tmp_path / "t.csv").write_text(f"clip,start_seconds,seconds,frame_seconds\nv,{cells}\n")
    with pytest.raises(UserError, match=f"line 2: {message}"):
        label_tables.read(str(tmp_path / "t.csv"))
