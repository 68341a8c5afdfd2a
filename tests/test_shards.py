"""The index of shards: what it keeps, what it names, what it never loses."""

import contextlib
import gzip
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from crossmodal import examination, shards, tfrecord
from crossmodal.errors import BadRecordError, UserError
from crossmodal.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("id", "bytes", keys=("id", "video_id")),
        Feature("labels", "ints", required=False, limit=10),
        Feature("mean", "floats", 4),
    )
)


def record(i: int, labels=(3,), mean=(1.0, 2.0, 3.0, 4.0)) -> bytes:
    """A record by hand, which may break SCHEMA's rules."""
    features = {
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%03d" % i])),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
        "mean": tf.train.Feature(float_list=tf.train.FloatList(value=mean)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(
        deterministic=True
    )


SIZE = len(record(0)) + 16  # bytes of a record in a file


@pytest.fixture
def write(tmp_path):
    def write(name: str, payloads: list[bytes], flips: tuple[int, ...] = ()) -> str:
        data = bytearray(b"".join(map(tfrecord.frame, payloads)))
        for place in flips:
            data[place] ^= 1
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def index(files, on_bad_record="skip", **options) -> tuple[shards.Shard, ...]:
    return shards.index_shards(files, SCHEMA, on_bad_record, progress=False, **options)


def kept(path: str) -> list[int]:
    """The numbers of the records that are left, by an independent parser."""
    examples = map(tf.train.Example.FromString, shards.read_good_records(path, SCHEMA))
    return [int(e.features.feature["id"].bytes_list.value[0]) for e in examples]


@pytest.fixture(params=["read", "mapped"])
def reading(request, monkeypatch):
    if request.param == "mapped":
        monkeypatch.setattr(examination, "MAPPED_BYTES", 1)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("mode", ["fail", "skip"])
def test_clean_files_are_counted_as_tensorflow_counts_them(write, mode):
    files = [write(f"s{n}", [record(i) for i in range(n)]) for n in (1, 7, 600)]
    found = index(files, mode)
    counts = [sum(1 for _ in tf.data.TFRecordDataset(path)) for path in files]
    assert [shard.num_records for shard in found] == counts == [1, 7, 600]
    assert [shard.path for shard in found] == files
    assert all(shard.clean for shard in found)


@pytest.mark.parametrize(
    ("flip", "reason"),
    [(4, "length does not match"), (20, "data does not match")],
)
def test_fail_names_file_record_and_byte_in_one_line(write, flip, reason):
    good = write("good", [record(i) for i in range(5)])
    bad = write("bad", [record(i) for i in range(20)], flips=(17 * SIZE + flip,))
    with pytest.raises(BadRecordError) as error:
        index([good, bad], "fail")
    message = str(error.value)
    assert message.startswith(f"{bad}: record 17 (byte {17 * SIZE}): ")
    assert reason in message
    assert "--on_bad_record=skip" in message
    assert "\n" not in message


@pytest.mark.parametrize("mode", ["fail", "skip"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"id,label\n" + b"abcd,12\n" * 100, "a text file, such as CSV"),
        (b"id,name\n1," + "ä".encode() * 300, "a text file, such as CSV"),
        (b"\n <!DOCTYPE HTML>\n<html><body>404</body></html>", "an HTML page"),
        (b"<html><body>Sign in</body></html>" * 50, "an HTML page"),
        (gzip.compress(tfrecord.frame(record(0)) * 20), "decompress it first"),
        (np.random.default_rng(0).bytes(3000), "checksum of the record's length"),
    ],
)
def test_file_that_is_no_tfrecord_is_named_for_what_it_is(tmp_path, content, reason, mode):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadRecordError) as error:
        index([str(path)], mode)
    assert f"{path}: record 0 (byte 0): " in str(error.value)
    assert reason in str(error.value)


def test_skip_leaves_out_a_file_without_records_and_reports_it(tmp_path, write):
    (tmp_path / "page").write_text("<html></html>")
    good = write("good", [record(i) for i in range(5)])
    found = index([str(tmp_path / "page"), good])
    assert [shard.num_records for shard in found] == [0, 5]
    assert not found[0].clean
    assert kept(str(tmp_path / "page")) == []
    assert f"{tmp_path / 'page'}: record 0" in shards.describe_damage(found)


def test_missing_file_is_one_line(tmp_path):
    for mode in ("fail", "skip"):
        with pytest.raises(UserError, match="nothing-here"):
            index([str(tmp_path / "nothing-here")], mode)
    with pytest.raises(UserError, match="nothing-here"):
        shards.diagnose([str(tmp_path / "nothing-here")], SCHEMA)
    for missing in ("nothing-here", "file:///nothing-here"):
        with pytest.raises(UserError, match="nothing-here"):
            list(shards.read_good_records(missing, None))
    with pytest.raises(UserError, match="on_bad_record=ignore"):
        index([], "ignore")


def test_paths_with_a_scheme_go_through_gfile(write):
    path = write("shard", [record(i) for i in range(5)], flips=(SIZE + 20,))
    (shard,) = index([f"file://{path}"])
    assert (shard.num_records, len(shard.damage)) == (4, 1)
    assert kept(f"file://{path}") == [0, 2, 3, 4]


def bad_contents() -> list[bytes]:
    payloads = [record(i) for i in range(1200)]
    payloads[3] = record(3, labels=(10,))
    payloads[4] = record(4, mean=(1, 2, 3))
    payloads[600] = record(600, mean=(1, 2, np.nan, 4))
    payloads[601] = b"\xff\xff\xff not an example"
    payloads[1199] = record(1199, labels=(-1,))
    return payloads


REASONS = {
    3: "label 10 is outside [0, 10)",
    4: "feature mean has 3 values, expected 4",
    600: "feature mean has a NaN or Inf at position 2",
    601: "not a tf.train.Example",
    1199: "label -1 is outside [0, 10)",
}


def test_skip_leaves_out_bad_contents_and_nothing_else(write):
    path = write("shard", bad_contents())
    (shard,) = index([path])
    assert {d.index: d.reason for d in shard.damage} == REASONS
    assert shard.num_records == 1195
    assert kept(path) == [i for i in range(1200) if i not in REASONS]
    good = tf.constant(list(shards.read_good_records(path, SCHEMA)))
    assert SCHEMA.parse(good)["mean"].shape == (1195, 4)


@pytest.mark.usefixtures("reading")
def test_skip_counts_bad_contents_and_broken_framing_together(write):
    payloads = [record(i) for i in range(10)]
    payloads[6] = record(6, labels=(12,))
    path = write("shard", payloads, flips=(2 * SIZE + 20, 3 * SIZE + 20, 8 * SIZE + 1))
    (shard,) = index([path])
    assert [d.index for d in shard.damage] == [2, 3, 6, 8]
    assert [d.offset for d in shard.damage] == [SIZE * i for i in (2, 3, 6, 8)]
    assert shard.num_records == 6
    assert kept(path) == [0, 1, 4, 5, 7, 9]
    report = shards.describe_damage([shard])
    assert report.splitlines()[0] == "left out 4 bad records of 1 files, 6 records kept"
    assert f"{path}: record 6 (byte {6 * SIZE}, {SIZE} bytes left out): label 12" in report
    assert len(report.splitlines()) == 5


def test_fail_looks_at_checksums_and_diagnose_at_contents(write):
    clean = write("clean", [record(i) for i in range(5)])
    path = write("shard", bad_contents())
    assert [s.num_records for s in index([clean, path], "fail")] == [5, 1200]
    error = shards.diagnose([clean, path], SCHEMA)
    assert isinstance(error, BadRecordError)
    assert str(error).startswith(f"{path}: record 3 (byte {3 * SIZE}): label 10 is outside")
    assert shards.diagnose([clean], SCHEMA) is None


def test_diagnose_names_damage_that_came_later(write):
    path = write("shard", [record(i) for i in range(5)])
    assert index([path], "fail")[0].clean
    write("shard", [record(i) for i in range(5)], flips=(SIZE + 20,))
    assert "record 1 (byte" in str(shards.diagnose([path], SCHEMA))


def test_record_that_only_the_graph_refuses_is_left_out(write, monkeypatch):
    path = write("shard", bad_contents())
    monkeypatch.setattr(Schema, "problem", lambda *_: None)
    (shard,) = index([path])
    assert [d.index for d in shard.damage] == list(REASONS)
    assert all("cannot be parsed" in d.reason for d in shard.damage)


def test_header_with_an_absurd_length_never_reaches_tensorflow(tmp_path):
    # TensorFlow's own reader reserves the declared length and takes the process with it.
    field = (2**60).to_bytes(8, "little")
    header = field + tfrecord.masked_crc32c(field).to_bytes(4, "little")
    framed = [tfrecord.frame(record(i)) for i in range(3)]
    (tmp_path / "shard").write_bytes(framed[0] + header + framed[1] + framed[2])
    (shard,) = index([str(tmp_path / "shard")])
    assert not shard.clean
    assert kept(shard.path) == [0, 1, 2]
    with pytest.raises(BadRecordError, match=r"record 1 .*cut off"):
        index([shard.path], "fail")


def test_clean_means_that_tensorflow_reads_it_to_the_end(write, tmp_path):
    """Few dozen seeded corruptions, from the file to the parsed features."""
    payloads = [record(i, mean=(i, 2 * i, 3 * i, 4 * i)) for i in range(40)]
    data = b"".join(map(tfrecord.frame, payloads))
    damaged_files = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        start, run = (int(n) for n in (rng.integers(len(data)), rng.integers(1, 3 * SIZE)))
        kind = rng.choice(["flip", "cut", "insert", "delete", "zero", "none"])
        changed = {
            "flip": data[:start] + bytes([data[start] ^ 1 << rng.integers(8)]) + data[start + 1 :],
            "cut": data[: max(start, SIZE)],
            "insert": data[:start] + rng.bytes(run) + data[start:],
            "delete": data[:start] + data[start + run :],
            "zero": data[:start] + bytes(len(data[start : start + run])) + data[start + run :],
            "none": data,
        }[kind]
        path = tmp_path / f"shard{seed}"
        path.write_bytes(changed)
        (shard,) = index([str(path)])
        numbers = kept(str(path))
        assert shard.num_records == len(numbers)
        # Records that do not touch the damaged stretch are all there.
        last = len(data) if kind == "cut" else start + (run if kind in ("delete", "zero") else 1)
        first_hit, next_whole = (
            (start if kind != "cut" else max(start, SIZE)) // SIZE,
            -(-last // SIZE),
        )
        if kind == "none":
            assert numbers == list(range(40))
        else:
            untouched = [i for i in range(40) if i < first_hit or i >= next_whole]
            assert set(untouched) <= set(numbers)
        batch = SCHEMA.parse(tf.constant(list(shards.read_good_records(str(path), SCHEMA))))
        assert batch["mean"].numpy().tolist() == [[i, 2 * i, 3 * i, 4 * i] for i in numbers]
        by_tensorflow = []
        with contextlib.suppress(tf.errors.OpError):
            for payload in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                by_tensorflow.append(payload)
        assert shard.clean == (b"".join(map(tfrecord.frame, by_tensorflow)) == changed)
        damaged_files += not shard.clean
    assert 20 < damaged_files < 40


def test_index_survives_json_and_spares_unchanged_files(write, monkeypatch):
    files = [write("a", [record(0)]), write("b", bad_contents()), write("c", [record(2)])]
    found = index(files)
    known = shards.from_dict(json.loads(json.dumps(shards.to_dict(found))))
    assert known == found
    write("c", [record(2), record(3)])
    read = []
    examine = shards.examine
    monkeypatch.setattr(shards, "examine", lambda path, s: read.append(path) or examine(path, s))
    again = index(files, known=known)
    assert read == [files[2]]
    assert again[:2] == found[:2]
    assert again[2].num_records == 2
    # The same size but another time of change.
    os.utime(files[0], ns=(1, 1))
    index(files[:1], known=known)
    assert read == [files[2], files[0]]


def test_index_is_not_taken_over_where_less_was_checked(write):
    path = write("shard", bad_contents())
    by_checksums = index([path], "fail")
    assert index([path], "skip", known=by_checksums)[0].num_records == 1195
    skipped = index([path], "skip")
    wider = Schema((*SCHEMA.features[:1], Feature("labels", "ints", required=False, limit=99)))
    (shard,) = shards.index_shards([path], wider, "skip", progress=False, known=skipped)
    assert 3 not in [d.index for d in shard.damage]
    broken = write("broken", [record(0), record(1)], flips=(20,))
    with pytest.raises(BadRecordError, match="record 0"):
        index([broken], "fail", known=index([broken], "skip"))


def test_what_is_no_index_is_one_line():
    for values in ({}, {"shards": [{"path": "a"}]}, {"shards": 5}):
        with pytest.raises(UserError, match="not an index of shards"):
            shards.from_dict(values)


def test_progress_bar_is_shown_unless_turned_off(write, capsys):
    path = write("shard", [record(0)])
    index([path])
    assert capsys.readouterr().err == ""
    shards.index_shards([path], SCHEMA)
    assert "1/1" in capsys.readouterr().err


@pytest.mark.real_data
def test_real_shards_are_clean(real_data):
    from yt8m_embed import records

    files = sorted(map(str, (real_data / "yt8m" / "dev").glob("*.tfrecord")))[:5]
    found = shards.index_shards(files, records.video_level(), "skip", progress=False)
    assert all(shard.clean for shard in found)
    counts = [sum(1 for _ in tf.data.TFRecordDataset(path)) for path in files]
    assert [shard.num_records for shard in found] == counts
