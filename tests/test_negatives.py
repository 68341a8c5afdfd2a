"""Mismatched pairs: the paper's rule, counted and always ending."""

import numpy as np
import tensorflow as tf

from yt8m_embed.negatives import choose_negatives, mismatch_pairs

RNG = np.random.default_rng(3)


def random_labels(rows, classes, most=4):
    labels = np.full((rows, most), -1, np.int64)
    for row in labels:
        own = RNG.choice(classes, size=RNG.integers(0, most + 1), replace=False)
        row[: len(own)] = own
    return labels


def shares(a, b):
    return bool((set(a.tolist()) & set(b.tolist())) - {-1})


def test_no_negative_shares_a_label_and_the_share_is_p():
    labels = random_labels(1024, 30)
    source, unplaced = choose_negatives(labels, 0.6, tf.constant([1, 2], tf.int64))
    source = source.numpy()
    moved = source != np.arange(1024)
    assert not any(shares(labels[i], labels[source[i]]) for i in np.flatnonzero(moved))
    assert int(unplaced) == 0
    assert abs(moved.mean() - 0.6) < 5 * np.sqrt(0.6 * 0.4 / 1024)


def test_unplaced_are_exactly_those_without_a_candidate():
    # Videos 0 to 9 have label 0; video 10 has labels 0 and 1; only 11 fits the first ten.
    labels = np.full((12, 2), -1, np.int64)
    labels[:11, 0] = 0
    labels[10, 1] = 1
    labels[11, 0] = 1
    source, unplaced = choose_negatives(labels, 1.0, tf.constant([0, 0], tf.int64))
    assert source.numpy().tolist() == [11] * 10 + [10] + [source.numpy()[11]]
    assert source.numpy()[11] in range(10)
    assert int(unplaced) == 1


def test_ends_when_no_pair_is_possible():
    labels = np.zeros((64, 1), np.int64)
    source, unplaced = choose_negatives(labels, 1.0, tf.constant([5, 5], tf.int64))
    assert source.numpy().tolist() == list(range(64))
    assert int(unplaced) == 64
    one, unplaced = choose_negatives(labels[:1], 1.0, tf.constant([5, 5], tf.int64))
    assert one.numpy().tolist() == [0] and int(unplaced) == 1


def test_every_other_video_is_chosen_alike():
    labels = np.full((8, 1), -1, np.int64)
    counts = np.zeros((8, 8))
    choose = tf.function(lambda seed: choose_negatives(labels, 1.0, seed)[0])
    for draw in range(2000):
        source = choose(tf.constant([draw, 1], tf.int64))
        counts[np.arange(8), source.numpy()] += 1
    assert (np.diag(counts) == 0).all()
    others = counts[~np.eye(8, dtype=bool)]
    expected = 2000 / 7
    chi_square = ((others - expected) ** 2 / expected).sum()
    # 56 cells with 8 sums fixed: 48 degrees of freedom, 99.99 % quantile about 93.
    assert chi_square < 93


def test_the_seed_decides_and_the_sound_moves_with_its_labels():
    labels = random_labels(32, 50)
    audio = np.arange(32, dtype="float32")[:, None]
    visual = audio * 10
    batch = {"labels": tf.constant(labels), "mean_rgb": visual, "mean_audio": audio}
    seed = tf.constant([1, 1], tf.int64)
    mixed = mismatch_pairs(batch, 0.5, seed, ("mean_audio",))
    again = mismatch_pairs(batch, 0.5, seed, ("mean_audio",))
    other = mismatch_pairs(batch, 0.5, seed + 1, ("mean_audio",))
    source = mixed["mean_audio"].numpy()[:, 0].astype(int)
    np.testing.assert_array_equal(mixed["mean_audio"], again["mean_audio"])
    assert (mixed["mean_audio"].numpy() != other["mean_audio"].numpy()).any()
    np.testing.assert_array_equal(mixed["mean_rgb"], visual)
    np.testing.assert_array_equal(mixed["audio_labels"], labels[source])
    np.testing.assert_array_equal(mixed["match"], np.where(source == np.arange(32), 1, -1))
