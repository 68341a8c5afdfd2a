"""Checks of what clients send to an exported model, inside its graph.

A server of SavedModels knows nothing of this package, so that what a client sends wrongly must
be found by the graph itself: a failed check ends the request as INVALID_ARGUMENT (HTTP 400) with
one line that names the input and the rows, and no number is computed from it.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

Tensors = dict[str, tf.Tensor]
# None where operations run at once, and a failed one has raised already.
Check = tf.Operation | None


def require(right: tf.Tensor, message: str, *found: tf.Tensor) -> Check:
    """An operation that fails unless a condition holds.

    Args:
      right: the condition, bool scalar.
      message: what is wanted; names the input.
      *found: shown behind the message.
    """
    # Of tf.debugging, assert_* would put a branch around each check.
    return tf.raw_ops.Assert(condition=right, data=[tf.constant(message), *found], summarize=8)


def require_rows(right: tf.Tensor, message: str) -> Check:
    """Like `require`, of a condition on each row; the message ends with those that fail it.

    Args:
      right: bool [batch].
      message: what is wanted; names the input.
    """
    wrong = tf.where(tf.logical_not(right))[:, 0]
    return require(tf.reduce_all(right), f"{message}; not so in rows", wrong)


def require_magnitude(name: str, values: tf.Tensor, largest: float, unit: str = "") -> Check:
    """Requires numbers that are finite and not larger than a bound.

    Args:
      name: of the input.
      values: float32 [batch, ...].
      largest: the bound of absolute values.
      unit: what the numbers are meant to be, for the message.
    """
    # Comparisons with NaN are false.
    right = tf.reduce_all(tf.abs(values) <= largest, axis=list(range(1, values.shape.rank)))
    return require_rows(right, f"{name} must be finite numbers{unit}")


def checked(
    specs: Sequence[tf.TensorSpec],
    values: Sequence[tf.Tensor],
    checks: Callable[[Tensors], Sequence[Check]],
) -> Tensors:
    """The inputs of a signature by name, once they are what it takes.

    Args:
      specs: of the inputs, named, with rows on the first axis.
      values: as many, in that order.
      checks: of all that follows from neither the specs nor that inputs have equally many rows.

    Returns:
      The same values; nothing that is computed from them comes before the checks.
    """
    # A server may feed any shape, whatever the graph was traced with.
    given = {
        spec.name: tf.ensure_shape(value, spec.shape, name=f"{spec.name}_shape")
        for spec, value in zip(specs, values, strict=True)
    }
    rows = tf.stack([tf.shape(value)[0] for value in given.values()])
    equal = require(
        tf.reduce_all(rows == rows[0]),
        f"{', '.join(given)} must have equally many rows; they have",
        rows,
    )
    with tf.control_dependencies([equal]):
        given = {name: tf.identity(value) for name, value in given.items()}
    with tf.control_dependencies(list(checks(given))):
        return {name: tf.identity(value) for name, value in given.items()}


def on_rows(
    function: Callable[[Tensors], Mapping[str, tf.Tensor] | tf.Tensor], given: Tensors
) -> Mapping[str, tf.Tensor] | tf.Tensor:
    """Calls a function that needs a row at least on any number of them.

    Args:
      function: from tensors [batch, ...] to such tensors.
      given: numbers, not strings.

    Returns:
      What the function gives, with as many rows as there are.
    """
    rows = tf.shape(next(iter(given.values())))[0]
    lacking = tf.maximum(1 - rows, 0)

    def lengthened(value: tf.Tensor) -> tf.Tensor:
        paddings = tf.concat([[[0, lacking]], tf.zeros([value.shape.rank - 1, 2], tf.int32)], 0)
        padded = tf.pad(value, paddings, constant_values=tf.ones([], value.dtype))
        padded.set_shape([None, *value.shape[1:]])
        return padded

    found = function({name: lengthened(value) for name, value in given.items()})
    return tf.nest.map_structure(lambda value: value[:rows], found)
