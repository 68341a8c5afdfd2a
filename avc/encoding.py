"""Pictures as JPEG and sound as FLAC: the bytes of a clip's record.

The same input gives the same bytes: no date and no version of an encoder gets in.
"""

import io

import av
import numpy as np
import tensorflow as tf

from avc.records import AUDIO_ENCODINGS
from crossmodal.configuration import check_choice
from crossmodal.errors import UserError


def encode_jpeg(rgb: np.ndarray, quality: int = 90) -> bytes:
    """A picture as a JPEG file, with colours at half resolution.

    Args:
      rgb: uint8 [height, width, 3].
      quality: from 1 to 100, on the scale of the IJG's library.
    """
    return tf.io.encode_jpeg(rgb, format="rgb", quality=quality).numpy()


def encode_flac(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """A sound as a FLAC file, without loss.

    Args:
      samples: int16 [num_samples], mono; may be empty.
      sample_rate_hz: samples a second.
    """
    if samples.dtype != np.int16 or samples.ndim != 1:
        raise ValueError(f"samples are {samples.dtype} {samples.shape}: int16 [num_samples] needed")
    buffer = io.BytesIO()
    # Without padding, which would add 8 kB to each clip, and without the encoder's version.
    options = {"fflags": "+bitexact", "metadata_header_padding": "0"}
    with av.open(buffer, "w", format="flac", options=options) as container:
        stream = container.add_stream("flac", rate=sample_rate_hz, layout="mono", format="s16")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        container.start_encoding()
        if len(samples):
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = sample_rate_hz, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_audio(data: bytes, encoding: str) -> np.ndarray:
    """The sound of a record, outside of any graph: for pages and for checks.

    Args:
      data: what the record holds.
      encoding: `flac` or `pcm16`.

    Returns:
      int16 [num_samples].

    Raises:
      ConfigurationError: there is no such encoding.
      UserError: the bytes are none of that encoding.
    """
    check_choice("audio_encoding", encoding, AUDIO_ENCODINGS)
    if encoding == "pcm16":
        if len(data) % 2:
            raise UserError(f"audio of {len(data)} bytes: pcm16 has two bytes a sample")
        return np.frombuffer(data, "<i2").astype(np.int16)
    if not data.startswith(b"fLaC"):
        raise UserError(f"audio of {len(data)} bytes: not a FLAC file")
    try:
        with av.open(io.BytesIO(data), format="flac") as container:
            parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    except av.FFmpegError as error:
        raise UserError(f"audio of {len(data)} bytes: {error.strerror}") from error
    return np.concatenate([np.zeros(0, np.int16), *parts]).astype(np.int16, copy=False)
