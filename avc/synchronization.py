"""How closely speech follows the picture, and how much of it there is to learn from.

Boggust et al. 2019, section 4: of frames to which a classifier gives a class, the share near
which a word of one of its five likeliest names is said (nearly 16 % within 20 s of YouCook2's
validation set); how many words of a list, there 350 names of food, are said in a video (10.5
different ones, 22 in all, on average); numbers and lengths of videos (table 1).
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from avc.posteriors import Frame
from avc.spoken_words import Transcript, normalise
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

WORDS = ("any_word", "exact_name")
SELECT = ("class", "none")


@dataclasses.dataclass(frozen=True)
class SynchronizationConfig:
    """What is counted; saved with the report.

    Attributes:
      select_by: frames whose likeliest `class` has a posterior above `threshold`, or whose
        `none_posterior` is below one minus it (the paper's "food probability").
      threshold: see there.
      top_classes: how many class names are looked up.
      windows_seconds: lengths of the windows around a frame, in ascending order.
    """

    select_by: str = "class"
    threshold: float = 0.5
    top_classes: int = 5
    windows_seconds: tuple[int, ...] = (1, 2, 5, 10, 20, 40, 60, 120)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("select_by", self.select_by, SELECT)
        check_range("threshold", self.threshold, 0, 1)
        check_range("top_classes", self.top_classes, 1, 100_000)
        windows = self.windows_seconds
        if not windows or windows[0] <= 0 or list(windows) != sorted(set(windows)):
            raise ConfigurationError(
                f"windows_seconds is {windows}: it must be numbers above 0 in ascending order"
            )


@dataclasses.dataclass(frozen=True)
class Synchronization:
    """Shares of frames near which they are spoken of.

    Attributes:
      frames: how many were selected, of videos that have a transcript.
      without_transcript: how many more were, of videos that have none.
      shares: by the kind of match (`any_word` of the names, as in the paper's analysis, or an
        `exact_name`, as its pairs need) and window in seconds; empty without frames.
    """

    frames: int
    without_transcript: int
    shares: dict[str, dict[float, float]]


def synchronization(
    frames: Iterable[Frame],
    transcripts: Mapping[str, Transcript],
    config: SynchronizationConfig | None = None,
) -> Synchronization:
    """The share of frames with a word of their names in a window around them, by its length.

    A word counts where all of it lies in the window.

    Raises:
      ConfigurationError: frames are to be selected by a none_posterior that they lack.
    """
    config = config or SynchronizationConfig()
    chosen = [frame for frame in frames if _is_selected(frame, config)]
    heard = [frame for frame in chosen if frame.video in transcripts]
    shares = {}
    for kind in WORDS:
        nearest = [
            _shortest_window(frame, transcripts[frame.video], kind, config) for frame in heard
        ]
        shares[kind] = {
            float(window): sum(found <= window for found in nearest) / len(heard)
            for window in config.windows_seconds
            if heard
        }
    return Synchronization(len(heard), len(chosen) - len(heard), shares)


def _is_selected(frame: Frame, config: SynchronizationConfig) -> bool:
    if config.select_by == "class":
        return frame.posterior > config.threshold
    if frame.none_posterior is None:
        raise ConfigurationError(
            f"select_by is none, and video {frame.video} has no none_posterior at"
            f" {frame.seconds:g} s: select by class"
        )
    return 1 - frame.none_posterior > config.threshold


def _shortest_window(
    frame: Frame, transcript: Transcript, kind: str, config: SynchronizationConfig
) -> float:
    names = [normalise(name) for name in frame.top(config.top_classes)]
    if kind == "any_word":
        names = [(word,) for name in names for word in name]
    return min((transcript.nearest(name, frame.seconds)[0] for name in names), default=math.inf)


@dataclasses.dataclass(frozen=True)
class SpokenWords:
    """How much of a list of words is said.

    Attributes:
      videos: that have a transcript, those in which nothing is said among them.
      different, total: words of the list in a video, on average: each once, and each time.
      without: videos in which no word of the list is said.
      by_word: videos and times of each word that is said, the most videos first.
    """

    videos: int
    different: float
    total: float
    without: int
    by_word: dict[str, tuple[int, int]]


def count_words(transcripts: Mapping[str, Transcript], names: Sequence[str]) -> SpokenWords:
    """Counts words, or names of several words, of a list in transcripts.

    Args:
      transcripts: by video.
      names: the list; those that are the same after `normalise` count once.
    """
    unique = {normalise(name): name for name in reversed(names) if normalise(name)}
    different = total = without = 0
    by_word = dict.fromkeys(reversed(unique.values()), (0, 0))
    for transcript in transcripts.values():
        times = {name: len(transcript.occurrences(words)) for words, name in unique.items()}
        said = {name: number for name, number in times.items() if number}
        different, total = different + len(said), total + sum(said.values())
        without += not said
        for name, number in said.items():
            videos, often = by_word[name]
            by_word[name] = (videos + 1, often + number)
    order = sorted(by_word.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    number = max(1, len(transcripts))
    return SpokenWords(
        len(transcripts), different / number, total / number, without,
        {name: counts for name, counts in order if counts[0]},
    )


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Numbers and lengths of the videos of a subset, in seconds."""

    videos: int
    shortest_seconds: float
    longest_seconds: float
    mean_seconds: float


def lengths(seconds: Mapping[str, Mapping[str, float]]) -> dict[str, Lengths]:
    """Table 1 of the paper.

    Args:
      seconds: by subset and video.
    """
    return {
        subset: Lengths(
            len(own), min(own.values()), max(own.values()), sum(own.values()) / len(own)
        )
        for subset, own in seconds.items()
        if own
    }
