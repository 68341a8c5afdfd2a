r"""Asks a model server for embeddings or a judgement, and prints what it says as JSON.

The server is TensorFlow Serving with an export of export_avc or export_yt8m; see
docs/serving.md. What is sent is what the signature takes: of --image and --sound their pixels
and samples, of an image alone its JPEG file, of --features the arrays of those names.

Examples:

  python -m launch.query_server --model=avol --image=dog.jpg
  python -m launch.query_server --model=avol --image=dog.jpg --sound=dog.wav --signature=localize
  python -m launch.query_server --model=yt8m --features=videos.npz --signature=embed_visual
"""

import json
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from crossmodal.errors import UserError
from crossmodal.rest_client import Served, Server
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("server", "http://127.0.0.1:8501", "REST address of the server.")
flags.DEFINE_string("model", None, "Name of the model on the server.")
flags.DEFINE_string("version", "", "Version of the model; default: the latest.")
flags.DEFINE_string("signature", "", "Which one; default: the first that takes what is given.")
flags.DEFINE_string("image", "", "Picture: a JPEG file, or what TensorFlow decodes.")
flags.DEFINE_string("sound", "", "Sound or video file, whose sound is sent as a whole.")
flags.DEFINE_integer("sample_rate_hz", 48_000, "That the network takes.", lower_bound=1)
flags.DEFINE_string("features", "", ".npz with rows by the names of inputs: mean_rgb, ...")
flags.DEFINE_float("timeout_seconds", 30.0, "How long an answer may take.", lower_bound=0.001)
flags.mark_flag_as_required("model")

# In the order in which they are tried; what takes more comes first.
PREFERRED = ("correspond", "serving_default", "embed_jpeg", "embed_image", "embed_audio")


def read_features(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file.items())
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"--features={path}: is no .npz file that can be read") from error


def read_picture(path: str) -> dict[str, Any]:
    """A picture as `frame`, uint8 [1, height, width, 3], and of JPEG files as `jpeg`.

    Raises:
      UserError: it cannot be read.
    """
    try:
        content = tf.io.read_file(path)
        frame = tf.io.decode_image(content, channels=3, expand_animations=False)
    except tf.errors.OpError as error:
        raise UserError(f"--image={path}: no picture that can be read ({error.message})") from error
    found = {"frame": frame.numpy()[None]}
    if tf.io.is_jpeg(content):
        found["jpeg"] = [content.numpy()]
    return found


def read_sound(path: str, sample_rate_hz: int) -> dict[str, np.ndarray]:
    """A sound as `waveform`, float32 [1, samples], and `num_samples`.

    Raises:
      UserError: it cannot be read or holds no sound.
    """
    from avc import recordings  # decoding needs the extra `media`, which the others do not

    waveform = recordings.decode(path, sample_rate_hz)
    if not len(waveform):
        raise UserError(f"--sound={path}: holds no sound")
    waveform = waveform.astype(np.float32)[None]
    return {"waveform": waveform, "num_samples": np.array([waveform.shape[1]], np.int32)}


def choose(signatures: dict[str, Served], given: dict[str, Any]) -> str:
    """The name of a signature that takes all that is given, if it is of one kind.

    Raises:
      UserError: there is none, or it takes what is not given.
    """
    if FLAGS.signature:
        if FLAGS.signature not in signatures:
            raise UserError(
                f"--signature={FLAGS.signature}: model {FLAGS.model} has"
                f" {', '.join(sorted(signatures))}"
            )
        lacking = sorted(set(signatures[FLAGS.signature].inputs) - set(given))
        if lacking:
            raise UserError(
                f"--signature={FLAGS.signature} also takes {', '.join(lacking)}: give"
                " --image, --sound or --features with it"
            )
        return FLAGS.signature
    for name in (*PREFERRED, *signatures):
        if name in signatures and set(signatures[name].inputs) <= set(given):
            return name
    takes = "; ".join(f"{k}: {', '.join(v.inputs)}" for k, v in sorted(signatures.items()))
    raise UserError(f"no signature of {FLAGS.model} takes just what is given: {takes}")


def main() -> None:
    """Asks as the flags say."""
    if not (FLAGS.image or FLAGS.sound or FLAGS.features):
        raise UserError("nothing to ask about: give --image, --sound or --features")
    server = Server(FLAGS.server, FLAGS.model, FLAGS.version, FLAGS.timeout_seconds)
    signatures = server.signatures()
    given = read_features(FLAGS.features) if FLAGS.features else {}
    if FLAGS.image:
        given |= read_picture(FLAGS.image)
    if FLAGS.sound:
        given |= read_sound(FLAGS.sound, FLAGS.sample_rate_hz)
    name = choose(signatures, given)
    served = signatures[name]
    outputs = server.predict(name, {key: given[key] for key in served.inputs})
    if len(served.outputs) == 1:
        outputs = {served.outputs[0]: outputs}
    print(json.dumps({"model": FLAGS.model, "signature": name, "outputs": outputs}))


if __name__ == "__main__":
    commands.run(main)
