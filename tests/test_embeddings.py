"""Identical rows, found byte for byte."""

import numpy as np

from crossmodal import embeddings


def test_zero_and_minus_zero_are_one_row():
    rows = np.array([[1, 0.0], [2, 2], [1, -0.0], [2, 2], [2, 1]], np.float32)
    assert embeddings.identical_rows(rows).tolist() == [0, 1, 0, 1, 4]


def test_rows_with_equal_sums_are_told_apart():
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(np.arange(6, dtype=np.float32)) for _ in range(400)])
    expected = [rows.tolist().index(row) for row in rows.tolist()]
    assert len(set(expected)) < 400
    assert embeddings.identical_rows(rows).tolist() == expected
