"""Mismatched pairs: the sample phase of the cosine loss.

Full paper, section 4.1: a share p_negative of the pairs take their sound from
another video that has no label in common. The choice is vectorised and always ends:
each such example looks at all other videos of the batch, from a random start, and
takes the first that will do. One for which none will do stays a true pair and is
counted.
"""

from collections.abc import Mapping

import tensorflow as tf


def share_label(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """True where the two rows have a label in common: `[batch]`.

    Args:
      first: class indices padded with -1, `[batch, n]`.
      second: likewise, `[batch, m]`.
    """
    same = tf.equal(first[:, :, None], second[:, None, :]) & (first[:, :, None] >= 0)
    return tf.reduce_any(same, axis=[1, 2])


def choose_negatives(
    labels: tf.Tensor, p_negative: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses for every example the row its sound is taken from.

    Args:
      labels: class indices padded with -1, `[batch, n]`; a video without labels has
        none in common with any other.
      p_negative: probability with which an example becomes a mismatched pair.
      seed: two integers; the same seed gives the same choice.

    Returns:
      source: int32 `[batch]`, the own index where the pair stays true.
      unplaced: int32 scalar, examples that were to be mismatched but share a label
        with every other video of the batch.
    """
    size = tf.shape(labels)[0]
    own = tf.range(size)
    seeds = tf.random.split(tf.cast(seed, tf.int64), 2)
    wanted = tf.random.stateless_uniform([size], seeds[0]) < p_negative
    start = tf.random.stateless_uniform(
        [size], seeds[1], minval=0, maxval=tf.maximum(size - 1, 1), dtype=tf.int32
    )

    def looking(attempt, source, pending):
        return (attempt < size - 1) & tf.reduce_any(pending)

    def look(attempt, source, pending):
        rows = tf.where(pending)[:, 0]
        rows = tf.cast(rows, tf.int32)
        # Offsets 1 to size - 1 visit every other row once and never the own one.
        offset = 1 + (tf.gather(start, rows) + attempt) % (size - 1)
        candidate = (rows + offset) % size
        fits = ~share_label(tf.gather(labels, rows), tf.gather(labels, candidate))
        placed, chosen = tf.boolean_mask(rows, fits), tf.boolean_mask(candidate, fits)
        source = tf.tensor_scatter_nd_update(source, placed[:, None], chosen)
        pending = tf.tensor_scatter_nd_update(
            pending, placed[:, None], tf.zeros_like(placed, tf.bool)
        )
        return attempt + 1, source, pending

    _, source, pending = tf.while_loop(looking, look, (0, own, wanted))
    return source, tf.reduce_sum(tf.cast(pending, tf.int32))


def fill_length(sound: tf.Tensor, num_frames: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Sounds as long as the pictures they are put to: cut, or begun again where they end.

    Both modalities of a batch share `num_frames`, and bytes after the end of a shorter sound
    would count as seconds.

    Args:
      sound: `[batch, time, size]`, row i the sound of the video `source[i]`.
      num_frames: of the batch's videos, `[batch]`.
      source: the video that each sound comes from, `[batch]`.
    """
    place = tf.range(tf.shape(sound)[1])
    own = tf.maximum(tf.gather(num_frames, source), 1)
    repeated = tf.gather(sound, place % own[:, None], batch_dims=1)
    exists = place < num_frames[:, None]
    return tf.where(exists[..., None], repeated, tf.zeros([], sound.dtype))


def mismatch_pairs(
    batch: Mapping[str, tf.Tensor], p_negative: float, seed: tf.Tensor, audio_features: tuple
) -> dict[str, tf.Tensor]:
    """Replaces the sound of a share of the examples by another video's.

    Args:
      batch: features of one batch, `labels` among them.
      p_negative: probability of a mismatched pair.
      seed: two integers.
      audio_features: names of the features that make up the sound.

    Returns:
      The batch with the sounds exchanged, and `match` (int32 `[batch]`: 1 or -1),
      `audio_labels` (labels of the video the sound comes from) and `unplaced`
      (int32 `[batch]`: the batch's count, repeated so that it can be split).
    """
    source, unplaced = choose_negatives(batch["labels"], p_negative, seed)
    size = tf.shape(source)[0]
    mixed = dict(batch)
    for name in audio_features:
        mixed[name] = tf.gather(batch[name], source)
        if "num_frames" in batch:
            mixed[name] = fill_length(mixed[name], batch["num_frames"], source)
    mixed["audio_labels"] = tf.gather(batch["labels"], source)
    mixed["match"] = tf.where(tf.equal(source, tf.range(size)), 1, -1)
    mixed["unplaced"] = tf.fill([size], unplaced)
    return mixed
