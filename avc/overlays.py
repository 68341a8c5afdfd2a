"""Heat maps laid over pictures, in colours of a fixed scale.

The colour says the network's own probability, from 0 to 1, and not how it compares with the
rest of the picture: a map that is empty looks empty.
"""

import numpy as np

from avc.centre_crop import centre_square
from crossmodal import localization
from crossmodal.configuration import check_range
from crossmodal.errors import UserError

# From 0 to 1 in equal steps; each is lighter than the one before it.
PALETTE = np.array(
    [(0, 0, 48), (70, 15, 110), (150, 40, 100), (220, 80, 50), (250, 160, 40), (255, 255, 170)],
    np.float64,
)
# What the network does not see is shown darker.
DIMMED = 0.4


def colour(values: np.ndarray) -> np.ndarray:
    """Colours of values in [0, 1], float64 `[..., 3]` from 0 to 255."""
    places = np.linspace(0, 1, len(PALETTE))
    return np.stack([np.interp(values, places, channel) for channel in PALETTE.T], -1)


def stretch(heatmap: np.ndarray) -> np.ndarray:
    """A map from its lowest value to its highest as 0 to 1; a level one is 0 all over."""
    low, high = heatmap.min(), heatmap.max()
    return (heatmap - low) / (high - low) if high > low else np.zeros_like(heatmap)


def overlay(
    picture: np.ndarray, heatmap: np.ndarray, crop_share: float, opacity: float = 0.6
) -> np.ndarray:
    """Lays a map over the part of a picture that the network saw, and dims the rest.

    Args:
      picture: uint8 `[height, width, 3]`.
      heatmap: `[rows, columns]` in [0, 1], of the middle square; resized bilinearly.
      crop_share: side of this square as a share of the picture's shorter side.
      opacity: of the map where it is 1, and its square where it is 0; 0 shows the picture
        alone, 1 the map alone.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      ConfigurationError: the opacity is outside of [0, 1].
      UserError: the map has a value outside of [0, 1].
    """
    check_range("opacity", opacity, 0, 1)
    if not ((heatmap >= 0) & (heatmap <= 1)).all():
        raise UserError("a heat map has values outside of 0 to 1")
    top, left, side = centre_square(*picture.shape[:2], crop_share)
    resized = localization.resize(heatmap[None].astype(np.float64), side)[0]
    # Where nothing sounds the picture is to be seen.
    weights = (opacity ** (2 - resized))[..., None]
    result = picture * DIMMED
    square = slice(top, top + side), slice(left, left + side)
    result[square] = (1 - weights) * picture[square] + weights * colour(resized)
    return np.rint(result).astype(np.uint8)
