"""Who gets whose sound: the rows of a batch rearranged so that none keeps its video's.

N clips of N videos give N true pairs; with their sounds rearranged, N mismatched ones
from the same embeddings. In the order of their keys the rows of one video are
neighbours, and a shift by the largest number of rows that one video has leaves every
video. No search, no loop: the same few operations on every backend.
"""

from keras import ops


def derange(keys):
    """Finds for every row another one with another key.

    Every row is used exactly once. All rows are placed unless one key has more than half
    of them; then as many as is possible.

    Args:
      keys: `[batch]` integers, equal for rows that must not be paired; which of the others
        a row gets depends on the keys' order, so they should be random.

    Returns:
      partner: int32 `[batch]`, a permutation of the rows.
      valid: bool `[batch]`, whether the partner's key is another.
    """
    size = ops.shape(keys)[0]
    order = ops.argsort(keys)
    ordered = ops.take(keys, order)
    first = ops.searchsorted(ordered, ordered, side="left")
    last = ops.searchsorted(ordered, ordered, side="right")
    # A group lies within fewer places than the shift, and so, while the shift is at most
    # half of the batch, it ends up in other groups on the way around, too.
    shift = ops.cast(ops.max(last - first), "int32")
    place = ops.cast(ops.argsort(order), "int32")
    partner = ops.cast(ops.take(order, (place + shift) % size), "int32")
    return partner, ops.not_equal(keys, ops.take(keys, partner))
