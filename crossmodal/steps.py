"""The compiled training step: several optimizer steps in one call of a tf.function.

One trace serves any number of steps. Within a step the batch may be cut into
micro-batches; gradients are summed over micro-batches, then over replicas, then clipped
and applied, so that the result is that of one device with the whole batch.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crossmodal import optimization, strategies

Losses = Callable[[dict[str, tf.Tensor], dict[str, tf.Tensor], tf.Tensor], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class State:
    """Everything that a step changes.

    Attributes:
      model: built inside the strategy's scope.
      optimizer: as `optimization.prepare_optimizer` gives it.
      step: finished steps, int64 scalar.
      averages: moving averages of the trainable variables, or empty.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    step: tf.Variable
    averages: list[tf.Variable]


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What the step needs of the configuration; see `training.TrainingConfig`."""

    accumulation_steps: int
    clip_by: str
    clip_norm: float
    ema_decay: float
    seed: int
    gather: bool
    loss_features: tuple[str, ...] | None
    select: Callable[[dict[str, tf.Tensor], dict[str, tf.Tensor]], dict[str, tf.Tensor]] | None


class Steps:
    """Runs steps of the training of one state."""

    def __init__(
        self,
        state: State,
        losses: Losses,
        options: StepOptions,
        strategy: tf.distribute.Strategy,
        specs: Mapping[str, tf.TensorSpec],
    ) -> None:
        """Compiles nothing yet; the first call does. `specs` are those of a replica's batch."""
        self.state = state
        self.losses = losses
        self.options = options
        self.strategy = strategy
        self.specs = specs
        self.names: list[str] = []  # of the columns of the history, filled by the trace
        self.scales = isinstance(state.optimizer, keras.optimizers.LossScaleOptimizer)
        self.seed_states = [
            variable for variable in state.model.variables
            if variable.name == "seed_generator_state"
        ]

    def __call__(self, iterator: Any, steps: int, stop: bool) -> tuple[np.ndarray, bool]:
        """Takes steps.

        Args:
          iterator: of `strategies.distribute`.
          steps: how many.
          stop: whether this worker was asked to stop.

        Returns:
          The history [steps, len(names)] float32: means over the global batch, one row a
          step. And whether any worker was asked to stop.
        """
        calls = [1] * steps if self.one_by_one() else [steps]
        results = [
            self.run(iterator, tf.constant(number), tf.constant(float(stop))) for number in calls
        ]
        history = np.concatenate([rows.numpy() for rows, _ in results])
        return history, any(float(stops) > 0 for _, stops in results)

    def one_by_one(self) -> bool:
        """Whether each step needs a call: a collective operation in a loop keeps its shape."""
        options = self.options
        names = self.specs if options.loss_features is None else options.loss_features
        gathers = options.gather and strategies.is_multi_worker(self.strategy)
        return gathers and any(None in self.specs[name].shape[1:] for name in names)

    @tf.function
    def run(
        self, iterator: Any, steps: tf.Tensor, stop: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The compiled loop; `stop` is summed over the workers."""
        history = tf.TensorArray(tf.float32, steps, infer_shape=False)
        for i in tf.range(steps):
            batches = [next(iterator) for _ in range(self.options.accumulation_steps)]
            row = self.strategy.run(self.replica_step, args=(batches, self.state.step))
            row = self.strategy.experimental_local_results(row)[0]
            history = history.write(i, row)
            self.state.step.assign_add(1)
        stops = self.strategy.run(lambda: tf.identity(stop))
        return history.stack(), self.strategy.reduce(tf.distribute.ReduceOp.SUM, stops, axis=None)

    @tf.autograph.experimental.do_not_convert
    def replica_step(self, batches: list[dict[str, tf.Tensor]], step: tf.Tensor) -> tf.Tensor:
        """One step of one replica; returns its row of the history, the same on all."""
        context = tf.distribute.get_replica_context()
        state, options = self.state, self.options
        step = tf.convert_to_tensor(step)
        scale = optimization.loss_scale(state.optimizer)
        share = len(batches) * context.num_replicas_in_sync
        gradients, totals = None, None
        for index, batch in enumerate(batches):
            self.set_seeds((step * len(batches) + index), context)
            if gradients is not None:
                batch = _after(gradients, batch)
            parts, more = self.gradients_of(batch, step, scale / share)
            gradients = more if gradients is None else _add(gradients, more)
            totals = parts if totals is None else _add(totals, parts)
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, *totals])
        gradients, totals = sums[: len(gradients)], sums[len(gradients) :]
        learning_rate = tf.cast(tf.convert_to_tensor(state.optimizer.learning_rate), tf.float32)
        variables = state.model.trainable_variables
        clipped = optimization.clip(gradients, options.clip_by, options.clip_norm, scale)
        state.optimizer.apply(clipped, variables)
        if state.averages:
            optimization.update_averages(state.averages, variables, options.ema_decay, step)
        extras = [learning_rate, scale] if self.scales else [learning_rate]
        return tf.stack([total / share for total in totals] + extras)

    def gradients_of(
        self, batch: dict[str, tf.Tensor], step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Forward and backward pass of one micro-batch.

        Returns:
          The parts of the loss in the order of `names`; the gradients of the loss times
          `scale`, one for each trainable variable.
        """
        model, options = self.state.model, self.options
        with tf.GradientTape() as tape:
            inputs = getattr(model, "inputs", None)  # of a functional model
            features = {x.name: batch[x.name] for x in inputs} if inputs else batch
            outputs = {k: _float32(v) for k, v in model(features, training=True).items()}
            if options.select:
                outputs = options.select(outputs, batch)
            penalties = model.losses
            if options.loss_features is not None:
                batch = {name: batch[name] for name in options.loss_features}
            if options.gather:
                outputs, batch = strategies.gather(outputs), strategies.gather(batch)
            parts = {k: _float32(v) for k, v in self.losses(outputs, batch, step).items()}
            if penalties:
                parts["regularization"] = tf.add_n([_float32(x) for x in penalties])
                parts["loss"] += parts["regularization"]
            target = parts["loss"] * scale
        # Of a Keras variable itself TensorFlow cannot make the zeros of an unconnected gradient.
        gradients = tape.gradient(
            target, [v.value for v in model.trainable_variables], unconnected_gradients="zero"
        )
        extras = ["learning_rate", "loss_scale"] if self.scales else ["learning_rate"]
        self.names[:] = sorted(parts) + extras
        return [parts[name] for name in sorted(parts)], [tf.convert_to_tensor(g) for g in gradients]

    def set_seeds(self, index: tf.Tensor, context: tf.distribute.ReplicaContext) -> None:
        """Makes every random draw of a layer a function of (seed, step, micro-batch, replica).

        Keras would count the draws in a variable: right after a resume only if it is saved,
        and then the same on each replica.
        """
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        index = index * context.num_replicas_in_sync + replica
        for number, state in enumerate(self.seed_states):
            seed = tf.stack([tf.constant(self.options.seed, tf.int64), index])
            seed = tf.random.fold_in(seed, number)
            drawn = tf.random.stateless_uniform([2], seed, maxval=2**31 - 2, dtype=tf.int64)
            state.assign(drawn)


def _float32(value: Any) -> tf.Tensor:
    """Outputs and losses leave half precision here; integers stay what they are."""
    value = tf.convert_to_tensor(value)
    return tf.cast(value, tf.float32) if value.dtype.is_floating else value


def _add(first: list[tf.Tensor], second: list[tf.Tensor]) -> list[tf.Tensor]:
    return [a + b for a, b in zip(first, second, strict=True)]


def _after(tensors: list[tf.Tensor], batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Holds a micro-batch back until the one before it is done: memory is for one at a time."""
    with tf.control_dependencies(tensors):
        return {name: tf.identity(value) for name, value in batch.items()}
