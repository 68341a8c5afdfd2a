"""The best-fitting sound of a collection under a video: what joint embeddings are for.

Surís et al. 2018 name it as the use of their embeddings. A clip's moments are compared with
the sounds of other videos; `avc.source_choice` chooses, here sources are read and mixed.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from avc import remux, sound_mixing, source_picking, source_sounds
from avc.media_files import MediaError
from avc.sound_mixing import Piece
from avc.source_choice import Choice, ChoiceConfig
from avc.source_files import Segment, Sources
from avc.source_picking import Problem
from avc.source_sounds import Stretch
from crossmodal import files
from crossmodal.configuration import check_range

SAMPLE_RATE_HZ = 48_000
# -60 dB of full scale: a stretch that is nowhere louder counts as no sound.
SILENCE = 1e-3


@dataclasses.dataclass(frozen=True)
class SonorizeConfig:
    """How a video gets its sound.

    Attributes:
      choice: of the sources.
      fade_seconds: length of a cross-fade, in the middle of which the source changes.
      allow_own: whether a source may be of the video itself.
    """

    choice: ChoiceConfig = dataclasses.field(default_factory=ChoiceConfig)
    fade_seconds: float = 0.2
    allow_own: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a fade that is out of range."""
        check_range("fade_seconds", self.fade_seconds, 0.01, 10)


@dataclasses.dataclass(frozen=True)
class Taken:
    """The sources of a result.

    Attributes:
      segments: in the order of the result.
      skipped: a line for every source that would have fitted better and could not be used.
    """

    segments: tuple[Segment, ...]
    skipped: tuple[str, ...]


def sonorize(
    shown: remux.Pictures,
    moments: np.ndarray,
    embeddings: np.ndarray,
    hop_seconds: float,
    sources: Sources,
    output: str,
    config: SonorizeConfig,
    tell: Callable[[float], None] = lambda seconds: None,
) -> Taken:
    """Writes a video with sounds of a collection, whole or not at all.

    Args:
      shown: the video's pictures, by `remux.look`.
      moments: seconds of what was embedded of them, `[n]`.
      embeddings: of the pictures at those times, `[n, d]`.
      hop_seconds: from one moment to the next.
      sources: the sounds.
      output: the mp4 file.
      config: how.
      tell: called with the seconds that are written.

    Raises:
      UserError: the collection is of another network, or no source of it can be used.
    """
    seconds = float(shown.seconds)

    def read(choice: Choice) -> tuple[tuple[list[Segment], list[Stretch]], list[Problem]]:
        segments = sources.segments(choice, moments, hop_seconds, seconds)
        if config.choice.mode == "whole":
            # Of a source that is too short all is taken, and repeated.
            length = segments[0].end
            segments = [_joined(segments, seconds)]
            stretches, problems = _fetch(sources, segments, [length], 0.0)
        else:
            lengths = [segment.end - segment.begin for segment in segments]
            stretches, problems = _fetch(sources, segments, lengths, config.fade_seconds)
        return (segments, stretches), problems

    banned = source_picking.not_allowed(sources, shown.path, config.allow_own, "sound")
    (segments, stretches), skipped = source_picking.pick(
        sources, banned, embeddings, hop_seconds, config.choice, read
    )
    sound = _mixed(segments, stretches, seconds, config)
    with files.whole_file(output) as temporary:
        remux.write(shown, temporary, sound, SAMPLE_RATE_HZ, tell)
    return Taken(tuple(segments), skipped)


def _joined(segments: list[Segment], seconds: float) -> Segment:
    """One source, be it repeated, as one segment of all the items that it has."""
    first = segments[0]
    score = sum(s.score * len(s.rows) for s in segments) / sum(len(s.rows) for s in segments)
    return Segment(0.0, seconds, first.source_seconds, first.rows, score)


def _fetch(
    sources: Sources, segments: Sequence[Segment], lengths: Sequence[float], fade_seconds: float
) -> tuple[list[Stretch], list[Problem]]:
    """The sounds of segments, and what is wrong with those that have none."""
    stretches, problems, every = [], [], sources.collection.file
    for segment, length in zip(segments, lengths, strict=True):
        begin, end = segment.source_seconds, segment.source_seconds + length
        try:
            found = source_sounds.read_stretch(
                sources.path(segment.rows[0]), begin - fade_seconds / 2, end + fade_seconds / 2,
                SAMPLE_RATE_HZ,
            )
        except MediaError as error:
            name = every[segment.rows[0]]
            problems.append((f"{name.decode(errors='replace')}: {error.reason}", every == name))
            continue
        stretches.append(found)
        if np.abs(found.samples).max(initial=0) < SILENCE:
            name = every[segment.rows[0]].decode(errors="replace")
            silent = f"{name}: silent from {max(begin, 0):.2f} to {end:.2f} s"
            problems.append((silent, np.isin(np.arange(len(every)), segment.rows)))
    return stretches, problems


def _mixed(
    segments: list[Segment], stretches: list[Stretch], seconds: float, config: SonorizeConfig
) -> np.ndarray:
    """The sound of the result, float32 `[channels, n]`."""
    number = round(seconds * SAMPLE_RATE_HZ)
    fade = round(config.fade_seconds * SAMPLE_RATE_HZ)
    edge = round(sound_mixing.EDGE_SECONDS * SAMPLE_RATE_HZ)
    if config.choice.mode == "whole":
        pieces = sound_mixing.loop(stretches[0].samples, number, fade)
    else:
        pieces = []
        for segment, stretch in zip(segments, stretches, strict=True):
            seam = round(segment.begin * SAMPLE_RATE_HZ)
            begin = seam + stretch.first - round(segment.source_seconds * SAMPLE_RATE_HZ)
            pieces.append(Piece(stretch.samples, begin, seam))
    return sound_mixing.mix(pieces, number, fade, edge)
