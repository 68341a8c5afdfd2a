"""Sounding scenes: a world whose truth is known.

A scene shows one to a few objects of different classes on a cluttered background, and one
of them sounds. Which one is a matter of chance, so nothing but the correspondence of
picture and sound tells. With configured shares two objects sound at once, the sound passes
from one object to another, comes from something that is not in the picture, or is absent:
the cases that a localisation benchmark must tell apart (compare Arandjelovic and Zisserman
2018, section 4 and Figure 6).

This module draws who is to be seen and heard, and when; `avc.scene_rendering` makes
picture and sound of it.
"""

import dataclasses

import numpy as np

from avc.records import AUDIO_ENCODINGS
from avc.splits import SPLITS
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

MOTIONS = ("none", "all", "sounding", "by_class")
LOOKS = ("own", "any")
# What a scene may be; `one`, a single sounding object, takes what the others leave.
KINDS = ("one", "two_classes", "same_class", "switch", "off_screen", "silent")
SWAPS = ("first", "second", "off_screen", "silent")
MAX_SOUNDING_AREA = 0.15
NO_LEVEL = -120.0  # dBFS, stands for digital silence
_BANDS = 20
_CAST = 0  # number of the random stream; rendering has others


@dataclasses.dataclass(frozen=True)
class SceneConfig:
    """All that scenes follow from, beside the pictures and sounds of their classes.

    Shares are probabilities of kinds of scenes; what they leave are scenes in which one
    object sounds. Areas are those of bounding boxes, in parts of the picture's.

    Attributes:
      split: `train`, `validation` or `test`: they share no sound and no background.
      seed: another seed gives other scenes of the same world.
      classes: names of the classes in use.
      picture_size: pixels a side.
      clip_seconds: length of a scene.
      frames_per_second: rate of the grid of frames; a picture that stays is stored once.
      min_objects: fewest objects in a picture.
      max_objects: most objects in a picture.
      min_object_area: of the smallest object.
      max_object_area: of the largest, at most 0.15.
      clutter: number of shapes on the background.
      two_classes_share: two objects of different classes sound at once.
      same_class_share: two objects of one class sound at once.
      switch_share: one object sounds, then another.
      off_screen_share: what sounds is of a class that is not in the picture.
      silent_share: nothing sounds.
      min_sounding_share: sounds last from this share of the clip to all of it.
      motion: which objects tremble from frame to frame: `none`, `all`, or `sounding`, a
        world in which motion tells who sounds; or `by_class`: what sounds swings 1 to 3 times a
        second along a line, level for the first class, upright for the last.
      looks: `own`: a class has pictures of its own; or `any`: each object looks like any class,
        so that no picture tells what sounds.
      motion_range: how far at most, in parts of the picture's side.
      flow: whether optical flow between frames is stored, as `convert_clips --flow` does.
      flow_shorter_side, flow_reach: see avc.flow.
      min_level_dbfs: root mean square of the faintest sound, in dB below full scale.
      max_level_dbfs: of the loudest; a sound with high peaks may stay below both.
      ambient_dbfs: of the noise that is always there; -120 is none.
      grid_click_dbfs: peak of a click at every multiple of 0.04 s, an artefact from which a
        network can tell where a sound was cut (see docs/inputs.md); -120 is none.
      jpeg_quality: of the frames.
      audio_encoding: `flac` or `pcm16`.
    """

    split: str = "train"
    seed: int = 0
    classes: tuple[str, ...] = ()
    picture_size: int = 128
    clip_seconds: float = 3.0
    frames_per_second: float = 2.0
    min_objects: int = 1
    max_objects: int = 3
    min_object_area: float = 0.04
    max_object_area: float = 0.15
    clutter: int = 20
    two_classes_share: float = 0.05
    same_class_share: float = 0.05
    switch_share: float = 0.1
    off_screen_share: float = 0.1
    silent_share: float = 0.05
    min_sounding_share: float = 0.7
    motion: str = "none"
    looks: str = "own"
    motion_range: float = 0.02
    flow: bool = False
    flow_shorter_side: int = 128
    flow_reach: float = 1 / 16
    min_level_dbfs: float = -30.0
    max_level_dbfs: float = -18.0
    ambient_dbfs: float = -75.0
    grid_click_dbfs: float = NO_LEVEL
    jpeg_quality: int = 90
    audio_encoding: str = "flac"

    def __post_init__(self):
        """Rejects what no scene can be drawn from."""
        check_choice("split", self.split, SPLITS)
        check_choice("motion", self.motion, MOTIONS)
        check_choice("looks", self.looks, LOOKS)
        check_choice("audio_encoding", self.audio_encoding, AUDIO_ENCODINGS)
        for name, low, high in _RANGES:
            check_range(name, getattr(self, name), low, high)
        for low, high in (
            ("min_objects", "max_objects"),
            ("min_object_area", "max_object_area"),
            ("min_level_dbfs", "max_level_dbfs"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ConfigurationError(
                    f"{low} is {getattr(self, low)}: it is above {high}, {getattr(self, high)}"
                )
        if sum(self.shares) > 1 + 1e-9:
            raise ConfigurationError(f"the shares of scenes sum to {sum(self.shares):g}, above 1")
        if self.max_objects * self.max_object_area > 0.6 + 1e-9:
            raise ConfigurationError(
                f"max_objects is {self.max_objects} and max_object_area {self.max_object_area}:"
                " objects would cover more than 0.6 of the picture"
            )
        pairs = self.two_classes_share + self.same_class_share + self.switch_share
        if pairs and self.max_objects < 2:
            raise ConfigurationError(
                "max_objects is 1: set two_classes_share, same_class_share and switch_share to 0"
            )
        needed = self.max_objects + (self.off_screen_share > 0)
        if self.classes and len(self.classes) < needed:
            raise ConfigurationError(
                f"{len(self.classes)} classes: pictures with {self.max_objects} objects and"
                f" sounds from elsewhere need {needed}"
            )
        if len(set(self.classes)) < len(self.classes):
            raise ConfigurationError(f"classes {','.join(self.classes)}: one is named twice")

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of all kinds but `one`, in the order of KINDS."""
        return tuple(getattr(self, f"{kind}_share") for kind in KINDS[1:])


_RANGES = (
    ("seed", 0, 2**32 - 1),
    ("picture_size", 32, 2048),
    ("clip_seconds", 0.5, 600),
    ("frames_per_second", 0.1, 100),
    ("min_objects", 1, 8),
    ("max_objects", 1, 8),
    ("min_object_area", 0.002, MAX_SOUNDING_AREA),
    ("max_object_area", 0.002, MAX_SOUNDING_AREA),
    ("clutter", 0, 1000),
    *((f"{kind}_share", 0, 1) for kind in KINDS[1:]),
    ("min_sounding_share", 0.1, 1),
    ("motion_range", 0, 0.05),
    ("flow_shorter_side", 16, 4096),
    ("flow_reach", 1e-3, 1),
    ("min_level_dbfs", -60, -10),
    ("max_level_dbfs", -60, -10),
    ("ambient_dbfs", NO_LEVEL, -40),
    ("grid_click_dbfs", NO_LEVEL, -20),
    ("jpeg_quality", 1, 100),
)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something is heard.

    Attributes:
      name: class of the sound.
      object: which visible object sounds; -1 for none of them.
      start_seconds: from the clip's start.
      end_seconds: from the clip's start.
    """

    name: str
    object: int
    start_seconds: float
    end_seconds: float


@dataclasses.dataclass(frozen=True)
class Cast:
    """Who is to be seen and heard in a scene.

    Attributes:
      kind: one of KINDS.
      visible: class of each object in the picture. Two are of one class only if both sound.
      events: what is heard; none if the scene is silent.
    """

    kind: str
    visible: tuple[str, ...]
    events: tuple[Event, ...]


def random_stream(config: SceneConfig, series: int, index: int, *use: int) -> np.random.Generator:
    """Random numbers for one use in one scene, independent of every other stream.

    Args:
      config: split and seed are what counts.
      series: 0 for scenes, 1 for swap pairs.
      index: of the scene.
      use: what for; any numbers.
    """
    return np.random.default_rng([config.seed, SPLITS.index(config.split), series, index, *use])


def draw_from_band(split: str, rng: np.random.Generator) -> float:
    """A number in [0, 1) that no other split can draw.

    The interval is cut into 20 bands, which take turns: 14 are the training's, 2 the
    validation's, 4 the test's. So splits have the same range, and not one value in common.
    """
    owners = ["test" if band % 5 == 3 else "train" for band in range(_BANDS)]
    owners[1] = owners[11] = "validation"
    own = [band for band, owner in enumerate(owners) if owner == split]
    return float((own[rng.integers(len(own))] + rng.random()) / _BANDS)


def draw_cast(config: SceneConfig, index: int) -> Cast:
    """Draws who is seen and heard in scene number `index` of a split."""
    rng = random_stream(config, 0, index, _CAST)
    kind = str(rng.choice(KINDS, p=[max(0.0, 1 - sum(config.shares)), *config.shares]))
    pair = kind in ("two_classes", "same_class", "switch")
    count = int(rng.integers(max(config.min_objects, 1 + pair), config.max_objects + 1))
    names = [config.classes[i] for i in rng.permutation(len(config.classes))]
    visible = names[:count]
    first, second = (int(i) for i in (*rng.permutation(count), -1)[:2])
    if kind == "same_class":
        visible[second] = visible[first]
    start, end = _draw_span(config, rng)
    events: tuple[Event, ...] = ()
    if kind == "one":
        events = (Event(visible[first], first, start, end),)
    elif kind == "off_screen":
        events = (Event(names[count], -1, start, end),)
    elif kind == "switch":
        middle = round(start + (end - start) * rng.uniform(0.35, 0.65), 2)
        events = (
            Event(visible[first], first, start, middle),
            Event(visible[second], second, middle, end),
        )
    elif pair:
        events = (
            Event(visible[first], first, start, end),
            Event(visible[second], second, *_draw_span(config, rng)),
        )
    return Cast(kind, tuple(visible), events)


def draw_swap(config: SceneConfig, index: int) -> tuple[Cast, ...]:
    """Draws swap pair number `index`: one picture of two objects, four soundtracks.

    Returns:
      The casts of SWAPS: the first object sounds, the second does, something else does,
      nothing does.

    Raises:
      ConfigurationError: there are fewer than three classes.
    """
    if len(config.classes) < 3:
        raise ConfigurationError(f"{len(config.classes)} classes: swap pairs need 3")
    rng = random_stream(config, 1, index, _CAST)
    names = [config.classes[i] for i in rng.permutation(len(config.classes))[:3]]
    visible, (start, end) = tuple(names[:2]), _draw_span(config, rng)
    return (
        Cast("one", visible, (Event(names[0], 0, start, end),)),
        Cast("one", visible, (Event(names[1], 1, start, end),)),
        Cast("off_screen", visible, (Event(names[2], -1, start, end),)),
        Cast("silent", visible, ()),
    )


def _draw_span(config: SceneConfig, rng: np.random.Generator) -> tuple[float, float]:
    """Start and end of a sound, in whole hundredths of a second."""
    length = config.clip_seconds * rng.uniform(config.min_sounding_share, 1)
    start = rng.uniform(0, config.clip_seconds - length)
    return round(start, 2), min(round(start + length, 2), config.clip_seconds)
