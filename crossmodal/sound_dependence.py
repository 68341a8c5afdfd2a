"""Does a heat map follow the sound, or just the picture?

Objects that Sound (Arandjelovic and Zisserman 2018), section 4.1 and figure 6: a map must
go empty when what is heard is not in the picture, and move when another of the picture's
objects sounds.
"""

import numpy as np

from crossmodal import boxes as box_lists
from crossmodal import comparison, localization
from crossmodal.boxes import Boxes
from crossmodal.errors import UserError


def separation(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """How well maps with their own sound stand out from maps with a foreign one.

    Args:
      matched: [n], a map's highest value (or its AVC score) with the sound of its video.
      mismatched: [m], with the sound of something that is not in the picture.

    Returns:
      Area under the ROC curve: the chance that a matched value is above a mismatched one,
      ties counting half.

    Raises:
      UserError: no values, or one is NaN.
    """
    matched, mismatched = (np.asarray(values, np.float64) for values in (matched, mismatched))
    if not matched.size or not mismatched.size:
        raise UserError("separation needs matched and mismatched values, at least one of each")
    if np.isnan(matched).any() or np.isnan(mismatched).any():
        raise UserError("a matched or mismatched value is NaN")
    return _area(matched, np.sort(mismatched))


def separation_interval(
    matched: np.ndarray,
    mismatched: np.ndarray,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
) -> comparison.Interval:
    """Percentile bootstrap interval of `separation`, resampling pictures.

    Args:
      matched: [pictures].
      mismatched: [pictures], row i of the same picture as matched's row i.
      seed: of the resampling.
      samples: resampled sets.
      confidence: mass of the interval.

    Raises:
      UserError: the values do not pair up, there are none, or one is NaN.
    """
    if len(matched) != len(mismatched):
        raise UserError(f"{len(matched)} matched and {len(mismatched)} mismatched values")
    estimate = separation(matched, mismatched)
    pairs = np.stack([matched, mismatched]).astype(np.float64)
    generator = np.random.default_rng(seed)
    areas = np.empty(samples)
    for sample in range(samples):
        drawn = pairs[:, generator.integers(pairs.shape[1], size=pairs.shape[1])]
        areas[sample] = _area(drawn[0], np.sort(drawn[1]))
    tail = (1 - confidence) / 2
    low, high = np.quantile(areas, [tail, 1 - tail])
    return comparison.Interval(estimate, float(low), float(high), confidence)


def swap_hits(
    maps_a: np.ndarray, maps_b: np.ndarray, boxes_a: Boxes, boxes_b: Boxes
) -> np.ndarray:
    """Swap test: does the mode lie on A when A sounds, and on B when B does?

    A place in the boxes of both objects tells them not apart and is right for neither. So
    one map for both sounds is never right twice. Where modes tie, the least that the chances
    of the two answers leave for both is taken, for the same reason.

    Args:
      maps_a: [pictures, height, width] with the sound of object A.
      maps_b: the same pictures with the sound of object B.
      boxes_a: of A in each picture.
      boxes_b: of B in each picture.

    Returns:
      float64 [pictures] in [0, 1]: both answers are right.

    Raises:
      UserError: a box or map that cannot be used, or their numbers differ.
    """
    maps_a = localization.check_maps(maps_a, len(boxes_a))
    maps_b = localization.check_maps(maps_b, len(boxes_b))
    if maps_a.shape != maps_b.shape:
        raise UserError(f"maps of shapes {maps_a.shape} and {maps_b.shape} do not pair up")
    centres = localization.cell_centres(*maps_a.shape[1:])
    on_a, on_b = (
        box_lists.contain(box_lists.check(own), *centres) for own in (boxes_a, boxes_b)
    )
    right_a = (localization.modes(maps_a) * (on_a & ~on_b)).sum(axis=1)
    right_b = (localization.modes(maps_b) * (on_b & ~on_a)).sum(axis=1)
    return np.maximum(right_a + right_b - 1, 0.0)


def _area(matched: np.ndarray, ascending: np.ndarray) -> float:
    """Mean share of sorted values below each matched one, ties counting half."""
    below = np.searchsorted(ascending, matched, side="left")
    not_above = np.searchsorted(ascending, matched, side="right")
    return float((below + not_above).mean() / (2 * len(ascending)))
