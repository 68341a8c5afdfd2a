"""How alike a picture and a sound are, place by place and step by step.

Harwath et al. 2018, Jointly Discovering Visual Objects and Spoken Words from Raw Sensory
Input, section 3.3: the matchmap is the product of the vectors of every place and every step;
its pooling is the similarity. A sound's map has as its last channel whether the step exists.
"""

import keras
from keras import layers, ops

from avc import instance_pooling
from avc.masks import inside, replica_mean


@keras.saving.register_keras_serializable("avc")
class MarkSteps(layers.Layer):
    """A sound's map with a channel more: 1 where a step exists, 0 behind."""

    def call(self, x, count):
        """Takes `[batch, steps, d]`, `[batch]`."""
        keep = inside(count, ops.shape(x)[1], x.dtype)
        return ops.concatenate([x, keep], -1)

    def compute_output_shape(self, x_shape, count_shape):
        """`[batch, steps, d + 1]`."""
        return (*x_shape[:-1], x_shape[-1] + 1)


@keras.saving.register_keras_serializable("avc")
class Matchmap(layers.Layer):
    """Products of all places and steps: `[batch, steps, height, width]`; 0 behind a sound."""

    def __init__(self, **kwargs):
        """In float32 whatever the model's type is."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, visual, audio):
        """Takes `[batch, height, width, d]`, `[batch, steps, d + 1]` or `[batch, K, ...]`."""
        formula = "bhwd,btd->bthw" if len(audio.shape) == 3 else "bhwd,bktd->bkthw"
        return ops.einsum(formula, visual, audio[..., :-1]) * audio[..., -1:, None]

    def compute_output_shape(self, visual_shape, audio_shape):
        """`[batch, (K,) steps, height, width]`."""
        return (*audio_shape[:-1], *visual_shape[1:3])


@keras.saving.register_keras_serializable("avc")
class TimeMean(layers.Layer):
    """The mean of a matchmap over the steps that exist: `[batch, (K,) height, width]`."""

    def __init__(self, **kwargs):
        """In float32 whatever the model's type is."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, matchmap, audio):
        """Takes the matchmap and the sound's map."""
        count = ops.sum(audio[..., -1], -1)[..., None, None]
        return ops.sum(matchmap, -3) / count

    def compute_output_shape(self, matchmap_shape, audio_shape):
        """`[batch, (K,) height, width]`."""
        return (*matchmap_shape[:-3], *matchmap_shape[-2:])


@keras.saving.register_keras_serializable("avc")
class Similarity(layers.Layer):
    """A matchmap as one number; see `pool`."""

    def __init__(self, kind: str = "sisa", temperature: float = 1.0, **kwargs):
        """`kind` and its temperature: see `avc.matchmap_config`."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.kind, self.temperature = kind, temperature

    def call(self, matchmap, audio):
        """Takes the matchmap and the sound's map."""
        return pool(matchmap, audio[..., -1], self.kind, self.temperature)

    def compute_output_shape(self, matchmap_shape, audio_shape):
        """`[batch, (K)]`."""
        return matchmap_shape[:-3]

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "kind": self.kind, "temperature": self.temperature}


def pool(matchmap, keep, kind: str, temperature: float = 1.0):
    """The similarity of matchmaps.

    Args:
      matchmap: `[..., steps, height, width]`.
      keep: 1 where a step exists and 0 elsewhere, `[..., steps]`.
      kind: `sisa`, the mean of all; `misa`, the largest over the picture, its mean over time;
        `sima`, the largest over time, its mean over the picture; `max` and `soft`: that of a
        bag whose instances are the places and the steps, see `avc.instance_pooling`.
      temperature: of `soft`.

    Returns:
      `[...]`.
    """
    if kind in ("max", "soft"):
        bag = ops.reshape(matchmap, (*ops.shape(matchmap)[:-2], -1))
        return instance_pooling.pool(ops.swapaxes(bag, -1, -2), None, keep, kind, temperature)
    count = ops.sum(keep, -1)
    if kind == "sima":
        behind = ops.cast(ops.less(keep, 0.5), matchmap.dtype)[..., None, None]
        return ops.mean(ops.max(matchmap - 1e30 * behind, -3), (-2, -1))
    of_step = ops.mean(matchmap, (-2, -1)) if kind == "sisa" else ops.max(matchmap, (-2, -1))
    return ops.sum(of_step * keep, -1) / count


@keras.saving.register_keras_serializable("avc")
class Standardized(layers.Layer):
    """Similarities, and places of a picture, around the middle of true and mismatched pairs.

    A triplet loss asks for differences and leaves open which similarity means that picture and
    sound correspond. Here this is the middle between the moving means of true and of
    mismatched pairs, and the unit is the moving deviation within the two; for places of a
    picture it is that of the places. `avc.matchmaps.Observer` moves them.
    """

    def __init__(self, momentum: float = 0.9, **kwargs):
        """`momentum`: of the moving statistics."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.momentum = momentum

    def build(self, input_shape):
        """Makes the statistics."""

        def number(name: str, value: float):
            return self.add_weight(
                shape=(), name=name, initializer=keras.initializers.Constant(value),
                trainable=False, autocast=False,
            )

        self.true_mean, self.mismatched_mean = number("true_mean", 0.5), number("wrong_mean", -0.5)
        self.variance = number("variance", 1.0)
        self.place_variance = number("place_variance", 1.0)

    def call(self, values):
        """Similarities `[batch, (K)]` or places `[batch, (K,) height, width]`."""
        middle = (self.true_mean + self.mismatched_mean) / 2
        places = len(values.shape) > 2
        variance = self.place_variance if places else self.variance
        return (values - middle) * ops.rsqrt(variance + 1e-6)

    def compute_output_shape(self, input_shape):
        """The same."""
        return input_shape

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable("avc")
class Observer(layers.Layer):
    """Moves the statistics of a `Standardized` while training; gives similarities back."""

    def __init__(self, standardized: Standardized | None = None, **kwargs):
        """`standardized`: whose statistics."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.standardized = standardized

    def call(self, own, mismatched, places, mismatched_places, offset, training=None):
        """Looks at similarities and places of true and of mismatched pairs.

        Args:
          own: `[batch]`.
          mismatched: `[batch, K]`.
          places: `[batch, height, width]`.
          mismatched_places: `[batch, K, height, width]`.
          offset: `[batch, K]`, 0 where there is no mismatched pair.
          training: whether to move.
        """
        if not training:
            return own
        s = self.standardized
        placed = ops.cast(ops.not_equal(offset, 0), "float32")
        true = replica_mean(own, ops.ones_like(own))
        wrong = replica_mean(mismatched, placed)
        within = (
            replica_mean(ops.square(own - true), ops.ones_like(own))
            + replica_mean(ops.square(mismatched - wrong), placed)
        ) / 2
        middle = (true + wrong) / 2
        spread = (
            replica_mean(ops.square(places - middle), ops.ones_like(places))
            + replica_mean(ops.square(mismatched_places - middle), placed[..., None, None])
        ) / 2
        for moving, value in (
            (s.true_mean, true), (s.mismatched_mean, wrong),
            (s.variance, within), (s.place_variance, spread),
        ):
            moving.assign(moving * s.momentum + ops.stop_gradient(value) * (1 - s.momentum))
        return own

    def compute_output_spec(self, own, *others, training=None):
        """`[batch]`."""
        return keras.KerasTensor(own.shape, "float32")


@keras.saving.register_keras_serializable("avc")
class ScaledLogits(layers.Layer):
    """A standardised similarity to two logits, through a scale and a shift of its own."""

    def __init__(self, scale: float = 3.0, **kwargs):
        """`scale`: the first one."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.scale = scale

    def build(self, input_shape):
        """Makes two weights; the logistic loss would learn them, the triplet loss does not."""
        initial = keras.initializers.Constant(self.scale)
        self.kernel = self.add_weight(shape=(), name="kernel", initializer=initial)
        self.bias = self.add_weight(shape=(), name="bias", initializer="zeros")

    def call(self, similarity):
        """Takes `[batch, (K)]`."""
        score = similarity * self.kernel + self.bias
        return ops.stack([ops.zeros_like(score), score], -1)

    def compute_output_shape(self, similarity_shape):
        """`[batch, (K,) 2]`."""
        return (*similarity_shape, 2)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}
