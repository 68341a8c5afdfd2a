"""Clips that teach nothing: silence, still pictures, the same sound once more."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

WINDOW_SECONDS = 0.1
PICTURES = 8


def loudest_dbfs(samples: np.ndarray, sample_rate_hz: int) -> float:
    """The level of the loudest tenth of a second, so that one bark in ten seconds counts.

    Args:
      samples: int16 [num_samples].
      sample_rate_hz: samples a second.

    Returns:
      Root of the mean square, in dB of full scale (a square wave of full scale has 0);
      minus infinity where there is nothing but zeros.
    """
    size = max(1, round(WINDOW_SECONDS * sample_rate_hz))
    squares = (samples.astype(np.float64) / 32768) ** 2
    windows = [squares[i : i + size].mean() for i in range(0, len(squares), size)]
    loudest = max(windows, default=0.0)
    return 10 * math.log10(loudest) if loudest else -math.inf


def largest_change(frames: Sequence[bytes]) -> float:
    """How much a clip's pictures differ from its first one.

    Args:
      frames: JPEG.

    Returns:
      The largest mean absolute difference of eight pictures, equally spaced, from the
      first, in levels of 0 to 255 of an eighth of the size; 0 for fewer than two.
    """
    if len(frames) < 2:
        return 0.0
    chosen = np.unique(np.linspace(0, len(frames) - 1, PICTURES).round().astype(int))
    small = [
        tf.io.decode_jpeg(frames[i], channels=1, ratio=8).numpy().astype(np.float64) for i in chosen
    ]
    return max(float(np.abs(picture - small[0]).mean()) for picture in small[1:])


def digest(samples: np.ndarray) -> str:
    """The same for two sounds just when all their samples are the same."""
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
