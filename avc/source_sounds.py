"""Seconds of a file's sound, with its channels, as a source of other videos' sound.

Time zero is the file's first picture, or without pictures its first sound, as in
`avc.single_track`, so that it is what a collection's `seconds` count from.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from avc import single_track
from avc.audio_decoding import Anchor, resample
from avc.clip_reader import first_of
from avc.clips import MediaConfig
from avc.media_files import TimedFrame, Track

# A decoder needs some packets before its output is right.
_PREROLL = Fraction(1)
_SETTLED = Fraction(1, 4)
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Some sound of a file.

    Attributes:
      samples: float32 [channels, n] in [-1, 1], one channel or two; gaps are zeros.
      first: which sample of the file the first one is, counted from its time zero.
    """

    samples: np.ndarray
    first: int


def read_stretch(path: str, begin: float, end: float | None, sample_rate_hz: int) -> Stretch:
    """Reads what there is of a file's sound between two times.

    Args:
      path: a media file on a local disk; more than two channels are mixed to two.
      begin: seconds; what lies before the sound is not there.
      end: seconds; None for the end of the file.
      sample_rate_hz: of the result.

    Raises:
      MediaError: the file has no sound, or it cannot be decoded.
    """
    config = MediaConfig()
    track = Track(path, "audio", config.max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, path, "sound")
        picture = single_track.first_picture(path, config)
        origin = first.begin if picture is None else picture
        anchor = Anchor(first.begin - origin, first.frame.samples)
        layout = _LAYOUTS[min(first.frame.layout.nb_channels, 2)]
        needed = origin + Fraction(begin).limit_denominator(10**6) - _SETTLED
        frames = itertools.chain([first], frames)
        if needed > first.begin + 2 * _PREROLL:
            track, frames = _later(track, frames, needed, config)
        last = None if end is None else origin + Fraction(end).limit_denominator(10**6) + _SETTLED
        wanted = _shifted(frames, origin, last)
        pieces = list(resample(wanted, sample_rate_hz, anchor, layout))
    finally:
        track.close()
    low = round(begin * sample_rate_hz)
    high = max((p + s.shape[-1] for p, s in pieces), default=low)
    high = high if end is None else min(high, round(end * sample_rate_hz))
    low = min(max(low, pieces[0][0] if pieces else low), max(high, low))
    samples = np.zeros((2 if layout == "stereo" else 1, max(high - low, 0)), np.float32)
    for position, piece in pieces:
        start, stop = max(position, low), min(position + piece.shape[-1], high)
        if start < stop:
            part = np.atleast_2d(piece)[:, start - position : stop - position]
            samples[:, start - low : stop - low] = part.astype(np.float32) / 32768
    return Stretch(samples, low)


def _later(
    track: Track, frames: Iterator[TimedFrame], needed: Fraction, config: MediaConfig
) -> tuple[Track, Iterator[TimedFrame]]:
    """A track that stands shortly before a time; the one given where it cannot get there."""
    other = Track(track.path, "audio", config.max_pixels)
    if other.seek(needed - _PREROLL):
        found = other.frames()
        # Some decoders cut the first one short, as if the file began there.
        next(found, None)
        first = next(found, None)
        if first and first.begin <= needed:
            track.close()
            return other, itertools.chain([first], found)
    other.close()
    return track, frames


def _shifted(
    frames: Iterator[TimedFrame], origin: Fraction, last: Fraction | None
) -> Iterator[TimedFrame]:
    for begin, end, frame in frames:
        if last is not None and begin > last:
            return
        yield TimedFrame(begin - origin, end - origin, frame)
