"""How relevant items with several labels are to each other.

The relevance of two items is the largest among the pairs of a label of the one and a
label of the other (Arandjelovic and Zisserman 2018, Objects that Sound, appendix A.2):
labels hold for a whole video, of which a frame or a second may show but one.

Items with the same labels are the same to all others, and classes are far fewer than
items. So relevance is looked up between classes and sets of labels, in blocks of rows; a
matrix of all items exists only where it is asked for.
"""

import functools
from collections.abc import Sequence

import numpy as np

from crossmodal import labels as label_lists
from crossmodal.errors import UserError


class SetRelevance:
    """Relevance between items by the labels they have.

    Attributes:
      kinds: int64 [items], the number of the item's set of labels; -1 without labels.
      sizes: int64 [sets], items that have each set.
      levels: float64 [levels], the values that relevance takes, rising.
    """

    def __init__(
        self, labels: np.ndarray | Sequence[Sequence[int]], class_relevance: np.ndarray
    ) -> None:
        """Groups the items by their labels.

        Args:
          labels: int [items, n] padded with -1, or one sequence of classes for each item.
          class_relevance: [classes, classes], of one class (rows) to another; finite and
            not negative.

        Raises:
          UserError: a class is out of range, or a relevance is negative or not finite.
        """
        class_relevance = np.asarray(class_relevance, np.float64)
        if class_relevance.ndim != 2 or len(set(class_relevance.shape)) > 1:
            raise UserError(
                f"relevance of classes has shape {class_relevance.shape}, expected [classes,"
                " classes]"
            )
        if not np.isfinite(class_relevance).all() or (class_relevance < 0).any():
            raise UserError("the relevance of a class to another must be finite, 0 or more")
        rows, classes = label_lists.label_pairs(labels, len(class_relevance))
        self.kinds, sets = _group(rows, classes, len(labels))
        self.sizes = np.bincount(self.kinds[self.kinds >= 0], minlength=len(sets))
        self.levels, codes = np.unique(class_relevance, return_inverse=True)
        # Levels rise, so the largest relevance has the largest number; bytes are quick.
        codes = codes.reshape(class_relevance.shape).astype(np.min_scalar_type(len(self.levels)))
        self._sets = sets
        of_sets = [codes[:, classes].max(axis=1) for classes in sets]
        self._of_classes = np.stack(of_sets, axis=1) if sets else codes[:, :0]

    def rows(self, first: int, last: int) -> np.ndarray:
        """Relevance of the sets first ... last-1 to all sets.

        Returns:
          Indices into `levels`, unsigned [last - first, sets].
        """
        rows = [self._of_classes[classes].max(axis=0) for classes in self._sets[first:last]]
        return np.array(rows, self._of_classes.dtype).reshape(last - first, len(self._sets))

    @functools.cached_property
    def labelled(self) -> np.ndarray:
        """Indices of the items that have a label, int64."""
        return np.flatnonzero(self.kinds >= 0)

    def matrix(self) -> np.ndarray:
        """Relevance of each labelled item to each, float64 [labelled, labelled]."""
        kinds = self.kinds[self.labelled]
        return self.levels[self.rows(0, len(self.sizes))][np.ix_(kinds, kinds)]


def same_class(labels: np.ndarray | Sequence[Sequence[int]], num_classes: int) -> SetRelevance:
    """Relevance 1 to items that share a label, 0 to others.

    Raises:
      UserError: a class is out of range.
    """
    return SetRelevance(labels, np.eye(num_classes))


def _group(
    rows: np.ndarray, classes: np.ndarray, items: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Numbers the distinct sets in (row, class) pairs, and lists their classes."""
    ends = np.cumsum(np.bincount(rows, minlength=items))
    known: dict[bytes, int] = {}
    kinds = np.full(items, -1, np.int64)
    for item, own in enumerate(np.split(classes, ends[:-1]) if items else []):
        if own.size:
            kinds[item] = known.setdefault(own.tobytes(), len(known))
    return kinds, [np.frombuffer(key, np.int64) for key in known]
