"""Scenes beside what a network says sounds in them: pictures of boxes and of heat maps."""

from collections.abc import Sequence

import numpy as np

from avc import overlays
from avc.scene_truth import Truth

SOUNDS, SILENT, GROUND = (255, 0, 0), (255, 255, 255), (255, 255, 255)
# Pixels between pairs of pictures.
GAP = 8


def sheet(
    pictures: np.ndarray, heatmaps: np.ndarray, truths: Sequence[Truth], columns: int, scale: int
) -> np.ndarray:
    """Pairs of pictures in rows: the scene with its boxes, and with its map.

    Objects that sound are boxed red, the others that are seen white.

    Args:
      pictures: uint8 `[n, size, size, 3]`, what the network saw.
      heatmaps: `[n, rows, columns]` in [0, 1], of all of each picture.
      truths: of each picture.
      columns: pairs in a row.
      scale: each pixel of a picture becomes so many squared.

    Returns:
      uint8 `[height, width, 3]`.
    """
    large = pictures.repeat(scale, 1).repeat(scale, 2)
    size = large.shape[1]
    height, width = size + GAP, 2 * size + GAP
    rows = -(-len(large) // columns)
    result = np.full((rows * height - GAP, columns * width - GAP, 3), GROUND, np.uint8)
    for place, (picture, heatmap, truth) in enumerate(zip(large, heatmaps, truths, strict=True)):
        top, left = place // columns * height, place % columns * width
        seen = picture.copy()
        draw_boxes(seen, truth.visible, SILENT)
        draw_boxes(seen, truth.sounding, SOUNDS)
        mapped = overlays.overlay(picture, heatmap, 1.0)
        result[top : top + size, left : left + 2 * size] = np.concatenate([seen, mapped], 1)
    return result


def draw_boxes(picture: np.ndarray, boxes: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draws frames of two pixels into a picture.

    Args:
      picture: uint8 `[height, width, 3]`, changed in place.
      boxes: `[n, 4]`, left, top, right, bottom in fractions of the picture.
      colour: of the frames.
    """
    height, width = picture.shape[:2]
    for box in boxes:
        left, top, right, bottom = np.rint(box * [width, height, width, height]).astype(int)
        inside = picture[top + 2 : bottom - 2, left + 2 : right - 2].copy()
        picture[top:bottom, left:right] = colour
        picture[top + 2 : bottom - 2, left + 2 : right - 2] = inside
