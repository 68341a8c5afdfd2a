"""Weakly labelled pairs of a frame and the sound around it.

Boggust et al. 2019, section 6: frames to which a classifier gives a class with a posterior of
at least 0.5 and whose five likeliest class names, as they are written, are looked up in the
transcript of the 20 s around them; and as many frames that show nothing of the kind, with a
confidence of at least 0.95, each with 1 s of sound. What the paper leaves open is a field.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from avc import csv_rows
from avc.posteriors import Frame
from avc.spoken_words import Transcript, normalise
from crossmodal.configuration import check_range

PAIR_COLUMNS = (
    "video", "frame_seconds", "audio_start_seconds", "audio_seconds", "label", "words",
    "word_start_seconds",
)
CLIP_COLUMNS = ("clip", "start_seconds", "seconds", "frame_seconds", "labels")


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    """Which frames become pairs; saved beside them.

    Attributes:
      class_posterior: the least that the likeliest class of a positive pair's frame has.
      top_classes: how many class names are looked up.
      search_seconds: length of the part of the transcript around the frame; a name counts
        where all of its words lie in it wholly.
      positive_seconds: length of a positive pair's sound around its frame. The paper's pairs
        have the 20 s that were searched.
      none_posterior: the least confidence that a negative's frame shows nothing of the kind.
      negative_seconds: length of a negative's sound around its frame.
      negatives_per_positive: how many negatives there are for each positive pair, as far as
        there are frames.
      none_label: what negatives are called.
      seed: of the choice of negatives.
    """

    class_posterior: float = 0.5
    top_classes: int = 5
    search_seconds: float = 20.0
    positive_seconds: float = 20.0
    none_posterior: float = 0.95
    negative_seconds: float = 1.0
    negatives_per_positive: float = 1.0
    none_label: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its range."""
        check_range("class_posterior", self.class_posterior, 0, 1)
        check_range("top_classes", self.top_classes, 1, 100_000)
        check_range("search_seconds", self.search_seconds, 0, 1e6)
        check_range("positive_seconds", self.positive_seconds, 0.1, 3600)
        check_range("none_posterior", self.none_posterior, 0, 1)
        check_range("negative_seconds", self.negative_seconds, 0.1, 3600)
        check_range("negatives_per_positive", self.negatives_per_positive, 0, 1e6)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A frame, the sound around it, and why they belong together.

    Attributes:
      video: the video's id.
      frame_seconds: when the frame is shown, since the video's beginning.
      audio_start_seconds, audio_seconds: the sound; not from before the video.
      label: the likeliest class that is said, or `none_label`.
      words: all class names that are said, the likeliest first; none of a negative.
      word_start_seconds: when each is said, nearest to the frame.
    """

    video: str
    frame_seconds: float
    audio_start_seconds: float
    audio_seconds: float
    label: str
    words: tuple[str, ...] = ()
    word_start_seconds: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class Labelled:
    """What became of a set of frames.

    Attributes:
      pairs: the positive ones, then the negatives, each by video and time.
      counts: frames by what became of them.
      without_transcript: videos of which there is none, though they have frames.
    """

    pairs: tuple[Pair, ...]
    counts: dict[str, int]
    without_transcript: tuple[str, ...]


def label(
    frames: Sequence[Frame],
    transcripts: Mapping[str, Transcript],
    config: LabelConfig | None = None,
) -> Labelled:
    """Finds the pairs among frames.

    A frame with a class that is likely enough is never a negative, whatever is said and
    whatever its `none_posterior`.

    Args:
      frames: each once.
      transcripts: by video. Frames of videos without one can only be negatives.
      config: which frames.
    """
    config = config or LabelConfig()
    known = [frame for frame in frames if frame.posterior >= config.class_posterior]
    heard = [frame for frame in known if frame.video in transcripts]
    found = (_positive(frame, transcripts[frame.video], config) for frame in heard)
    positives = [pair for pair in found if pair is not None]
    empty = [
        frame
        for frame in frames
        if frame.posterior < config.class_posterior
        and frame.none_posterior is not None
        and frame.none_posterior >= config.none_posterior
    ]
    wanted = round(config.negatives_per_positive * len(positives))
    negatives = [_negative(frame, config) for frame in choose(empty, wanted, config.seed)]
    counts = {
        "frames": len(frames),
        "frames of a class": len(known),
        "frames of a class without a transcript": len(known) - len(heard),
        "positive pairs": len(positives),
        "negative pairs": len(negatives),
        "negative pairs wanted": wanted,
        "frames with nothing of the kind": len(empty),
    }
    silent = sorted({frame.video for frame in frames} - set(transcripts))
    return Labelled((*positives, *negatives), counts, tuple(silent))


def choose(items: Sequence, number: int, seed: int) -> list:
    """Some of the items, drawn without repeats, in their order; all where they are fewer."""
    if number >= len(items):
        return list(items)
    drawn = np.random.default_rng(seed).choice(len(items), number, replace=False)
    return [items[i] for i in sorted(drawn.tolist())]


def around(seconds: float, length: float) -> tuple[float, float]:
    """Start and length of the sound around a moment, as far as it is not before the video."""
    start = max(0.0, seconds - length / 2)
    return start, seconds + length / 2 - start


def _positive(frame: Frame, transcript: Transcript, config: LabelConfig) -> Pair | None:
    said = {}
    for name in frame.top(config.top_classes):
        window, start, _ = transcript.nearest(normalise(name), frame.seconds)
        if window <= config.search_seconds:
            said[name] = start
    if not said:
        return None
    sound = around(frame.seconds, config.positive_seconds)
    return Pair(
        frame.video, frame.seconds, *sound, next(iter(said)), tuple(said), tuple(said.values())
    )


def _negative(frame: Frame, config: LabelConfig) -> Pair:
    sound = around(frame.seconds, config.negative_seconds)
    return Pair(frame.video, frame.seconds, *sound, config.none_label)


def pairs_csv(pairs: Iterable[Pair]) -> str:
    """The list of pairs; words are separated by ";"."""
    rows = (
        (
            pair.video, _cell(pair.frame_seconds), _cell(pair.audio_start_seconds),
            _cell(pair.audio_seconds), pair.label, ";".join(pair.words),
            ";".join(map(_cell, pair.word_start_seconds)),
        )
        for pair in pairs
    )
    return csv_rows.to_csv(PAIR_COLUMNS, rows)


def clips_csv(pairs: Iterable[Pair]) -> str:
    """The same as a label table of `launch/convert_clips.py`: each clip has one frame."""
    rows = (
        (
            pair.video, _cell(pair.audio_start_seconds), _cell(pair.audio_seconds),
            _cell(pair.frame_seconds), ";".join(pair.words or (pair.label,)),
        )
        for pair in pairs
    )
    return csv_rows.to_csv(CLIP_COLUMNS, rows)


def _cell(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
