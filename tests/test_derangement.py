"""Rearranged rows, against every permutation there is and by their properties."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from avc.derangement import derange, find_partners

RNG = np.random.default_rng(4)


GRAPH = tf.function(derange, input_signature=[tf.TensorSpec([None], tf.int64)])


def deranged(keys):
    partner, valid = (v.numpy() for v in GRAPH(np.asarray(keys, np.int64)))
    assert partner.dtype == np.int32 and valid.dtype == bool
    return partner, valid


def test_no_permutation_places_more():
    for size in range(1, 7):
        permutations = np.array(list(itertools.permutations(range(size))))
        for keys in itertools.product(range(3), repeat=size):
            moved = np.asarray(keys)[permutations]
            _, valid = deranged(keys)
            assert valid.sum() == (moved != keys).sum(1).max(), keys


@pytest.mark.parametrize("case", range(60))
def test_a_permutation_without_rows_of_the_own_key(case):
    rng = np.random.default_rng(case)
    size = int(rng.integers(1, 200))
    groups = int(rng.integers(1, size + 1))
    names = rng.integers(-(2**63), 2**63 - 1, groups)
    keys = names[rng.integers(0, groups, size)]
    partner, valid = deranged(keys)
    assert sorted(partner) == list(range(size))
    np.testing.assert_array_equal(valid, keys[partner] != keys)
    largest = np.unique(keys, return_counts=True)[1].max()
    assert valid.all() if 2 * largest <= size else valid.sum() == 2 * (size - largest)


@pytest.mark.parametrize("case", range(40))
def test_several_partners_are_different_rows_each_used_once_a_column(case):
    rng = np.random.default_rng(case)
    size = int(rng.integers(2, 80))
    keys = rng.integers(0, rng.integers(1, size + 1), size)
    number = int(rng.integers(1, size))
    partner, valid = (np.asarray(v) for v in find_partners(tf.constant(keys), number))
    assert all(sorted(column) == list(range(size)) for column in partner.T)
    assert all(len(set(row)) == number for row in partner)
    np.testing.assert_array_equal(valid, keys[partner] != keys[:, None])
    largest = np.unique(keys, return_counts=True)[1].max()
    assert valid[:, : max(0, size - 2 * largest + 1)].all()
    np.testing.assert_array_equal(partner[:, 0], np.asarray(derange(tf.constant(keys))[0]))


def test_distinct_rows_are_all_placed_and_the_order_of_keys_decides():
    first, valid = deranged(RNG.permutation(100))
    second, _ = deranged(RNG.permutation(100))
    assert valid.all()
    assert (first != second).mean() > 0.9


def test_random_keys_give_every_other_row_alike():
    counts = np.zeros((6, 6))
    rng = np.random.default_rng(9)
    for _ in range(3000):
        partner, _ = deranged(rng.integers(-(2**63), 2**63 - 1, 6))
        counts[np.arange(6), partner] += 1
    assert (np.diag(counts) == 0).all()
    others = counts[~np.eye(6, dtype=bool)]
    # 30 cells with 11 sums fixed: 19 degrees of freedom, 99.99 % quantile about 52.
    assert ((others - 600) ** 2 / 600).sum() < 52


def test_works_eagerly_and_compiled():
    keys = RNG.integers(0, 12, 40)
    for call in (derange, tf.function(derange, jit_compile=True)):
        partner, valid = (np.asarray(v) for v in call(tf.constant(keys)))
        assert sorted(partner) == list(range(40))
        assert valid.all() and (keys[partner] != keys).all()
