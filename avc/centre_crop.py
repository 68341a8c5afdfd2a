"""Which part of a picture an evaluation shows to the network, and what boxes become there.

`avc.frames.decode_frame` cuts a square of `image_size` pixels from the centre, of a smaller
picture after enlarging it. Boxes are fractions of the whole picture; heat maps are of the
square.
"""

import numpy as np


def crop_window(height: int, width: int, image_size: int) -> tuple[float, float, float, float]:
    """The square that is cut from a stored picture.

    Args:
      height, width: of the picture in pixels.
      image_size: pixels a side of the square.

    Returns:
      left, top, right and bottom as fractions of the picture's width and height.
    """
    size, shorter = image_size, min(height, width)
    if shorter < size:
        # Rounded up, as the frame is enlarged.
        height, width = -(-height * size // shorter), -(-width * size // shorter)
    top, left = (height - size) // 2, (width - size) // 2
    return left / width, top / height, (left + size) / width, (top + size) / height


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
