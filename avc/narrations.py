"""Narrated videos: long, and only loosely synchronous, as somebody talks of what is shown.

A made-up world for networks that learn words from what is seen while they are spoken (Boggust
et al. 2019, Grounding Spoken Words in Unlabeled Video). A video is a sequence of shots; a shot
shows one object, a shape of some colour. A narrator names colour and shape, somewhat before or
after they are shown; in some shots the talk is of something else, and in some there is none.

This module draws what is shown and said, and when; `avc.narration_rendering` makes picture and
sound of it.
"""

import dataclasses

import numpy as np

from avc import sprites
from avc.records import AUDIO_ENCODINGS
from avc.splits import SPLITS
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

# Hues of the colours, in [0, 1).
COLOURS = {
    "red": 0.0, "orange": 0.08, "yellow": 0.16, "green": 0.34,
    "cyan": 0.5, "blue": 0.63, "violet": 0.76, "pink": 0.9,
}
SHAPES = sprites.NAMES
# Words in the order of their numbers in `avc.words`; fillers come after them.
WORDS = (*COLOURS, *SHAPES)
_TALK = 0  # number of the random stream; rendering has others
ABOUT, ASIDE, SILENT = TALKS = ("about", "aside", "silent")


@dataclasses.dataclass(frozen=True)
class NarrationConfig:
    """All that narrated videos follow from.

    Attributes:
      split: `train`, `validation` or `test`: they share no voice and no background.
      seed: another seed gives other videos of the same world.
      video_seconds: length of a video, a multiple of `clip_seconds`.
      clip_seconds: length of the pieces that records hold; all know their video.
      picture_size: pixels a side.
      frames_per_second: of the frames.
      sample_rate_hz: of the sound.
      min_shot_seconds, max_shot_seconds: how long an object is shown.
      lag_seconds: the most by which talk is early or late, drawn for each shot.
      pause_seconds: the most between two phrases.
      aside_share: of shots in which the talk is of something else.
      silent_share: of shots without talk.
      num_fillers: words of other talk.
      clutter: shapes on the background, which is grey.
      min_object_area, max_object_area: in parts of the picture.
      min_level_dbfs, max_level_dbfs: root mean square of the talk in dB below full scale.
      ambient_dbfs: of the noise that is always there.
      jpeg_quality: of the frames.
      audio_encoding: `flac` or `pcm16`.
    """

    split: str = "train"
    seed: int = 0
    video_seconds: float = 60.0
    clip_seconds: float = 10.0
    picture_size: int = 112
    frames_per_second: float = 1.0
    sample_rate_hz: int = 16_000
    min_shot_seconds: float = 4.0
    max_shot_seconds: float = 9.0
    lag_seconds: float = 1.0
    pause_seconds: float = 0.5
    aside_share: float = 0.15
    silent_share: float = 0.05
    num_fillers: int = 30
    clutter: int = 6
    min_object_area: float = 0.06
    max_object_area: float = 0.25
    min_level_dbfs: float = -30.0
    max_level_dbfs: float = -18.0
    ambient_dbfs: float = -65.0
    jpeg_quality: int = 90
    audio_encoding: str = "pcm16"

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no video can be drawn from."""
        check_choice("split", self.split, SPLITS)
        check_choice("audio_encoding", self.audio_encoding, AUDIO_ENCODINGS)
        for name, low, high in _RANGES:
            check_range(name, getattr(self, name), low, high)
        for low, high in (
            ("min_shot_seconds", "max_shot_seconds"),
            ("min_object_area", "max_object_area"),
            ("min_level_dbfs", "max_level_dbfs"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"{low} is {getattr(self, low)}: it is above {high}, {getattr(self, high)}"
                )
        pieces = self.video_seconds / self.clip_seconds
        if abs(pieces - round(pieces)) > 1e-6 or pieces < 1:
            raise ConfigurationError(
                f"video_seconds is {self.video_seconds}: it must be a multiple of clip_seconds,"
                f" {self.clip_seconds}"
            )
        if self.aside_share + self.silent_share > 1:
            raise ConfigurationError("aside_share and silent_share sum to more than 1")

    @property
    def clips_per_video(self) -> int:
        """Records of a video."""
        return round(self.video_seconds / self.clip_seconds)


_RANGES = (
    ("seed", 0, 2**32 - 1),
    ("video_seconds", 1, 36_000),
    ("clip_seconds", 0.5, 3600),
    ("picture_size", 32, 2048),
    ("frames_per_second", 0.1, 100),
    ("sample_rate_hz", 8000, 192_000),
    ("min_shot_seconds", 0.5, 600),
    ("max_shot_seconds", 0.5, 600),
    ("lag_seconds", 0, 60),
    ("pause_seconds", 0, 60),
    ("aside_share", 0, 1),
    ("silent_share", 0, 1),
    ("num_fillers", 1, 1000),
    ("clutter", 0, 1000),
    ("min_object_area", 0.01, 0.5),
    ("max_object_area", 0.01, 0.5),
    ("min_level_dbfs", -60, -10),
    ("max_level_dbfs", -60, -10),
    ("ambient_dbfs", -120, -40),
    ("jpeg_quality", 1, 100),
)


@dataclasses.dataclass(frozen=True)
class Shot:
    """What is shown for some seconds, and what is said of it.

    Attributes:
      colour, shape: of the object.
      talk: one of TALKS.
      start_seconds, end_seconds: in which it is shown, from the video's start.
      lag_seconds: how much later than shown it is talked of; earlier if negative.
    """

    colour: str
    shape: str
    talk: str
    start_seconds: float
    end_seconds: float
    lag_seconds: float


@dataclasses.dataclass(frozen=True)
class Spoken:
    """A word that is said.

    Attributes:
      word: its number, see `avc.words`.
      shot: of which shot.
      start_seconds: from the video's start.
    """

    word: int
    shot: int
    start_seconds: float


def random_stream(config: NarrationConfig, index: int, *use: int) -> np.random.Generator:
    """Random numbers for one use in one video, independent of every other stream."""
    return np.random.default_rng([config.seed, SPLITS.index(config.split), 7, index, *use])


def draw_shots(config: NarrationConfig, index: int) -> tuple[Shot, ...]:
    """Draws what video number `index` shows; consecutive shots show different things."""
    rng = random_stream(config, index, _TALK, 0)
    shots: list[Shot] = []
    start = 0.0
    colours = list(COLOURS)
    while start < config.video_seconds:
        length = rng.uniform(config.min_shot_seconds, config.max_shot_seconds)
        end = min(round(start + length, 2), config.video_seconds)
        colour, shape = colours[rng.integers(len(colours))], SHAPES[rng.integers(len(SHAPES))]
        shares = [1 - config.aside_share - config.silent_share, config.aside_share]
        talk = TALKS[int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))]
        lag = rng.uniform(-config.lag_seconds, config.lag_seconds)
        if shots and (shots[-1].colour, shots[-1].shape) == (colour, shape):
            continue
        shots.append(Shot(colour, shape, talk, start, end, lag))
        start = end
    return tuple(shots)


def draw_talk(
    config: NarrationConfig, shots: tuple[Shot, ...], index: int, word_seconds: float
) -> tuple[Spoken, ...]:
    """Draws which words video number `index` says, and when; no two at once.

    Args:
      config: pauses and fillers.
      shots: of the video.
      index: of the video.
      word_seconds: the most that a word takes.
    """
    rng = random_stream(config, index, _TALK, 1)
    spoken: list[Spoken] = []
    free = 0.0
    for number, shot in enumerate(shots):
        time = max(free, shot.start_seconds + shot.lag_seconds)
        stop = min(shot.end_seconds + shot.lag_seconds, config.video_seconds)
        while shot.talk != SILENT and time + 2 * word_seconds <= stop:
            phrase = (WORDS.index(shot.colour), WORDS.index(shot.shape))
            if shot.talk == ASIDE:
                phrase = tuple(len(WORDS) + rng.integers(config.num_fillers, size=2))
            spoken += [
                Spoken(int(word), number, time + place * word_seconds)
                for place, word in enumerate(phrase)
            ]
            free = time + 2 * word_seconds
            time = free + rng.uniform(0, config.pause_seconds)
    return tuple(spoken)
