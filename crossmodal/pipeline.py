"""The input pipeline of training: read -> parse -> sample -> batch.

The order of the examples and every random choice are functions of (seed, epoch,
index), so a run can take up its position at any step without saved buffers; see
`crossmodal.sources`. An epoch is a whole number of batches; each epoch leaves out
other examples, fewer than a batch.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from crossmodal import sources
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.order import folded
from crossmodal.reading import Records, load_arrays
from crossmodal.sources import Batch, Draw

Sample = Callable[[Batch, tf.Tensor], Batch]


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """How training batches are drawn.

    Attributes:
      batch_size: global, over all workers.
      seed: of the order and of every random choice.
      shuffle_window: records among which the next one is drawn; 0 for file order.
        With `cache` or `random_access` the whole set is shuffled and the window is not used.
      cache: `none` (from files) or `memory` (features kept as float16).
      random_access: whether each record is read singly from its place in its file, as is
        right for large ones.
      draws_per_read: examples drawn from a record once it is read, with `random_access`;
        that many batches in a row come from the same records.
    """

    batch_size: int
    seed: int = 0
    shuffle_window: int = 20_000
    cache: str = "none"
    random_access: bool = False
    draws_per_read: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no pipeline can be."""
        check_range("batch_size", self.batch_size, 1, 1_000_000_000)
        check_range("shuffle_window", self.shuffle_window, 0, 1_000_000_000)
        check_range("draws_per_read", self.draws_per_read, 1, 1_000_000)
        check_choice("cache", self.cache, ("none", "memory"))
        if self.random_access and self.cache == "memory":
            raise ConfigurationError("random_access reads from files: cache must be none")
        if self.draws_per_read > 1 and not self.random_access:
            raise ConfigurationError("draws_per_read needs random_access")


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

    def dataset(
        self, start_step: int = 0, sample: Sample | None = None, draw: Draw | None = None
    ) -> tf.data.Dataset:
        """Batches from a step on.

        Args:
          start_step: how many batches of a run from the beginning are left out.
          sample: a function of a batch and a seed (two integers) that makes the random
            choices of the batch.
          draw: with `random_access`, a function of one parsed record and a seed that draws
            `draws_per_read` examples of fixed shapes from it: a dict of [draws_per_read, ...].
        """
        stream = self._source(start_step, draw)

        def choose(epoch: tf.Tensor, index: tf.Tensor, batch: Batch) -> Batch:
            seed = folded(self.config.seed, 2 + self.worker, epoch, index)
            return sample(batch, seed) if sample else batch

        stream = stream.map(choose, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return stream.prefetch(tf.data.AUTOTUNE)

    def _source(self, start: int, draw: Draw | None) -> tf.data.Dataset:
        config, place = self.config, (self.size, self.steps_per_epoch, start)
        if self.tensors is not None:
            return sources.cached(self.tensors, config.seed, config.shuffle_window > 0, *place)
        if not config.random_access:
            return sources.streamed(self.records, config.seed, config.shuffle_window, *place)
        draws = config.draws_per_read
        return sources.picked(self.records, config.seed, *place, draw, draws, self.worker)


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
