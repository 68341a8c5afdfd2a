"""The layers of the joint embedding that Keras does not have."""

import keras
import numpy as np
from keras import layers, ops

from yt8m_embed.records import dequantize


@keras.saving.register_keras_serializable("yt8m_embed")
class L2Normalization(layers.Layer):
    """Divides each row by its Euclidean norm; an all-zero row stays zero."""

    def __init__(self, epsilon: float = 1e-12, **kwargs):
        """Epsilon is added to the squared norm, so that the gradient at 0 is finite."""
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        """Normalises `[batch, size]` in float32, whatever the compute type is."""
        x = ops.cast(inputs, "float32")
        return x * ops.rsqrt(ops.sum(x * x, axis=-1, keepdims=True) + self.epsilon)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("yt8m_embed")
class FrameMean(layers.Layer):
    """Mean over the seconds of a video of its dequantised features.

    Takes uint8 `[batch, time, size]` and `num_frames` `[batch]`; gives float32
    `[batch, size]`. Padding does not count; a video without frames gives zeros.
    """

    def call(self, quantized, num_frames):
        """Pools the first `num_frames` seconds of each video."""
        values, mask = dequantize(quantized, num_frames)
        count = ops.maximum(ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True), 1.0)
        return ops.sum(ops.cast(values, "float32"), axis=1) / count


@keras.saving.register_keras_serializable("yt8m_embed")
class Gate(layers.Layer):
    """A learned weight in (0, 1) for each of several unit vectors, joined to one.

    The squares of the factors add up to 1, so the result is a unit vector again.
    """

    def __init__(self, initial: tuple[float, ...], **kwargs):
        """`initial`: the starting shares of the squared norm, one a path."""
        super().__init__(**kwargs)
        self.initial = tuple(initial)

    def build(self, input_shape):
        """Makes one logit a path."""
        start = np.log(np.asarray(self.initial, "float32"))
        self.logits = self.add_weight(
            name="logits",
            shape=(len(self.initial),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(start, dtype),
            dtype="float32",
        )

    def call(self, inputs):
        """Joins unit vectors `[batch, d_i]` to one unit vector `[batch, sum d_i]`."""
        factors = ops.sqrt(ops.softmax(self.logits))
        return ops.concatenate([x * factors[i] for i, x in enumerate(inputs)], axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "initial": self.initial}


@keras.saving.register_keras_serializable("yt8m_embed")
class Standardization(layers.Layer):
    """Subtracts a mean vector and multiplies by one number; both are set from data."""

    def build(self, input_shape):
        """Makes the two weights, which are not trained."""
        size = input_shape[-1]
        self.mean = self.add_weight(
            name="mean", shape=(size,), initializer="zeros", trainable=False, dtype="float32"
        )
        self.factor = self.add_weight(
            name="factor", shape=(), initializer="ones", trainable=False, dtype="float32"
        )

    def call(self, inputs):
        """Standardises `[batch, size]`."""
        return (ops.cast(inputs, "float32") - self.mean) * self.factor


@keras.saving.register_keras_serializable("yt8m_embed")
class LinearPath(layers.Layer):
    """A linear map whose step size is `rate` times that of the other layers.

    The kernel is stored divided by `rate`, which under Adam slows the map's change by
    that factor: what a CCA solution starts from is not washed away.
    """

    def __init__(self, units: int, rate: float, **kwargs):
        """`units`: outputs; `rate`: in (0, 1]."""
        super().__init__(**kwargs)
        self.units = units
        self.rate = rate

    def build(self, input_shape):
        """Makes the stored kernel."""
        self.stored = self.add_weight(
            name="stored", shape=(input_shape[-1], self.units), dtype="float32"
        )

    def assign(self, kernel: np.ndarray):
        """Sets the effective kernel `[inputs, units]`."""
        self.stored.assign(kernel / self.rate)

    def call(self, inputs):
        """Maps `[batch, inputs]` to `[batch, units]`."""
        return ops.matmul(ops.cast(inputs, "float32"), self.stored) * self.rate

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "rate": self.rate}


@keras.saving.register_keras_serializable("yt8m_embed")
class JointNormalization(layers.Layer):
    """Divides both modalities by the norm of their concatenation (the authors' code).

    The squared norms of the two outputs then add up to 1 for every true pair, which
    tells a network which video a vector belongs to: only for the faithful recipe.
    """

    def call(self, visual, audio):
        """Scales `[batch, 1024]` and `[batch, 128]` by one factor a row."""
        visual, audio = ops.cast(visual, "float32"), ops.cast(audio, "float32")
        square = ops.sum(visual * visual, -1, keepdims=True)
        square = square + ops.sum(audio * audio, -1, keepdims=True)
        factor = ops.rsqrt(square + 1e-12)
        return visual * factor, audio * factor
