"""VGG-SS: boxes around what sounds in the middle frames of VGGSound's test clips.

The file is `vggss.json` of Localizing Visual Sounds the Hard Way (Chen et al. 2021): a
list of items with `file` (the clip), `class` and `bbox` (fractions of the picture: left,
top, right, bottom; several for several objects).

A few of its boxes have no area, among them some with an edge of -3e16, which stands for
nothing. The public evaluation counts them as boxes without pixels; here they are dropped,
which is the same. An item that loses its only box stays, and no map can be right there.
"""

import dataclasses
import json
import math
from collections.abc import Mapping

from crossmodal import files
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class Item:
    """One annotated frame.

    Attributes:
      clip: the video's id and where the clip begins in seconds, `elkVideoId0_000032`.
      label: name of its VGGSound class.
      boxes: (left, top, right, bottom) of each object, fractions of the picture; each has
        an area.
      dropped: number of boxes without an area.
    """

    clip: str
    label: str
    boxes: tuple[tuple[float, float, float, float], ...]
    dropped: int


def read(path: str) -> list[Item]:
    """Reads a `vggss.json`.

    Raises:
      UserError: the file cannot be read or is something else, a clip occurs twice, or a
        box lies outside the picture; names the file and the clip.
    """
    try:
        entries = json.loads(files.read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is not a JSON file ({error})") from None
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: is not a list of annotations of VGG-SS")
    items = [_item(entry, f"{path}: entry {number}") for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for item in items:
        if item.clip in seen:
            raise UserError(f"{path}: the clip {item.clip} occurs twice")
        seen.add(item.clip)
    return items


def _item(entry: Mapping, place: str) -> Item:
    """Builds an item; the place is for errors."""
    try:
        clip, label, boxes = entry["file"], entry["class"], entry["bbox"]
        if not isinstance(clip, str) or not isinstance(label, str):
            raise TypeError
        boxes = [tuple(float(edge) for edge in box) for box in boxes]
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{place}: is not an object with file, class and bbox, a list of boxes"
        ) from None
    for box in boxes:
        if len(box) != 4 or not all(map(math.isfinite, box)) or max(box) > 1:
            raise UserError(
                f"{place}: {clip}: {list(box)} is not left, top, right and bottom in fractions of"
                " the picture"
            )
    # Edges below 0 are cut off at the picture's.
    inside = [tuple(max(edge, 0.0) for edge in box) for box in boxes]
    kept = tuple(box for box in inside if box[0] < box[2] and box[1] < box[3])
    return Item(clip, label, kept, len(boxes) - len(kept))
