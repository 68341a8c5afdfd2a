"""Heat maps against the boxes of VGG-SS, on clips of VGGSound's test videos.

The network sees the middle frame of a clip, cropped from the centre as ever, and a second of
sound around it. Published figures are of whole pictures, squeezed to a square, and mostly of
3 to 10 s of sound; here boxes go into the crop, exactly, and an item whose boxes lie outside
of it stays as one that no map can get right.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from avc.centre_crop import crop_boxes, crop_window
from avc.evaluation import Evaluated
from avc.vggss import Item
from crossmodal import localization
from crossmodal.errors import UserError
from crossmodal.localization import LocalizationConfig
from crossmodal.reading import Records, parsed_blocks
from crossmodal.schema import Schema


@dataclasses.dataclass(frozen=True)
class Picture:
    """A clip by the names that VGG-SS may have for it.

    Attributes:
      names: the file's without its suffix, if the clip begins with the file; and the video's
        with the clip's start in whole seconds, `VIDEO_000032`.
      height, width: of its pictures.
    """

    names: frozenset[str]
    height: int
    width: int


def read_pictures(records: Records) -> list[Picture]:
    """What is needed of all clips, in file order.

    Raises:
      UserError: a record is bad.
    """
    names = ("id", "video", "file", "start_seconds", "frames")
    few = Schema(tuple(f for f in records.schema.features if f.name in names))
    pictures = []
    for block in parsed_blocks(dataclasses.replace(records, schema=few)):
        for row in few.rows(block):
            height, width = tf.io.extract_jpeg_shape(row["frames"][0])[:2].numpy().tolist()
            start = float(np.ravel(row["start_seconds"])[0])
            own = {f"{row['video'].decode()}_{round(start):06d}"}
            if start == 0:
                own.add(os.path.splitext(os.path.basename(row["file"].decode()))[0])
            pictures.append(Picture(frozenset(own), height, width))
    return pictures


def match(pictures: Sequence[Picture], items: Sequence[Item]) -> dict[int, Item]:
    """The annotation of each clip that has one, by row.

    Raises:
      UserError: no clip has one, or two clips have the same.
    """
    by_name = {item.clip: item for item in items}
    found: dict[int, Item] = {}
    taken: set[str] = set()
    for row, picture in enumerate(pictures):
        own = [name for name in sorted(picture.names) if name in by_name]
        if not own:
            continue
        if own[0] in taken:
            raise UserError(f"--vggss: two clips of --eval_pattern are {own[0]}")
        taken.add(own[0])
        found[row] = by_name[own[0]]
    if not found:
        raise UserError("--vggss: none of its clips is among those of --eval_pattern")
    return found


def measure(
    found: Evaluated,
    pictures: Sequence[Picture],
    annotations: Mapping[int, Item],
    crop_share: float,
    config: LocalizationConfig = localization.DEFAULT,
    seed: int = 0,
) -> dict[str, object]:
    """Localisation on the annotated clips.

    Args:
      found: of their middle frames, with heat maps.
      pictures: of each row.
      annotations: by row.
      crop_share: side of the crop as a share of the picture's shorter side.
      config: how maps become predictions.
      seed: of the resampling.

    Returns:
      JSON-compatible: `systems` (`network`, `centre`, `whole_image`) with intervals of
      METRICS; `items`; `without_box`: those of which the crop shows no box.
    """
    rows = list(annotations)
    boxes = []
    for row in rows:
        window = crop_window(pictures[row].height, pictures[row].width, crop_share)
        inside, shares = crop_boxes(np.array(annotations[row].boxes), window)
        boxes.append(inside[shares > 0])
    network = localization.evaluate(found.heatmap[rows], boxes, config)
    systems = {"network": network, **localization.baselines(boxes, config)}
    return {
        "items": len(rows),
        "without_box": network.without_box,
        "config": dataclasses.asdict(config),
        "systems": {
            name: {
                metric: dataclasses.asdict(interval)
                for metric, interval in scores.intervals(seed, found.video[rows]).items()
            }
            for name, scores in systems.items()
        },
    }
