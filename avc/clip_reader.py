"""Goes through a media file, clip by clip or from one start to the next."""

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import av
import numpy as np

from avc import pictures
from avc.audio_decoding import Anchor, SampleWindow, resample
from avc.clips import Clip, Cut, MediaConfig
from avc.frame_grid import FrameGrid
from avc.media_files import MediaError, TimedFrame, Track

# A decoder needs some packets before its output is right; where an index of the file is
# wrong, the place reached is too late, and an earlier one is tried.
_PREROLLS = (Fraction(1), Fraction(10))
# The resampler's edge and the overlap of transforms are settled after this.
_SETTLED = Fraction(1, 4)
_LARGEST_SIDE = 65500


class ClipReader:
    """One file, both its tracks, and where they stand.

    Attributes:
      damaged_at: when the file went wrong, in seconds since its first picture; None so far.
    """

    def __init__(self, path: str, config: MediaConfig) -> None:
        """Opens the file and decodes its first picture and sound.

        Raises:
          MediaError: no clips can be made of it.
        """
        self.path = path
        self.config = config
        self.damaged_at: Fraction | None = None
        self.length = Fraction(config.clip_seconds).limit_denominator(1000)
        self.step = 1 / Fraction(config.frames_per_second).limit_denominator(1001)
        self.encoder = pictures.PictureEncoder(config.shorter_side, config.jpeg_quality)
        self.video, self.audio = open_tracks(path, config)
        try:
            frames, sounds = self.video.frames(), self.audio.frames()
            picture = first_of(frames, path, "picture")
            sound = first_of(sounds, path, "sound")
            self.origin = picture.begin
            self.anchor = Anchor(sound.begin - self.origin, sound.frame.samples)
            self.pixel_aspect = pixel_aspect(self.video)
            check_shape(path, picture, self.pixel_aspect, config)
        except BaseException:
            self.close()
            raise
        self._start(itertools.chain([picture], frames), itertools.chain([sound], sounds))

    def close(self) -> None:
        """Closes the file."""
        self.video.close()
        self.audio.close()

    def consecutive(self) -> Iterator[Clip]:
        """Yields one clip after the other, to the end."""
        for start in itertools.count(Fraction(0), self.length):
            clip = self._clip(start, self.length)
            if len(clip.samples):
                yield clip
            if len(clip.samples) < self._index(start + self.length) - self._index(start):
                self._note_damage()
                return

    def beginning_at(self, starts: Sequence[float | Cut]) -> Iterator[Clip]:
        """Yields the clip at each start: what `consecutive` gives for the same seconds."""
        for wanted in starts:
            cut = wanted if isinstance(wanted, Cut) else Cut(wanted)
            start = Fraction(cut.start_seconds).limit_denominator(10**6)
            if start < 0:
                raise MediaError(self.path, f"a clip is to begin at {cut.start_seconds} s")
            length = self.length
            if cut.seconds is not None:
                length = Fraction(cut.seconds).limit_denominator(1000)
            self.close()
            self.video, frames = self._open_at("video", start, start)
            self.audio, sounds = self._open_at("audio", start, start - _SETTLED)
            self._start(frames, sounds, self.anchor)
            clip = self._clip(start, length, cut.frame_seconds)
            yield clip
            if len(clip.samples) < self._index(start + length) - self._index(start):
                self._note_damage()

    def _start(
        self,
        frames: Iterator[TimedFrame],
        sounds: Iterator[TimedFrame],
        anchor: Anchor | None = None,
    ) -> None:
        tolerance = min(self.video.stream.time_base, Fraction(1, 1000))
        self.grid = FrameGrid(self._shifted(frames), self.step, tolerance)
        pieces = resample(self._shifted(sounds), self.config.sample_rate_hz, anchor)
        self.sounds = SampleWindow(pieces)

    def _shifted(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        for begin, end, frame in frames:
            yield TimedFrame(begin - self.origin, end - self.origin, frame)

    def _index(self, seconds: Fraction) -> int:
        return round(seconds * self.config.sample_rate_hz)

    def _clip(self, start: Fraction, length: Fraction, only: float | None = None) -> Clip:
        first, last = self._index(start), self._index(start + length)
        samples = self.sounds.read(first, last)
        stop = min(start + length, Fraction(first + len(samples), self.config.sample_rate_hz))
        steps, frames = [], []
        for step, frame in self._shown(start, stop, only):
            steps.append(step)
            frames.append(self.encoder.encode(frame, self.pixel_aspect))
        if self.grid.end is not None:
            samples = samples[: max(0, self._index(self.grid.end) - first)]
        return Clip(
            start_seconds=float(start),
            frames=frames,
            frame_seconds=np.array([float(step * self.step) for step in steps]),
            samples=samples,
            sample_rate_hz=self.config.sample_rate_hz,
        )

    def _shown(
        self, start: Fraction, stop: Fraction, only: float | None
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """The pictures of a clip, or that of one moment; goes on to the clip's end."""
        if only is None:
            yield from self.grid.read(start, stop)
            return
        step = round(Fraction(only) / self.step)
        at, rest = start + step * self.step, start
        if at < stop:
            rest = at + self.step
            yield from ((step, frame) for _, frame in self.grid.read(at, min(rest, stop)))
        # The clip ends where the pictures do.
        for _ in self.grid.read(rest, stop):
            pass

    def _open_at(
        self, kind: str, start: Fraction, needed: Fraction
    ) -> tuple[Track, Iterator[TimedFrame]]:
        """A track that stands so that what it decodes is right from `needed` on."""
        for preroll in _PREROLLS:
            if start <= preroll:
                break
            track = Track(self.path, kind, self.config.max_pixels)
            if track.seek(self.origin + start - preroll):
                frames = track.frames()
                if kind == "video":
                    frames = itertools.dropwhile(lambda timed: not timed.frame.key_frame, frames)
                else:
                    # Some decoders cut the first one short, as if the file began there.
                    next(frames, None)
                first = next(frames, None)
                if first and first.begin - self.origin <= needed:
                    return track, itertools.chain([first], frames)
            track.close()
        track = Track(self.path, kind, self.config.max_pixels)
        return track, track.frames()

    def _note_damage(self) -> None:
        """Remembers when the file went wrong, in seconds since its first picture."""
        times = [t.damaged_at for t in (self.video, self.audio) if t.damaged_at is not None]
        if self.grid.end is not None and self.video.ends_early(self.grid.end):
            times.append(self.origin + self.grid.end)
        heard = self.sounds.end
        if heard is not None:
            end = Fraction(heard, self.config.sample_rate_hz)
            if self.audio.ends_early(end - self.anchor.begin):
                times.append(self.origin + end)
        if times and self.damaged_at is None:
            self.damaged_at = max(Fraction(0), min(times) - self.origin)


def open_tracks(path: str, config: MediaConfig) -> tuple[Track, Track]:
    """Opens picture and sound; the caller closes both.

    Raises:
      MediaError: one of them is missing or cannot be decoded.
    """
    video = Track(path, "video", config.max_pixels)
    try:
        return video, Track(path, "audio", config.max_pixels)
    except BaseException:
        video.close()
        raise


def first_of(frames: Iterator[TimedFrame], path: str, what: str) -> TimedFrame:
    """Takes the first frame.

    Raises:
      MediaError: there is none; the reason speaks of it as `what`.
    """
    first = next(frames, None)
    if first is None:
        raise MediaError(path, f"no {what} can be decoded")
    return first


def check_shape(
    path: str, picture: TimedFrame, pixel_aspect: float, config: MediaConfig
) -> None:
    """Raises MediaError for a picture that scaling would make too large."""
    width, height = picture.frame.width, picture.frame.height
    scaled = pictures.scaled_size(width, height, pixel_aspect, config.shorter_side)
    if max(scaled) > _LARGEST_SIDE or math.prod(scaled) > config.max_pixels:
        raise MediaError(path, f"picture of {width} x {height} is too narrow")


def pixel_aspect(track: Track) -> float:
    """Width of a stored pixel divided by its height."""
    aspect = track.stream.sample_aspect_ratio
    return float(aspect) if aspect else 1.0
