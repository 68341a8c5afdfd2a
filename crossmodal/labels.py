"""Labels of a set of videos, in whatever form they arrive, as (video, class) pairs."""

from collections.abc import Sequence

import numpy as np

from crossmodal.errors import UserError


def label_pairs(
    labels: np.ndarray | Sequence[Sequence[int]], num_classes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Lists every (row, class) once, ordered by row and then by class.

    Args:
      labels: int [rows, n] padded with -1, or one sequence of classes for each row;
        a row without labels is valid, a class given twice counts once.
      num_classes: classes must lie below it.

    Returns:
      rows, classes: int64 [pairs] each.

    Raises:
      UserError: a class is out of range.
    """
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        rows, places = np.nonzero(labels != -1)
        classes = labels[rows, places]
    else:
        lengths = [len(row) for row in labels]
        rows = np.repeat(np.arange(len(lengths)), lengths)
        classes = np.concatenate([np.zeros(0, np.int64), *(np.asarray(r) for r in labels)])
        known = classes != -1
        rows, classes = rows[known], classes[known]
    classes = classes.astype(np.int64)
    bad = np.flatnonzero((classes < 0) | (classes >= (num_classes or np.inf)))
    if bad.size:
        limit = f"[0, {num_classes})" if num_classes else "0 or more"
        raise UserError(f"label {classes[bad[0]]} of row {rows[bad[0]]} is outside {limit}")
    return tuple(np.unique(np.stack([rows.astype(np.int64), classes]), axis=1))
