"""Optical flow of a clip's pictures, and the few bytes in which records hold it.

Objects that Sound, appendix C: flow "computed using the TV-L1 algorithm" (Zach, Pock and
Bischof 2007), here scikit-image's. A field says how far what is at a place of one picture has
moved in the next: its horizontal component is positive to the right, its vertical one down.

Stored is a PNG file of two channels, horizontal and vertical, one byte each: 128 is no motion,
1 and 255 are `reach` to the left or up and to the right or down; what goes farther is
clipped. The byte 0 does not occur, so that a mirrored field is exact: 256 less the byte.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avc.visual_inputs import STEPS, STILL
from crossmodal.configuration import check_range
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """How flow is computed and stored; saved with the data.

    Attributes:
      shorter_side: pixels of the fields; pictures are scaled to it first, unless they are
        smaller.
      reach: the largest displacement from one picture to the next that is stored, in parts of
        the shorter side: 1 / 16 is 8 pixels of 128, in steps of 0.063.
      warps: how often each scale's flow is refined; scikit-image's 15 take three times as long.

    Raises:
      ConfigurationError: a value is out of range.
    """

    shorter_side: int = 128
    reach: float = 1 / 16
    warps: int = 5

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range("flow_shorter_side", self.shorter_side, 16, 4096)
        check_range("flow_reach", self.reach, 1e-3, 1)
        check_range("flow_warps", self.warps, 1, 1000)

    def settings(self) -> dict:
        """The same under names that stand beside those of a clip or scene."""
        return {f"flow_{name}": value for name, value in dataclasses.asdict(self).items()}


def encode_flows(frames: Sequence[bytes], config: FlowConfig) -> list[bytes]:
    """The flow from each of a clip's pictures to the next: one field fewer than pictures.

    Args:
      frames: JPEG files of one size.
      config: how.

    Raises:
      UserError: scikit-image is not installed.
    """
    grey = [decode_grey(frame, config.shorter_side) for frame in frames]
    return [
        encode_field(displacements(first, second, config.warps), config.reach)
        for first, second in itertools.pairwise(grey)
    ]


def check_installed() -> None:
    """Raises UserError unless flow can be computed: workers are to be spared the news."""
    try:
        import skimage.registration  # noqa: F401
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra flow") from error


def decode_grey(frame: bytes, shorter_side: int) -> np.ndarray:
    """A JPEG picture as float32 [height, width] in [0, 1], no larger than is wanted."""
    picture = tf.io.decode_jpeg(frame, channels=1)
    height, width = picture.shape[:2]
    if shorter_side < min(height, width):
        scale = shorter_side / min(height, width)
        size = (round(height * scale), round(width * scale))
        picture = tf.image.resize(picture, size, antialias=True)
    return tf.cast(picture, tf.float32).numpy()[..., 0] / 255


def displacements(first: np.ndarray, second: np.ndarray, warps: int) -> np.ndarray:
    """The TV-L1 flow from one picture to the next.

    Args:
      first, second: float32 [height, width] in [0, 1].
      warps: see FlowConfig.

    Returns:
      float32 [height, width, 2]: horizontal and vertical, in pixels.

    Raises:
      UserError: scikit-image is not installed.
    """
    check_installed()
    from skimage.registration import optical_flow_tvl1

    vertical, horizontal = optical_flow_tvl1(first, second, num_warp=warps)
    return np.stack([horizontal, vertical], -1)


def encode_field(field: np.ndarray, reach: float) -> bytes:
    """A field as a PNG file.

    Args:
      field: [height, width, 2] in pixels.
      reach: see FlowConfig.
    """
    parts = field / (reach * min(field.shape[:2]))
    values = np.rint(STILL + STEPS * np.clip(parts, -1, 1)).astype(np.uint8)
    return tf.io.encode_png(values).numpy()


def decode_field(data: bytes, reach: float) -> np.ndarray:
    """A stored field, float32 [height, width, 2] in pixels: what went into `encode_field`."""
    values = tf.io.decode_png(data).numpy().astype(np.float32)
    return (values - STILL) / STEPS * np.float32(reach * min(values.shape[:2]))
