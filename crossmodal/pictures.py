"""Contact sheets: many small pictures with captions on one PNG, to look at data with."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from crossmodal import files
from crossmodal.errors import UserError

PANEL_INCHES = 2.0
CAPTION_INCHES = 0.45


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle, in fractions of the picture's width and height.

    Attributes:
      left, top, right, bottom: in [0, 1].
      caption: written at its upper edge.
      color: of matplotlib.
    """

    left: float
    top: float
    right: float
    bottom: float
    caption: str = ""
    color: str = "lime"


@dataclasses.dataclass(frozen=True)
class Panel:
    """One picture of a sheet.

    Attributes:
      image: [height, width, 3] uint8 or float in [0, 1]; or [height, width], drawn by
        brightness from its least value to its largest.
      caption: above it, one line or two.
      boxes: drawn on it.
      color: of the caption.
    """

    image: np.ndarray
    caption: str = ""
    boxes: tuple[Box, ...] = ()
    color: str = "black"


def contact_sheet(path: str, panels: Sequence[Panel], columns: int, title: str = "") -> None:
    """Draws panels row by row and writes a PNG, whole or not at all.

    Args:
      path: of the PNG.
      panels: at least one.
      columns: panels in a row.
      title: of the sheet.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `pictures`") from error
    rows = -(-len(panels) // columns)
    size = (columns * PANEL_INCHES, rows * (PANEL_INCHES + CAPTION_INCHES) + CAPTION_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
    with files.whole_file(path) as temporary:
        try:
            figure.savefig(temporary, format="png", dpi=100)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def _draw(axis, panel: Panel) -> None:
    from matplotlib.patches import Rectangle

    grey = {"cmap": "magma"} if panel.image.ndim == 2 else {}
    axis.imshow(panel.image, aspect="auto" if grey else "equal", **grey)
    axis.set_title(panel.caption, fontsize=6, color=panel.color)
    height, width = panel.image.shape[:2]
    for box in panel.boxes:
        left, top = box.left * width - 0.5, box.top * height - 0.5
        size = ((box.right - box.left) * width, (box.bottom - box.top) * height)
        axis.add_patch(Rectangle((left, top), *size, fill=False, color=box.color, linewidth=1))
        axis.text(left, top, box.caption, fontsize=5, color=box.color, verticalalignment="bottom")
