"""Where training batches come from: a shuffled stream of files, single records, or memory.

Each source gives `(epoch, index, batch)` without end, from any step on, in an order that
hangs on (seed, epoch) alone. A stream is right for many small records: a step is reached
by passing over the epoch's serialised records. Large ones are read singly, each from its
place in its file: the whole set is shuffled, nothing waits in a buffer and any step is
reached at once; so it is in memory.
"""

from collections.abc import Callable

import tensorflow as tf

from crossmodal.order import folded, order_seeds, permuted
from crossmodal.reading import (
    CYCLE,
    WHOLE_FILE,
    Records,
    locate,
    opener,
    part_of,
)

# Consecutive records of one file in a shuffled stream, before the shuffle.
RUN = 16
# Bytes read at once of a single record.
READ_BYTES = 1 << 18

Batch = dict[str, tf.Tensor]
Draw = Callable[[Batch, tf.Tensor], Batch]


def opener_of_epochs(
    records: Records, seed: int, window: int, size: int
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """A function from an epoch to its serialised batches `[size]`, ordered by (seed, epoch)."""
    number, keep, open_shard = len(records.shards), part_of(records), opener(records)

    def in_file_order(_: tf.Tensor) -> tf.data.Dataset:
        stream = tf.data.Dataset.range(number).interleave(
            lambda index: open_shard(index).batch(records.schema.block_size),
            cycle_length=CYCLE,
            block_length=WHOLE_FILE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        stream = stream.map(keep) if keep else stream
        return stream.rebatch(size, drop_remainder=True)

    def shuffled(epoch: tf.Tensor) -> tf.data.Dataset:
        order = permuted(tf.range(number, dtype=tf.int64), seed, epoch, number)
        # One thread reads, for handing single records from thread to thread costs more than
        # reading them; others parse meanwhile.
        stream = tf.data.Dataset.from_tensor_slices(order).interleave(
            open_shard, cycle_length=CYCLE, block_length=RUN
        )
        if keep:
            stream = stream.batch(records.schema.block_size).map(keep).unbatch()
        # Within this function's graph alone: the order must not hang on a global seed
        # that the program may have set. Not 0, which TensorFlow compares with the seed below.
        tf.random.set_seed(1)
        own = order_seeds(seed, epoch)[3]
        stream = stream.shuffle(window, own, reshuffle_each_iteration=False)
        return stream.batch(size, drop_remainder=True)

    return shuffled if window else in_file_order


def streamed(
    records: Records, seed: int, window: int, size: int, steps: int, start: int
) -> tf.data.Dataset:
    """Batches `(epoch, index, batch)` from files, from step `start` on.

    Args:
      records: of this worker.
      seed: of the order.
      window: records among which the next one is drawn; 0 for file order.
      size: examples a batch.
      steps: batches an epoch.
      start: the first step.
    """
    open_epoch = opener_of_epochs(records, seed, window, size)
    offset = tf.constant(start % steps, tf.int64)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        first = tf.where(epoch == start // steps, offset, 0)
        batches = open_epoch(epoch).skip(first).take(steps - first)
        return batches.enumerate(first).map(lambda index, batch: (epoch, index, batch))

    stream = tf.data.Dataset.counter(start // steps).flat_map(one_epoch)
    return stream.map(
        lambda epoch, index, batch: (epoch, index, records.schema.parse(batch)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def picked(
    records: Records,
    seed: int,
    size: int,
    steps: int,
    start: int,
    draw: Draw,
    draws: int,
    worker: int,
) -> tf.data.Dataset:
    """Like `streamed`, each record read singly; several batches out of each that is read.

    Args:
      records: of this worker, their shards indexed with offsets.
      seed: of the order and of what is drawn.
      size: examples a batch.
      steps: batches an epoch.
      start: the first step.
      draw: (parsed record, seed) -> examples drawn from it, [draws, ...].
      draws: batches that are made of the records of one, one after the other.
      worker: its number, so that no two draw alike.
    """
    shards, offsets = (tf.constant(column) for column in locate(records))
    paths = tf.constant([shard.path for shard in records.shards])
    number = len(offsets)

    def position(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # An epoch is `steps` batches whatever their records; every reading is its own pass.
        return step // steps, step % steps

    def numbers_of(reading: tf.Tensor) -> tf.data.Dataset:
        epoch, index = position(reading)
        places = index * size + tf.range(size, dtype=tf.int64)
        which = permuted(places, seed, epoch, number)
        return tf.data.Dataset.from_tensor_slices((tf.repeat(epoch, size), places, which))

    def read(epoch: tf.Tensor, place: tf.Tensor, which: tf.Tensor) -> tf.data.Dataset:
        record = record_at(paths[shards[which]], offsets[which])
        return record.map(lambda serialized: (epoch, place, serialized))

    def draw_one(epoch: tf.Tensor, place: tf.Tensor, serialized: tf.Tensor) -> Batch:
        example = records.schema.parse_one(serialized)
        return draw(example, folded(seed, 2 + worker, epoch, place, 0))

    def batches_of(examples: Batch) -> tf.data.Dataset:
        # One copy of each batch; to take the draws apart first would be three.
        return tf.data.Dataset.range(draws).map(
            lambda number: {name: value[:, number] for name, value in examples.items()}
        )

    stream = tf.data.Dataset.counter(start // draws).flat_map(numbers_of)
    stream = stream.interleave(
        read, cycle_length=CYCLE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    stream = stream.map(draw_one, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    stream = stream.batch(size, drop_remainder=True).flat_map(batches_of).skip(start % draws)
    return stream.enumerate(start).map(lambda step, batch: (*position(step), batch))


def record_at(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """The one serialised record that begins at a byte of a file."""
    # tf.data.TFRecordDataset has no argument for it, the operation behind it has.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[None],
        compression_type="",
        buffer_size=tf.constant(READ_BYTES, tf.int64),
        byte_offsets=offset[None],
        metadata="",
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)


def cached(
    tensors: Batch, seed: int, shuffle: bool, size: int, steps: int, start: int
) -> tf.data.Dataset:
    """Like `streamed`, from memory; any step is reached at once."""
    number = len(next(iter(tensors.values())))

    def one_batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Batch]:
        epoch, index = step // steps, step % steps
        rows = index * size + tf.range(size, dtype=tf.int64)
        if shuffle:
            rows = permuted(rows, seed, epoch, number)
        batch = {name: tf.gather(values, rows) for name, values in tensors.items()}
        return (
            epoch,
            index,
            {
                name: tf.cast(v, tf.float32) if v.dtype == tf.float16 else v
                for name, v in batch.items()
            },
        )

    return tf.data.Dataset.counter(start).map(
        one_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
