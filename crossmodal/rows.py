"""Functions of many rows, called on some at a time so that any number fits in memory."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

Features = Mapping[str, np.ndarray]


def in_rows(function: Callable[[Features], Any], rows: int) -> Callable[[Features], Any]:
    """The same function in blocks.

    Args:
      function: from arrays [n, ...] by name to an array [n, ...], or to several by name.
      rows: of a block, at most.

    Returns:
      A function that gives NumPy arrays.
    """

    def call(features: Features) -> Any:
        number = len(next(iter(features.values())))
        if not number:  # convolutions fail on no rows, and of a length of 0 there is no mean
            one = call({k: np.ones((1, *v.shape[1:]), v.dtype) for k, v in features.items()})
            return tf.nest.map_structure(lambda part: part[:0], one)
        starts = range(0, number, rows)
        found = [function({k: v[i : i + rows] for k, v in features.items()}) for i in starts]
        return tf.nest.map_structure(
            lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *found
        )

    return call
