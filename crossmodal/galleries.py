"""Recall@K, median rank and MRR over random galleries, both directions.

Suris et al. 2018 (section 5.2) report Recall@1/5/10 among N = 256, 512 and 1024 videos.
One gallery of 1024 says little: here a system is measured on many, disjoint as far as
the set reaches, and every number comes with its spread. Galleries depend on the seed and
the sizes alone, so two systems meet the same ones.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from crossmodal import embeddings, retrieval
from crossmodal.errors import UserError

SIZES = (256, 512, 1024)
CUTOFFS = (1, 5, 10)
LARGE = 20_000  # items of a gallery that takes seconds to rank


@dataclasses.dataclass(frozen=True)
class GalleryScores:
    """One direction of one system on galleries of one size.

    Attributes:
      galleries: int64 [galleries, size], the items of each gallery.
      per_gallery: `recall@K`, `mrr` and `median_rank`, each [galleries].
      per_query: `recall@K` and `mrr`, each [items]: the mean over the galleries that the
        item was in, NaN where it was in none.
      draws: int64 [items], the number of galleries that the item was in.
    """

    galleries: np.ndarray
    per_gallery: dict[str, np.ndarray]
    per_query: dict[str, np.ndarray]
    draws: np.ndarray


Evaluation = Mapping[str, GalleryScores]


def draw_galleries(items: int, size: int, num_galleries: int, seed: int) -> np.ndarray:
    """Draws galleries that are disjoint as long as items remain, then from a new order.

    Args:
      items: size of the set.
      size: items of a gallery; a gallery of the whole set is drawn once.
      num_galleries: how many.
      seed: the same seed and sizes give the same galleries.

    Returns:
      int64 [num_galleries, size].

    Raises:
      UserError: the set is smaller than a gallery.
    """
    if size < 1 or num_galleries < 1:
        raise UserError(f"{num_galleries} galleries of {size} items: both must be at least 1")
    if size > items:
        raise UserError(
            f"a gallery of {size} needs as many items, the set has {items}: "
            "choose smaller galleries or evaluate on more files"
        )
    if size == items:
        return np.arange(items)[None]
    generator = np.random.default_rng([seed, size])
    at_once = items // size
    orders = [generator.permutation(items) for _ in range(-(-num_galleries // at_once))]
    disjoint = [order[: at_once * size].reshape(at_once, size) for order in orders]
    return np.concatenate(disjoint)[:num_galleries]


def evaluate(
    visual: np.ndarray,
    audio: np.ndarray,
    sizes: Sequence[int] = SIZES,
    num_galleries: int = 50,
    seed: int = 0,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: bool = False,
) -> dict[str, GalleryScores]:
    """Measures retrieval in both directions on galleries of several sizes.

    Args:
      visual: [items, size] normalised embeddings.
      audio: [items, size], row i from the same video as visual's row i.
      sizes: gallery sizes; the number of items itself is the one full-size gallery.
      num_galleries: galleries of each size.
      seed: of the galleries.
      cutoffs: the K of Recall@K.
      progress: shows a bar while a large gallery is ranked.

    Returns:
      Scores by `DIRECTION/SIZE`, e.g. `audio_to_visual/1024`.

    Raises:
      UserError: bad embeddings, or a gallery larger than the set.
    """
    visual, audio = embeddings.check_pairs(visual, audio)
    twins = embeddings.identical_rows(visual), embeddings.identical_rows(audio)
    result = {}
    for size in sizes:
        galleries = draw_galleries(len(visual), size, num_galleries, seed)
        # A small gallery takes milliseconds: a bar for each would be all one sees.
        bar = progress and size >= LARGE
        measured = [
            _measure(
                retrieval.rank_checked(visual[g], audio[g], twins[0][g], twins[1][g], progress=bar),
                cutoffs,
            )
            for g in galleries
        ]
        for direction in retrieval.DIRECTIONS:
            values = [m[direction] for m in measured]
            result[f"{direction}/{size}"] = _gather(values, galleries, len(visual))
    return result


def evaluate_scores(
    scores: np.ndarray,
    sizes: Sequence[int] = SIZES,
    num_galleries: int = 50,
    seed: int = 0,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, GalleryScores]:
    """`evaluate` of a system that scores pairs otherwise than by a product of embeddings.

    Args:
      scores: [items, items], row i of a visual item, column j of an audio one.
      sizes, num_galleries, seed, cutoffs: see `evaluate`; the galleries are the same.

    Raises:
      UserError: the scores are no finite square, or a gallery is larger than the set.
    """
    result = {}
    for size in sizes:
        galleries = draw_galleries(len(scores), size, num_galleries, seed)
        measured = [
            _measure(retrieval.rank_scores(scores[np.ix_(g, g)]), cutoffs) for g in galleries
        ]
        for direction in retrieval.DIRECTIONS:
            values = [m[direction] for m in measured]
            result[f"{direction}/{size}"] = _gather(values, galleries, len(scores))
    return result


def summarise(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Means and standard deviations over galleries, as JSON-compatible values.

    Returns:
      By `DIRECTION/SIZE/METRIC`, e.g. `audio_to_visual/1024/recall@10`:
      {"mean", "std", "galleries"}. Metrics are recall@K and mrr in [0, 1] and
      median_rank from 1; std is the sample deviation, 0 for a single gallery.
    """
    return {
        f"{key}/{metric}": {
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "galleries": len(values),
        }
        for key, scores in evaluation.items()
        for metric, values in scores.per_gallery.items()
    }


def chance(
    sizes: Sequence[int] = SIZES, cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, dict[str, float]]:
    """What random embeddings score in expectation, keyed as `summarise` does.

    The match is equally likely at each rank 1 ... N: Recall@K = K/N, the median of the
    ranks is (N+1)/2 and the MRR is (1 + 1/2 + ... + 1/N) / N.
    """
    result = {}
    for size in sizes:
        ranks = np.arange(1, size + 1)
        expected = {f"recall@{k}": min(k / size, 1.0) for k in cutoffs}
        expected |= {"mrr": float(np.mean(1 / ranks)), "median_rank": (size + 1) / 2}
        for direction in retrieval.DIRECTIONS:
            for metric, value in expected.items():
                key = f"{direction}/{size}/{metric}"
                result[key] = {"mean": value, "std": 0.0, "galleries": 0}
    return result


def _measure(ranks: Mapping[str, retrieval.Ranks], cutoffs: Sequence[int]):
    """Every metric of every query: by direction, by metric, [size]."""
    return {
        direction: {f"recall@{k}": r.hits(k) for k in cutoffs}
        | {"mrr": r.reciprocal(), "median_rank": r.expected()}
        for direction, r in ranks.items()
    }


def _gather(values: Sequence[dict], galleries: np.ndarray, items: int) -> GalleryScores:
    """Joins the queries of all galleries of one direction and size."""
    by_metric = {name: np.stack([v[name] for v in values]) for name in values[0]}
    ranks = by_metric.pop("median_rank")
    flat = galleries.ravel()
    draws = np.bincount(flat, minlength=items)
    with np.errstate(invalid="ignore"):
        per_query = {
            name: np.bincount(flat, array.ravel(), minlength=items) / draws
            for name, array in by_metric.items()
        }
    per_gallery = {name: array.mean(axis=1) for name, array in by_metric.items()}
    per_gallery["median_rank"] = np.median(ranks, axis=1)
    return GalleryScores(galleries, per_gallery, per_query, draws)
