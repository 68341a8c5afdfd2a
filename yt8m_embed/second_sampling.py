"""The sample phase of the synchronous objective: which seconds, and how they are turned.

A recurrent layer can count. Were every training video given from its first second to its
last, picture and sound could be matched by their numbers alone, without a look at either.
So each of the two is rotated by a random number of seconds of its own: after that a
second's place says nothing of its moment.
"""

from collections.abc import Mapping

import tensorflow as tf

from yt8m_embed.configuration import SynchronousConfig


def sample_seconds(
    batch: Mapping[str, tf.Tensor], config: SynchronousConfig, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Cuts, rotates and samples the videos of a batch.

    Args:
      batch: `rgb` and `audio` uint8 `[batch, time, size]`, `num_frames` int32 `[batch]`, and
        whatever else.
      config: how many seconds, how long a clip, and whether to rotate.
      seed: two integers; the same seed gives the same choice.

    Returns:
      The batch with clips of at most `clip_seconds`, rotated, and int32
      `[batch, seconds_per_video]`: `seconds`, moments of the clip without repeats, -1 where
      it has no more, and their `visual_places` and `audio_places` in the rotated arrays.
    """
    seeds = tf.random.split(tf.cast(seed, tf.int64), 4)
    whole = batch["num_frames"]
    count = tf.minimum(whole, config.clip_seconds) if config.clip_seconds else whole
    length = tf.shape(batch["rgb"])[1]
    length = tf.minimum(length, config.clip_seconds) if config.clip_seconds else length
    first = below(whole - count + 1, seeds[0])
    seconds = distinct(count, length, config.seconds_per_video, seeds[1])
    sampled = dict(batch) | {"num_frames": count, "seconds": seconds}
    for name, modality, own in (("rgb", "visual", seeds[2]), ("audio", "audio", seeds[3])):
        shift = below(count, own) if config.rotate_seconds else tf.zeros_like(count)
        sampled[name] = turned(batch[name], first, count, shift, length)
        place = (seconds - shift[:, None]) % tf.maximum(count, 1)[:, None]
        sampled[f"{modality}_places"] = tf.where(seconds >= 0, place, -1)
    return sampled


def below(limits: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A uniform whole number below each of the limits `[batch]`; 0 below a limit of 0."""
    share = tf.random.stateless_uniform(tf.shape(limits), seed, dtype=tf.float64)
    return tf.cast(share * tf.cast(limits, tf.float64), tf.int32)


def distinct(count: tf.Tensor, length: tf.Tensor, number: int, seed: tf.Tensor) -> tf.Tensor:
    """Different random seconds of each video `[batch, number]`, -1 after all of them.

    Args:
      count: seconds that a video has, `[batch]`.
      length: the largest of them, or more.
      number: how many are wanted.
      seed: two integers.
    """
    draws = tf.random.stateless_uniform([tf.shape(count)[0], length], seed)
    draws = tf.where(tf.range(length) < count[:, None], draws, 2.0)
    chosen = tf.argsort(draws, axis=1)[:, :number]
    missing = number - tf.shape(chosen)[1]
    chosen = tf.pad(chosen, [[0, 0], [0, missing]])
    chosen = tf.where(tf.range(number) < count[:, None], chosen, -1)
    return tf.ensure_shape(chosen, [None, number])


def turned(
    values: tf.Tensor, first: tf.Tensor, count: tf.Tensor, shift: tf.Tensor, length: tf.Tensor
) -> tf.Tensor:
    """Clips `[batch, length, size]`: `count` seconds from `first` on, begun at `shift`.

    Args:
      values: `[batch, time, size]`.
      first, count, shift: `[batch]`; seconds beyond `count` are zeros.
      length: of the result.
    """
    place = tf.range(length)
    exists = place < count[:, None]
    source = first[:, None] + (place + shift[:, None]) % tf.maximum(count, 1)[:, None]
    clips = tf.gather(values, tf.where(exists, source, 0), batch_dims=1)
    return tf.where(exists[..., None], clips, tf.zeros([], values.dtype))
