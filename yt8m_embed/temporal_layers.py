"""Layers of towers that see a video second by second; those after its end never count."""

import keras
from keras import layers, ops

from yt8m_embed.records import dequantize


@keras.saving.register_keras_serializable("yt8m_embed")
class Dequantization(layers.Layer):
    """Seconds as floats `[batch, time, size]`, zero after the last, and their mask `[batch, time]`.

    Takes uint8 `[batch, time, size]` and `num_frames` `[batch]`.
    """

    def call(self, quantized, num_frames):
        """Decodes the bytes of each second."""
        return dequantize(quantized, num_frames)


@keras.saving.register_keras_serializable("yt8m_embed")
class FlattenSeconds(layers.Layer):
    """All seconds of all videos as rows: `[batch, time, size]` to `[batch * time, size]`."""

    def call(self, values):
        """Joins the first two dimensions."""
        return ops.reshape(values, (-1, values.shape[-1]))


@keras.saving.register_keras_serializable("yt8m_embed")
class UnflattenSeconds(layers.Layer):
    """The inverse of FlattenSeconds, with zeros where the mask `[batch, time]` is False."""

    def call(self, rows, mask):
        """Splits the first dimension."""
        batch, time = ops.shape(mask)[:2]
        values = ops.reshape(rows, (batch, time, rows.shape[-1]))
        return ops.where(mask[..., None], values, 0.0)


@keras.saving.register_keras_serializable("yt8m_embed")
class MaskSeconds(layers.Layer):
    """Zeros where the mask is False; what follows needs no mask of Keras's own any more."""

    def __init__(self, **kwargs):
        """Takes the arguments of any layer."""
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, values, exists):
        """Masks `[batch, time, size]` by `[batch, time]`."""
        return ops.where(exists[..., None], values, ops.zeros((), values.dtype))

    def compute_mask(self, inputs, previous_mask):
        """None: the mask that Keras attaches to a recurrent layer's outputs ends here."""
        return None


@keras.saving.register_keras_serializable("yt8m_embed")
class AttentionPooling(layers.Layer):
    """Multi-head attention over the seconds of a video, with one learned query a head.

    A video without seconds gives zeros.
    """

    def __init__(self, units: int, heads: int, **kwargs):
        """`units`: outputs, divided evenly among `heads`."""
        super().__init__(**kwargs)
        self.units = units
        self.heads = heads

    def build(self, values_shape, mask_shape=None):
        """Makes queries, keys and values."""
        size, each = values_shape[-1], self.units // self.heads
        self.query = self.add_weight(
            name="query", shape=(self.heads, each), initializer="glorot_uniform"
        )
        self.key = layers.Dense(self.units, use_bias=False, name="key")
        self.value = layers.Dense(self.units, name="value")
        for dense in (self.key, self.value):
            dense.build((None, None, size))

    def call(self, values, mask):
        """Pools `[batch, time, size]` to `[batch, units]` over the seconds of the mask."""
        batch, time = ops.shape(values)[:2]
        split = (batch, time, self.heads, self.units // self.heads)
        keys = ops.cast(ops.reshape(self.key(values), split), "float32")
        query = ops.cast(self.query, "float32") * split[-1] ** -0.5
        scores = ops.where(mask[..., None], ops.sum(keys * query, axis=-1), -1e9)
        weights = ops.softmax(scores, axis=1) * ops.cast(mask[..., None], "float32")
        spoken = ops.cast(ops.reshape(self.value(values), split), "float32")
        pooled = ops.sum(weights[..., None] * spoken, axis=1)
        return ops.cast(ops.reshape(pooled, (batch, self.units)), self.compute_dtype)

    def compute_output_shape(self, values_shape, mask_shape=None):
        """`[batch, units]`."""
        return (values_shape[0], self.units)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units, "heads": self.heads}
