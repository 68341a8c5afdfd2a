"""L3-Net, AVE-Net and AVOL-Net: a table of how they end, on the same trunks.

Objects that Sound, figures 2 and 4. Every network takes `frame` [batch, size, size, 3] in
[0, 1] and `waveform` [batch, samples] in [-1, 1] and returns `logits` [batch, 2],
`visual_embedding` and `audio_embedding` [batch, d] and, where it localises, `heatmap`
[batch, height, width] in [0, 1].

For training a network is joined with `partner_offset` [batch]: how many rows further the
sound of a row's mismatched pair is. Its head is called again on those pairs, so that n
clips give n positive and n negative pairs out of one pass through the trunks.
"""

import dataclasses
from collections.abc import Callable

import keras
from keras import layers, ops

from avc import heads, trunks
from avc.configuration import NetworkConfig

Tensors = dict[str, keras.KerasTensor]

OFFSET, MISMATCHED = "partner_offset", "mismatched_logits"


@dataclasses.dataclass(frozen=True)
class Parts:
    """A network in two halves.

    Attributes:
      visual, audio: what the head compares, batch first.
      embeddings: `visual_embedding` and `audio_embedding`.
      compare: (visual, audio) -> `logits` and, where it localises, `heatmap`.
    """

    visual: keras.KerasTensor
    audio: keras.KerasTensor
    embeddings: Tensors
    compare: Callable[[keras.KerasTensor, keras.KerasTensor], Tensors]


def build(config: NetworkConfig) -> keras.Model:
    """The network as it is used: frames and sounds in, named outputs out."""
    return without_mismatch(build_for_training(config))


def build_for_training(config: NetworkConfig) -> keras.Model:
    """The network with a second input and output: `partner_offset`, `mismatched_logits`."""
    inputs, parts = _parts(config)
    offset = keras.Input((), name=OFFSET, dtype="int32")
    outputs = {**parts.embeddings, **parts.compare(parts.visual, parts.audio)}
    partners = ExchangeRows(name="mismatch")(parts.audio, offset)
    outputs[MISMATCHED] = parts.compare(parts.visual, partners)["logits"]
    return keras.Model({**inputs, OFFSET: offset}, outputs, name=config.network)


def without_mismatch(model: keras.Model) -> keras.Model:
    """The same layers and weights, for single pairs."""
    inputs = {name: tensor for name, tensor in model.input.items() if name != OFFSET}
    outputs = {name: tensor for name, tensor in model.output.items() if name != MISMATCHED}
    return keras.Model(inputs, outputs, name=model.name)


@keras.saving.register_keras_serializable("avc")
class ExchangeRows(layers.Layer):
    """Each row becomes the one so many rows further: `[batch, d]`, `[batch]`."""

    def call(self, rows, offset):
        """Takes row i + offset[i] for row i."""
        return ops.take(rows, ops.arange(ops.shape(rows)[0], dtype="int32") + offset, axis=0)

    def compute_output_shape(self, rows_shape, offset_shape):
        """That of `rows`."""
        return rows_shape


def _parts(config: NetworkConfig) -> tuple[Tensors, Parts]:
    size = config.image_size
    inputs = {
        "frame": keras.Input((size, size, 3), name="frame", dtype="float32"),
        "waveform": keras.Input((config.segment_samples,), name="waveform", dtype="float32"),
    }
    visual = trunks.picture_trunk(inputs["frame"], config)
    audio = trunks.sound_trunk(inputs["waveform"], config)
    return inputs, TABLE[config.network](visual, audio, config)


def _l3(visual: keras.KerasTensor, audio: keras.KerasTensor, config: NetworkConfig) -> Parts:
    """Figure 2d: pooled features, joined by two dense layers."""
    visual = layers.GlobalMaxPooling2D(name="visual_pool4")(visual)
    audio = layers.GlobalMaxPooling2D(name="audio_pool4")(audio)
    fusion = heads.Fusion(
        config.embedding_dim, config.initializer, trunks.decay(config), name="fusion"
    )
    return Parts(
        visual,
        audio,
        _named(visual, audio),
        lambda pictures, sounds: {"logits": fusion(pictures, sounds)},
    )


def _ave(visual: keras.KerasTensor, audio: keras.KerasTensor, config: NetworkConfig) -> Parts:
    """Figure 2c: dense layers in each tower, unit vectors, their distance."""
    visual = _unit(_dense(layers.GlobalMaxPooling2D(name="visual_pool4")(visual), config, "visual"))
    audio = _unit(_dense(layers.GlobalMaxPooling2D(name="audio_pool4")(audio), config, "audio"))
    distance = heads.Distance(config.score_scale, config.score_threshold, name="fc3")
    return Parts(
        visual,
        audio,
        _named(visual, audio),
        lambda pictures, sounds: {"logits": distance(pictures, sounds)},
    )


def _avol(visual: keras.KerasTensor, audio: keras.KerasTensor, config: NetworkConfig) -> Parts:
    """Figure 4: no pooling of the picture, products with the sound, their largest.

    `visual_embedding` is the mean over the picture, as a place that answers to no sound
    stays near zero; the paper retrieves with AVE only.
    """
    visual = _dense(visual, config, "visual")  # on [.., h, w, d] this is conv5 and conv6, 1x1
    audio = _dense(layers.GlobalMaxPooling2D(name="audio_pool4")(audio), config, "audio")
    score_map = heads.ScoreMap(config.score_scale, config.score_threshold, name="conv7")
    pooling = heads.ScorePooling(config.pooling, config.temperature, name="score_pooling")
    sigmoid = layers.Activation("sigmoid", dtype="float32", name="heatmap")

    def compare(pictures: keras.KerasTensor, sounds: keras.KerasTensor) -> Tensors:
        scores = score_map(pictures, sounds)
        return {"logits": pooling(scores), "heatmap": sigmoid(scores)}

    mean = layers.GlobalAveragePooling2D(name="visual_mean")(visual)
    return Parts(visual, audio, _named(mean, audio), compare)


def _dense(x: keras.KerasTensor, config: NetworkConfig, name: str) -> keras.KerasTensor:
    dense = {
        "units": config.embedding_dim,
        "kernel_initializer": config.initializer,
        "kernel_regularizer": trunks.decay(config),
    }
    x = layers.Dense(**dense, activation="relu", name=f"{name}_fc1")(x)
    return layers.Dense(**dense, dtype="float32", name=f"{name}_fc2")(x)


def _unit(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.UnitNormalization(dtype="float32")(x)


def _named(visual: keras.KerasTensor, audio: keras.KerasTensor) -> Tensors:
    return {"visual_embedding": visual, "audio_embedding": audio}


TABLE = {"l3": _l3, "ave": _ave, "avol": _avol}
