"""What a conversion job does to the records of one output shard.

Every job reads whole files of one kind of record and writes another kind, in the
order of the files and of the records in them, so that the same files always give
the same bytes. Video level is pooled as the data set pools its own: each feature is
the mean over the frames of the dequantised values. That follows from the published
records, whose values are multiples of the quantisation step over the number of frames.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from crossmodal import reading, shards, tfrecord
from crossmodal.errors import BadRecordError, UserError
from crossmodal.schema import Schema
from crossmodal.tfrecord import Damage
from yt8m_embed import records

Batch = dict[str, np.ndarray]
# MediaPipe writes the SequenceExample of a video as a file of its own, without framing.
BARE = ".pb"


@dataclasses.dataclass(frozen=True)
class Job:
    """A conversion.

    Attributes:
      source: the schema of the records read, by number of classes.
      target: the schema of the records written, by number of classes.
      pool: turns a parsed batch of the source into one that the target serialises.
      block: records parsed at once.
    """

    source: Callable[[int], Schema]
    target: Callable[[int], Schema]
    pool: Callable[[Batch], Batch]
    block: int


def pool_frames(batch: Batch) -> Batch:
    """Means over the frames of the dequantised features.

    The bytes are summed as integers, so the mean is exact up to its rounding to float32.

    Args:
      batch: `rgb`, `audio` uint8 [batch, time, size], zero after the last frame, and
        `num_frames` [batch].
    """
    frames = batch["num_frames"]

    def mean(quantized: np.ndarray) -> np.ndarray:
        pairs = zip(quantized, frames, strict=True)
        sums = [frame[:n].sum(axis=0, dtype=np.uint32) for frame, n in pairs]
        means = np.stack(sums) / frames[:, None] * records.SCALE + records.OFFSET
        return means.astype(np.float32)

    return _video(batch, mean(batch["rgb"]), mean(batch["audio"]))


def pool_floats(batch: Batch) -> Batch:
    """Means over each modality's own frames, summed in float64.

    Args:
      batch: `rgb`, `audio` float32 [batch, time, size] and `num_rgb_frames`,
        `num_audio_frames` [batch].
    """

    def mean(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
        pairs = zip(values, frames, strict=True)
        means = [frame[:n].mean(axis=0, dtype=np.float64) for frame, n in pairs]
        return np.stack(means).astype(np.float32)

    rgb = mean(batch["rgb"], batch["num_rgb_frames"])
    return _video(batch, rgb, mean(batch["audio"], batch["num_audio_frames"]))


def _video(batch: Batch, rgb: np.ndarray, audio: np.ndarray) -> Batch:
    return {"id": batch["id"], "labels": batch["labels"], "mean_rgb": rgb, "mean_audio": audio}


def _frame_level(num_classes: int) -> Schema:
    # A mean needs no padding to the longest video, so none is too long.
    return records.frame_level(num_classes, max_frames=None)


# Frames are many bytes a record: 64 videos of 300 s are 22 MB, MediaPipe's floats 88 MB.
JOBS = {
    "frame_to_video": Job(_frame_level, records.video_level, pool_frames, 64),
    "compact_float16": Job(records.video_level, records.compact_float16, dict, 512),
    "compact_uint8": Job(records.video_level, records.compact_uint8, dict, 512),
    "mediapipe_to_video": Job(records.mediapipe, records.video_level, pool_floats, 64),
}


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A record that was left out.

    Attributes:
      path: the file.
      index: the record's place in it, counting good and bad ones.
      byte: the record's place in it; None if only its conversion failed.
      reason: why.
    """

    path: str
    index: int
    byte: int | None
    reason: str

    @property
    def kind(self) -> str:
        """The reason without its numbers, to count by."""
        return re.sub(r"-?\d+(\.\d+)?(e[+-]?\d+)?", "N", self.reason)

    def __str__(self) -> str:
        """One line, as everywhere for a bad record."""
        where = "" if self.byte is None else f" (byte {self.byte})"
        return f"{self.path}: record {self.index}{where}: {self.reason}"


def convert_files(
    job: Job, num_classes: int, paths: Sequence[str], output: str, on_bad_record: str
) -> tuple[int, list[Skipped]]:
    """Converts whole files into one shard, written whole or not at all.

    Args:
      job: what to do.
      num_classes: labels must be in [0, num_classes).
      paths: the files, in this order.
      output: the shard. If no record is usable, there is none: an empty file would be
        a bad one to every reader.
      on_bad_record: "fail" or "skip".

    Returns:
      The number of records written, and the records left out.

    Raises:
      BadRecordError: with "fail", the first bad record.
      UserError: a file cannot be read or the shard cannot be written.
    """
    skipped: list[Skipped] = []
    payloads = (
        payload
        for path in paths
        for payload in _convert_file(job, num_classes, path, on_bad_record, skipped)
    )
    first = next(payloads, None)
    if first is None:
        return 0, skipped
    return tfrecord.write_records(output, itertools.chain([first], payloads)), skipped


def _convert_file(
    job: Job, num_classes: int, path: str, on_bad_record: str, skipped: list[Skipped]
) -> Iterator[bytes]:
    source, target = job.source(num_classes), job.target(num_classes)
    open_file = _open_bare if path.endswith(BARE) else _open_shard
    batches, damage = open_file(path, source, job.block, on_bad_record)
    skipped += [Skipped(path, d.index, d.offset, d.reason) for d in damage]
    bad = {d.index for d in damage}
    indices = (i for i in itertools.count() if i not in bad)
    for batch in batches:
        for row in target.rows(job.pool(batch)):
            index = next(indices)
            # MediaPipe's id is optional, ours is not.
            row["id"] = row["id"] or f"{os.path.basename(path)}#{index}"
            try:
                payload = target.serialize(row)
            except UserError as error:
                record = Skipped(path, index, None, str(error))
                if on_bad_record == "fail":
                    raise BadRecordError(f"{record}; {shards.HINT}") from None
                skipped.append(record)
            else:
                yield payload


def _open_shard(
    path: str, schema: Schema, block: int, on_bad_record: str
) -> tuple[Iterator[Batch], Sequence[Damage]]:
    try:
        (shard,) = shards.index_shards([path], schema, on_bad_record, progress=False)
    except BadRecordError as error:
        if on_bad_record == "fail":
            raise
        return iter([]), (Damage(0, 0, _reason(error), tf.io.gfile.stat(path).length),)
    opened = reading.opener(reading.Records((shard,), schema))(tf.constant(0))
    return _batches(path, opened.batch(block).map(schema.parse).prefetch(1), schema), shard.damage


def _reason(error: BadRecordError) -> str:
    """The clause of the line about a file without any usable record."""
    return str(error).partition("(byte 0): ")[2].removesuffix(f"; {shards.HINT}") or str(error)


def _batches(path: str, blocks: tf.data.Dataset, schema: Schema) -> Iterator[Batch]:
    try:
        yield from blocks.as_numpy_iterator()
    except tf.errors.OpError as error:
        # The graph knows what is wrong, not where.
        unknown = UserError(f"{path}: {error.message}")
        raise (shards.diagnose([path], schema) or unknown) from error


def _open_bare(
    path: str, schema: Schema, block: int, on_bad_record: str
) -> tuple[Iterator[Batch], Sequence[Damage]]:
    del block
    with tf.io.gfile.GFile(path, "rb") as file:
        serialized = file.read()
    reason = schema.problem(serialized)
    if reason is None:
        parsed = schema.parse(tf.constant([serialized]))
        return iter([{name: value.numpy() for name, value in parsed.items()}]), ()
    if on_bad_record == "fail":
        raise BadRecordError(f"{Skipped(path, 0, 0, reason)}; {shards.HINT}")
    return iter([]), (Damage(0, 0, reason, len(serialized)),)
