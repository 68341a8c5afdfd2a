"""From pictures and sounds of any size to what a network says of them, in one graph.

The functions that an export holds, and that a loaded network runs. Made of TensorFlow's
own operations, so that any server of SavedModels runs them.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from avc.configuration import NetworkConfig
from avc.networks import Network
from crossmodal.export import Signature

Tensors = dict[str, tf.Tensor]

FRAME = tf.TensorSpec((None, None, None, 3), tf.uint8, "frame")
JPEG = tf.TensorSpec((None,), tf.string, "jpeg")
WAVEFORM = tf.TensorSpec((None, None), tf.float32, "waveform")


def fit_frames(frame: tf.Tensor, size: int) -> tf.Tensor:
    """The middle square of pictures, scaled to what the network takes.

    Pictures of just this size go in as they are.

    Args:
      frame: uint8 [batch, height, width, 3].
      size: pixels a side.

    Returns:
      float32 [batch, size, size, 3] in [0, 1].
    """
    height, width = tf.unstack(tf.shape(frame)[1:3])
    shorter = tf.minimum(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    square = frame[:, top : top + shorter, left : left + shorter]
    scaled = tf.cond(
        tf.equal(shorter, size),
        lambda: tf.cast(square, tf.float32),
        lambda: tf.image.resize(square, [size, size], antialias=True),
    )
    return tf.ensure_shape(scaled, [None, size, size, 3]) / 255


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


def decode_frames(jpeg: tf.Tensor, size: int) -> tf.Tensor:
    """JPEG files [batch] as `fit_frames` gives them; each may have a size of its own."""

    def decode(content: tf.Tensor) -> tf.Tensor:
        return fit_frames(tf.io.decode_jpeg(content, channels=3)[None], size)[0]

    spec = tf.TensorSpec((size, size, 3), tf.float32)
    return tf.map_fn(decode, jpeg, fn_output_signature=spec)


def signatures(network: Network, config: NetworkConfig) -> dict[str, Signature]:
    """What a network does for its clients, by name.

    `embed_visual` (`frame` uint8 [batch, height, width, 3]), `embed_jpeg` (`jpeg`, files
    [batch]) and `embed_audio` (`waveform` float32 [batch, samples] in [-1, 1]) give
    `embedding` [batch, d]. `serving_default` takes `frame` and `waveform`, row by row, and
    gives both embeddings, `logits` [batch, 2], `corresponds`, the probability [batch], and
    where the network localises, `heatmap` [batch, height, width] of the pictures' middle
    squares; there `localize` gives `heatmap` and `corresponds` alone.
    """
    size, samples = config.image_size, config.segment_samples
    visual, audio = (tower(network.deployed, name) for name in ("frame", "waveform"))

    def embed_visual(frame: tf.Tensor) -> Tensors:
        return {"embedding": visual(fit_frames(frame, size), training=False)}

    def embed_jpeg(jpeg: tf.Tensor) -> Tensors:
        return {"embedding": visual(decode_frames(jpeg, size), training=False)}

    def embed_audio(waveform: tf.Tensor) -> Tensors:
        return {"embedding": audio(fit_waveforms(waveform, samples), training=False)}

    def compare(frame: tf.Tensor, waveform: tf.Tensor) -> Tensors:
        pair = {
            "frame": fit_frames(frame, size),
            "waveform": fit_waveforms(waveform, samples),
        }
        outputs = network.deployed(pair, training=False)
        return {**outputs, "corresponds": tf.nn.softmax(outputs["logits"])[:, 1]}

    def localize(frame: tf.Tensor, waveform: tf.Tensor) -> Tensors:
        found = compare(frame, waveform)
        return {name: found[name] for name in ("heatmap", "corresponds")}

    found = {
        "embed_visual": Signature(embed_visual, (FRAME,)),
        "embed_jpeg": Signature(embed_jpeg, (JPEG,)),
        "embed_audio": Signature(embed_audio, (WAVEFORM,)),
        "serving_default": Signature(compare, (FRAME, WAVEFORM)),
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
