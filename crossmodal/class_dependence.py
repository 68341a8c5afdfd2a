"""For which classes does the sound belong to the picture, and for which is music laid over?

Surís et al. 2018, section 6, name it as future work: "not all the classes have the same degree
of correspondence between audio and image, as for example some videos have artificially
(posterior) added music". No label says so; what shows it is how well sound and picture of a
class's videos find each other, against all videos and against chance.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from crossmodal import labels as label_lists
from crossmodal import plots, reports
from crossmodal.errors import UserError
from crossmodal.galleries import GalleryScores
from crossmodal.retrieval import DIRECTIONS

CONFIDENCE = 0.95
ABOVE, BELOW, AT_CHANCE, AS_ALL, MIXED = "above all", "below all", "at chance", "as all", "mixed"
TOO_FEW = "too few"
COLORS = {ABOVE: "tab:green", BELOW: "tab:orange", AT_CHANCE: "tab:red", AS_ALL: "tab:gray",
          MIXED: "tab:purple", TOO_FEW: "lightgray"}
SHOWN = 25
LEAST_VIDEOS = 20


@dataclasses.dataclass(frozen=True)
class Measure:
    """What is measured of every item.

    Attributes:
      values: [items] in [0, 1]; NaN where an item was not measured.
      chance: the expected value without any correspondence.
      title: with the unit, percent.
    """

    values: np.ndarray
    chance: float
    title: str


def recall(
    scores: Mapping[str, GalleryScores], size: int, cutoff: int = 10
) -> Measure:
    """Recall@K of each item in galleries of a size, the mean of both directions.

    Args:
      scores: from `galleries.evaluate`.
      size: of the galleries.
      cutoff: K.
    """
    own = [scores[f"{direction}/{size}"] for direction in DIRECTIONS]
    values = np.mean([each.per_query[f"recall@{cutoff}"] for each in own], axis=0)
    measured = np.all([each.draws > 0 for each in own], axis=0)
    title = f"R@{cutoff} of {size} %, both directions"
    return Measure(np.where(measured, values, np.nan), min(1.0, cutoff / size), title)


def measure(
    measures: Mapping[str, Measure],
    labels: np.ndarray | Sequence[Sequence[int]],
    videos: np.ndarray | None = None,
    least_videos: int = LEAST_VIDEOS,
) -> dict[str, dict]:
    """Every measure of every class, and what the class is therefore called.

    A class is `above all` or `below all` if the mean over all videos is outside its interval,
    and `at chance` if besides that the interval reaches down to chance; else it is `as all`.
    These intervals hold for all classes at once with the confidence (Bonferroni), so that a
    class among hundreds is not singled out by luck. Classes of `too few` videos are left out
    of that, or no other could stand out among thousands of them. Measures that do not agree,
    apart from those that say `as all`, make it `mixed`.

    Args:
      measures: by name.
      labels: of all items, int [items, n] padded with -1 or one sequence for each.
      videos: [items], the video that each is of, of which the mean counts once; None where
        every item stands for itself.
      least_videos: so many are no longer too few.

    Returns:
      JSON-compatible: `measures` by name (`title`, `chance`, `overall`, `videos`) and
      `classes`: by class `kind` and by measure `estimate`, `low`, `high` (each 95 %) and
      `videos`. Intervals are Wilson's, conservative for values between 0 and 1.

    Raises:
      UserError: there are not as many labels as values.
    """
    for name, each in measures.items():
        if len(each.values) != len(labels):
            raise UserError(f"{len(labels)} rows of labels for {len(each.values)} of {name}")
    rows, classes = label_lists.label_pairs(labels)
    present = np.unique(classes)
    kinds: dict[int, list[str]] = {int(label): [] for label in present}
    found: dict[int, dict] = {int(label): {} for label in present}
    totals = {}
    for name, each in measures.items():
        means, counts = _class_means(each.values, rows, classes, present, videos)
        everything = np.zeros(len(labels), np.int64)
        overall, number = _class_means(
            each.values, np.arange(len(labels)), everything, np.zeros(1, np.int64), videos
        )
        totals[name] = {"title": each.title, "chance": float(each.chance),
                        "overall": float(overall[0]), "videos": int(number[0])}
        low, high = wilson(means, counts, CONFIDENCE)
        together = 1 - (1 - CONFIDENCE) / max(1, np.count_nonzero(counts >= least_videos))
        least, most = wilson(means, counts, together)
        for i, label in enumerate(present.tolist()):
            if counts[i]:
                found[label][name] = {"estimate": float(means[i]), "low": float(low[i]),
                                      "high": float(high[i]), "videos": int(counts[i])}
            if counts[i] >= least_videos:
                kinds[label].append(_kind(least[i], most[i], overall[0], each.chance))
    merged = {label: {"kind": _merge(kinds[label]), **own} for label, own in found.items() if own}
    return {"measures": totals, "classes": merged}


def wilson(
    means: np.ndarray, counts: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of shares.

    Of values between 0 and 1 that are no mere hits it is too wide, as no values of a mean p
    have a larger variance than p (1 - p).

    Args:
      means: [n] in [0, 1].
      counts: [n], of how many values each is the mean; 0 gives [0, 1].
      confidence: mass of the interval.

    Returns:
      The lower and the upper ends, [n] each.
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    counts, means = np.asarray(counts, np.float64), np.asarray(means, np.float64)
    scale = 1 / (counts + z * z)
    centre = scale * (counts * means + z * z / 2)
    half = scale * z * np.sqrt(counts * means * (1 - means) + z * z / 4)
    # At 0 and 1 an end is the mean itself, which rounding would put beside it.
    return np.clip(centre - half, 0, means), np.clip(centre + half, means, 1)


def _class_means(
    values: np.ndarray, rows: np.ndarray, classes: np.ndarray, present: np.ndarray,
    videos: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Means over the videos of each class of the means over its items, and their numbers."""
    kept = ~np.isnan(values[rows])
    rows, place = rows[kept], np.searchsorted(present, classes[kept])
    video = rows if videos is None else np.unique(videos, return_inverse=True)[1][rows]
    both, inverse, items = np.unique(
        np.stack([place, video]), axis=1, return_inverse=True, return_counts=True
    )
    of_videos = np.bincount(inverse.ravel(), values[rows], len(items)) / items
    counts = np.bincount(both[0].astype(np.int64), minlength=len(present))
    sums = np.bincount(both[0].astype(np.int64), of_videos, len(present))
    return sums / np.maximum(counts, 1), counts


def _kind(low: float, high: float, overall: float, chance: float) -> str:
    if low > overall:
        return ABOVE
    if high >= overall:
        return AS_ALL
    return AT_CHANCE if low <= chance else BELOW


def _merge(kinds: Sequence[str]) -> str:
    if not kinds:
        return TOO_FEW
    telling = set(kinds) - {AS_ALL}
    if telling == {BELOW, AT_CHANCE}:
        return BELOW
    return telling.pop() if len(telling) == 1 else MIXED if telling else AS_ALL


def order(result: Mapping, limit: int | None = None) -> list:
    """The classes in whose videos sound and picture fit best first, by the first measure.

    Args:
      result: from `measure`.
      limit: so many of the first and of the last; None for all.

    Returns:
      Those with enough videos, or if none has, all.
    """
    first, classes = next(iter(result["measures"])), result["classes"]
    classes = {c: own for c, own in classes.items() if own["kind"] != TOO_FEW} or classes
    found = sorted(classes, key=lambda c: (-classes[c].get(first, {"estimate": -1})["estimate"], c))
    if limit is None or len(found) <= 2 * limit:
        return found
    return found[:limit] + found[len(found) - limit :]


def table(result: Mapping, names: Mapping, limit: int | None = None) -> str:
    """A Markdown table: all videos, then the classes in their order, then chance.

    Args:
      result: from `measure`.
      names: of the classes; one without a name shows its number.
      limit: see `order`.
    """
    measures = result["measures"]

    def line(title: str, kind: str, videos: int, texts: Sequence[str]) -> list[str]:
        return [title, kind, str(videos) if videos else "-", *texts]

    everything = [f"{100 * total['overall']:.1f}" for total in measures.values()]
    rows = [line("all", "-", max(t["videos"] for t in measures.values()), everything)]
    for label in order(result, limit):
        own = result["classes"][label]
        videos = max(own[name]["videos"] for name in measures if name in own)
        texts = [_text(own.get(name)) for name in measures]
        rows.append(line(str(names.get(label, label)), own["kind"], videos, texts))
    rows.append(line("chance", "-", 0, [f"{100 * t['chance']:.1f}" for t in measures.values()]))
    titles = [f"{total['title']} [95 % interval]" for total in measures.values()]
    return reports.markdown(["class", "sound and picture", "videos", *titles], rows)


def draw(path: str, result: Mapping, names: Mapping, limit: int = SHOWN) -> None:
    """Draws the classes' intervals beside the mean over all videos and chance, as a PNG.

    Args:
      path: of the PNG, which appears whole or not at all.
      result: from `measure`, with a class at least.
      names: of the classes.
      limit: see `order`.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    shown = order(result, limit)
    panels = {
        total["title"]: plots.Intervals(
            [result["classes"][label].get(name) for label in shown],
            {"all videos": total["overall"], "chance": total["chance"]},
        )
        for name, total in result["measures"].items()
    }
    kinds = [result["classes"][label]["kind"] for label in shown]
    titles = [str(names.get(label, label)) for label in shown]
    plots.interval_chart(path, panels, titles, kinds, COLORS)


def _text(cell: Mapping | None) -> str:
    if cell is None:
        return "-"
    estimate, low, high = (f"{100 * cell[key]:.1f}" for key in ("estimate", "low", "high"))
    return f"{estimate} [{low}, {high}]"
