"""What happens to gradients between the loss and the weights.

Clipping, the learning rate as a function of the step, dynamic loss scaling for float16 and
the exponential moving average of the weights (Polyak & Juditsky 1992).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
CLIPPING = ("none", "variable", "global")


class FunctionSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate given as a function of the step (float32 scalar tensor)."""

    def __init__(self, function: Callable[[tf.Tensor], tf.Tensor]) -> None:
        """Wraps `function`, which is made of keras.ops."""
        self.function = function

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate of the step that follows `step` finished ones."""
        return self.function(keras.ops.cast(step, "float32"))

    def get_config(self) -> dict:
        """Not saved: a function has no configuration."""
        raise NotImplementedError("a schedule made of a function cannot be serialised")


@contextlib.contextmanager
def precision_policy(name: str) -> Iterator[None]:
    """Sets the precision of the layers that are made inside, and puts the old one back."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def prepare_optimizer(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable], precision: str
) -> keras.optimizers.Optimizer:
    """Builds the optimizer's state, with dynamic loss scaling under mixed_float16.

    The loop sums gradients over replicas itself, because clipping needs the sum; so the
    optimizer's own sum is taken out.

    Args:
      optimizer: an optimizer without clipping or accumulation of its own.
      variables: the trainable variables, in the order of the gradients.
      precision: one of PRECISIONS.
    """
    assert hasattr(optimizer, "_all_reduce_sum_gradients"), "not the Keras this was written for"
    optimizer._all_reduce_sum_gradients = list
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(list(variables))
    return optimizer


def clip(gradients: list[tf.Tensor], by: str, norm: float, scale: tf.Tensor) -> list[tf.Tensor]:
    """Limits the norm of each gradient, or of all together.

    Args:
      gradients: summed over the replicas, times `scale`.
      by: one of CLIPPING.
      norm: the largest norm that is left alone, in units of the unscaled gradients.
      scale: the loss scale, a power of two (1 without loss scaling).
    """
    if by == "variable":
        return [tf.clip_by_norm(gradient, norm * scale) for gradient in gradients]
    if by == "global":
        return tf.clip_by_global_norm(gradients, norm * scale)[0]
    return gradients


def loss_scale(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """What the loss is multiplied by before the gradients are taken (float32 scalar)."""
    return tf.convert_to_tensor(optimizer.scale_loss(tf.constant(1.0)))


def update_averages(
    averages: Sequence[tf.Variable],
    variables: Sequence[keras.Variable],
    decay: float,
    step: tf.Tensor,
) -> None:
    """Moves each average towards its variable, faster during the first steps.

    The decay is min(decay, (1 + step) / (10 + step)), so that the arbitrary initial weights
    are forgotten early.
    """
    step = tf.cast(step, tf.float32)
    rate = 1.0 - tf.minimum(decay, (1.0 + step) / (10.0 + step))
    for average, variable in zip(averages, variables, strict=True):
        average.assign_add(rate * (tf.convert_to_tensor(variable) - average))


@contextlib.contextmanager
def averaged_weights(
    averages: Sequence[tf.Variable], variables: Sequence[keras.Variable]
) -> Iterator[None]:
    """Lends the averages to the model, and gives its own weights back, bit for bit."""
    if not averages:
        yield
        return
    own = [variable.numpy() for variable in variables]
    try:
        for average, variable in zip(averages, variables, strict=True):
            variable.assign(average.numpy())
        yield
    finally:
        for value, variable in zip(own, variables, strict=True):
            variable.assign(value)
