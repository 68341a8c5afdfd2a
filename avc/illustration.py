"""The best-fitting pictures of a collection over a sound: `avc.sonorization` the other way.

Pictures change by a cut. The sound is kept as it is, but for its coding.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avc import remux, source_picking, source_pictures
from avc.media_files import MediaError
from avc.sonorization import SAMPLE_RATE_HZ, Taken
from avc.source_choice import Choice, ChoiceConfig
from avc.source_files import Segment, Sources
from avc.source_picking import Problem
from avc.video_writer import VideoWriter
from crossmodal import files
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

PICTURES = ("moving", "stills")


@dataclasses.dataclass(frozen=True)
class IllustrateConfig:
    """How a sound gets its pictures.

    Attributes:
      choice: of the sources.
      pictures: "moving": a source plays on; "stills": of each moment its one picture.
      frames_per_second: of the result.
      width, height: of the result in pixels, even numbers; sources are scaled to fit.
      allow_own: whether a source may be of the file that the sound is of.
    """

    choice: ChoiceConfig = dataclasses.field(default_factory=ChoiceConfig)
    pictures: str = "moving"
    frames_per_second: float = 25.0
    width: int = 640
    height: int = 360
    allow_own: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("pictures", self.pictures, PICTURES)
        check_range("frames_per_second", self.frames_per_second, 1, 60)
        for name in ("width", "height"):
            check_range(name, getattr(self, name), 16, 4096)
            if getattr(self, name) % 2:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: it must be even")


def illustrate(
    path: str,
    sound: np.ndarray,
    moments: np.ndarray,
    embeddings: np.ndarray,
    hop_seconds: float,
    sources: Sources,
    output: str,
    config: IllustrateConfig,
    tell: Callable[[float], None] = lambda seconds: None,
) -> Taken:
    """Writes a video of a collection's pictures with a sound, whole or not at all.

    Args:
      path: of the sound, whose own video is left out.
      sound: float32 `[channels, n]` at SAMPLE_RATE_HZ.
      moments: seconds of what was embedded of it, `[n]`.
      embeddings: of the sound at those times, `[n, d]`.
      hop_seconds: from one moment to the next.
      sources: the pictures.
      output: the mp4 file.
      config: how.
      tell: called with the seconds that are written.

    Raises:
      UserError: the collection is of another network, or no source of it can be used.
    """
    seconds = sound.shape[1] / SAMPLE_RATE_HZ

    def read(choice: Choice) -> tuple[list[Segment], list[Problem]]:
        if config.pictures == "stills" and config.choice.mode == "seconds":
            choice = dataclasses.replace(choice, goes_on=np.zeros(len(moments), bool))
        segments = sources.segments(choice, moments, hop_seconds, seconds)
        return segments, [
            (f"{name.decode(errors='replace')}: {problem}", sources.collection.file == name)
            for name, problem in _problems(sources, segments, config).items()
        ]

    banned = source_picking.not_allowed(sources, path, config.allow_own, "picture")
    segments, skipped = source_picking.pick(
        sources, banned, embeddings, hop_seconds, config.choice, read
    )
    with files.whole_file(output) as temporary:
        _write(temporary, sound, _shown(sources, segments, seconds, config), config, tell)
    return Taken(tuple(segments), skipped)


def _problems(
    sources: Sources, segments: Sequence[Segment], config: IllustrateConfig
) -> dict[bytes, str]:
    """By file, why its pictures cannot be had."""
    found = {}
    for row in {sources.collection.file[s.rows[0]]: s.rows[0] for s in segments}.values():
        try:
            pictures = source_pictures.read_pictures(
                sources.path(row), 0.0, 1, config.frames_per_second, (config.height, config.width)
            )
            next(pictures)
        except MediaError as error:
            found[sources.collection.file[row]] = error.reason
    return found


def _shown(
    sources: Sources, segments: Sequence[Segment], seconds: float, config: IllustrateConfig
) -> Iterator[np.ndarray]:
    """Every picture of the result."""
    rate = config.frames_per_second
    canvas = config.height, config.width
    done = 0
    for segment in segments:
        until = max(1, round(min(segment.end, seconds) * rate))
        number = until - done
        if number <= 0:
            continue
        path = sources.path(segment.rows[0])
        if config.pictures == "stills":
            at = float(sources.collection.seconds[segment.rows[0]])
            picture = next(source_pictures.read_pictures(path, at, 1, rate, canvas))
            yield from itertools.repeat(picture, number)
        else:
            # The first picture of the segment is seen a little after or before its beginning.
            begin = segment.source_seconds + done / rate - segment.begin
            yield from source_pictures.read_pictures(path, begin, number, rate, canvas)
        done = until


def _write(
    output: str,
    sound: np.ndarray,
    shown: Iterator[np.ndarray],
    config: IllustrateConfig,
    tell: Callable[[float], None],
) -> None:
    samples = remux.as_int16(sound)
    rate = config.frames_per_second
    with VideoWriter(output, rate, SAMPLE_RATE_HZ, len(samples)) as writer:
        done = 0
        for number, picture in enumerate(shown):
            writer.add_picture(picture, number / rate)
            due = min(round((number + 1) / rate * SAMPLE_RATE_HZ), samples.shape[1])
            writer.add_sound(samples[:, done:due])
            done = due
            tell(number / rate)
        writer.add_sound(samples[:, done:])
