"""Decoded pictures as they are shown, scaled and encoded.

A picture is scaled among YUV and then turned into RGB, which swscale does in half the
time of both at once. The chroma is at half resolution in nearly all videos, and in JPEG.
"""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from avc import encoding

_UNSPECIFIED, _BT709, _BT601 = 2, 1, 5
_FULL_RANGE = 2


class PictureEncoder:
    """Turns decoded frames into JPEG files of one size."""

    def __init__(self, shorter_side: int, quality: int) -> None:
        """See MediaConfig."""
        self.shorter_side = shorter_side
        self.quality = quality
        self._scale, self._convert = VideoReformatter(), VideoReformatter()

    def encode(self, frame: av.VideoFrame, pixel_aspect: float) -> bytes:
        """A frame as JPEG, upright, with square pixels, in full-range BT.601 as JPEG has it."""
        rgb = upright(self.rgb(frame, pixel_aspect), display_matrix(frame))
        return encoding.encode_jpeg(np.ascontiguousarray(rgb), self.quality)

    def rgb(self, frame: av.VideoFrame, pixel_aspect: float) -> np.ndarray:
        """A frame, scaled, as uint8 [height, width, 3]."""
        width, height = scaled_size(frame.width, frame.height, pixel_aspect, self.shorter_side)
        size = {"width": width, "height": height, "threads": 1}
        cubic = Interpolation.BICUBIC
        if frame.format.is_rgb or len(frame.format.components) < 3:
            return self._scale.reformat(
                frame, format="rgb24", interpolation=cubic, **size
            ).to_ndarray()
        if frame.colorspace == _UNSPECIFIED:
            # As players do: high definition is BT.709.
            frame.colorspace = _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601
        if frame.format.name.startswith("yuvj"):
            frame.color_range = _FULL_RANGE
        frame = self._scale.reformat(frame, format="yuv420p", interpolation=cubic, **size)
        return self._convert.reformat(frame, format="rgb24", threads=1).to_ndarray()


def scaled_size(width: int, height: int, pixel_aspect: float, shorter_side: int) -> tuple[int, int]:
    """Width and height with square pixels: one is `shorter_side`, the other an even number.

    Args:
      width, height: as stored.
      pixel_aspect: width of a stored pixel divided by its height.
      shorter_side: pixels, after scaling.
    """
    shown = width * pixel_aspect
    if shown < height:
        return shorter_side, 2 * max(1, round(height * shorter_side / shown / 2))
    return 2 * max(1, round(shown * shorter_side / height / 2)), shorter_side


def shown_size(frame: av.VideoFrame, pixel_aspect: float) -> tuple[int, int]:
    """Width and height in which a player shows a frame at its full size."""
    size = max(1, round(frame.width * pixel_aspect)), frame.height
    return size[::-1] if display_matrix(frame)[1] else size


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The signs of the matrix (a, b, c, d) that turns a stored picture upright.

    A point (x, y) of the picture is shown at (a x + c y, b x + d y), with y downwards, as in
    the ISO base media file format, 8.3.2. Only turns by quarters and mirrors are kept.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data)[:20], "<i4").tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)
    return 0, (-1 if b < 0 else 1), (-1 if c < 0 else 1), 0


def upright(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """Turns and mirrors [height, width, 3] as `display_matrix` says."""
    a, b, c, d = matrix
    if b:
        # x is shown along the vertical: columns become rows.
        picture = picture.transpose(1, 0, 2)
        down, across = b, c
    else:
        down, across = d, a
    return picture[::down, ::across]
