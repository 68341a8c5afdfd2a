"""Opening shards: the kind is found, and an index spares reading them again."""

import json
import os

import pytest

from crossmodal import examination, shards
from crossmodal.errors import UserError
from yt8m_embed import reading


@pytest.mark.parametrize(
    ("folder", "kind"), [("train", "video"), ("frame", "frame"), ("segment", "frame")]
)
def test_the_kind_is_read_off_the_records(testdata, folder, kind):
    found, records = reading.open_records(
        str(testdata / "yt8m" / folder / "*.tfrecord"), 3862, "pattern", progress=False
    )
    assert found == kind
    assert records.count() == {"train": 3000, "frame": 24, "segment": 6}[folder]


def test_an_index_is_used_until_a_file_changes(testdata, tmp_path, monkeypatch):
    source = (testdata / "yt8m/frame").glob("*.tfrecord")
    shard = tmp_path / "a.tfrecord"
    shard.write_bytes(next(source).read_bytes())
    index = str(tmp_path / "index.json")

    def open_again():
        return reading.open_records(
            str(shard), 3862, "pattern", "skip", progress=False, index_path=index
        )[1].count()

    assert open_again() == 24
    written = json.loads((tmp_path / "index.json").read_text())
    assert [s["num_records"] for s in written["shards"]] == [24]
    read = []
    original = examination.examine
    monkeypatch.setattr(
        shards, "examine", lambda path, *rest: read.append(path) or original(path, *rest)
    )
    assert open_again() == 24 and not read
    shard.write_bytes(shard.read_bytes()[:-5])
    assert open_again() == 23 and read == [os.fspath(shard)]


def test_patterns_without_records_end_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no file matches"):
        reading.open_records(str(tmp_path / "*.tfrecord"), 3862, "pattern")
    (tmp_path / "empty.tfrecord").write_bytes(b"")
    with pytest.raises(UserError, match="empty"):
        reading.open_records(str(tmp_path / "empty.tfrecord"), 3862, "pattern", progress=False)
