"""Framing against TensorFlow's reader and writer, salvage against seeded damage."""

import contextlib
import time
import tracemalloc

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf

from crossmodal import tfrecord
from crossmodal.errors import UserError

NUM_CORRUPTIONS = 1000


def make_payloads(seed: int, count: int = 30, longest: int = 200) -> list[bytes]:
    rng = np.random.default_rng(seed)
    # The index makes payloads differ, so that a salvaged one has one origin only.
    return [b"%d:" % i + rng.bytes(int(rng.integers(longest))) for i in range(count)]


def shard_of(payloads: list[bytes]) -> bytes:
    return b"".join(tfrecord.frame(payload) for payload in payloads)


def salvaged(data: bytes) -> list[bytes]:
    return [data[offset : offset + n] for offset, n in tfrecord.salvage(data)[0]]


def read_by_tensorflow(path) -> list[bytes]:
    """All records up to the first error."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    found = []
    with contextlib.suppress(tf.errors.OpError):
        for record in records:
            found.append(record)
    return found


def salvage_slowly(data: bytes) -> list[bytes]:
    """The rule in its plainest form: try every offset, one after the other."""

    def masked(part):
        crc = google_crc32c.value(part)
        return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32).to_bytes(4, "little")

    found, offset = [], 0
    while offset + 16 <= len(data):
        length = int.from_bytes(data[offset : offset + 8], "little")
        end = offset + 12 + length
        if (
            masked(data[offset : offset + 8]) == data[offset + 8 : offset + 12]
            and end + 4 <= len(data)
            and masked(data[offset + 12 : end]) == data[end : end + 4]
        ):
            found.append(data[offset + 12 : end])
            offset = end + 4
        else:
            offset += 1
    return found


def test_checksum_of_published_vectors():
    # RFC 3720, B.4, before masking: 32 zero bytes, 32 bytes of ones, ascending bytes.
    def unmasked(data):
        rotated = (tfrecord.masked_crc32c(data) - 0xA282EAD8) % 2**32
        return ((rotated >> 17) | (rotated << 15)) % 2**32

    assert unmasked(bytes(32)) == 0x8A9136AA
    assert unmasked(b"\xff" * 32) == 0x62A8AB43
    assert unmasked(bytes(range(32))) == 0x46DD794E


def test_frame_equals_tensorflow_writer(tmp_path):
    payloads = [b"", *make_payloads(1)]
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        for payload in payloads:
            writer.write(payload)
    assert (tmp_path / "a").read_bytes() == shard_of(payloads)


def test_write_records_is_read_by_tensorflow(tmp_path):
    payloads = make_payloads(2)
    path = tmp_path / "new" / "shard.tfrecord"
    assert tfrecord.write_records(str(path), iter(payloads)) == len(payloads)
    assert read_by_tensorflow(path) == payloads


def test_write_records_leaves_nothing_half_written(tmp_path):
    def failing():
        yield b"first"
        raise UserError("no second")

    with pytest.raises(UserError, match="no second"):
        tfrecord.write_records(str(tmp_path / "shard"), failing())
    assert list(tmp_path.iterdir()) == []


def test_write_records_to_impossible_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        tfrecord.write_records(str(tmp_path / "file" / "shard"), [b"a"])


def test_clean_shard_has_all_records_and_no_damage():
    payloads = [b"", *make_payloads(3), b""]
    data = shard_of(payloads)
    assert salvaged(data) == payloads
    assert tfrecord.salvage(data)[1] == []
    assert tfrecord.salvage(b"") == ([], [])


@pytest.mark.parametrize(
    ("place", "reason"),
    [(0, "checksum of the record's length"), (9, "checksum of the record's length")]
    + [(12, "checksum of the record's data"), (30, "checksum of the record's data")],
)
def test_flipped_bit_loses_one_record_and_says_which(place, reason):
    payloads = [bytes([65 + i]) * 20 for i in range(5)]
    data = bytearray(shard_of(payloads))
    data[2 * 36 + place] ^= 8
    good, damage = tfrecord.salvage(bytes(data))
    assert [bytes(data[o : o + n]) for o, n in good] == payloads[:2] + payloads[3:]
    assert [(d.index, d.offset, d.length) for d in damage] == [(2, 72, 36)]
    assert reason in damage[0].reason


def test_every_truncation_keeps_the_whole_records():
    payloads = make_payloads(4, count=6, longest=30)
    data = shard_of(payloads)
    ends = np.cumsum([len(p) + 16 for p in payloads]).tolist()
    for length in range(len(data)):
        whole = sum(end <= length for end in ends)
        cut = data[:length]
        _, damage = tfrecord.salvage(cut)
        assert salvaged(cut) == payloads[:whole]
        if length in [0, *ends]:
            assert damage == []
        else:
            begin = ends[whole - 1] if whole else 0
            assert [(d.index, d.offset, d.length) for d in damage] == [
                (whole, begin, length - begin)
            ]
            assert "cut off" in damage[0].reason


def test_neighbouring_bad_records_are_told_apart():
    payloads = [bytes([65 + i]) * 20 for i in range(6)]
    data = bytearray(shard_of(payloads))
    for record in (1, 2, 4):
        data[36 * record + 15] ^= 1
    _, damage = tfrecord.salvage(bytes(data))
    assert [(d.index, d.offset, d.length) for d in damage] == [
        (1, 36, 36),
        (2, 72, 36),
        (4, 144, 36),
    ]


@pytest.mark.parametrize("length", [-7, -1, 1, 7, 40])
def test_inserted_or_deleted_bytes_are_one_bad_record(length):
    payloads = [bytes([65 + i]) * 20 for i in range(6)]
    data = shard_of(payloads)
    place = 2 * 36 + 20
    changed = data[:place] + bytes(max(length, 0)) + data[place - min(length, 0) :]
    assert salvaged(changed) == payloads[:2] + payloads[3:]
    _, damage = tfrecord.salvage(changed)
    assert [(d.index, d.offset, d.length) for d in damage] == [(2, 72, 36 + length)]


def test_stretches_of_damage_and_records_cover_the_file():
    rng = np.random.default_rng(5)
    for _ in range(50):
        data, _ = corrupt(shard_of(make_payloads(5)), rng)
        good, damage = tfrecord.salvage(data)
        parts = [(o - 12, n + 16) for o, n in good] + [(d.offset, d.length) for d in damage]
        end = 0
        for offset, length in sorted(parts):
            assert offset == end
            end += length
        assert end == len(data)
        offsets = sorted([o - 12 for o, _ in good] + [d.offset for d in damage])
        assert all(offsets.index(d.offset) == d.index for d in damage)


@pytest.mark.parametrize("length", [2**60, 2**40, 2**63, 2**64 - 1, 2**64 - 12])
def test_huge_length_with_a_valid_checksum_takes_no_memory(length):
    field = length.to_bytes(8, "little")
    header = field + tfrecord.masked_crc32c(field).to_bytes(4, "little")
    data = tfrecord.frame(b"before") + header + bytes(100) + tfrecord.frame(b"after")
    tracemalloc.start()
    found = salvaged(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [b"before", b"after"]
    assert peak < 1 << 20
    assert f"{length} bytes" in tfrecord.salvage(data)[1][0].reason


def test_record_is_found_at_any_offset_also_across_scanned_steps():
    # The scan goes on in steps of 64 KiB, 128 KiB, ...: place a record around their seams.
    record = tfrecord.frame(b"found me")
    noise = np.random.default_rng(6).bytes(1 << 18)
    seams = [1 + (1 << 16), 1 + (1 << 16) + (1 << 17)]
    for seam in seams:
        for place in range(seam - 26, seam + 3):
            good, _ = tfrecord.salvage(noise[:place] + record + noise[:50])
            assert good == [(place + 12, 8)]
    # And as the very last bytes of the file.
    for place in range(1, 40):
        assert salvaged(noise[:place] + record) == [b"found me"]


def test_resynchronising_a_shard_takes_well_under_a_second():
    for junk in (bytes(5_000_000), np.random.default_rng(7).bytes(5_000_000)):
        started = time.process_time()
        assert salvaged(junk + tfrecord.frame(b"end")) == [b"end"]
        assert time.process_time() - started < 1.0


def corrupt(data: bytes, rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """Damages a shard.

    Returns:
      The damaged bytes and, for each, the place it had before; -1 where it is new.
    """
    octets, origin = np.frombuffer(data, np.uint8).copy(), np.arange(len(data))
    for _ in range(rng.integers(1, 4)):
        kind = rng.choice(["flip", "cut", "insert", "delete", "zero"])
        start = int(rng.integers(len(octets)))
        run = int(rng.integers(1, 400))
        if kind == "flip":
            octets[start] ^= 1 << rng.integers(8)
            origin[start] = -1
        elif kind == "cut":
            octets, origin = octets[: start + 1], origin[: start + 1]
        elif kind == "insert":
            fresh = np.frombuffer(rng.bytes(run), np.uint8)
            octets = np.concatenate([octets[:start], fresh, octets[start:]])
            origin = np.concatenate([origin[:start], np.full(run, -1), origin[start:]])
        elif kind == "delete" and len(octets) > run:
            octets = np.delete(octets, np.s_[start : start + run])
            origin = np.delete(origin, np.s_[start : start + run])
        elif kind == "zero":
            changed = np.flatnonzero(octets[start : start + run]) + start
            octets[changed], origin[changed] = 0, -1
    return octets.tobytes(), origin


def undamaged(payloads: list[bytes], origin: np.ndarray) -> list[int]:
    """The records whose bytes have all survived, side by side."""
    place = {int(old): new for new, old in enumerate(origin) if old >= 0}
    whole, start = [], 0
    for i, payload in enumerate(payloads):
        length = len(payload) + 16
        first = place.get(start)
        if first is not None and np.array_equal(
            origin[first : first + length], np.arange(start, start + length)
        ):
            whole.append(i)
        start += length
    return whole


def test_a_thousand_corruptions_lose_only_what_is_damaged(tmp_path):
    payloads = make_payloads(8)
    data, index = shard_of(payloads), {p: i for i, p in enumerate(payloads)}
    assert undamaged(payloads, np.arange(len(data))) == list(range(len(payloads)))
    lost = kept_after_damage = 0
    for seed in range(NUM_CORRUPTIONS):
        damaged, origin = corrupt(data, np.random.default_rng(seed))
        found = salvaged(damaged)
        numbers = [index[payload] for payload in found]  # KeyError: not one of the originals
        assert numbers == sorted(set(numbers)), seed
        assert set(undamaged(payloads, origin)) <= set(numbers), seed
        lost += len(payloads) - len(numbers)
        kept_after_damage += bool(numbers) and numbers != list(range(len(numbers)))
        if seed % 20 == 0:
            assert found == salvage_slowly(damaged)
            (tmp_path / "shard").write_bytes(damaged)
            before = read_by_tensorflow(tmp_path / "shard")
            assert found[: len(before)] == before
    # The damage is real, and records behind it are found.
    assert lost > NUM_CORRUPTIONS
    assert kept_after_damage > NUM_CORRUPTIONS / 2
