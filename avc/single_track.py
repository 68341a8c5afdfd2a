"""Files of which only the picture or only the sound is wanted, or there, as clips.

Time zero is the first picture of a file, and of a file without pictures its first sound, as in
`avc.media`: moments of the one and of the other can be compared.
"""

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from avc.audio_decoding import SampleWindow, resample
from avc.clip_reader import check_shape, first_of, pixel_aspect
from avc.clips import Clip, MediaConfig
from avc.frame_grid import FrameGrid
from avc.media_files import MediaError, TimedFrame, Track
from avc.pictures import PictureEncoder


def read_pictures(path: str, config: MediaConfig) -> Iterator[Clip]:
    """Cuts a file's pictures into consecutive clips, with silence as long as they last.

    Raises:
      MediaError: see `avc.media.read_clips`; the file needs no sound.
    """
    track = Track(path, "video", config.max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, path, "picture")
        aspect = pixel_aspect(track)
        check_shape(path, first, aspect, config)
        encoder = PictureEncoder(config.shorter_side, config.jpeg_quality)
        step = 1 / Fraction(config.frames_per_second).limit_denominator(1001)
        tolerance = min(track.stream.time_base, Fraction(1, 1000))
        shifted = _shifted(itertools.chain([first], frames), first.begin)
        grid = FrameGrid(shifted, step, tolerance)
        for start, stop in _spans(config):
            shown = [(n, encoder.encode(f, aspect)) for n, f in grid.read(start, stop)]
            last = stop if grid.end is None else min(stop, grid.end)
            samples = round(last * config.sample_rate_hz) - round(start * config.sample_rate_hz)
            if samples > 0:
                yield Clip(
                    float(start),
                    [jpeg for _, jpeg in shown],
                    np.array([float(n * step) for n, _ in shown]),
                    np.zeros(samples, np.int16),
                    config.sample_rate_hz,
                )
            if grid.end is not None and grid.end <= stop:
                _check_end(track, grid.end, first.begin)
                return
    finally:
        track.close()


def read_sound(path: str, config: MediaConfig) -> Iterator[Clip]:
    """Cuts a file's sound into consecutive clips without pictures.

    Raises:
      MediaError: see `avc.media.read_clips`; the file needs no pictures.
    """
    track = Track(path, "audio", config.max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, path, "sound")
        picture = first_picture(path, config)
        origin = first.begin if picture is None else picture
        shifted = _shifted(itertools.chain([first], frames), origin)
        window = SampleWindow(resample(shifted, config.sample_rate_hz))
        for start, stop in _spans(config):
            begin, end = round(start * config.sample_rate_hz), round(stop * config.sample_rate_hz)
            samples = window.read(begin, end)
            if len(samples):
                yield Clip(float(start), [], np.zeros(0), samples, config.sample_rate_hz)
            if len(samples) < end - begin:
                heard = Fraction(begin + len(samples), config.sample_rate_hz)
                _check_end(track, heard + origin - first.begin, first.begin)
                return
    finally:
        track.close()


def first_picture(path: str, config: MediaConfig) -> Fraction | None:
    """When a file's first picture begins, in seconds of its clock; None without pictures."""
    try:
        track = Track(path, "video", config.max_pixels)
    except MediaError:
        return None
    try:
        first = next(track.frames(), None)
    finally:
        track.close()
    return first.begin if first else None


def _spans(config: MediaConfig) -> Iterator[tuple[Fraction, Fraction]]:
    length = Fraction(config.clip_seconds).limit_denominator(1000)
    for start in itertools.count(Fraction(0), length):
        yield start, start + length


def _shifted(frames: Iterator[TimedFrame], origin: Fraction) -> Iterator[TimedFrame]:
    for begin, end, frame in frames:
        yield TimedFrame(begin - origin, end - origin, frame)


def _check_end(track: Track, length: Fraction, begin: Fraction) -> None:
    """Raises MediaError for a track that went wrong or is shorter than it promised."""
    times = [] if track.damaged_at is None else [track.damaged_at - begin]
    if track.ends_early(length):
        times.append(length)
    if times:
        at = float(max(Fraction(0), min(times)))
        raise MediaError(track.path, f"cut off or damaged after {at:.1f} s")
