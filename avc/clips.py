"""What is made of a media file, and how: plain data.

A grid of 25 frames a second and sound at 48 kHz: Arandjelovic and Zisserman, "Objects that
Sound", ECCV 2018, section 3.3.
"""

import dataclasses

import numpy as np

from crossmodal.configuration import check_range


@dataclasses.dataclass(frozen=True)
class MediaConfig:
    """How files become clips; saved with the data.

    Attributes:
      frames_per_second: the grid of frames, from each clip's start.
      shorter_side: pixels; the other side keeps the aspect, rounded to an even number.
      jpeg_quality: from 1 to 100.
      sample_rate_hz: of the sound.
      clip_seconds: length of a clip.
      max_pixels: a file with a larger picture is refused before anything is decoded.

    Raises:
      ConfigurationError: a value is out of range.
    """

    frames_per_second: float = 25.0
    shorter_side: int = 256
    jpeg_quality: int = 90
    sample_rate_hz: int = 48000
    clip_seconds: float = 10.0
    max_pixels: int = 8192 * 8192

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_range("frames_per_second", self.frames_per_second, 0.1, 1000)
        check_range("shorter_side", self.shorter_side, 16, 4096)
        check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        check_range("sample_rate_hz", self.sample_rate_hz, 4000, 192000)
        check_range("clip_seconds", self.clip_seconds, 0.1, 3600)
        check_range("max_pixels", self.max_pixels, 1, 2**30)


@dataclasses.dataclass(frozen=True)
class Source:
    """What a file holds.

    Attributes:
      path: the file.
      duration_seconds: of the shorter of picture and sound, as the file says; None where it
        does not, as in a stream that was recorded live.
      frames_per_second: average; 0.0 where the file does not say.
      width, height: pixels as shown, upright and with square pixels.
      sample_rate_hz, channels: of the sound.
    """

    path: str
    duration_seconds: float | None
    frames_per_second: float
    width: int
    height: int
    sample_rate_hz: int
    channels: int


@dataclasses.dataclass(frozen=True)
class Cut:
    """Which clip is wanted, where its start alone does not tell.

    Attributes:
      start_seconds: since the file's first picture.
      seconds: length; None for `clip_seconds`.
      frame_seconds: the moment since the clip's start whose picture is the only one, to the
        nearest step of the grid; None for all pictures.
    """

    start_seconds: float
    seconds: float | None = None
    frame_seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Clip:
    """Some seconds of a file.

    Attributes:
      start_seconds: since the file's first picture.
      frames: JPEG files, in order. A picture that stays for several steps of the grid is
        there once, at the first.
      frame_seconds: float64 [num_frames], since the clip's start, multiples of the step.
      samples: int16 [num_samples], mono; sample k is k / sample_rate_hz after the start.
      sample_rate_hz: samples a second.
    """

    start_seconds: float
    frames: list[bytes]
    frame_seconds: np.ndarray
    samples: np.ndarray
    sample_rate_hz: int
