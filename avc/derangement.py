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
    partner, valid = find_partners(keys, 1)
    return partner[:, 0], valid[:, 0]


def find_partners(keys, number: int):
    """Finds for every row several others, of other keys.

    Every row is used exactly once in each column. All rows of a column are placed while
    `number` is at most the batch less twice the rows of the most frequent key, plus one.

    Args:
      keys: as for `derange`.
      number: of partners a row, less than the rows.

    Returns:
      partner: int32 `[batch, number]`, different in each row.
      valid: bool `[batch, number]`, whether the partner's key is another.
    """
    size = ops.shape(keys)[0]
    order = ops.argsort(keys)
    ordered = ops.take(keys, order)
    first = ops.searchsorted(ordered, ordered, side="left")
    last = ops.searchsorted(ordered, ordered, side="right")
    # A group lies within fewer places than the shift, and so, while the shift is at most
    # half of the batch, it ends up in other groups on the way around, too.
    shift = ops.cast(ops.max(last - first), "int32") + ops.arange(number, dtype="int32")
    place = ops.cast(ops.argsort(order), "int32")
    partner = ops.cast(ops.take(order, (place[:, None] + shift) % size), "int32")
    return partner, ops.not_equal(keys[:, None], ops.take(keys, partner))
