"""The sound of a record: decoded in the graph, and seconds cut from it."""

import tensorflow as tf
import tensorflow_io as tfio

from avc.records import AUDIO_ENCODINGS
from crossmodal.configuration import check_choice


def decode_sound(audio: tf.Tensor, audio_encoding: str) -> tf.Tensor:
    """Decodes the whole sound of a clip.

    Args:
      audio: what the record holds, scalar string.
      audio_encoding: `flac` or `pcm16` (little-endian), as `avc.records.clip` takes it.

    Returns:
      int16 [num_samples].

    Raises:
      ConfigurationError: there is no such encoding.
    """
    check_choice("audio_encoding", audio_encoding, AUDIO_ENCODINGS)
    if audio_encoding == "pcm16":
        return tf.io.decode_raw(audio, tf.int16)
    return tfio.audio.decode_flac(audio, dtype=tf.int16)[:, 0]


def cut_segments(samples: tf.Tensor, starts: tf.Tensor, length: int) -> tf.Tensor:
    """Cuts pieces out of a sound; what lies before its begin or after its end is zero.

    Args:
      samples: [num_samples], of any type.
      starts: first sample of each piece, maybe negative; int32 [n], n known.
      length: samples a piece.

    Returns:
      [n, length].
    """
    return _cut(samples, starts, length, True)


def cut_beginnings(
    samples: tf.Tensor, starts: tf.Tensor, length: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same, each piece from what there is of it on: zeros come after it only.

    Args:
      samples, starts, length: see `cut_segments`.

    Returns:
      [n, length], and how many samples of each piece there are, int32 [n].
    """
    number = tf.shape(samples)[0]
    begins = tf.clip_by_value(starts, 0, number)
    there = tf.clip_by_value(starts + length, begins, number) - begins
    return _cut(samples, starts, length, False), there


def _cut(samples: tf.Tensor, starts: tf.Tensor, length: int, in_place: bool) -> tf.Tensor:
    number = tf.shape(samples)[0]
    begins = tf.clip_by_value(starts, 0, number)
    ends = tf.clip_by_value(starts + length, begins, number)
    lacking = tf.clip_by_value(-starts, 0, length) if in_place else tf.zeros_like(starts)

    def piece(begin: tf.Tensor, end: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        after = length - before - (end - begin)
        return tf.pad(samples[begin:end], [[before, after]])

    parts = zip(*(tf.unstack(each) for each in (begins, ends, lacking)), strict=True)
    return tf.ensure_shape(tf.stack([piece(*part) for part in parts]), [len(starts), length])
