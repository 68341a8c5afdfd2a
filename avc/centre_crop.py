"""Which part of a picture a network sees where nothing is random, and what boxes become there.

A square, in the middle, of a share of the picture's shorter side. `avc.frames` cuts it in
evaluations and in exports. Boxes are fractions of the whole picture; heat maps are of the
square.
"""

import numpy as np


def centre_square(height: int, width: int, crop_share: float) -> tuple[int, int, int]:
    """The square in pixels.

    Args:
      height, width: of the picture.
      crop_share: side of the square as a share of the picture's shorter side.

    Returns:
      top, left, and the side; at least one pixel.
    """
    side = max(1, round(crop_share * min(height, width)))
    return (height - side) // 2, (width - side) // 2, side


def crop_window(height: int, width: int, crop_share: float) -> tuple[float, float, float, float]:
    """The square as a part of the picture.

    Args:
      height, width, crop_share: see `centre_square`.

    Returns:
      left, top, right and bottom as fractions of the picture's width and height.
    """
    top, left, side = centre_square(height, width, crop_share)
    return left / width, top / height, (left + side) / width, (top + side) / height


def crop_boxes(
    boxes: np.ndarray, window: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as fractions of a part of the picture.

    Args:
      boxes: left, top, right, bottom as fractions of the picture, `[n, 4]`.
      window: the part, in the same terms.

    Returns:
      Boxes `[n, 4]` in [0, 1], cut off where the part ends, and the share of each box's area
      that is in the part, `[n]`; a box outside has share 0 and no area.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    corner = np.array([window[0], window[1]] * 2)
    extent = np.array([window[2] - window[0], window[3] - window[1]] * 2)
    moved = (boxes - corner) / extent
    inside = np.clip(moved, 0.0, 1.0)
    return inside, _areas(inside) / _areas(moved)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
