"""Layers for sounds of different lengths in one batch: what is padding stays without effect.

A sound begins with the first step of its row; `count` [batch] says how many steps it has.
Behind them there is zero, before and after every layer, so that a convolution at the end of a
sound sees what it would see if the row ended there.
"""

import keras
from keras import layers, ops


def inside(count, steps: int, dtype: str = "float32"):
    """1 where a step exists and 0 behind: `[batch, steps, 1]`."""
    ends = ops.cast(count, "int32")[:, None, None]
    return ops.cast(ops.arange(steps)[None, :, None] < ends, dtype)


@keras.saving.register_keras_serializable("avc")
class KeepSteps(layers.Layer):
    """Zeros behind the last step: `[batch, steps, channels]`, `[batch]`."""

    def call(self, x, count):
        """Sets padding to zero, whatever it was, also NaN."""
        return ops.where(inside(count, ops.shape(x)[1], "bool"), x, ops.zeros_like(x))

    def compute_output_shape(self, x_shape, count_shape):
        """That of the steps."""
        return x_shape


@keras.saving.register_keras_serializable("avc")
class StepMean(layers.Layer):
    """The mean over the steps that exist: `[batch, steps, channels]` to `[batch, channels]`."""

    def __init__(self, **kwargs):
        """In float32 whatever the model's type is."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, x, count):
        """Takes steps that are zero behind the last one."""
        return ops.sum(x, 1) / ops.cast(count, "float32")[:, None]

    def compute_output_shape(self, x_shape, count_shape):
        """`[batch, channels]`."""
        return (x_shape[0], x_shape[-1])


@keras.saving.register_keras_serializable("avc")
class StepNormalization(layers.Layer):
    """Batch normalisation of a spectrogram as one channel, over what exists of it.

    Of `[batch, steps, bands]` all bands share mean and variance, a scale and a shift, as in a
    normalisation of a picture with one channel. The statistics of a batch are over all
    replicas, and weigh each step by whether it exists.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        """`momentum`: of the moving statistics."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, x_shape, count_shape):
        """Makes four numbers."""
        self.gamma = self.add_weight(shape=(), name="gamma", initializer="ones")
        self.beta = self.add_weight(shape=(), name="beta", initializer="zeros")
        fixed = {"shape": (), "trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(name="moving_mean", initializer="zeros", **fixed)
        self.moving_variance = self.add_weight(name="moving_variance", initializer="ones", **fixed)

    def call(self, x, count, training=None):
        """Normalises; padding becomes zero."""
        keep = inside(count, ops.shape(x)[1])
        if training:
            mean = replica_mean(x, keep)
            variance = replica_mean(ops.square(x - mean), keep)
            for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        normal = (x - mean) * ops.rsqrt(variance + self.epsilon)
        return (normal * self.gamma + self.beta) * keep

    def compute_output_shape(self, x_shape, count_shape):
        """That of the steps."""
        return x_shape

    def get_config(self):
        """The constructor's arguments."""
        mine = {"momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **mine}


def replica_mean(x, weight):
    """The weighted mean of all numbers on all replicas; 0 where nothing has a weight.

    Args:
      x: of any shape.
      weight: of a shape that broadcasts to it.
    """
    weight = ops.broadcast_to(weight, ops.shape(x))
    pair = ops.reshape(ops.stack([x * weight, weight], -1), (-1, 2))
    # The mean of TensorFlow's moments is of all replicas; other backends run on one.
    together = keras.backend.backend() == "tensorflow"
    mean, _ = ops.moments(pair, 0, synchronized=together)
    return mean[0] / ops.maximum(mean[1], 1e-12)
