"""A video with the network's heat map over every frame, and its sound.

Objects that Sound, section 4.1: "each video frame and surrounding audio are processed
completely independently", without motion and without smoothing in time.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from avc import clip_moments, media, overlays
from avc.clips import Clip, MediaConfig
from avc.media_files import MediaError
from avc.video_writer import VideoWriter
from crossmodal import files

# Heat maps [n, height, width] in [0, 1] of frames uint8 [n, height, width, 3] and waveforms
# float32 [n, samples]; and, of a network that masks sounds, of how many samples there are from
# the beginning of each row, and at which one its frame is shown, int32 [n] each.
Localize = Callable[..., np.ndarray]
# Frames that go through the network at once.
ROWS = 16
USUAL_FRAMES_PER_SECOND, MOST_FRAMES_PER_SECOND = 25.0, 60.0
# Frames that begin at a step are found in spite of rounding.
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Moment:
    """A frame and what is heard around it.

    Attributes:
      seconds: since the video's first picture.
      frame: a JPEG file.
      waveform: int16 [samples], its middle at `seconds`; zeros before and after the video.
      inside: the first of its samples that the video has, and the one after the last.
    """

    seconds: float
    frame: bytes
    waveform: np.ndarray
    inside: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Look:
    """How maps are shown.

    Attributes:
      crop_share: side of the middle square that a map is of, as a share of the shorter side.
      stretched: whether each map is stretched from its lowest to its highest value.
      opacity: of the maps.
      shorter_side: of the written pictures, an even number of pixels.
    """

    crop_share: float
    stretched: bool = False
    opacity: float = 0.6
    shorter_side: int = 256

    def draw(self, picture: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
        """A picture with its map; see `overlays.overlay`."""
        shown = overlays.stretch(heatmap) if self.stretched else heatmap
        return overlays.overlay(picture, shown, self.crop_share, self.opacity)


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of a video.

    Attributes:
      frames: how many were written.
      seconds: of sound.
      damage: why the file was not read to its end; empty if it was.
    """

    frames: int
    seconds: float
    damage: str


def write(
    source: str,
    output: str,
    localize: Localize,
    segment_samples: int,
    sample_rate_hz: int,
    look: Look,
    tell: Callable[[float], None] = lambda seconds: None,
    frames_per_second: float = 0.0,
    masked: bool = False,
) -> Written:
    """Writes an mp4 file, H.264 and AAC, whole or not at all.

    Frames are at the given rate, or the source's average, at most 60 a second; a picture that
    stays is repeated, since the sound goes on. The sound is what the network hears: mono.

    Args:
      source: a video with sound, of any container and codec that PyAV reads.
      output: the file, on the local file system.
      localize: a network.
      segment_samples: how much of the sound around a frame it hears.
      sample_rate_hz: of that.
      look: how maps are shown.
      tell: called with the seconds done.
      frames_per_second: of the written video; 0 for the source's.
      masked: whether the network masks sounds, rather than hear silence around the video.

    Raises:
      MediaError: the file cannot be used at all.
    """
    rate = frames_per_second or media.probe(source).frames_per_second
    rate = min(rate or USUAL_FRAMES_PER_SECOND, MOST_FRAMES_PER_SECOND)
    config = MediaConfig(rate, look.shorter_side, 95, sample_rate_hz)
    damage: list[str] = []
    clips = _readable(media.read_clips(source, config), damage)
    frames = samples = 0
    with files.whole_file(output) as temporary:
        with VideoWriter(temporary, rate, sample_rate_hz) as writer:
            for clip, moments in by_clip(clips, rate, segment_samples):
                while batch := list(itertools.islice(moments, ROWS)):
                    for moment, picture in zip(
                        batch, _draw(batch, localize, look, masked), strict=True
                    ):
                        writer.add_picture(picture, moment.seconds)
                    frames += len(batch)
                    tell(batch[-1].seconds)
                writer.add_sound(clip.samples)
                samples += len(clip.samples)
        if not frames:
            raise MediaError(source, "; ".join(damage) or "holds no frame with sound")
    return Written(frames, samples / sample_rate_hz, "; ".join(damage))


def by_clip(
    clips: Iterable[Clip], frames_per_second: float, segment_samples: int
) -> Iterator[tuple[Clip, Iterator[Moment]]]:
    """Consecutive clips, each with the moments of its grid.

    The sound of a moment goes on into the clips before and after.

    Args:
      clips: of one file, in order.
      frames_per_second: of the grid, which begins anew with each clip.
      segment_samples: length of a moment's sound.
    """
    half = segment_samples // 2
    before, held = np.zeros(half, np.int16), 0
    following = itertools.tee(clips)
    next(following[1], None)
    for clip, later in itertools.zip_longest(*following):
        rest = segment_samples - half
        after, known = np.zeros(rest, np.int16), 0
        if later is not None:
            known = len(later.samples[:rest])
            after[:known] = later.samples[:rest]
        sound = np.concatenate([before, clip.samples, after])
        there = half - held, half + len(clip.samples) + known
        yield clip, _moments(clip, sound, there, frames_per_second, segment_samples)
        before = sound[len(clip.samples) : len(clip.samples) + half]
        held = min(half, held + len(clip.samples))


def _moments(
    clip: Clip,
    sound: np.ndarray,
    there: tuple[int, int],
    frames_per_second: float,
    segment_samples: int,
) -> Iterator[Moment]:
    """Moments of a clip; `there`: which samples of the sound are the video's."""
    seconds = len(clip.samples) / clip.sample_rate_hz
    steps = np.arange(int(np.ceil(seconds * frames_per_second - ROUNDING))) / frames_per_second
    shown = np.searchsorted(clip.frame_seconds, steps + ROUNDING, side="right") - 1
    for step, place in zip(steps.tolist(), shown.tolist(), strict=True):
        if place < 0:
            continue
        # Half of a moment's sound is before it, and so much is held before the clip.
        start = round(step * clip.sample_rate_hz)
        waveform = sound[start : start + segment_samples]
        inside = max(there[0] - start, 0), min(there[1] - start, segment_samples)
        yield Moment(clip.start_seconds + step, clip.frames[place], waveform, inside)


def _draw(
    moments: list[Moment], localize: Localize, look: Look, masked: bool
) -> list[np.ndarray]:
    pictures = np.stack([tf.io.decode_jpeg(m.frame, channels=3).numpy() for m in moments])
    waveforms = np.stack([m.waveform for m in moments]).astype(np.float32) / 32768
    if masked:
        waveforms, counts = clip_moments.beginnings(waveforms, [m.inside for m in moments])
        begins = np.array([m.inside[0] for m in moments], np.int32)
        maps = localize(pictures, waveforms, counts, waveforms.shape[1] // 2 - begins)
    else:
        maps = localize(pictures, waveforms)
    return [look.draw(picture, map_) for picture, map_ in zip(pictures, maps, strict=True)]


def _readable(clips: Iterator[Clip], damage: list[str]) -> Iterator[Clip]:
    """What can be read; the reason for no more goes to `damage`."""
    try:
        yield from clips
    except MediaError as error:
        damage.append(error.reason)
