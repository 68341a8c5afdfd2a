"""The order of an epoch: a permutation by arithmetic, from (seed, epoch) alone."""

import tensorflow as tf


def permuted(index: tf.Tensor, seed: int, epoch: tf.Tensor, number: int) -> tf.Tensor:
    """Where each position of an epoch's order points to, without drawing the whole order.

    Args:
      index: positions, int64 of any shape.
      seed: of the run.
      epoch: int64 scalar.
      number: of records; positions and results lie in [0, number).
    """
    # The operation uses a few low bits of its seeds only, so that consecutive ones would
    # repeat orders after 256 epochs; and with the 4 rounds of tf.random.experimental large
    # sets are far from mixed (of 60,000 records a third as many neighbours stay near each
    # other as should, of 5 million thousands of times as many adjacent). At 8 rounds a trace
    # of it is left, at 12 none.
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=order_seeds(seed, epoch)[:3],
        max_index=tf.constant(number - 1, tf.int64),
        rounds=16,
    )


def order_seeds(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Random bits for the order of an epoch: int64 [4], three for `permuted`."""
    # fold_in alone would not do: its first number is the same for all epochs.
    seeds = tf.random.fold_in(tf.constant([seed, 1], tf.int64), epoch)
    return tf.random.stateless_uniform([4], seeds, minval=None, maxval=None, dtype=tf.int64)


def folded(seed: int, *numbers: tf.Tensor | int) -> tf.Tensor:
    """A seed of two integers for a random choice, from the run's seed and what names the choice."""
    first, *others = numbers
    folded_in = tf.stack([tf.constant(seed, tf.int64), tf.cast(first, tf.int64)])
    for number in others:
        folded_in = tf.random.fold_in(folded_in, number)
    return folded_in
