"""Gains, their discounts, and what the best and a random ranking collect of them."""

from collections.abc import Sequence

import numpy as np

from crossmodal.errors import UserError

FORMS = ("exponential", "linear")


def gains(relevance: np.ndarray, form: str) -> np.ndarray:
    """Gain of each relevance: 2^r - 1 (exponential) or r (linear), float64.

    Args:
      relevance: float64 of any shape, 0 or more.
      form: of FORMS.

    Raises:
      UserError: a gain overflows.
    """
    # DCG adds up gains: below this bound sums stay finite as well.
    if form == "exponential" and (relevance > 1000).any():
        raise UserError(
            f"a relevance of {relevance.max():g} is too large for the exponential gain, "
            "which goes up to 1000"
        )
    return np.exp2(relevance) - 1 if form == "exponential" else relevance


def discounts(ranks: int) -> np.ndarray:
    """1 / log2(i + 1) of the ranks i = 1 ... ranks."""
    return 1 / np.log2(np.arange(2, ranks + 2))


def bounds(
    counts: np.ndarray, values: np.ndarray, cutoffs: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """DCG of the best order of some candidates, and expected DCG of a random order.

    In a random order every rank holds the candidates' mean gain.

    Args:
      counts: [queries, values], candidates of each gain.
      values: float64 [values], gains, rising.
      cutoffs: the K of DCG@K.

    Returns:
      ideal, expected: float64 [queries, cutoffs] each.
    """
    sums = np.concatenate([[0.0], np.cumsum(discounts(max(cutoffs)))])
    # Rank after the last candidate of each gain, the highest first.
    ends = np.cumsum(counts[:, ::-1], axis=1).astype(np.int64)
    ends = np.concatenate([np.zeros_like(ends[:, :1]), ends], axis=1)
    mean = counts @ values / np.maximum(ends[:, -1], 1)
    ideal, expected = [], []
    for cutoff in cutoffs:
        reached = sums[np.minimum(ends, cutoff)]
        ideal.append(np.diff(reached, axis=1) @ values[::-1])
        expected.append(mean * reached[:, -1])
    return np.stack(ideal, axis=1), np.stack(expected, axis=1)
