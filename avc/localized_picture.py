"""A picture and a sound from files, for a network to say what of the one makes the other."""

import struct
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avc.audio_decoding import resample
from avc.centre_crop import centre_square
from avc.clips import MediaConfig
from avc.media_files import MediaError, Track
from crossmodal.errors import UserError


def read_picture(path: str) -> np.ndarray:
    """Reads a JPEG, PNG, BMP or GIF: uint8 `[height, width, 3]`.

    Raises:
      UserError: the file cannot be read, is no such picture, or claims too many pixels.
    """
    try:
        content = tf.io.read_file(path)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be read ({error.message})") from error
    try:
        width, height = _claimed_size(content)
        if width * height > MediaConfig().max_pixels:
            raise UserError(
                f"{path}: picture of {width} x {height} is larger than"
                f" {MediaConfig().max_pixels} pixels"
            )
        return tf.io.decode_image(content, 3, expand_animations=False).numpy()
    except (tf.errors.OpError, ValueError, struct.error):
        raise UserError(f"{path}: is not a picture (JPEG, PNG, BMP or GIF)") from None


def _claimed_size(content: tf.Tensor) -> tuple[int, int]:
    """Width and height as a file's header says: a small file may claim gigabytes of pixels."""
    start = tf.strings.substr(content, 0, 32).numpy()
    if start.startswith(b"\x89PNG"):
        return struct.unpack(">II", start[16:24])
    if start.startswith(b"GIF8"):
        return struct.unpack("<HH", start[6:10])
    if start.startswith(b"BM"):
        width, height = struct.unpack("<ii", start[18:26])
        return abs(width), abs(height)
    height, width, _ = tf.io.extract_jpeg_shape(content).numpy().tolist()
    return width, height


def read_sound(path: str, sample_rate_hz: int) -> np.ndarray:
    """Reads the sound of any file that PyAV reads, mono.

    Returns:
      int16 `[num_samples]`.

    Raises:
      UserError: there is none.
    """
    try:
        track = Track(path, "audio", MediaConfig().max_pixels)
    except MediaError as error:
        # FFmpeg tells videos only from what it does not know.
        reason = error.reason.replace("not a video file", "not a sound file")
        raise UserError(f"{path}: {reason}") from None
    try:
        pieces = [samples for _, samples in resample(track.frames(), sample_rate_hz)]
    finally:
        track.close()
    if not pieces:
        raise UserError(f"{path}: no sound can be decoded")
    return np.concatenate(pieces)


def cut_second(
    samples: np.ndarray, segment_samples: int, middle: int | None = None
) -> np.ndarray:
    """A piece of a sound; what lies beyond its ends is silence.

    Args:
      samples: int16 `[n]`.
      segment_samples: length of the piece.
      middle: which sample is in its middle; None for the middle of all.

    Returns:
      int16 `[segment_samples]`.

    Raises:
      UserError: the middle is not in the sound.
    """
    middle = len(samples) // 2 if middle is None else middle
    if not 0 <= middle < len(samples):
        raise UserError("--at_seconds lies beyond the end of the sound")
    half = segment_samples // 2
    padded = np.pad(samples, (half, segment_samples - half))
    return padded[middle : middle + segment_samples]


def peak(heatmap: np.ndarray, shape: Sequence[int], crop_share: float) -> tuple[int, int]:
    """Where a map's mode is in the picture.

    Args:
      heatmap: `[rows, columns]`, of the picture's middle square.
      shape: height and width of the picture; what follows is not looked at.
      crop_share: side of the square as a share of the picture's shorter side.

    Returns:
      Column and row in pixels.
    """
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    top, left, side = centre_square(*shape[:2], crop_share)
    return (
        left + int((column + 0.5) * side / heatmap.shape[1]),
        top + int((row + 0.5) * side / heatmap.shape[0]),
    )
