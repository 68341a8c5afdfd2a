"""The input pipeline of training: read -> parse -> sample -> batch.

The order of the examples and every random choice are functions of (seed, epoch,
index), so a run can take up its position at any step without saved buffers: within
memory by arithmetic, from files by passing over the serialised records of the
current epoch. An epoch is a whole number of batches; each epoch leaves out other
examples, fewer than a batch.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import UserError
from crossmodal.reading import (
    CYCLE,
    WHOLE_FILE,
    Records,
    block_size,
    load_arrays,
    opener,
    part_of,
)

# Consecutive records of one file in a shuffled stream, before the shuffle.
RUN = 16

Batch = dict[str, tf.Tensor]
Sample = Callable[[Batch, tf.Tensor], Batch]


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """How training batches are drawn.

    Attributes:
      batch_size: global, over all workers.
      seed: of the order and of every random choice.
      shuffle_window: records among which the next one is drawn; 0 for file order.
        With `cache` the whole set is shuffled and the window is not used.
      cache: `none` (from files) or `memory` (features kept as float16).
    """

    batch_size: int
    seed: int = 0
    shuffle_window: int = 20_000
    cache: str = "none"

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no pipeline can be."""
        check_range("batch_size", self.batch_size, 1, 1_000_000_000)
        check_range("shuffle_window", self.shuffle_window, 0, 1_000_000_000)
        check_choice("cache", self.cache, ("none", "memory"))


def opener_of_epochs(
    records: Records, config: PipelineConfig, size: int
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """A function from an epoch to its serialised batches `[size]`, ordered by (seed, epoch)."""
    number, keep, open_shard = len(records.shards), part_of(records), opener(records)

    def in_file_order(_: tf.Tensor) -> tf.data.Dataset:
        stream = tf.data.Dataset.range(number).interleave(
            lambda index: open_shard(index).batch(block_size(records)),
            cycle_length=CYCLE,
            block_length=WHOLE_FILE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        stream = stream.map(keep) if keep else stream
        return stream.rebatch(size, drop_remainder=True)

    def shuffled(epoch: tf.Tensor) -> tf.data.Dataset:
        order = permuted(tf.range(number, dtype=tf.int64), config.seed, epoch, number)
        # One thread reads, for handing single records from thread to thread costs more than
        # reading them; others parse meanwhile.
        stream = tf.data.Dataset.from_tensor_slices(order).interleave(
            open_shard, cycle_length=CYCLE, block_length=RUN
        )
        if keep:
            stream = stream.batch(block_size(records)).map(keep).unbatch()
        # Within this function's graph alone: the order must not hang on a global seed
        # that the program may have set. Not 0, which TensorFlow compares with the seed below.
        tf.random.set_seed(1)
        seed = order_seeds(config.seed, epoch)[3]
        stream = stream.shuffle(config.shuffle_window, seed, reshuffle_each_iteration=False)
        return stream.batch(size, drop_remainder=True)

    return shuffled if config.shuffle_window else in_file_order


def permuted(index: tf.Tensor, seed: int, epoch: tf.Tensor, number: int) -> tf.Tensor:
    """Where each position of an epoch's order points to, without drawing the whole order."""
    # The operation uses a few low bits of its seeds only, so that consecutive ones would
    # repeat orders after 256 epochs; and with the 4 rounds of tf.random.experimental large
    # sets are far from mixed (of 60,000 records a third as many neighbours stay near each
    # other as should, of 5 million thousands of times as many adjacent). At 8 rounds a trace
    # of it is left, at 12 none.
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=order_seeds(seed, epoch)[:3],
        max_index=tf.constant(number - 1, tf.int64),
        rounds=16,
    )


def order_seeds(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Random bits for the order of an epoch: int64 [4], three for `permuted`."""
    # fold_in alone would not do: its first number is the same for all epochs.
    seeds = tf.random.fold_in(tf.constant([seed, 1], tf.int64), epoch)
    return tf.random.stateless_uniform([4], seeds, minval=None, maxval=None, dtype=tf.int64)


def streamed(
    records: Records, config: PipelineConfig, size: int, steps: int, start: int
) -> tf.data.Dataset:
    """Batches `(epoch, index, batch)` from files, from step `start` on.

    Args:
      records: of this worker.
      config: seed and window.
      size: examples a batch.
      steps: batches an epoch.
      start: the first step.
    """
    open_epoch = opener_of_epochs(records, config, size)
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


def cached(
    tensors: Batch, config: PipelineConfig, size: int, steps: int, start: int
) -> tf.data.Dataset:
    """Like `streamed`, from memory; any step is reached at once."""
    number = len(next(iter(tensors.values())))

    def one_batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Batch]:
        epoch, index = step // steps, step % steps
        rows = index * size + tf.range(size, dtype=tf.int64)
        if config.shuffle_window:
            rows = permuted(rows, config.seed, epoch, number)
        batch = {name: tf.gather(values, rows) for name, values in tensors.items()}
        return epoch, index, {
            name: tf.cast(v, tf.float32) if v.dtype == tf.float16 else v
            for name, v in batch.items()
        }

    return tf.data.Dataset.counter(start).map(
        one_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


@dataclasses.dataclass(frozen=True)
class TrainingBatches:
    """An endless supply of training batches that starts at any step.

    Made by `open_training`, which counts (and with `cache="memory"` loads) the records
    of one worker once.
    """

    records: Records
    config: PipelineConfig
    size: int
    steps_per_epoch: int
    worker: int
    tensors: Batch | None

    def dataset(self, start_step: int = 0, sample: Sample | None = None) -> tf.data.Dataset:
        """Batches from a step on.

        Args:
          start_step: how many batches of a run from the beginning are left out.
          sample: a function of a batch and a seed (two integers) that makes the random
            choices of the batch.
        """
        arguments = (self.config, self.size, self.steps_per_epoch, start_step)
        if self.tensors is None:
            stream = streamed(self.records, *arguments)
        else:
            stream = cached(self.tensors, *arguments)

        def choose(epoch: tf.Tensor, index: tf.Tensor, batch: Batch) -> Batch:
            seed = tf.constant([self.config.seed, 2 + self.worker], tf.int64)
            seed = tf.random.fold_in(tf.random.fold_in(seed, epoch), index)
            return sample(batch, seed) if sample else batch

        stream = stream.map(choose, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE)


def open_training(
    records: Records, config: PipelineConfig, worker: int = 0, num_workers: int = 1
) -> TrainingBatches:
    """Prepares the training batches of one worker.

    Every worker reads its own shards and gives the same number of batches an epoch,
    that of the worker with the fewest records.

    Raises:
      UserError: there are fewer shards than workers, fewer records than a batch, or the
        batch cannot be divided among the workers.
    """
    if config.batch_size % num_workers:
        raise UserError(
            f"--batch_size={config.batch_size} cannot be divided among {num_workers} workers"
        )
    if len(records.shards) < num_workers:
        raise UserError(
            f"{len(records.shards)} shards are too few for {num_workers} workers: "
            "split them or use fewer workers"
        )
    size = config.batch_size // num_workers
    counts = [records.part(w, num_workers).count() for w in range(num_workers)]
    steps = min(counts) // size
    if not steps:
        raise UserError(
            f"{min(counts)} usable records are fewer than a batch of {size}: "
            "lower --batch_size or name more shards"
        )
    own = records.part(worker, num_workers)
    tensors = load_tensors(own) if config.cache == "memory" else None
    return TrainingBatches(own, config, size, steps, worker, tensors)


def load_tensors(records: Records) -> Batch:
    """All records in the host's memory, however large; an accelerator's is for the model."""
    arrays = load_arrays(records)
    with tf.device("CPU:0"):
        # Taken out one by one, so that they are not all held twice.
        return {name: tf.constant(arrays.pop(name)) for name in list(arrays)}
