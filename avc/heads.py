"""What compares picture and sound: one layer a network, used on any pairs of features.

A head is called on the features of frames and of sounds, row by row. Called a second time
with K sounds a picture, `[batch, K, d]`, it scores mismatched pairs without a second pass
through the trunks; all it gives then has an axis more, `[batch, K, ...]`. All give logits
`[batch, 2]`: does not correspond, corresponds.
"""

import keras
from keras import layers, ops

# Below it the square root's slope would grow without bound.
LEAST_SQUARE = 1e-12


@keras.saving.register_keras_serializable("avc")
class Fusion(layers.Layer):
    """L3: concatenation, a hidden layer, two logits (figure 2d)."""

    def __init__(
        self,
        embedding_dim: int = 128,
        initializer: str = "he_normal",
        kernel_regularizer: keras.Regularizer | None = None,
        **kwargs,
    ):
        """See NetworkConfig."""
        super().__init__(**kwargs)
        self.embedding_dim, self.initializer = embedding_dim, initializer
        kernel = {
            "kernel_initializer": initializer,
            "kernel_regularizer": keras.regularizers.get(kernel_regularizer),
        }
        self.fc1 = layers.Dense(embedding_dim, activation="relu", **kernel, name="fc1")
        self.fc2 = layers.Dense(2, dtype="float32", **kernel, name="fc2")

    def build(self, visual_shape, audio_shape):
        """Makes the weights for features `[batch, d]` each."""
        self.fc1.build((None, visual_shape[-1] + audio_shape[-1]))
        self.fc2.build((None, self.embedding_dim))

    def call(self, visual, audio):
        """Scores pairs `[batch, d]`, `[batch, d]` or `[batch, K, d]`."""
        shape = (*ops.shape(audio)[:-1], visual.shape[-1])
        visual = ops.broadcast_to(_beside(visual, audio), shape)
        return self.fc2(self.fc1(ops.concatenate([visual, audio], -1)))

    def compute_output_shape(self, visual_shape, audio_shape):
        """`[batch, 2]`."""
        return (*audio_shape[:-1], 2)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "initializer": self.initializer,
            "kernel_regularizer": keras.regularizers.serialize(self.fc1.kernel_regularizer),
        }


@keras.saving.register_keras_serializable("avc")
class Distance(layers.Layer):
    """AVE, ResNet18: the Euclidean distance through a layer of 1 x 2 weights (figure 2c)."""

    def __init__(self, scale: float = 3.0, threshold: float = 1.0, **kwargs):
        """`scale`, `threshold`: see NetworkConfig."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.scale, self.threshold = scale, threshold

    def build(self, visual_shape, audio_shape):
        """Makes the four weights of fc3, of the right sign."""
        self.kernel = self.add_weight(
            shape=(1, 2), name="kernel", initializer=_constant([[self.scale, -self.scale]])
        )
        bias = self.scale * self.threshold
        self.bias = self.add_weight(shape=(2,), name="bias", initializer=_constant([-bias, bias]))

    def call(self, visual, audio):
        """Scores pairs of embeddings `[batch, d]`, `[batch, d]` or `[batch, K, d]`."""
        square = ops.sum(ops.square(_beside(visual, audio) - audio), -1, keepdims=True)
        distance = ops.sqrt(ops.maximum(square, LEAST_SQUARE))
        return distance * self.kernel + self.bias

    def compute_output_shape(self, visual_shape, audio_shape):
        """`[batch, 2]`."""
        return (*audio_shape[:-1], 2)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale, "threshold": self.threshold}


@keras.saving.register_keras_serializable("avc")
class ScoreMap(layers.Layer):
    """AVOL: the product with every place of the picture, scaled and shifted (figure 4)."""

    def __init__(self, scale: float = 3.0, threshold: float = 1.0, **kwargs):
        """`scale`, `threshold`: see NetworkConfig; the scale is shared by the dimensions."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.scale, self.threshold = scale, threshold

    def build(self, visual_shape, audio_shape):
        """Makes the two weights of conv7, of the right sign."""
        # Products of independent features grow with the root of their number.
        kernel = self.scale / visual_shape[-1] ** 0.5
        self.kernel = self.add_weight(shape=(), name="kernel", initializer=_constant(kernel))
        bias = -self.scale * self.threshold
        self.bias = self.add_weight(shape=(), name="bias", initializer=_constant(bias))

    def call(self, visual, audio):
        """Scores `[batch, height, width, d]` against `[batch, d]`: `[batch, height, width]`."""
        formula = "bhwd,bd->bhw" if len(audio.shape) == 2 else "bhwd,bkd->bkhw"
        return ops.einsum(formula, visual, audio) * self.kernel + self.bias

    def compute_output_shape(self, visual_shape, audio_shape):
        """`[batch, height, width]`."""
        return (*audio_shape[:-1], *visual_shape[1:-1])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale, "threshold": self.threshold}


@keras.saving.register_keras_serializable("avc")
class ScorePooling(layers.Layer):
    """Scores over the picture to two logits, by the largest or by attention.

    Softmax of (0, score) is the logistic function of the score, so that the paper's
    logistic loss is the other networks' cross-entropy.
    """

    def __init__(self, pooling: str = "max", temperature: float = 1.0, **kwargs):
        """`pooling`, `temperature`: see NetworkConfig."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.pooling, self.temperature = pooling, temperature

    def call(self, scores):
        """Pools `[batch, height, width]`."""
        flat = ops.reshape(scores, (*ops.shape(scores)[:-2], scores.shape[-2] * scores.shape[-1]))
        if self.pooling == "max":
            score = ops.max(flat, -1)
        else:
            score = ops.sum(ops.softmax(flat / self.temperature) * flat, -1)
        return ops.stack([ops.zeros_like(score), score], -1)

    def compute_output_shape(self, scores_shape):
        """`[batch, 2]`."""
        return (*scores_shape[:-2], 2)

    def get_config(self):
        """The constructor's arguments."""
        mine = {"pooling": self.pooling, "temperature": self.temperature}
        return {**super().get_config(), **mine}


def _beside(visual, audio):
    """Pictures `[batch, d]` such that they can be compared with one or several sounds each."""
    return visual if len(audio.shape) == len(visual.shape) else ops.expand_dims(visual, 1)


def _constant(value):
    """An initialiser that is the same under every seed."""

    def initialize(shape, dtype=None):
        return ops.broadcast_to(ops.convert_to_tensor(value, dtype=dtype), shape)

    return initialize
