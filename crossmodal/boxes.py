"""Boxes around objects in pictures: fractions (left, top, right, bottom) of width and height."""

from collections.abc import Sequence

import numpy as np

from crossmodal.errors import UserError

Boxes = Sequence[np.ndarray | Sequence[Sequence[float]]]
"""For each item its boxes [boxes, 4]; several are a union, and there may be none."""


def check(boxes: Boxes) -> list[np.ndarray]:
    """The boxes of each item, float64 [boxes, 4].

    Raises:
      UserError: a box is not four fractions, or has no area; names the item.
    """
    checked = []
    for item, own in enumerate(boxes):
        try:
            array = np.asarray(own, np.float64)
            array = array.reshape(-1, 4) if array.size == 0 else array
        except (TypeError, ValueError):
            array = np.zeros(0)
        if array.ndim != 2 or array.shape[1] != 4:
            raise UserError(f"the boxes of item {item} are not [boxes, 4]: {own!r}")
        sound = (array >= 0) & (array <= 1)
        bad = ~(sound.all(axis=1) & (array[:, :2] < array[:, 2:]).all(axis=1))
        if bad.any():
            raise UserError(
                f"box {array[bad][0].tolist()} of item {item} is not left < right and top < bottom"
                " in fractions of the picture from 0 to 1"
            )
        checked.append(array)
    return checked


def contain(boxes: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie in any of an item's boxes, edges included.

    Args:
      boxes: of each item, checked.
      x: [points], fractions of the width.
      y: [points], fractions of the height.

    Returns:
      bool [items, points].
    """
    return np.array([
        ((own[:, :2, None] <= (x, y)) & (own[:, 2:, None] >= (x, y))).all(axis=1).any(axis=0)
        for own in boxes
    ]).reshape(len(boxes), len(x))


def masks(boxes: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Pixels that an item's boxes cover in a square picture.

    Edges are cut to whole pixels as the evaluation of VGG-SS does: a box covers the
    columns floor(size * left) ... floor(size * right) - 1.

    Args:
      boxes: of each item, checked.
      size: pixels of a side.

    Returns:
      bool [items, size, size].
    """
    covered = np.zeros((len(boxes), size, size), bool)
    for mask, own in zip(covered, boxes, strict=True):
        for left, top, right, bottom in (own * size).astype(int):
            mask[top:bottom, left:right] = True
    return covered
