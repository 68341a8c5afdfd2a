"""The read phase: from shards to serialised or parsed blocks, or to arrays in memory.

Clean shards are read by TensorFlow, damaged ones record by record in Python, so that
no usable record is lost. A stable digest of the id splits records in two parts.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from crossmodal import shards as shards_module
from crossmodal.errors import UserError
from crossmodal.schema import Schema
from crossmodal.shards import Shard

# From here on, float32 is rounded to an infinite float16.
HALF_LIMIT = 65520
# Files read at the same time; two cores are busy from two files on.
CYCLE = 4
# Consecutive blocks of one file in an unshuffled stream: whole files, one after the other.
WHOLE_FILE = 1 << 30


@dataclasses.dataclass(frozen=True)
class Holdout:
    """A part of the records by a stable digest of their id.

    Attributes:
      percent: how many of 100 digests are held out.
      held_out: whether this is the part held out or the rest.
      salt: another salt makes an independent split.
    """

    percent: int = 10
    held_out: bool = False
    salt: str = ""

    def keep(self, ids: tf.Tensor) -> tf.Tensor:
        """Which of the ids `[n]` belong to this part: bool `[n]`."""
        bucket = tf.strings.to_hash_bucket_fast(self.salt + ids, 100)
        return (bucket < self.percent) == self.held_out


@dataclasses.dataclass(frozen=True)
class Records:
    """Usable records of a set of shards.

    Attributes:
      shards: the files, with their counts and damage.
      schema: what the records hold.
      holdouts: the part that is read is in all of these; none for all records.
      unusable: files without any usable record, for the report at the end.
    """

    shards: tuple[Shard, ...]
    schema: Schema
    holdouts: tuple[Holdout, ...] = ()
    unusable: tuple[Shard, ...] = ()

    def describe_damage(self) -> str:
        """What was left out, a line for each bad record; empty if nothing was."""
        found = (*self.shards, *self.unusable)
        if all(shard.clean for shard in found):
            return ""
        return shards_module.describe_damage(found)

    def part(self, worker: int, num_workers: int) -> "Records":
        """The shards of one worker."""
        return dataclasses.replace(self, shards=self.shards[worker::num_workers])

    def within(self, holdout: Holdout) -> "Records":
        """Those of the records that belong to one more part."""
        return dataclasses.replace(self, holdouts=(*self.holdouts, holdout))

    def count(self) -> int:
        """The number of records, those of other parts not counted.

        Raises:
          BadRecordError: a record has no id by which to tell its part.
        """
        if not self.holdouts:
            return sum(shard.num_records for shard in self.shards)
        sizes = blocks(self).map(lambda block: tf.shape(block, tf.int64)[0])
        with explained(self):
            return int(sizes.reduce(tf.constant(0, tf.int64), lambda a, b: a + b))


def membership(records: Records, block: tf.Tensor) -> tf.Tensor:
    """Which of some serialised records belong to the part read: bool `[block]`."""
    if not records.holdouts:
        return tf.ones_like(block, tf.bool)
    id_only = Schema(tuple(f for f in records.schema.features if f.name == "id"))
    ids = id_only.parse(block)["id"]
    return tf.reduce_all([holdout.keep(ids) for holdout in records.holdouts], axis=0)


def part_of(records: Records) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """A function that keeps those records of a block which belong to the part read."""
    if not records.holdouts:
        return None
    return lambda block: tf.boolean_mask(block, membership(records, block))


def locate(records: Records) -> tuple[np.ndarray, np.ndarray]:
    """Where each record lies that belongs to the part read, in file order.

    Args:
      records: their shards indexed with offsets.

    Returns:
      The index of its shard and its first byte there: int64 `[n]` each.
    """
    counts = [len(shard.offsets) for shard in records.shards]
    shard = np.repeat(np.arange(len(counts)), counts)
    offset = np.concatenate([np.array(shard.offsets, np.int64) for shard in records.shards])
    if records.holdouts:
        everything = blocks(dataclasses.replace(records, holdouts=()))
        with explained(records):
            members = everything.map(lambda block: membership(records, block))
            kept = np.concatenate(list(members.as_numpy_iterator()))
        shard, offset = shard[kept], offset[kept]
    return shard, offset


def opener(records: Records) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """A function from a shard's index to its serialised records.

    A damaged shard is read record by record in Python, the others by TensorFlow.
    """
    paths = tf.constant([shard.path for shard in records.shards])
    clean = tf.constant([shard.clean for shard in records.shards])
    if all(shard.clean for shard in records.shards):
        return lambda index: tf.data.TFRecordDataset(paths[index])

    def good_records(path: bytes, usable: bool) -> Iterator[bytes]:
        if not usable:
            yield from shards_module.read_good_records(path.decode(), records.schema)

    def open_shard(index: tf.Tensor) -> tf.data.Dataset:
        whole = tf.boolean_mask(paths[index][None], clean[index][None])
        salvaged = tf.data.Dataset.from_generator(
            good_records,
            output_signature=tf.TensorSpec([], tf.string),
            args=(paths[index], clean[index]),
        )
        return tf.data.TFRecordDataset(whole).concatenate(salvaged)

    return open_shard


def blocks(records: Records, parse: bool = False) -> tf.data.Dataset:
    """One pass in file order, in blocks that are batched and parsed inside each file.

    Args:
      records: what to read.
      parse: whether blocks are parsed batches or serialised records `[block]`.
    """
    keep, open_shard = part_of(records), opener(records)

    def open_blocks(index: tf.Tensor) -> tf.data.Dataset:
        block = open_shard(index).batch(records.schema.block_size)
        block = block.map(keep) if keep else block
        return block.map(records.schema.parse) if parse else block

    # The next files are already being read while one is handed out.
    return tf.data.Dataset.range(len(records.shards)).interleave(
        open_blocks,
        cycle_length=CYCLE,
        block_length=WHOLE_FILE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def parsed_blocks(records: Records) -> Iterator[dict[str, np.ndarray]]:
    """The parsed blocks of one pass in file order, as arrays.

    Raises:
      BadRecordError: a record does not hold what the schema says; names file and record.
    """
    with explained(records):
        yield from blocks(records, parse=True).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


@contextlib.contextmanager
def explained(records: Records) -> Iterator[None]:
    """Turns TensorFlow's error about a bad record into one that names it.

    Raises:
      BadRecordError: a record does not hold what the schema says.
    """
    try:
        yield
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        found = shards_module.diagnose([shard.path for shard in records.shards], records.schema)
        if found is None:
            raise
        raise found from error


def load_arrays(records: Records, features: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Reads everything into memory, in file order.

    Args:
      records: what to read.
      features: the names wanted; all if empty.

    Returns:
      By name `[n, ...]`: float features as float16, the others as they are; padded
      to the longest where the length varies.

    Raises:
      UserError: no record belongs to this part, or one is bad.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for block in parsed_blocks(records):
        for name, values in block.items():
            if not features or name in features:
                floating = np.issubdtype(values.dtype, np.floating)
                parts.setdefault(name, []).append(halved(name, values) if floating else values)
    if not parts or not sum(map(len, next(iter(parts.values())))):
        raise UserError(f"no record of {records.shards[0].path} and what goes with it is usable")
    return {name: np.concatenate(pad_alike(arrays)) for name, arrays in parts.items()}


def halved(name: str, values: np.ndarray) -> np.ndarray:
    """As float16.

    Raises:
      UserError: a value would become infinite.
    """
    largest = max(values.max(initial=0), -values.min(initial=0))
    if largest >= HALF_LIMIT:
        raise UserError(
            f"feature {name} holds values up to {largest:g}, beyond float16: use --cache=none"
        )
    return values.astype(np.float16)


def pad_alike(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Pads arrays that differ in their second dimension: integers with -1, others with 0."""
    if arrays[0].ndim < 2 or len({a.shape[1] for a in arrays}) == 1:
        return arrays
    width = max(a.shape[1] for a in arrays)
    return [
        np.pad(
            a,
            [(0, 0), (0, width - a.shape[1])] + [(0, 0)] * (a.ndim - 2),
            constant_values=-1 if a.dtype == np.int64 else 0,
        )
        for a in arrays
    ]
