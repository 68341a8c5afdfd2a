"""The moments of a clip or of a whole file: a frame, and the sound whose middle it is at."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from avc.clips import Clip

# Times are rounded: a frame that begins at a moment is shown then.
TOLERANCE_SECONDS = 1e-4


@dataclasses.dataclass(frozen=True)
class TimedPair:
    """What is seen and heard at a moment.

    Attributes:
      seconds: since the file's beginning; the middle of the sound.
      frame: a JPEG file; empty where there are no pictures.
      waveform: int16 [segment_samples].
      inside: the first of its samples that there is, and the one after the last; None for all.
    """

    seconds: float
    frame: bytes
    waveform: np.ndarray
    inside: tuple[int, int] | None = None


def moments_of(
    clips: Iterable[Clip], segment_samples: int, hop_seconds: float
) -> Iterator[TimedPair]:
    """Moments at equal distances, whose sounds lie within the clips.

    The first sound begins where the clips begin. What is shorter than one sound gives one
    moment, its middle, with silence around.

    Args:
      clips: consecutive ones of one file, with frames or without.
      segment_samples: length of a sound.
      hop_seconds: from one moment to the next; positive.
    """
    sound = np.zeros(0, np.int16)
    frames: list[tuple[int, bytes]] = []
    # Samples since the first clip began: of what is held, and how many moments were given.
    begin = number = 0
    origin, rate = None, 1
    for clip in clips:
        origin = clip.start_seconds if origin is None else origin
        rate = clip.sample_rate_hz
        first = begin + len(sound)
        times = first + np.rint(np.asarray(clip.frame_seconds) * rate).astype(int)
        frames += zip(times.tolist(), clip.frames, strict=True)
        sound = np.concatenate([sound, clip.samples])
        total = begin + len(sound)
        while (start := round(number * hop_seconds * rate)) + segment_samples <= total:
            middle = start + segment_samples // 2
            frames = _from(frames, middle, rate)
            waveform = sound[start - begin : start - begin + segment_samples]
            yield TimedPair(origin + middle / rate, _shown(frames), waveform)
            number += 1
        if number:
            kept = min(start, total)
            sound, begin = sound[kept - begin :], kept
            frames = _from(frames, kept, rate)
    if not number and len(sound):
        middle = len(sound) // 2
        waveform = cut(sound, middle, segment_samples)
        inside = inside_of(len(sound), middle, segment_samples)
        shown = _shown(_from(frames, middle, rate))
        yield TimedPair(origin + middle / rate, shown, waveform, inside)


def middle_of(clip: Clip, segment_samples: int) -> TimedPair:
    """The moment in the middle of a clip that is not empty, as evaluations take it."""
    rate = clip.sample_rate_hz
    middle = len(clip.samples) // 2
    times = np.rint(np.asarray(clip.frame_seconds) * rate).astype(int).tolist()
    frames = _from(list(zip(times, clip.frames, strict=True)), middle, rate)
    waveform = cut(clip.samples, middle, segment_samples)
    inside = inside_of(len(clip.samples), middle, segment_samples)
    return TimedPair(clip.start_seconds + middle / rate, _shown(frames), waveform, inside)


def cut(sound: np.ndarray, middle: int, segment_samples: int) -> np.ndarray:
    """A part of a sound, with silence where there is none."""
    half = segment_samples // 2
    padded = np.pad(sound, (half, segment_samples - half))
    return padded[middle : middle + segment_samples]


def inside_of(num_samples: int, middle: int, segment_samples: int) -> tuple[int, int]:
    """Which samples of a part that `cut` gives there are in the sound: first, and after last."""
    before = segment_samples // 2 - middle
    return max(0, before), min(segment_samples, before + num_samples)


def beginnings(
    waveforms: np.ndarray, insides: Sequence[tuple[int, int] | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Sounds without the silence around them, as networks that mask sounds take them.

    Args:
      waveforms: `[n, samples]`.
      insides: of each, see `TimedPair`.

    Returns:
      `[n, samples]`, each from the beginning of its row, and how many samples there are, int32
      `[n]`.
    """
    result = np.zeros_like(waveforms)
    counts = np.zeros(len(waveforms), np.int32)
    for row, (waveform, inside) in enumerate(zip(waveforms, insides, strict=True)):
        first, last = inside or (0, len(waveform))
        result[row, : last - first] = waveform[first:last]
        counts[row] = last - first
    return result, counts


def _from(frames: list[tuple[int, bytes]], middle: int, rate: int) -> list[tuple[int, bytes]]:
    """The frames from the one that is shown at a moment on."""
    late = middle + TOLERANCE_SECONDS * rate
    place = sum(time <= late for time, _ in frames) - 1
    return frames[max(place, 0) :]


def _shown(frames: list[tuple[int, bytes]]) -> bytes:
    return frames[0][1] if frames else b""
