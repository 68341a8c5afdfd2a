"""Changes of colour and loudness, applied to whole batches within the training step.

Batches come as bytes and 16-bit samples with a few drawn numbers an example, a quarter
of the floats' size: changing the colours of a frame takes longer than decoding it, and
an accelerator does it for nothing. The numbers are drawn with the pairs, from their seed.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from avc.visual_inputs import unit_range

# Luma of ITU-R BT.601, the grey of JPEG.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def adjust_colours(frame, brightness, saturation):
    """Changes brightness and saturation of pictures and scales them to [0, 1].

    Saturation is a blend of the picture with its grey (0: grey, 1: unchanged, above 1:
    away from grey), which keeps the luma; the L3-Net's TensorFlow scales the S of HSV,
    which takes several times as long and means the same to the eye. What leaves [0, 1]
    is clipped.

    Args:
      frame: uint8 `[batch, ..., 3]`: pictures, or several of each row.
      brightness: what is added to values in [0, 1], float32 `[batch]`.
      saturation: factor, float32 `[batch]`.

    Returns:
      float32, of the same shape, in [0, 1].
    """
    inner = frame.shape[1:]
    share = ops.reshape(saturation, (-1, 1, 1))
    # One product of matrices instead of three passes over the pixels.
    matrix = share * np.eye(3, dtype="float32") + (1 - share) * LUMA[:, None]
    pixels = ops.reshape(ops.cast(frame, "float32"), (-1, math.prod(inner[:-1]), 3))
    pixels = ops.matmul(pixels, matrix * np.float32(1 / 255))
    pixels = pixels + ops.reshape(brightness, (-1, 1, 1))
    return ops.reshape(ops.clip(pixels, 0.0, 1.0), (-1, *inner))


def adjust_loudness(waveform, gain):
    """Multiplies sounds by a gain, less where a sample would leave [-1, 1].

    Args:
      waveform: int16 `[batch, samples]`.
      gain: float32 `[batch]`.

    Returns:
      float32 `[batch, samples]` in [-1, 1].
    """
    # Not of the int16: the magnitude of -32768 is none.
    samples = ops.cast(waveform, "float32") * np.float32(1 / 32768)
    peak = ops.max(ops.abs(samples), axis=1)
    gain = ops.minimum(gain, 1 / ops.maximum(peak, 1e-6))
    return samples * ops.expand_dims(gain, 1)


@keras.saving.register_keras_serializable("avc")
class Colours(layers.Layer):
    """`adjust_colours` as a layer, in float32 whatever the model's type is."""

    def __init__(self, **kwargs):
        """Makes nothing."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, frame, brightness, saturation):
        """See `adjust_colours`."""
        return adjust_colours(frame, brightness, saturation)

    def compute_output_spec(self, frame, brightness, saturation):
        """That of the pictures."""
        return keras.KerasTensor(frame.shape, "float32")


@keras.saving.register_keras_serializable("avc")
class Displacements(layers.Layer):
    """Bytes of optical flow as numbers in [-1, 1], in float32 whatever the model's type is."""

    def __init__(self, **kwargs):
        """Makes nothing."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, flow):
        """Takes uint8 of any shape."""
        return unit_range("flow", ops.cast(flow, "float32"))

    def compute_output_spec(self, flow):
        """That of the bytes."""
        return keras.KerasTensor(flow.shape, "float32")


@keras.saving.register_keras_serializable("avc")
class Loudness(layers.Layer):
    """`adjust_loudness` as a layer, in float32 whatever the model's type is."""

    def __init__(self, **kwargs):
        """Makes nothing."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, waveform, gain):
        """See `adjust_loudness`."""
        return adjust_loudness(waveform, gain)

    def compute_output_spec(self, waveform, gain):
        """`[batch, samples]`."""
        return keras.KerasTensor(waveform.shape, "float32")
