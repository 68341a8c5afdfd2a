"""What an exported audio-visual network takes from its clients, checked in the graph."""

import tensorflow as tf

from crossmodal.request_checks import (
    Check,
    Tensors,
    require,
    require_magnitude,
    require_rows,
)

# Resampling lets full-scale sound go somewhat beyond 1.
LOUDEST = 2.0
# Pixels of flow; beyond it no arithmetic of floats is to be trusted.
FARTHEST = 1e6
# Of a JPEG file, which may say that it is 65,535 pixels a side.
MOST_PIXELS = 2**26


def check_inputs(given: Tensors) -> list[Check]:
    """Checks the inputs of a signature of `avc.serving`, of those that are given.

    Args:
      given: by name, of the right ranks and equally many rows.
    """
    checks = []
    for name in ("frame", "frames", "flow"):
        if name in given:
            sizes = tf.shape(given[name])[1:]
            right = tf.reduce_all(sizes > 0)
            checks.append(require(right, f"{name} must hold a pixel; each is", sizes))
    if "flow" in given:
        checks.append(require_magnitude("flow", given["flow"], FARTHEST, ", in pixels"))
    if "jpeg" in given:
        right = tf.io.is_jpeg(given["jpeg"])
        checks.append(require_rows(right, "jpeg must be whole JPEG files, as bytes"))
    if "waveform" in given:
        right = require_magnitude("waveform", given["waveform"], LOUDEST, " in [-1, 1]")
        checks.append(right)
    if "num_samples" in given:
        width = tf.shape(given["waveform"])[1]
        number = given["num_samples"]
        right = (number >= 1) & (number <= width)
        text = "num_samples must be at least 1 and at most as many as waveform has"
        checks.append(require_rows(right, text))
    return checks


def checked_jpeg(content: tf.Tensor) -> tf.Tensor:
    """A JPEG file, unless it is too large to be decoded.

    Args:
      content: scalar string.
    """
    shape = tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64)
    right = tf.reduce_prod(shape) <= MOST_PIXELS
    text = f"jpeg must be of at most {MOST_PIXELS} pixels; height and width are"
    with tf.control_dependencies([require(right, text, shape)]):
        return tf.identity(content)
