"""Pictures of a file from some second on, scaled into a canvas, as sources of other videos."""

import itertools
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from avc import pictures
from avc.clip_reader import first_of, pixel_aspect
from avc.clips import MediaConfig
from avc.frame_grid import FrameGrid
from avc.media_files import TimedFrame, Track

_PREROLL = Fraction(1)


def read_pictures(
    path: str, begin: float, number: int, frames_per_second: float, canvas: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Pictures on a grid; the last one stays where the file ends.

    Args:
      path: a video on a local disk; it needs no sound.
      begin: seconds since its first picture, of the first that is yielded.
      number: how many are yielded.
      frames_per_second: of the grid.
      canvas: height and width, even numbers; what is left over is black.

    Yields:
      uint8 `[height, width, 3]`, upright, with square pixels.

    Raises:
      MediaError: the file has no pictures.
    """
    track = Track(path, "video", MediaConfig().max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, path, "picture")
        aspect = pixel_aspect(track)
        start = first.begin + max(Fraction(begin).limit_denominator(10**6), Fraction(0))
        frames = itertools.chain([first], frames)
        if start > first.begin + 2 * _PREROLL:
            track, frames = _later(track, frames, start)
        step = 1 / Fraction(frames_per_second).limit_denominator(1001)
        tolerance = min(track.stream.time_base, Fraction(1, 1000))
        grid = FrameGrid(_shifted(frames, start), step, tolerance)
        shown = iter(grid.read(Fraction(0), number * step))
        following = next(shown, None)
        # Beyond the end the last picture is all that there is.
        current = fit(_rgb((grid.shown or first).frame, aspect, canvas), canvas)
        for place in range(number):
            while following is not None and following[0] <= place:
                current = fit(_rgb(following[1], aspect, canvas), canvas)
                following = next(shown, None)
            yield current
    finally:
        track.close()


def fit(picture: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """A picture in the middle of a black canvas; what is too large is cut off."""
    height, width = canvas
    top, left = max(0, picture.shape[0] - height) // 2, max(0, picture.shape[1] - width) // 2
    picture = picture[top : top + height, left : left + width]
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    result[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return result


def _rgb(frame: av.VideoFrame, aspect: float, canvas: tuple[int, int]) -> np.ndarray:
    width, height = pictures.shown_size(frame, aspect)
    scale = min(canvas[0] / height, canvas[1] / width)
    side = max(2, 2 * round(scale * min(width, height) / 2))
    rgb = pictures.PictureEncoder(side, 90).rgb(frame, aspect)
    return pictures.upright(rgb, pictures.display_matrix(frame))


def _later(
    track: Track, frames: Iterator[TimedFrame], start: Fraction
) -> tuple[Track, Iterator[TimedFrame]]:
    """A track that stands before a time; the one given where it cannot get there."""
    other = Track(track.path, "video", MediaConfig().max_pixels)
    if other.seek(start - _PREROLL):
        found = itertools.dropwhile(lambda timed: not timed.frame.key_frame, other.frames())
        first = next(found, None)
        if first and first.begin <= start:
            track.close()
            return other, itertools.chain([first], found)
    other.close()
    return track, frames


def _shifted(frames: Iterator[TimedFrame], origin: Fraction) -> Iterator[TimedFrame]:
    for begin, end, frame in frames:
        yield TimedFrame(begin - origin, end - origin, frame)
