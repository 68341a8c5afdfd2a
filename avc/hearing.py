"""A classifier of what is heard in scenes, trained WITH labels on a network's own sound trunk."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from avc import pairs, trunks
from avc.augmentation import Loudness
from avc.configuration import NetworkConfig
from avc.reading import explained
from avc.recipes import AvcConfig
from avc.scene_truth import ROUNDING, read_scenes
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.pipeline import PipelineConfig, open_training
from crossmodal.reading import Records

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class HearingConfig:
    """How the classifier is trained.

    Attributes:
      steps: of Adam.
      batch_size: seconds of sound in a step, at most one a scene; those that hold several
        sounds do not count.
      learning_rate: the first; it falls to 0 as a cosine.
      seed: of weights, order and moments.
    """

    steps: int = 1500
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("steps", self.steps, 1, 10_000_000)
        check_range("batch_size", self.batch_size, 2, 100_000)
        check_range("learning_rate", self.learning_rate, 1e-9, 1e3)


@dataclasses.dataclass(frozen=True)
class Hearing:
    """A trained classifier.

    A pair is said to correspond where the probability of the classes that are seen is above
    their share of all training seconds. Half of the pairs being mismatched, that decision is
    the one most often right, by Bayes' rule, if the probabilities are; nothing is tuned.

    Attributes:
      model: waveforms `[batch, samples]` in [-1, 1] to probabilities `[batch, 1 + classes]`;
        the first is that nothing is heard.
      classes: the others, in order.
      shares: of each in the training's seconds, `[1 + classes]`.
    """

    model: keras.Model
    classes: tuple[bytes, ...]
    shares: np.ndarray

    def says(self, probability: np.ndarray, seen: frozenset[bytes]) -> bool:
        """Whether a sound of such probabilities `[1 + classes]` corresponds to what is seen."""
        chosen = np.array([False, *(name in seen for name in self.classes)])
        return bool(probability[chosen].sum() > self.shares[chosen].sum())


def train(
    records: Records, encoding: str, network: AvcConfig, config: HearingConfig, verbose: int = 1
) -> Hearing:
    """Trains the classifier on scenes.

    Args:
      records, encoding: the scenes, and how their sound is stored.
      network: whose sound trunk it takes, and whose seconds of sound.
      config: how.
      verbose: as `keras.Model.fit` takes it.

    Raises:
      UserError: nothing is heard in the scenes, or they are bad.
    """
    heard = [sorted({event[0] for event in scene.events}) for scene in read_scenes(records)]
    classes = tuple(sorted({name for names in heard for name in names}))
    if not classes:
        raise UserError("--train_pattern: nothing is heard in its scenes")
    keras.utils.set_random_seed(config.seed)
    inputs, model = build(network.network, 1 + len(classes))
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, config.steps)
    trained = keras.Model(inputs, model(Loudness()(inputs["waveform"], inputs["gain"])))
    trained.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    seconds = training_seconds(records, encoding, classes, network, config)
    with explained(records):
        trained.fit(seconds, steps_per_epoch=config.steps, shuffle=False, verbose=verbose)
    return Hearing(model, classes, shares_of(heard, classes))


def build(config: NetworkConfig, outputs: int) -> tuple[dict[str, keras.KerasTensor], keras.Model]:
    """What the training takes, and the classifier of waveforms in [-1, 1]."""
    if config.masks_sound:
        raise ConfigurationError(f"a network `{config.network}` has no reference of hearing")
    waveform = keras.Input((config.segment_samples,), name="heard")
    pooled = layers.GlobalMaxPooling2D()(trunks.sound_trunk(waveform, config))
    probability = layers.Dense(outputs, activation="softmax", dtype="float32")(pooled)
    drawn = {
        "waveform": keras.Input((config.segment_samples,), name="waveform", dtype="int16"),
        "gain": keras.Input((), name="gain"),
    }
    return drawn, keras.Model(waveform, probability, name="hearing")


def shares_of(heard: Sequence[Sequence[bytes]], classes: Sequence[bytes]) -> np.ndarray:
    """How much of a set of scenes is silent, and of each class; float64 `[1 + classes]`."""
    shares = np.zeros(1 + len(classes))
    for names in heard:
        for place in [1 + classes.index(name) for name in names] or [0]:
            shares[place] += 1 / max(1, len(names))
    return shares / len(heard)


def training_seconds(
    records: Records,
    encoding: str,
    classes: Sequence[bytes],
    network: AvcConfig,
    config: HearingConfig,
) -> tf.data.Dataset:
    """Endless batches of `waveform` and `gain`, the class that is heard, and a weight.

    Seconds are drawn as `avc.pairs` draws them for the network. The class is 0 where no
    event is in the second; the weight is 0 where there are several, and 1 elsewhere.

    A batch of more than there are scenes has all of them.
    """
    drawing = dataclasses.replace(
        network.pairs, negatives="in_batch", negatives_from="other_video", mismatched_grid="same"
    )
    known = tf.constant(classes)

    def draw(example: Batch, seed: tf.Tensor) -> Batch:
        drawn = pairs.draw(example, drawing, network.frames, encoding, seed)
        first = drawn["audio_start_seconds"][:, None] + ROUNDING
        last = first + drawing.segment_seconds - 2 * ROUNDING
        begins, ends = (example[f"event_{side}_seconds"] for side in ("start", "end"))
        inside = tf.cast((begins < last) & (ends > first), tf.int32)
        names = tf.argmax(example["event_labels"][:, None] == known[None], 1, tf.int32)
        number = tf.reduce_sum(inside, 1)
        return {
            "waveform": drawn["waveform"],
            "gain": drawn["gain"],
            # Of a single event the sum is its class.
            "class": tf.where(number == 1, tf.reduce_sum(inside * (1 + names), 1), 0),
            "weight": tf.cast(number < 2, tf.float32),
        }

    size = min(config.batch_size, records.count())
    pipeline = PipelineConfig(
        size, config.seed, random_access=True, draws_per_read=drawing.pairs_per_read
    )
    batches = open_training(records, pipeline).dataset(draw=draw)
    return batches.map(
        lambda b: ({k: b[k] for k in ("waveform", "gain")}, b["class"], b["weight"])
    )
