"""Decoded sound at one sample rate, as one channel or two, each sample at its time.

Sample k of a track is the sound at k / sample_rate seconds after the track's zero, within
half a sample. FFmpeg's swresample mixes and resamples: two channels are averaged; of more
it takes the standard downmix without the bass channel, scaled so that nothing can clip.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np

from avc.media_files import TimedFrame

# Time stamps are rounded and jitter; what is further off is a gap or a repetition. A lost
# packet of AAC, 21 ms, is to be noticed; two frames of a 25 fps grid are 40 ms apart.
TOLERANCE = Fraction(20, 1000)


class _Run:
    """Frames of one format that follow each other without a gap."""

    def __init__(self, frame: av.AudioFrame, begin: Fraction, rate: int, layout: str) -> None:
        self.layout = layout
        self.format = _format(frame)
        self.begin = begin
        self.rate = rate
        self.position = math.floor(begin * rate + Fraction(1, 2))
        self.fed = 0
        self.made = 0
        # Channels without a place cannot be mixed by rule: all count alike.
        self.alike = " channels" in frame.layout.name
        form = "s16" if layout == "mono" else "s16p"
        self.resampler = av.AudioResampler(format=form, layout=layout, rate=rate)

    def end(self) -> Fraction:
        """When the next frame is due."""
        return self.begin + Fraction(self.fed, self.format[0])

    def feed(self, frame: av.AudioFrame) -> Iterator[tuple[int, np.ndarray]]:
        """Yields what comes out, each piece with its position."""
        self.fed += frame.samples
        if self.alike:
            channels = _channels(frame)
            number = 1 if self.layout == "mono" else 2
            if number != len(channels):
                mean = channels.mean(0, keepdims=True).astype(channels.dtype)
                channels = mean.repeat(number, axis=0)
            frame = _to_frame(channels, frame, self.layout)
        frame.pts = None
        yield from self._place(self.resampler.resample(frame))

    def flush(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the rest, and no more than the sound lasts."""
        yield from self._place(self.resampler.resample(None))

    def _place(self, frames: list[av.AudioFrame | None]) -> Iterator[tuple[int, np.ndarray]]:
        limit = round(Fraction(self.fed * self.rate, self.format[0]))
        for frame in frames:
            if frame is None or self.made >= limit:
                continue
            samples = frame.to_ndarray()[..., : limit - self.made]
            yield self.position + self.made, samples[0] if self.layout == "mono" else samples
            self.made += samples.shape[-1]


class Anchor(NamedTuple):
    """Where a track's samples are counted from: its first frame.

    Attributes:
      begin: seconds.
      samples: how many the frame has.
    """

    begin: Fraction
    samples: int


def resample(
    frames: Iterable[TimedFrame], rate: int, anchor: Anchor | None = None, layout: str = "mono"
) -> Iterator[tuple[int, np.ndarray]]:
    """Sound in pieces.

    Args:
      frames: in order.
      rate: samples a second of the result.
      anchor: the track's first frame, if `frames` begins later: the samples are then those
        which the whole track would give, but for the first milliseconds.
      layout: `mono` or `stereo`.

    Yields:
      (position, int16 [num_samples], or [2, num_samples] in stereo): pieces in order that do
      not overlap.
    """
    done = None
    frames = _aligned(frames, rate, anchor) if anchor else frames
    for position, samples in _pieces(frames, rate, layout):
        if done is not None and position < done:
            samples, position = samples[..., done - position :], done
        if samples.shape[-1]:
            done = position + samples.shape[-1]
            yield position, samples


def _pieces(
    frames: Iterable[TimedFrame], rate: int, layout: str
) -> Iterator[tuple[int, np.ndarray]]:
    run = None
    for begin, _, frame in frames:
        if not frame.samples:
            continue
        if run and (_format(frame) != run.format or abs(begin - run.end()) > TOLERANCE):
            yield from run.flush()
            run = None
        if run is None:
            run = _Run(frame, begin, rate, layout)
        yield from run.feed(frame)
    if run:
        yield from run.flush()


def _aligned(frames: Iterable[TimedFrame], rate: int, anchor: Anchor) -> Iterator[TimedFrame]:
    """Drops what is before the first sample that falls on one of the result.

    Resampling from there gives the same samples as resampling from the anchor.
    """
    drop = None
    for begin, end, frame in frames:
        rate_in = frame.sample_rate
        if drop is None:
            index = _index(begin, frame, anchor)
            begin = anchor.begin + Fraction(index, rate_in)
            step = rate_in // math.gcd(rate_in, rate)
            drop = -index % step
        if drop >= frame.samples:
            drop -= frame.samples
            continue
        if drop:
            begin += Fraction(drop, rate_in)
            frame = _to_frame(_channels(frame)[:, drop:], frame)
            drop = 0
        yield TimedFrame(begin, end, frame)


def _index(begin: Fraction, frame: av.AudioFrame, anchor: Anchor) -> int:
    """Which sample of the track a frame begins with.

    Coarse time stamps tell it to within some samples; where all frames have one length, that
    makes it certain.
    """
    index = round((begin - anchor.begin) * frame.sample_rate)
    if (1 / frame.time_base) % frame.sample_rate == 0:
        return index
    later = index - anchor.samples
    exact = anchor.samples + round(later / frame.samples) * frame.samples
    return exact if abs(exact - index) <= 1 + frame.time_base * frame.sample_rate else index


def _format(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _channels(frame: av.AudioFrame) -> np.ndarray:
    """The samples as [channels, num_samples]."""
    samples = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    return samples


def _to_frame(channels: np.ndarray, like: av.AudioFrame, layout: str = "") -> av.AudioFrame:
    """The reverse of `_channels`."""
    if like.format.is_packed:
        channels = channels.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(channels), like.format.name, layout or like.layout.name
    )
    frame.sample_rate = like.sample_rate
    return frame


class SampleWindow:
    """Reads seconds one after the other from the pieces of `resample`; gaps are zeros.

    Attributes:
      end: index after the last sample; None until the last piece is read.
    """

    def __init__(self, pieces: Iterator[tuple[int, np.ndarray]]) -> None:
        """Starts before the first piece."""
        self.end: int | None = None
        self._pieces = pieces
        self._held: list[tuple[int, np.ndarray]] = []
        self._reached = 0

    def read(self, first: int, last: int) -> np.ndarray:
        """Samples from index `first` to before `last`, fewer if the sound ends: int16 [n]."""
        while self.end is None and self._reached < last:
            piece = next(self._pieces, None)
            if piece is None:
                self.end = self._reached
                break
            self._reached = piece[0] + len(piece[1])
            if self._reached > first:
                self._held.append(piece)
        samples = np.zeros(max(0, min(last, self._reached) - first), np.int16)
        for position, piece in self._held:
            begin, end = max(position, first), min(position + len(piece), last)
            if begin < end:
                samples[begin - first : end - first] = piece[begin - position : end - position]
        self._held = [(p, s) for p, s in self._held if p + len(s) > last]
        return samples
