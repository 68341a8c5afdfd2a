"""From pictures and sounds of any size to what a network says of them, in one graph.

The functions that an export holds, and that a loaded network runs. Made of TensorFlow's
own operations, so that any server of SavedModels runs them.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from avc.configuration import NetworkConfig
from avc.frames import DECODING_CHANCES, FrameConfig, centre_squares, decode_frame
from avc.networks import Network
from avc.recipes import AvcConfig
from crossmodal.export import Signature

Tensors = dict[str, tf.Tensor]

FRAME = tf.TensorSpec((None, None, None, 3), tf.uint8, "frame")
JPEG = tf.TensorSpec((None,), tf.string, "jpeg")
WAVEFORM = tf.TensorSpec((None, None), tf.float32, "waveform")


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
        lambda content: decode_frame(content, config, tf.zeros([DECODING_CHANCES])),
        jpeg,
        fn_output_signature=spec,
    )


def in_unit(frame: tf.Tensor) -> tf.Tensor:
    """Pictures uint8 as float32 in [0, 1]."""
    return tf.cast(frame, tf.float32) / 255


def signatures(network: Network, config: AvcConfig) -> dict[str, Signature]:
    """What a network does for its clients, by name.

    `embed_image` (`frame` uint8 [batch, height, width, 3]), `embed_jpeg` (`jpeg`, files
    [batch]) and `embed_audio` (`waveform` float32 [batch, samples] in [-1, 1]) give
    `embedding` [batch, d]. `correspond`, which is also the `serving_default`, takes `frame` and
    `waveform`, row by row, and gives both embeddings, `logits` [batch, 2], `corresponds`, the
    probability [batch], and where the network localises, `heatmap` [batch, height, width] of
    the squares that it sees; there `localize` gives `heatmap` and `corresponds` alone.
    """
    frames, samples = config.frames.evaluation(), config.network.segment_samples
    visual, audio = (tower(network.deployed, name) for name in ("frame", "waveform"))

    def embed_image(frame: tf.Tensor) -> Tensors:
        return {"embedding": visual(in_unit(centre_squares(frame, frames)), training=False)}

    def embed_jpeg(jpeg: tf.Tensor) -> Tensors:
        return {"embedding": visual(in_unit(decode_frames(jpeg, frames)), training=False)}

    def embed_audio(waveform: tf.Tensor) -> Tensors:
        return {"embedding": audio(fit_waveforms(waveform, samples), training=False)}

    def correspond(frame: tf.Tensor, waveform: tf.Tensor) -> Tensors:
        pair = {
            "frame": in_unit(centre_squares(frame, frames)),
            "waveform": fit_waveforms(waveform, samples),
        }
        outputs = network.deployed(pair, training=False)
        return {**outputs, "corresponds": tf.nn.softmax(outputs["logits"])[:, 1]}

    def localize(frame: tf.Tensor, waveform: tf.Tensor) -> Tensors:
        found = correspond(frame, waveform)
        return {name: found[name] for name in ("heatmap", "corresponds")}

    found = {
        "embed_image": Signature(embed_image, (FRAME,)),
        "embed_jpeg": Signature(embed_jpeg, (JPEG,)),
        "embed_audio": Signature(embed_audio, (WAVEFORM,)),
        "correspond": Signature(correspond, (FRAME, WAVEFORM)),
        "serving_default": Signature(correspond, (FRAME, WAVEFORM)),
    }
    if "heatmap" in network.deployed.output:
        found["localize"] = Signature(localize, (FRAME, WAVEFORM))
    return found


def tower_signatures(network: Network, config: NetworkConfig) -> dict[str, Signature]:
    """The towers for devices, on what fits already: `visual` and `audio`.

    They take `frame` float32 [batch, image_size, image_size, 3] in [0, 1] and `waveform`
    float32 [batch, segment samples] in [-1, 1], and give `embedding`.
    """
    shapes = {
        "frame": (None, config.image_size, config.image_size, 3),
        "waveform": (None, config.segment_samples),
    }

    def signature(name: str) -> Signature:
        model = tower(network.deployed, name)
        spec = tf.TensorSpec(shapes[name], tf.float32, name)
        return Signature(lambda values: {"embedding": model(values, training=False)}, (spec,))

    return {"visual": signature("frame"), "audio": signature("waveform")}


def tower(deployed: keras.Model, modality: str) -> Callable[..., tf.Tensor]:
    """The part of a network from `frame` or `waveform` alone to its embedding."""
    towers = deployed.get_layer("towers")
    given = next(x for x in towers.inputs if x.name == modality)
    output = {"frame": "visual_embedding", "waveform": "audio_embedding"}[modality]
    return keras.Model(given, towers.output[output], name=f"embed_{modality}")
