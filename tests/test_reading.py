"""The read phase: order, salvage, parts by id, and arrays in memory."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tiny_shards import labels_of, numbers_of, open_shards, write_damaged, write_shards

from crossmodal import shards
from crossmodal.errors import UserError
from crossmodal.reading import Holdout, Records, blocks, load_arrays
from crossmodal.schema import Feature, Schema
from yt8m_embed import records as kinds

SIZES = (20, 1, 33, 5, 8, 13, 2)
UNLIKELY = 1e-6  # the chance that a sound split or order fails one of these tests


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(Schema, "block_size", 8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Records:
    return open_shards(write_shards(tmp_path_factory.mktemp("tiny"), SIZES))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> tuple[Records, list[int]]:
    return write_damaged(tmp_path_factory.mktemp("damaged"))


def read(records: Records, parse: bool = True) -> list[int]:
    """The numbers of all records, in the order they are handed out."""
    stream = blocks(records, parse).as_numpy_iterator()
    if parse:
        return [n for block in stream for n in numbers_of(block["id"])]
    examples = [tf.train.Example.FromString(s) for block in stream for s in block]
    return numbers_of([e.features.feature["id"].bytes_list.value[0] for e in examples])


@pytest.mark.parametrize("parse", [True, False])
def test_files_are_handed_out_whole_and_in_order(tiny, parse):
    assert read(tiny, parse) == list(range(sum(SIZES)))


def test_no_block_spans_files_or_outgrows_its_size(tiny):
    sizes = [len(block["x"]) for block in blocks(tiny, parse=True).as_numpy_iterator()]
    assert sizes == [8, 8, 4, 1, 8, 8, 8, 8, 1, 5, 8, 8, 5, 2]


@pytest.mark.parametrize("parse", [True, False])
def test_damage_costs_the_damaged_records_only(damaged, parse):
    records, good = damaged
    assert sum(len(shard.damage) for shard in records.shards) == 5
    assert read(records, parse) == good
    assert records.count() == len(good)


def test_a_file_without_a_good_record_leaves_no_gap(tmp_path):
    paths = write_shards(tmp_path, (4, 3, 5), bad=(4, 5, 6))
    records = open_shards(paths, "skip")
    assert read(records) == [0, 1, 2, 3, 7, 8, 9, 10, 11]
    assert read(records.within(Holdout(50))) == sorted(
        {0, 1, 2, 3, 7, 8, 9, 10, 11} - set(read(records.within(Holdout(50, True))))
    )


# --- parts by id


def fingerprint(text: bytes) -> int:
    """FarmHash's Fingerprint64 of 8 to 16 bytes, as its authors define it."""
    mask, k2 = (1 << 64) - 1, 0x9AE16A3B2F90404F

    def rotate(value: int, shift: int) -> int:
        return (value >> shift | value << (64 - shift)) & mask

    multiplier = k2 + 2 * len(text)
    a = (int.from_bytes(text[:8], "little") + k2) & mask
    b = int.from_bytes(text[-8:], "little")
    u = (rotate(b, 37) * multiplier + a) & mask
    v = ((rotate(a, 25) + b) & mask) * multiplier & mask
    a = ((u ^ v) * multiplier) & mask
    b = ((v ^ a ^ a >> 47) * multiplier) & mask
    return ((b ^ b >> 47) * multiplier) & mask


def ids(count: int) -> tf.Tensor:
    return tf.constant([b"video%06d" % i for i in range(count)])


def test_the_part_of_an_id_is_that_of_its_published_digest():
    expected = [fingerprint(b"salt" + i) % 100 < 30 for i in ids(500).numpy()]
    assert Holdout(30, True, "salt").keep(ids(500)).numpy().tolist() == expected


@pytest.mark.parametrize("percent", [0, 1, 10, 50, 100])
def test_the_two_parts_are_disjoint_complete_and_of_their_size(percent):
    held_out = Holdout(percent, True).keep(ids(20_000)).numpy()
    rest = Holdout(percent, False).keep(ids(20_000)).numpy()
    assert (held_out != rest).all()
    low, high = stats.binom.ppf([UNLIKELY / 2, 1 - UNLIKELY / 2], 20_000, percent / 100)
    assert low <= held_out.sum() <= high


def test_another_salt_splits_independently():
    one, other = (Holdout(30, True, salt).keep(ids(20_000)).numpy() for salt in ("", "b"))
    table = [[np.sum((one == a) & (other == b)) for a in (0, 1)] for b in (0, 1)]
    assert stats.chi2_contingency(table).pvalue > UNLIKELY


@pytest.mark.parametrize("parse", [True, False])
def test_parts_of_files_are_disjoint_complete_and_in_order(tiny, parse):
    held_out = read(tiny.within(Holdout(30, True)), parse)
    rest = read(tiny.within(Holdout(30, False)), parse)
    assert held_out == sorted(held_out) and rest == sorted(rest)
    assert sorted(held_out + rest) == list(range(sum(SIZES)))
    assert held_out and rest


def test_a_record_keeps_its_part_whatever_file_it_lies_in(tiny, tmp_path):
    backwards = reversed(range(sum(SIZES)))
    other = open_shards(write_shards(tmp_path, (50, sum(SIZES) - 50), backwards))
    part = Holdout(30, True)
    assert sorted(read(other.within(part))) == read(tiny.within(part))


def test_several_parts_intersect(tiny):
    first, second = Holdout(50), Holdout(50, True, "second")
    both = read(tiny.within(first).within(second))
    assert set(both) == set(read(tiny.within(first))) & set(read(tiny.within(second)))
    assert 0 < len(both) < len(read(tiny.within(first)))


def test_count_is_the_number_read(tiny, damaged):
    for records in (tiny, damaged[0]):
        for part in (records, records.within(Holdout(30)), records.within(Holdout(100))):
            assert part.count() == len(read(part))


def test_workers_share_the_shards(tiny):
    parts = [tiny.part(worker, 3).shards for worker in range(3)]
    assert sorted(s.path for part in parts for s in part) == [s.path for s in tiny.shards]


# --- arrays in memory


def test_arrays_hold_what_was_written(tiny):
    arrays = load_arrays(tiny)
    assert {name: a.dtype for name, a in arrays.items()} == {
        "id": object,
        "labels": np.int64,
        "x": np.float16,
    }
    for n in range(sum(SIZES)):
        assert arrays["id"][n] == b"v%05d" % n
        assert arrays["labels"][n].tolist() == (labels_of(n) + [-1, -1, -1])[:3]
        assert arrays["x"][n].tolist() == [np.float16(np.float32(n / 3)), np.float16(-n)]


def test_arrays_of_a_part_and_of_some_features(damaged):
    records, good = damaged
    part = Holdout(30, True)
    arrays = load_arrays(records.within(part), ("id", "labels"))
    assert set(arrays) == {"id", "labels"}
    kept = part.keep(tf.constant([b"v%05d" % n for n in good])).numpy()
    assert numbers_of(arrays["id"]) == [n for n, k in zip(good, kept, strict=True) if k]


def test_labels_narrower_in_one_block_than_in_another_are_padded(tmp_path):
    # Blocks of 8 without, with one and with three labels.
    numbers = [4 * i + labels for labels in (0, 1, 3) for i in range(8)]
    labels = load_arrays(open_shards(write_shards(tmp_path, (24,), numbers)))["labels"]
    assert labels.tolist() == [[-1, -1, -1]] * 8 + [[0, -1, -1]] * 8 + [[0, 1, 2]] * 8


@pytest.fixture(scope="module")
def frames(testdata) -> Records:
    schema = kinds.frame_level()
    path = str(testdata / "yt8m/frame/train0000.tfrecord")
    return Records(shards.index_shards([path], schema, progress=False), schema)


def test_frames_are_padded_with_zeros(frames):
    arrays = load_arrays(frames)
    stream = tf.data.TFRecordDataset(frames.shards[0].path).as_numpy_iterator()
    written = [tf.train.SequenceExample.FromString(s).feature_lists.feature_list for s in stream]
    longest = max(len(lists["rgb"].feature) for lists in written)
    assert arrays["rgb"].shape == (len(written), longest, 1024)
    assert arrays["rgb"].dtype == arrays["audio"].dtype == np.uint8
    for i, lists in enumerate(written):
        for name in ("rgb", "audio"):
            rows = [entry.bytes_list.value[0] for entry in lists[name].feature]
            assert arrays["num_frames"][i] == len(rows)
            assert arrays[name][i].tobytes().startswith(b"".join(rows))
            assert not arrays[name][i, len(rows) :].any()


def test_frames_are_parsed_in_smaller_blocks(frames, monkeypatch):
    monkeypatch.undo()
    pictures = Schema((Feature("pictures", "bytes", required=False, count="num_pictures"),))
    assert pictures.block_size < frames.schema.block_size < kinds.video_level(10).block_size
    assert [len(b["rgb"]) for b in blocks(frames, parse=True)] == [24]


def test_values_too_large_for_memory_are_not_made_infinite(tmp_path):
    records = open_shards(write_shards(tmp_path, (2,), [65504, 65520]))
    with pytest.raises(UserError, match=r"feature x .*65520.*--cache=none") as caught:
        load_arrays(records)
    assert "\n" not in str(caught.value)
    largest = open_shards(write_shards(tmp_path / "largest", (1,), [65504]))
    assert load_arrays(largest)["x"][0, 1] == -65504


def test_an_empty_part_is_one_clear_line(tiny):
    with pytest.raises(UserError, match=r"no record of .*00.tfrecord") as caught:
        load_arrays(tiny.within(Holdout(0, True)))
    assert "\n" not in str(caught.value)
