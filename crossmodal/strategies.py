"""How training is spread over devices and machines: one strategy, its chief, its data.

Everything in a step is written for any number of replicas. What differs between one
device, several devices (MirroredStrategy) and several machines
(MultiWorkerMirroredStrategy, cluster in TF_CONFIG) is kept here.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from crossmodal.errors import ConfigurationError

STRATEGIES = ("default", "mirrored", "multi_worker")
PADDING = -1  # of variable-width integer features such as `labels` [batch, max_labels]


@functools.cache
def make_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of that name, one for the whole process.

    A second one would number its collective operations from the same start and disturb
    the first.

    Args:
      name: `default` (one device), `mirrored` (every GPU of this machine, or every logical
        CPU where there is none) or `multi_worker` (the cluster that TF_CONFIG describes;
        to be made before TensorFlow has run anything in this process).

    Raises:
      ConfigurationError: no such strategy.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise ConfigurationError(f"strategy={name!r}: choose one of {', '.join(STRATEGIES)}")


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether several processes train together."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files: the `chief`, or worker 0 where none is named."""
    if not is_multi_worker(strategy):
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    named = "chief" in resolver.cluster_spec().jobs
    return not named and resolver.task_type in (None, "worker") and not resolver.task_id


def from_chief(strategy: tf.distribute.Strategy, make: Callable[[], Any]) -> Any:
    """Calls `make` on the chief and hands its JSON-compatible result to every worker.

    The others wait for it, so that all take the same decisions from the same numbers.
    """
    if not is_multi_worker(strategy):
        return make()
    text = json.dumps(make()) if is_chief(strategy) else ""
    data = np.frombuffer(text.encode(), np.uint8)
    size = int(_sum(strategy, np.asarray(float(data.size))))
    # Of few lengths, each of which is traced once.
    padded = np.zeros(max(1024, 1 << (size - 1).bit_length()), np.float32)
    padded[: data.size] = data
    received = _sum(strategy, padded)[:size]
    return json.loads(received.astype(np.uint8).tobytes().decode())


def _sum(strategy: tf.distribute.Strategy, mine: np.ndarray) -> np.ndarray:
    """Sums over workers; of the replicas of one worker only the first counts."""
    total = _summing(strategy)(tf.constant(mine, tf.float32))
    return strategy.experimental_local_results(total)[0].numpy()


@functools.cache
def _summing(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], Any]:
    def contribute(mine: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        local = context.replica_id_in_sync_group % _local_replicas(strategy)
        counts = tf.cast(tf.equal(local, 0), tf.float32)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, counts * mine)

    return tf.function(lambda mine: strategy.run(contribute, args=(mine,)))


def _local_replicas(strategy: tf.distribute.Strategy) -> int:
    return len(strategy.extended.worker_devices)


def distribute(
    strategy: tf.distribute.Strategy,
    make_dataset: Callable[[int, int], tf.data.Dataset],
    replica_batch_size: int,
) -> tuple[Any, dict[str, tf.TensorSpec]]:
    """An iterator whose every `next` hands each replica its share of a batch.

    Consecutive blocks of `replica_batch_size` rows go to consecutive replicas, so that all
    replicas together see the rows that one device would see.

    Args:
      strategy: the strategy.
      make_dataset: (worker, number of workers) -> infinite dataset of dict batches whose size
        is a multiple of `replica_batch_size`. String features are left out: they have no
        place on an accelerator.
      replica_batch_size: rows for each replica.

    Returns:
      The iterator, and the features of a replica's batch.
    """
    specs = {}

    def dataset_fn(context: tf.distribute.InputContext) -> tf.data.Dataset:
        dataset = make_dataset(context.input_pipeline_id, context.num_input_pipelines)
        spec = dataset.element_spec
        numeric = [name for name, of in spec.items() if of.dtype != tf.string]
        if len(numeric) < len(spec):
            dataset = dataset.map(lambda batch: {name: batch[name] for name in numeric})
        dataset = dataset.rebatch(replica_batch_size, drop_remainder=True)
        specs.update(dataset.element_spec)
        # Without a declared infinity the workers would ask each other at every step whether
        # anybody has run out of data.
        infinite = tf.data.experimental.INFINITE_CARDINALITY
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(infinite))
        return dataset.prefetch(2)

    return iter(strategy.distribute_datasets_from_function(dataset_fn)), specs


def gather(tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Joins the rows of all replicas, in replica context; gradients flow back to each.

    Every replica must hold equally many rows. Integer features [batch, width] may differ in
    width and are padded with -1. Scalars stay as they are. The gradient of a row is the sum of
    what all replicas ask of it, so that a loss that all compute alike is to be divided by
    their number.

    Args:
      tensors: float, integer or bool tensors [batch, ...] or [].

    Returns:
      The same names, [replicas * batch, ...].
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return tensors
    gathered = {}
    for name, tensor in tensors.items():
        if tensor.shape.rank == 0:
            gathered[name] = tensor
        elif tensor.dtype.is_floating:
            gathered[name] = _join_rows(tensor, context)
        else:
            joined = _join_integers(tf.cast(tensor, tf.int64), context)
            gathered[name] = tf.cast(joined, tensor.dtype)
    return gathered


def _join_rows(tensor: tf.Tensor, context: tf.distribute.ReplicaContext) -> tf.Tensor:
    # A sum of tensors that are zero but for a replica's own rows: `all_gather` fails where a
    # worker has one device, and the gradient of a sum needs no code.
    rows = tf.shape(tensor)[0]
    before = rows * context.replica_id_in_sync_group
    after = rows * (context.num_replicas_in_sync - 1) - before
    padding = [[before, after]] + [[0, 0]] * (tensor.shape.rank - 1)
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(tensor, padding))


def _join_integers(tensor: tf.Tensor, context: tf.distribute.ReplicaContext) -> tf.Tensor:
    if not is_multi_worker(context.strategy):
        # A collective operation within a loop must keep its shape; a plain copy need not.
        return context.merge_call(_concatenate, args=(tensor,))
    if tensor.shape.rank == 2 and tensor.shape[1] is None:
        widths = _join_rows(tf.shape(tensor, tf.int64)[1:], context)
        tensor = _widen(tensor, tf.reduce_max(widths))
    return _join_rows(tensor, context)


def _concatenate(strategy: tf.distribute.Strategy, tensor: Any) -> tf.Tensor:
    parts = strategy.experimental_local_results(tensor)
    if parts[0].shape.rank == 2:
        widest = tf.reduce_max([tf.shape(part, tf.int64)[1] for part in parts])
        parts = [_widen(part, widest) for part in parts]
    return tf.concat(parts, axis=0)


def _widen(tensor: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    missing = width - tf.shape(tensor, tf.int64)[1]
    return tf.pad(tensor, [[0, 0], [0, missing]], constant_values=tf.constant(PADDING, tf.int64))
