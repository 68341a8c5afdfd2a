"""Where in the picture is what sounds? Heat maps measured against boxes.

- The share of maps whose mode, the centre of the highest cell, lies in a box
  (Arandjelovic and Zisserman 2018, Objects that Sound, section 4.1, after Hou et al.).
- cIoU and AUC, as the evaluation of VGG-SS measures them (Chen et al. 2021, Localizing
  Visual Sounds the Hard Way): the map is resized bilinearly to 224 x 224 and predicts what
  lies above a threshold; IoU is taken with the union of the boxes. cIoU is the share of
  items with an IoU of at least .5, AUC the area under that share over the IoU asked for,
  a trapezoid rule over 0, .05 ... 1.

**Two thresholds, kept apart.** `adaptive` is each map's own median: half of every picture
is predicted, and only the order of the values counts. `fixed` is a value of the map
stretched from its lowest to its highest value to 0 ... 1. Published VGG-SS figures are
adaptive. A map predicts its highest value in either case, so a constant map predicts the
whole picture.

**Ties have their expected value**: of several highest cells, each is the mode equally often.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from crossmodal import boxes as box_lists
from crossmodal import comparison
from crossmodal.boxes import Boxes
from crossmodal.configuration import check_range
from crossmodal.errors import UserError

METRICS = ("mode_in_box", "ciou_adaptive", "auc_adaptive", "ciou_fixed", "auc_fixed")
# Items whose resized maps are held at once.
BLOCK = 64
# Odd, so that a cell has its centre in the middle of the picture.
CENTRE_CELLS = 29


@dataclasses.dataclass(frozen=True)
class LocalizationConfig:
    """How maps become predictions.

    Attributes:
      size: pixels of a side at which IoU is taken.
      iou_threshold: IoU from which an item counts for cIoU.
      fixed_threshold: fixed threshold of maps stretched to 0 ... 1.
      centre_sigma: standard deviation of the centre baseline's Gaussian, in sides of the
        picture; only the fixed threshold depends on it.
    """

    size: int = 224
    iou_threshold: float = 0.5
    fixed_threshold: float = 0.5
    centre_sigma: float = 0.25

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("size", self.size, 1, 4096)
        check_range("iou_threshold", self.iou_threshold, 0, 1)
        check_range("fixed_threshold", self.fixed_threshold, 0, 1)
        check_range("centre_sigma", self.centre_sigma, 0.01, 10)


DEFAULT = LocalizationConfig()


@dataclasses.dataclass(frozen=True)
class LocalizationScores:
    """How well one system's maps fit the boxes, item by item.

    Attributes:
      config: how maps became predictions.
      mode_in_box: float64 [items], chance that the mode lies in a box.
      adaptive_iou: float64 [items].
      fixed_iou: float64 [items].
      without_box: items that have no box; none of theirs can be right.
    """

    config: LocalizationConfig
    mode_in_box: np.ndarray
    adaptive_iou: np.ndarray
    fixed_iou: np.ndarray
    without_box: int

    def item_values(self) -> dict[str, np.ndarray]:
        """What each item adds to the mean that each of METRICS is, [items] in [0, 1]."""
        values = {"mode_in_box": self.mode_in_box}
        for name, iou in (("adaptive", self.adaptive_iou), ("fixed", self.fixed_iou)):
            values[f"ciou_{name}"] = (iou >= self.config.iou_threshold).astype(np.float64)
            values[f"auc_{name}"] = _areas(iou)
        return values

    def summarise(self) -> dict[str, float]:
        """Means over the items by METRICS."""
        return {name: float(values.mean()) for name, values in self.item_values().items()}

    def intervals(
        self, seed: int, groups: np.ndarray | None = None, **options
    ) -> dict[str, comparison.Interval]:
        """Bootstrap intervals by METRICS; see `comparison.grouped_mean`."""
        return {
            name: comparison.grouped_mean(values, seed, groups, **options)
            for name, values in self.item_values().items()
        }


def paired_intervals(
    system: LocalizationScores,
    baseline: LocalizationScores,
    seed: int,
    groups: np.ndarray | None = None,
    **options,
) -> dict[str, comparison.Interval]:
    """Intervals of `system` minus `baseline` on the same items, by METRICS.

    Raises:
      UserError: the two have different numbers of items.
    """
    if len(system.mode_in_box) != len(baseline.mode_in_box):
        raise UserError("the two systems were not measured on the same items")
    other = baseline.item_values()
    return {
        name: comparison.grouped_mean(values - other[name], seed, groups, **options)
        for name, values in system.item_values().items()
    }


def evaluate(
    maps: np.ndarray, boxes: Boxes, config: LocalizationConfig = DEFAULT
) -> LocalizationScores:
    """Measures heat maps.

    Args:
      maps: [items, height, width], higher where it sounds.
      boxes: of each item.
      config: how maps become predictions.

    Raises:
      UserError: a box or map that cannot be used, or their numbers differ.
    """
    maps = check_maps(maps, len(boxes))
    checked = box_lists.check(boxes)
    parts = [
        _measure(maps[start : start + BLOCK], checked[start : start + BLOCK], config)
        for start in range(0, len(maps), BLOCK)
    ]
    return _join(parts, checked, config)


def baselines(
    boxes: Boxes, config: LocalizationConfig = DEFAULT
) -> Mapping[str, LocalizationScores]:
    """What maps score that look at neither picture nor sound.

    Returns:
      `centre`: a Gaussian in the middle of every picture, whose mode is the middle.
      `whole_image`: a constant map; its mode is any point of the picture.

    Raises:
      UserError: a box that cannot be used.
    """
    checked = box_lists.check(boxes)
    distance = (np.arange(CENTRE_CELLS) + 0.5) / CENTRE_CELLS - 0.5
    line = np.exp(-(distance**2) / (2 * config.centre_sigma**2))
    # A finer constant map: boxes cover a share of its cells.
    constant = np.ones((1, config.size, config.size))
    single = {"centre": np.outer(line, line)[None], "whole_image": constant}
    return {
        name: _join(
            [_measure(map_, checked[start : start + BLOCK], config)
             for start in range(0, len(checked), BLOCK)],
            checked, config,
        )
        for name, map_ in single.items()
    }


def check_maps(maps: np.ndarray, items: int) -> np.ndarray:
    """The maps as an array [items, height, width].

    Raises:
      UserError: another shape or number, or a value that is not finite.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or len(maps) != items or not items or not maps[0].size:
        raise UserError(
            f"heat maps have shape {maps.shape}, expected [items, height, width] for the boxes"
            f" of {items} items"
        )
    finite = np.isfinite(maps).all(axis=(1, 2))
    if not finite.all():
        raise UserError(f"heat map of item {np.argmin(finite)} has a NaN or Inf")
    return maps


def modes(maps: np.ndarray) -> np.ndarray:
    """Chance of each cell to be the mode, [items, cells] of sum 1; row-major cells."""
    flat = maps.reshape(len(maps), -1)
    highest = flat == flat.max(axis=1, keepdims=True)
    return highest / highest.sum(axis=1, keepdims=True)


def cell_centres(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of a map's cells, row by row: x and y [cells] as fractions of the picture."""
    y, x = np.indices((height, width)).reshape(2, -1)
    return (x + 0.5) / width, (y + 0.5) / height


def resize(maps: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resizing to [items, size, size]; cells and pixels are areas, not corners.

    Between neighbours of one value there is exactly that value.
    """
    for axis in (1, 2):
        cells = maps.shape[axis]
        place = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        below = place.astype(int)
        above = np.minimum(below + 1, cells - 1)
        share = (place - below).reshape((-1, 1) if axis == 1 else -1)
        low = maps.take(below, axis)
        maps = low + share * (maps.take(above, axis) - low)
    return maps


def _measure(maps, boxes, config) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mode, adaptive IoU and fixed IoU of some items, [items] each; one map may serve all."""
    inside = box_lists.contain(boxes, *cell_centres(*maps.shape[1:]))
    truth = box_lists.masks(boxes, config.size).reshape(len(boxes), -1)
    resized = resize(maps.astype(np.float64), config.size).reshape(len(maps), -1)
    low, high = resized.min(axis=1, keepdims=True), resized.max(axis=1, keepdims=True)
    middle = resized.shape[1] // 2
    median = np.partition(resized, middle, axis=1)[:, middle, None]
    adaptive = (resized > median) | (resized == high)
    fixed = (resized - low >= config.fixed_threshold * (high - low)) | (resized == high)
    return (modes(maps) * inside).sum(axis=1), _iou(adaptive, truth), _iou(fixed, truth)


def _iou(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union of masks [items, pixels]; no prediction is empty."""
    common = np.count_nonzero(predicted & truth, axis=1)
    return common / np.count_nonzero(predicted | truth, axis=1)


def _areas(iou: np.ndarray) -> np.ndarray:
    """Area under the step from 1 to 0 at each IoU, by the trapezoid rule over 21 points."""
    # A twentieth times 3 is not the double next to 3/20; a quotient of whole numbers is.
    reached = (iou[:, None] >= np.arange(21) / 20).astype(np.float64)
    return np.trapz(reached, dx=1 / 20, axis=1)


def _join(parts, boxes, config) -> LocalizationScores:
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return LocalizationScores(config, *columns, sum(not len(own) for own in boxes))
