"""Is one system better than another, and for which classes?

Two systems are measured on the same galleries, so their difference is taken query by
query: its interval is far narrower than the two systems' own spreads suggest. Videos are
resampled (percentile bootstrap), each with its results in all the galleries it was in;
the galleries are held fixed.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from crossmodal import labels as label_lists
from crossmodal.errors import UserError
from crossmodal.galleries import GalleryScores


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and the interval that holds it with the given confidence."""

    estimate: float
    low: float
    high: float
    confidence: float

    def excludes_zero(self) -> bool:
        """True if the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(
    values: np.ndarray,
    weights: np.ndarray,
    seed: int,
    samples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of a weighted mean, resampling rows.

    Args:
      values: [rows]; rows of weight 0 may hold anything.
      weights: [rows], not negative.
      seed: of the resampling.
      samples: resampled sets.
      confidence: mass of the interval.

    Raises:
      UserError: no row has a weight.
    """
    kept = weights > 0
    if not kept.any():
        raise UserError("a bootstrap interval needs at least one measured video")
    values, weights = values[kept], weights[kept].astype(np.float64)
    generator = np.random.default_rng(seed)
    means = np.empty(samples)
    for sample in range(samples):
        drawn = generator.integers(len(values), size=len(values))
        means[sample] = np.average(values[drawn], weights=weights[drawn])
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(np.average(values, weights=weights)), float(low), float(high), confidence)


def grouped_mean(
    values: np.ndarray, seed: int, groups: np.ndarray | None = None, **options
) -> Interval:
    """Percentile interval of a mean over items, resampling them or the groups they are in.

    Args:
      values: [items].
      seed: of the resampling.
      groups: [items], a number or name for items that belong together, as several windows
        of one video do; None where every item stands for itself.
      **options: of `bootstrap_mean`.

    Raises:
      UserError: there are no items, or not as many groups.
    """
    if groups is None:
        return bootstrap_mean(values, np.ones(len(values)), seed, **options)
    if len(groups) != len(values):
        raise UserError(f"{len(groups)} groups for {len(values)} values")
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.bincount(place, values, len(sizes)) / sizes
    return bootstrap_mean(means, sizes, seed, **options)


def system_interval(scores: GalleryScores, metric: str, seed: int, **options) -> Interval:
    """Interval of one system's `metric`, a key of `scores.per_query`.

    The estimate is the mean over galleries; options are those of `bootstrap_mean`.
    """
    return bootstrap_mean(scores.per_query[metric], scores.draws, seed, **options)


def paired_interval(
    system: GalleryScores, baseline: GalleryScores, metric: str, seed: int, **options
) -> Interval:
    """Interval of `system` minus `baseline` in `metric`, query by query.

    Raises:
      UserError: the two were not measured on the same galleries.
    """
    if not np.array_equal(system.galleries, baseline.galleries):
        raise UserError(
            "the two systems were not measured on the same galleries: "
            "use the same files, sizes and seed for both"
        )
    difference = system.per_query[metric] - baseline.per_query[metric]
    return bootstrap_mean(difference, system.draws, seed, **options)


def per_class(
    scores: GalleryScores, labels: np.ndarray | Sequence[Sequence[int]]
) -> dict[int, dict[str, float]]:
    """Recall@K and MRR of the videos of each class, in the galleries of `scores`.

    Args:
      scores: one direction on galleries of one size.
      labels: of all items, int [items, n] padded with -1 or one sequence for each.

    Returns:
      By class: `videos` (measured ones) and the mean over them of each metric.
    """
    if len(labels) != len(scores.draws):
        raise UserError(f"{len(labels)} rows of labels for {len(scores.draws)} measured items")
    rows, classes = label_lists.label_pairs(labels)
    measured = scores.draws[rows] > 0
    rows, classes = rows[measured], classes[measured]
    present, place, videos = np.unique(classes, return_inverse=True, return_counts=True)
    means = {
        metric: np.bincount(place, values[rows], minlength=len(present)) / videos
        for metric, values in scores.per_query.items()
    }
    return {
        int(label): {"videos": int(videos[i])} | {m: float(v[i]) for m, v in means.items()}
        for i, label in enumerate(present)
    }
