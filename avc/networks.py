"""A table of networks: how each ends, and its trunks.

Objects that Sound, figures 2 and 4, and others. Every network takes what its
`NetworkConfig.visual` names (`frame` [batch, size, size, 3] in [0, 1]; `frames` [batch, T, size,
size, 3]; `flow` [batch, size, size, 2 L] in [-1, 1], see `avc.motion`) and `waveform` [batch,
samples] in [-1, 1], and returns `logits` [batch, 2], `visual_embedding` and `audio_embedding`
[batch, d] and, where it localises, `heatmap` [batch, height, width] in [0, 1]. One whose sounds
may differ in length takes besides `num_samples` [batch], samples from each row's beginning.

For training it begins with what `avc.pairs` draws: bytes and 16-bit samples, with the changes
of colour and loudness that are made here. With `partner_offset` [batch, K], how many rows
further the sound of each of a row's mismatched pairs is, its head is called again on those
pairs, so that n clips give n positive and K n negative pairs out of one pass through the
trunks.
"""

import dataclasses

import keras
from keras import layers, ops

from avc import davenet, heads, motion_trunks, trunks
from avc.augmentation import Colours, Displacements, Loudness
from avc.configuration import NetworkConfig
from avc.parts import Parts, Tensors

OFFSET, MISMATCHED = "partner_offset", "mismatched_logits"


@dataclasses.dataclass(frozen=True)
class Network:
    """A network twice, on the same layers and weights.

    Attributes:
      deployed: frames and sounds in, named outputs out.
      training: on batches of `avc.pairs.combine`; see `build`.
    """

    deployed: keras.Model
    training: keras.Model


def build(config: NetworkConfig, mismatches: int = 1) -> Network:
    """Builds a network.

    Args:
      config: the network.
      mismatches: mismatched pairs that each row of a training batch gives with sounds of
        the others. Unless it is 0, there is one more input, `partner_offset` [batch,
        mismatches], and one more output, `mismatched_logits` [batch, mismatches, 2].
    """
    inputs = _inputs(config)
    parts = TABLE[config.network](inputs, config)
    features = {"visual": parts.visual, "audio": parts.audio}
    towers = keras.Model(inputs, {**features, **parts.embeddings}, name="towers")
    return Network(
        _join(inputs, inputs, towers, parts, config.network),
        _join_training(config, towers, parts, mismatches),
    )


def _inputs(config: NetworkConfig, picture: str = "float32", sound: str = "float32") -> Tensors:
    shapes = config.visual.shapes(config.image_size)
    # A sound of its own length, or of several with their lengths, may be as long as it likes.
    samples = None if config.masks_sound else config.segment_samples
    found = {name: keras.Input(s, name=name, dtype=picture) for name, s in shapes.items()}
    found["waveform"] = keras.Input((samples,), name="waveform", dtype=sound)
    if config.masks_sound:
        found["num_samples"] = keras.Input((), name="num_samples", dtype="int32")
    return found


def _trunks(inputs: Tensors, config: NetworkConfig) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """What the trunks make of picture and sound."""
    return _see(inputs, config), trunks.sound_trunk(inputs["waveform"], config)


def _see(inputs: Tensors, config: NetworkConfig) -> keras.KerasTensor:
    """What the trunk of a network's pictures makes of them."""
    if config.network == "ave_mf":
        return motion_trunks.frames_trunk(inputs["frames"], config)
    if config.network == "ave_of":
        return motion_trunks.two_streams(inputs["frame"], inputs["flow"], config)
    return trunks.picture_trunk(inputs["frame"], config)


def _join(
    inputs: Tensors, pair: Tensors, towers: keras.Model, parts: Parts, name: str
) -> keras.Model:
    """Towers and head on a frame and a waveform that come of some inputs."""
    found = towers(pair)
    visual, audio = found.pop("visual"), found.pop("audio")
    outputs = {**found, **parts.compare(visual, audio)}
    if OFFSET in inputs:
        partners = PartnerRows(name="mismatch")(audio, inputs[OFFSET])
        other = parts.compare(visual, partners)
        if parts.observe:
            outputs = parts.observe(outputs, other, inputs[OFFSET])
        outputs[MISMATCHED] = other["logits"]
    outputs.pop("places", None)
    if inputs is not pair and parts.maps_in_training:
        outputs |= {"visual_map": visual, "audio_map": audio}
    return keras.Model(inputs, outputs, name=name)


def _join_training(
    config: NetworkConfig, towers: keras.Model, parts: Parts, mismatches: int
) -> keras.Model:
    drawn = _inputs(config, "uint8", "int16")
    drawn |= {name: keras.Input((), name=name) for name in ("brightness", "saturation", "gain")}
    pair = augment(drawn)
    if mismatches:
        drawn[OFFSET] = keras.Input((mismatches,), name=OFFSET, dtype="int32")
    return _join(drawn, pair, towers, parts, config.network)


def augment(drawn: Tensors) -> Tensors:
    """Pictures in [0, 1], flow and waveforms in [-1, 1], changed as was drawn."""
    colours, pair = Colours(name="colours"), {}
    for name in ("frame", "frames"):
        if name in drawn:
            pair[name] = colours(drawn[name], drawn["brightness"], drawn["saturation"])
    if "flow" in drawn:
        pair["flow"] = Displacements(name="displacements")(drawn["flow"])
    pair["waveform"] = Loudness(name="loudness")(drawn["waveform"], drawn["gain"])
    if "num_samples" in drawn:
        pair["num_samples"] = drawn["num_samples"]
    return pair


@keras.saving.register_keras_serializable("avc")
class PartnerRows(layers.Layer):
    """For each row those so many further: `[batch, ...]`, `[batch, K]` to `[batch, K, ...]`."""

    def call(self, rows, offset):
        """Takes rows i + offset[i]."""
        own = ops.arange(ops.shape(offset)[0], dtype="int32")
        return ops.take(rows, own[:, None] + offset, axis=0)

    def compute_output_shape(self, rows_shape, offset_shape):
        """`[batch, K, ...]`."""
        return (*offset_shape, *rows_shape[1:])


def _l3(inputs: Tensors, config: NetworkConfig) -> Parts:
    """Figure 2d: pooled features, joined by two dense layers."""
    visual, audio = _trunks(inputs, config)
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


def _ave(inputs: Tensors, config: NetworkConfig) -> Parts:
    """Figure 2c: dense layers in each tower, unit vectors, their distance."""
    visual, audio = _trunks(inputs, config)
    visual = _unit(_dense(layers.GlobalMaxPooling2D(name="visual_pool4")(visual), config, "visual"))
    audio = _unit(_dense(layers.GlobalMaxPooling2D(name="audio_pool4")(audio), config, "audio"))
    distance = heads.Distance(config.score_scale, config.score_threshold, name="fc3")
    return Parts(
        visual,
        audio,
        _named(visual, audio),
        lambda pictures, sounds: {"logits": distance(pictures, sounds)},
    )


def _avol(inputs: Tensors, config: NetworkConfig) -> Parts:
    """Figure 4: no pooling of the picture, products with the sound, their largest.

    `visual_embedding` is the mean over the picture, as a place that answers to no sound
    stays near zero; the paper retrieves with AVE only.
    """
    visual, audio = _trunks(inputs, config)
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


def _resnet18(inputs: Tensors, config: NetworkConfig) -> Parts:
    """Feng et al. 2020, figure 1: ResNet18s that end in embeddings, and their distance.

    The softmax of `heads.Distance` is a sigmoid of the distance, scaled and shifted.
    """

    def embed(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
        pooled = layers.GlobalAveragePooling2D(name=f"{name}_mean")(features)
        embedding = layers.Dense(
            config.embedding_dim,
            kernel_initializer=config.initializer,
            kernel_regularizer=trunks.decay(config),
            dtype="float32",
            name=f"{name}_fc",
        )(pooled)
        return _unit(embedding) if config.unit_embeddings else embedding

    seen, heard = _trunks(inputs, config)
    visual, audio = embed(seen, "visual"), embed(heard, "audio")
    distance = heads.Distance(config.score_scale, config.score_threshold, name="distance")
    return Parts(
        visual,
        audio,
        _named(visual, audio),
        lambda pictures, sounds: {"logits": distance(pictures, sounds)},
    )


TABLE = {
    "l3": _l3,
    "ave": _ave,
    "avol": _avol,
    "ave_mf": _ave,
    "ave_of": _ave,
    "resnet18": _resnet18,
    "davenet": davenet.parts,
}
