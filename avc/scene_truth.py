"""What is to be seen and heard in one pair of a synthetic scene, where the network looks.

A pair is a frame, cropped from the centre, and a second of sound around it. Objects count
where the crop shows them, and sounds where the second holds them.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avc.centre_crop import crop_boxes, crop_window
from crossmodal.configuration import check_range
from crossmodal.reading import Records, parsed_blocks
from crossmodal.schema import Schema

ON_SCREEN, OFF_SCREEN, SILENT, UNCLEAR = "on_screen", "off_screen", "silent", "unclear"
KINDS = (ON_SCREEN, OFF_SCREEN, SILENT, UNCLEAR)
SIDES = ("left", "top", "right", "bottom")
EVENTS = ("event_labels", "event_objects", "event_start_seconds", "event_end_seconds")
# A second's edge and an event's that are one and the same differ by rounding.
ROUNDING = 1e-4


@dataclasses.dataclass(frozen=True)
class TruthConfig:
    """What counts as seen and as heard.

    Attributes:
      least_visible: the share of an object's box that the crop must show.
      audible_dbfs: root mean square from which a second counts as audible.
    """

    least_visible: float = 0.5
    audible_dbfs: float = -60.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("least_visible", self.least_visible, 0.01, 1)
        check_range("audible_dbfs", self.audible_dbfs, -200, 0)


@dataclasses.dataclass(frozen=True)
class Scene:
    """The truth of a record.

    Attributes:
      id, video: bytes.
      height, width: of the stored picture.
      objects: class of each object.
      boxes: float64 [objects, 4] in fractions of the picture.
      events: (class, index of its object or -1, start, end in seconds) of each sound.
    """

    id: bytes
    video: bytes
    height: int
    width: int
    objects: tuple[bytes, ...]
    boxes: np.ndarray
    events: tuple[tuple[bytes, int, float, float], ...]


@dataclasses.dataclass(frozen=True)
class Truth:
    """The truth of one pair.

    Attributes:
      kind: `on_screen`: an object that the crop shows sounds at the frame's time, audibly;
        `off_screen`: something sounds at that time, audibly, and during the second nothing
        that is in the picture; `silent`: the second holds no sound; `unclear`: the rest,
        such as an object that the crop cuts off, or one that ends before the frame.
      sounding: float64 [n, 4], boxes in the crop of what sounds at the frame's time; none
        unless `on_screen`.
      visible: float64 [m, 4], boxes in the crop of all objects that it shows.
      in_picture: classes of all objects, whether the crop shows them or not.
      heard: classes of all that sounds during the second.
      seen: classes of the objects that the crop shows.
    """

    kind: str
    sounding: np.ndarray
    visible: np.ndarray
    in_picture: frozenset[bytes]
    heard: frozenset[bytes]
    seen: frozenset[bytes]


def read_scenes(records: Records) -> list[Scene]:
    """The truth of all scenes, in file order.

    Raises:
      UserError: a record is bad.
    """
    names = ("id", "video", "frames", "object_labels", *(f"object_{s}" for s in SIDES), *EVENTS)
    few = Schema(tuple(f for f in records.schema.features if f.name in names))
    scenes = []
    for block in parsed_blocks(dataclasses.replace(records, schema=few)):
        for row in few.rows(block):
            height, width = tf.io.extract_jpeg_shape(row["frames"][0])[:2].numpy().tolist()
            boxes = np.stack([row[f"object_{side}"] for side in SIDES], -1).astype(np.float64)
            events = zip(*(row[name].tolist() for name in EVENTS), strict=True)
            objects = tuple(row["object_labels"].tolist())
            scenes.append(
                Scene(row["id"], row["video"], height, width, objects, boxes, tuple(events))
            )
    return scenes


def judge(
    scene: Scene,
    frame_seconds: float,
    segment_seconds: float,
    crop_share: float,
    level_dbfs: float,
    config: TruthConfig = TruthConfig(),
) -> Truth:
    """What one pair shows and holds.

    Args:
      scene: the record it is from.
      frame_seconds: when its frame is shown, the middle of its sound.
      segment_seconds: length of the sound.
      crop_share: side of the crop as a share of the picture's shorter side.
      level_dbfs: of the sound.
      config: what counts as seen and heard.
    """
    window = crop_window(scene.height, scene.width, crop_share)
    boxes, shares = crop_boxes(scene.boxes, window)
    shown = shares >= config.least_visible
    first = frame_seconds - segment_seconds / 2 + ROUNDING
    last = frame_seconds + segment_seconds / 2 - ROUNDING
    heard = [event for event in scene.events if event[2] < last and event[3] > first]
    now = [event for event in heard if event[2] <= frame_seconds < event[3]]
    sounding = sorted({index for _, index, _, _ in now if index >= 0 and shown[index]})
    audible = level_dbfs >= config.audible_dbfs
    kind = UNCLEAR
    if not heard:
        kind = SILENT
    elif sounding and audible:
        kind = ON_SCREEN
    elif now and audible and all(index < 0 for _, index, _, _ in heard):
        kind = OFF_SCREEN
    return Truth(
        kind,
        boxes[sounding if kind == ON_SCREEN else []],
        boxes[shown],
        frozenset(scene.objects),
        frozenset(event[0] for event in heard),
        frozenset(np.array(scene.objects, object)[shown].tolist()),
    )


def judge_all(
    scenes: Sequence[Scene],
    frame_seconds: np.ndarray,
    level_dbfs: np.ndarray,
    segment_seconds: float,
    crop_share: float,
    config: TruthConfig = TruthConfig(),
) -> list[Truth]:
    """`judge` for a pair of each scene."""
    return [
        judge(scene, float(seconds), segment_seconds, crop_share, float(level), config)
        for scene, seconds, level in zip(scenes, frame_seconds, level_dbfs, strict=True)
    ]


def kinds(truths: Sequence[Truth]) -> np.ndarray:
    """The kind of each, `[n]`."""
    return np.array([truth.kind for truth in truths])
