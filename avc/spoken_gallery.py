"""Pairs of a frame and the sound around it that says a word of a list, to evaluate on.

The "Food Val 1000" of Boggust et al. 2019, section 5: 1000 pairs at one frame a second "whose
audio segment contains a food word". With no list it is the "Val 1000": any pairs.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from avc.spoken_words import Transcript, normalise
from avc.weak_pairs import Pair, choose
from crossmodal.configuration import check_range


@dataclasses.dataclass(frozen=True)
class GalleryConfig:
    """What the pairs are; saved beside them.

    Attributes:
      pairs: how many are drawn, as far as there are so many.
      audio_seconds: length of the sound, T, with the frame in its middle; all of it lies in
        the video.
      every_seconds: from one frame that may be drawn to the next.
      seed: of the draw.
    """

    pairs: int = 1000
    audio_seconds: float = 2.0
    every_seconds: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its range."""
        check_range("pairs", self.pairs, 1, 10_000_000)
        check_range("audio_seconds", self.audio_seconds, 0.1, 3600)
        check_range("every_seconds", self.every_seconds, 0.01, 3600)


def candidates(
    seconds: Mapping[str, float],
    transcripts: Mapping[str, Transcript],
    names: Sequence[str] | None,
    config: GalleryConfig,
) -> list[Pair]:
    """All pairs that may be drawn, by video and time.

    Args:
      seconds: lengths of the videos.
      transcripts: by video; without one a video has no pair, unless there is no list.
      names: the list; its words must lie in the sound wholly. None for any sound.
      config: what the pairs are.
    """
    half = config.audio_seconds / 2
    found = []
    for video in sorted(seconds):
        said = _said(transcripts.get(video), names or ())
        last = int((seconds[video] - half) / config.every_seconds + 1e-9)
        for step in range(last + 1):
            moment = round(step * config.every_seconds, 6)
            start, end = round(moment - half, 6), round(moment + half, 6)
            if start < 0:
                continue
            words = {
                name: begin for name, begin, stop in said if start <= begin and stop <= end
            }
            if words or names is None:
                label = next(iter(words), "")
                sound = (start, config.audio_seconds)
                found.append(
                    Pair(video, moment, *sound, label, tuple(words), tuple(words.values()))
                )
    return found


def draw(pairs: Sequence[Pair], config: GalleryConfig) -> list[Pair]:
    """Some of them, all alike likely, in their order."""
    return choose(pairs, config.pairs, config.seed)


def _said(
    transcript: Transcript | None, names: Sequence[str]
) -> list[tuple[str, float, float]]:
    if transcript is None:
        return []
    places = ((name, *place) for name in names for place in transcript.occurrences(normalise(name)))
    return sorted(places, key=lambda place: place[1:])
