"""The framing of TFRecord files, and what can be saved of a damaged one.

A record is its length (uint64), a checksum of the length, the payload and a
checksum of the payload; checksums are masked CRC-32C, numbers little-endian.
TensorFlow's reader stops at the first mismatch. `salvage` goes on: it looks
for the next offset at which both checksums verify, so that only what is
damaged is lost. A false match needs two 32-bit checksums to agree by chance.
"""

import dataclasses
from collections.abc import Iterable

import google_crc32c
import numpy as np
import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError

HEADER, FOOTER = 12, 4  # bytes around the payload
_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK_DELTA = 0xA282EAD8
_SMALL_STEP, _LARGE_STEP = 1 << 16, 1 << 22  # bytes scanned at once


@dataclasses.dataclass(frozen=True)
class Damage:
    """A stretch of a file that holds no good record.

    Attributes:
      index: number of records, good and bad, before it.
      offset: its first byte in the file.
      reason: what is wrong at its first byte.
      length: its number of bytes.
    """

    index: int
    offset: int
    reason: str
    length: int


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files: CRC-32C, rotated and shifted."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """One record as it lies in a file, with its length and checksums."""
    length = len(payload).to_bytes(8, "little")
    checksums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, payload))
    return length + next(checksums) + payload + next(checksums)


def write_records(path: str, payloads: Iterable[bytes]) -> int:
    """Writes a TFRecord file whole or not at all.

    Returns:
      The number of records.

    Raises:
      UserError: the file cannot be written (a full disk, no permission).
    """
    count = 0
    try:
        with files.whole_file(path) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
            for payload in payloads:
                file.write(frame(payload))
                count += 1
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be written ({error.message})") from error
    return count


def salvage(data: bytes) -> tuple[list[tuple[int, int]], list[Damage]]:
    """Finds every record of a file whose length and payload checksums verify.

    Args:
      data: the whole file.

    Returns:
      (payload offset, payload length) of each good record in file order, and the
      stretches between them that hold none.
    """
    good: list[tuple[int, int]] = []
    damage: list[Damage] = []
    offset = 0
    while offset < len(data):
        length, reason = _judge(data, offset)
        if reason is None:
            good.append((offset + HEADER, length))
            offset += HEADER + length + FOOTER
        else:
            end = _find_record(data, offset + 1)
            damage += _split(data, offset, end, len(good) + len(damage))
            offset = end
    return good, damage


def _judge(data: bytes, offset: int) -> tuple[int | None, str | None]:
    """The declared length if its checksum verifies, and what is wrong, if anything."""
    remaining = len(data) - offset
    if remaining < HEADER:
        return None, f"cut off: {remaining} bytes left, a record's header has {HEADER}"
    if masked_crc32c(data[offset : offset + 8]) != _uint32(data, offset + 8):
        return None, "the checksum of the record's length does not match"
    length = int.from_bytes(data[offset : offset + 8], "little")
    if length > remaining - HEADER - FOOTER:
        return length, f"cut off: a record of {length} bytes with {remaining - HEADER} bytes left"
    end = offset + HEADER + length
    if masked_crc32c(data[offset + HEADER : end]) != _uint32(data, end):
        return length, "the checksum of the record's data does not match"
    return length, None


def _split(data: bytes, start: int, end: int, index: int) -> list[Damage]:
    """Tells apart the bad records in a stretch, as far as their headers are whole."""
    stretches = []
    while start < end:
        length, reason = _judge(data, start)
        after = end if length is None else min(start + HEADER + length + FOOTER, end)
        # Bytes that do not begin with a whole header belong to the record before them.
        if after < end and _judge(data, after)[0] is None:
            after = end
        stretches.append(Damage(index + len(stretches), start, reason, after - start))
        start = after
    return stretches


def _find_record(data: bytes, start: int) -> int:
    """The first offset from `start` on that holds a good record, or the file's length."""
    last = len(data) - HEADER - FOOTER  # where an empty record could still begin
    step = _SMALL_STEP
    while start <= last:
        stop = min(start + step, last + 1)
        for offset in _plausible(data, start, stop):
            if _judge(data, offset)[1] is None:
                return offset
        start, step = stop, min(2 * step, _LARGE_STEP)
    return len(data)


def _plausible(data: bytes, start: int, stop: int) -> list[int]:
    """Offsets in [start, stop) whose length fits the file and has the right checksum."""
    # Views that begin at every byte: element i is the number at byte start + i.
    lengths = np.ndarray(stop - start, "<u8", data, start, (1,))
    room = len(data) - HEADER - FOOTER - np.arange(start, stop, dtype=np.uint64)
    offsets = start + np.flatnonzero(lengths <= room)
    octets = np.frombuffer(data, np.uint8)
    crc = np.full(len(offsets), 0xFFFFFFFF, np.uint32)
    for position in range(8):
        crc = _TABLE[(crc ^ octets[offsets + position]) & 0xFF] ^ (crc >> np.uint32(8))
    crc = ~crc
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(_MASK_DELTA)
    stored = np.ndarray(len(data) - 3, "<u4", data, 0, (1,))[offsets + 8]
    return offsets[masked == stored].tolist()


def _uint32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


_TABLE = _crc_table()
