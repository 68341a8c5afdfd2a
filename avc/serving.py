"""From pictures and sounds of any size to what a network says of them, in one graph.

The functions that an export holds, and that a loaded network runs. Made of TensorFlow's
own operations, so that any server of SavedModels runs them.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from avc.configuration import NetworkConfig
from avc.frames import (
    DECODING_CHANCES,
    FrameConfig,
    centre_square,
    centre_squares,
    decode_frame,
)
from avc.motion import fit_flow
from avc.networks import Network
from avc.recipes import AvcConfig
from avc.serving_checks import check_inputs, checked_jpeg
from crossmodal.export import Signature
from crossmodal.request_checks import checked, on_rows

Tensors = dict[str, tf.Tensor]

FRAME = tf.TensorSpec((None, None, None, 3), tf.uint8, "frame")
JPEG = tf.TensorSpec((None,), tf.string, "jpeg")
WAVEFORM = tf.TensorSpec((None, None), tf.float32, "waveform")
NUM_SAMPLES = tf.TensorSpec((None,), tf.int32, "num_samples")
HEARD = ("waveform", "num_samples")


def fit_waveforms(waveform: tf.Tensor, samples: int) -> tf.Tensor:
    """The middle of sounds; shorter ones with silence around them.

    Args:
      waveform: float32 [batch, any number of samples].
      samples: how many the network takes.

    Returns:
      float32 [batch, samples].
    """
    missing = tf.maximum(samples - tf.shape(waveform)[1], 0)
    padded = tf.pad(waveform, [[0, 0], [missing // 2, missing - missing // 2]])
    start = (tf.shape(padded)[1] - samples) // 2
    return tf.ensure_shape(padded[:, start : start + samples], [None, samples])


def fit_lengths(
    waveform: tf.Tensor, num_samples: tf.Tensor, samples: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The middle of sounds that are longer; shorter ones as they are.

    Args:
      waveform: float32 [batch, any number of samples]; each sound begins with its row.
      num_samples: int32 [batch], of each sound; the row holds as many, or more.
      samples: how many the network takes.

    Returns:
      float32 [batch, samples], and how many samples of each there are, int32 [batch]; at least
      1, as of nothing there is no mean.
    """
    number = tf.clip_by_value(num_samples, 1, tf.maximum(tf.shape(waveform)[1], 1))
    start = tf.maximum(number - samples, 0) // 2
    padded = tf.pad(waveform, [[0, 0], [0, samples]])
    fitted = tf.gather(padded, start[:, None] + tf.range(samples), axis=1, batch_dims=1)
    return fitted, tf.minimum(number, samples)


def decode_frames(jpeg: tf.Tensor, config: FrameConfig) -> tf.Tensor:
    """The middle squares of JPEG files, each of its own size.

    Args:
      jpeg: files [batch].
      config: of an evaluation.

    Returns:
      uint8 [batch, image_size, image_size, 3].
    """
    spec = tf.TensorSpec((config.image_size, config.image_size, 3), tf.uint8)
    return tf.map_fn(
        lambda content: decode_frame(
            checked_jpeg(content), config, tf.zeros([DECODING_CHANCES])
        ),
        jpeg,
        fn_output_signature=spec,
    )


def centre_sequences(frames: tf.Tensor, config: FrameConfig) -> tf.Tensor:
    """The middle squares of uint8 [batch, T, height, width, 3], with T as it is."""
    number, size = frames.shape[1], config.image_size
    each = tf.reshape(frames, tf.concat([[-1], tf.shape(frames)[2:]], 0))
    return tf.reshape(centre_squares(each, config), [-1, number, size, size, 3])


def centre_fields(
    flow: tf.Tensor, shape: tf.Tensor, config: FrameConfig, reach: float
) -> tf.Tensor:
    """What lies of fields of optical flow over the middle squares of frames, in [-1, 1].

    Args:
      flow: float32 [batch, height, width, 2 * fields], displacements in its own pixels.
      shape: height and width of the frames that it is the flow of, int32 [2].
      config: of an evaluation.
      reach: what 1 stands for, in parts of the shorter side.

    Returns:
      float32 [batch, image_size, image_size, 2 * fields].
    """
    (top, left), side = centre_square(shape, config)
    shorter = tf.cast(tf.reduce_min(tf.shape(flow)[1:3]), tf.float32)
    parts = tf.clip_by_value(flow / (reach * shorter), -1, 1)
    return fit_flow(parts, tf.stack([top, left]), side, shape, config.image_size)


def visual_specs(config: NetworkConfig) -> tuple[tf.TensorSpec, ...]:
    """What `avc.visual_inputs` names, as clients send it."""
    frames = tf.TensorSpec((None, config.num_frames, None, None, 3), tf.uint8, "frames")
    flow = tf.TensorSpec((None, None, None, 2 * config.num_flows), tf.float32, "flow")
    specs = {"frame": FRAME, "frames": frames, "flow": flow}
    return tuple(specs[name] for name in config.visual.names)


def heard_specs(config: NetworkConfig) -> tuple[tf.TensorSpec, ...]:
    """What clients send of the sound."""
    return (WAVEFORM, NUM_SAMPLES) if config.masks_sound else (WAVEFORM,)


def in_unit(frame: tf.Tensor) -> tf.Tensor:
    """Pictures uint8 as float32 in [0, 1]."""
    return tf.cast(frame, tf.float32) / 255


def signatures(network: Network, config: AvcConfig) -> dict[str, Signature]:
    """What a network does for its clients, by name.

    `embed_image` (`frame` uint8 [batch, height, width, 3]; `frames` uint8 [batch, T, height,
    width, 3] of a network that takes several; besides `flow` float32 [batch, height, width,
    2 * fields], in its own pixels, of one that takes it), `embed_jpeg` (`jpeg`, files [batch];
    not where one file does not show what the network takes) and `embed_audio` (`waveform`
    float32 [batch, samples] in [-1, 1]; of a network that masks sounds also `num_samples` int32
    [batch], of each row from its beginning) give `embedding` [batch, d]. `correspond`, which is
    also the `serving_default`, takes what `embed_image` and `embed_audio` do, row by row, and
    gives both embeddings, `logits` [batch, 2], `corresponds`, the probability [batch], and
    where the network localises, `heatmap` [batch, height, width] of the squares that it sees;
    there `localize` gives `heatmap` and `corresponds` alone, with `matchmap`
    and `heatmaps` [batch, steps, height, width] where there are any.
    """
    frames, samples = config.frames.evaluation(), config.network.segment_samples
    visual, audio = (tower(network.deployed, name) for name in ("visual", "audio"))
    seen, heard = visual_specs(config.network), heard_specs(config.network)

    def look(given: Tensors) -> Tensors:
        found = {spec.name: given[spec.name] for spec in seen}
        if "flow" in found:
            shape, reach = tf.shape(found["frame"])[1:3], config.network.flow_reach
            found["flow"] = centre_fields(found["flow"], shape, frames, reach)
        if "frames" in found:
            found["frames"] = in_unit(centre_sequences(found["frames"], frames))
        if "frame" in found:
            found["frame"] = in_unit(centre_squares(found["frame"], frames))
        return found

    def listen(given: Tensors) -> Tensors:
        if "num_samples" not in given:
            return {"waveform": fit_waveforms(given["waveform"], samples)}
        fitted = fit_lengths(given["waveform"], given["num_samples"], samples)
        return dict(zip(HEARD, fitted, strict=True))

    def embed_image(*values: tf.Tensor) -> Tensors:
        given = checked(seen, values, check_inputs)
        return {"embedding": on_rows(lambda rows: visual(look(rows), training=False), given)}

    def embed_jpeg(jpeg: tf.Tensor) -> Tensors:
        given = checked((JPEG,), (jpeg,), check_inputs)
        pictures = {"frame": in_unit(decode_frames(given["jpeg"], frames))}
        return {"embedding": on_rows(lambda rows: visual(rows, training=False), pictures)}

    def embed_audio(*values: tf.Tensor) -> Tensors:
        given = checked(heard, values, check_inputs)
        return {"embedding": on_rows(lambda rows: audio(listen(rows), training=False), given)}

    def compare(rows: Tensors) -> Tensors:
        return network.deployed({**look(rows), **listen(rows)}, training=False)

    def correspond(*values: tf.Tensor) -> Tensors:
        outputs = on_rows(compare, checked((*seen, *heard), values, check_inputs))
        return {**outputs, "corresponds": tf.nn.softmax(outputs["logits"])[:, 1]}

    def localize(*given: tf.Tensor) -> Tensors:
        found = correspond(*given)
        wanted = ("heatmap", "corresponds", "heatmaps", "matchmap")
        return {name: found[name] for name in wanted if name in found}

    found = {
        "embed_image": Signature(embed_image, seen),
        "embed_audio": Signature(embed_audio, heard),
        "correspond": Signature(correspond, (*seen, *heard)),
        "serving_default": Signature(correspond, (*seen, *heard)),
    }
    if seen == (FRAME,):
        found["embed_jpeg"] = Signature(embed_jpeg, (JPEG,))
    if "heatmap" in network.deployed.output:
        found["localize"] = Signature(localize, (*seen, *heard))
    return found


def tower_signatures(network: Network, config: NetworkConfig) -> dict[str, Signature]:
    """The towers for devices, on what fits already: `audio`, and `visual` if it sees one frame.

    They take `frame` float32 [batch, image_size, image_size, 3] in [0, 1] and `waveform`
    float32 [batch, segment samples] in [-1, 1], and give `embedding`.
    """

    def signature(modality: str, name: str, *shape: int) -> Signature:
        model = tower(network.deployed, modality)
        spec = tf.TensorSpec((None, *shape), tf.float32, name)

        def embed(values: tf.Tensor) -> Tensors:
            given = {name: values}
            if modality == "audio" and config.masks_sound:  # all of it is sound
                given["num_samples"] = tf.fill(tf.shape(values)[:1], shape[0])
            return {"embedding": model(given, training=False)}

        return Signature(embed, (spec,))

    found = {"audio": signature("audio", "waveform", config.segment_samples)}
    shapes = config.visual.shapes(config.image_size)
    if tuple(shapes) == ("frame",):
        found["visual"] = signature("visual", "frame", *shapes["frame"])
    return found


def tower(deployed: keras.Model, modality: str) -> Callable[..., tf.Tensor]:
    """The part of a network from its visual inputs, or the sound's, alone to its embedding."""
    towers = deployed.get_layer("towers")
    given = {x.name: x for x in towers.inputs if (x.name in HEARD) == (modality == "audio")}
    return keras.Model(given, towers.output[f"{modality}_embedding"], name=f"embed_{modality}")
