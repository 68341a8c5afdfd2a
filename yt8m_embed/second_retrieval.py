"""Synchronous retrieval: does a second of picture find the second of sound it belongs to?

The step that the full paper names in section 6. Two measures, both ways:

**Within a video.** A second of one modality ranks all seconds of its own video's other
modality. Nothing but the moment can help; chance is 1 / length at rank 1.

**Across videos.** The same in galleries of N random seconds of all videos, the true one
among them: the video and the moment help.

A hit is any second of the own video at most `tolerance_seconds` from the true one. Equal
scores have their expected value, as everywhere here. Every video counts the same however
long it is, and intervals resample videos: seconds of one video are no independent trials.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import special

from crossmodal import comparison, embeddings, galleries, reports, retrieval
from crossmodal.errors import UserError
from crossmodal.retrieval import DIRECTIONS
from yt8m_embed.embedded import VideoSeconds

# Of `brief`: mean of both directions within a video, the first rank.
BRIEF = "second_recall@1"
CUTOFFS = (1, 5, 10)


@dataclasses.dataclass(frozen=True)
class SecondProtocol:
    """How seconds are measured; saved with the result.

    Attributes:
      tolerance_seconds: how far from the true second a hit may be.
      min_seconds: shorter videos are left out.
      gallery_sizes: seconds in a gallery across videos; one larger than the set is left out.
      num_galleries: random galleries of each size.
      seed: of the galleries, the resampling and the control's order.
    """

    tolerance_seconds: int = 0
    min_seconds: int = 10
    gallery_sizes: tuple[int, ...] = galleries.SIZES
    num_galleries: int = 20
    seed: int = 0


def hit_probability(greater, ties, correct, k: int) -> np.ndarray:
    """Chance that one of the equally scored right items is among the first k.

    Args:
      greater: wrong items above the best right one, `[queries]`.
      ties: wrong items level with it.
      correct: right items level with it, itself among them; at least 1.
      k: ranks that count.

    Returns:
      1 - C(ties, j) / C(ties + correct, j), where j of the tied places are among the first k.
    """
    greater, ties, correct = (np.asarray(x, np.float64) for x in (greater, ties, correct))
    places = np.clip(k - greater, 0, ties + correct)
    free = np.maximum(ties - places, 0)
    log_miss = (
        special.gammaln(ties + 1) - special.gammaln(free + 1)
        + special.gammaln(ties + correct - places + 1) - special.gammaln(ties + correct + 1)
    )
    miss = np.where(places > ties, 0.0, np.exp(np.minimum(log_miss, 0.0)))
    return np.where(places > 0, 1 - miss, 0.0)


def recalls(scores: np.ndarray, right: np.ndarray, cutoffs: Sequence[int]) -> np.ndarray:
    """Hits of each query, and what a random order would hit: `[2, cutoffs, queries]`.

    Args:
      scores: of the items for each query, `[queries, items]`.
      right: bool, which items are right; at least one for each query.
      cutoffs: the K of Recall@K.
    """
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    level = scores == best
    greater = ((scores > best) & ~right).sum(axis=1)
    found = (greater, (level & ~right).sum(axis=1), (level & right).sum(axis=1))
    chance = (np.zeros(len(scores)), (~right).sum(axis=1), right.sum(axis=1))
    return np.array([[hit_probability(*each, k) for k in cutoffs] for each in (found, chance)])


def score_seconds(visual: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Cosines `[n, n]`; identical seconds have equal scores, whatever a product rounds."""
    scores = retrieval.multiply(visual, audio)
    return scores[embeddings.identical_rows(visual)][:, embeddings.identical_rows(audio)]


def both_ways(
    scores: np.ndarray, right: np.ndarray, cutoffs: Sequence[int]
) -> dict[str, np.ndarray]:
    """`recalls` for each direction; `right` is symmetric."""
    tables = zip(DIRECTIONS, (scores, scores.T), strict=True)
    return {direction: recalls(table, right, cutoffs) for direction, table in tables}


def within_video(video: VideoSeconds, tolerance: int) -> dict[str, np.ndarray]:
    """Hits and chance of a video among its own seconds, by direction `[2, cutoffs]`."""
    second = np.arange(len(video.visual))
    right = np.abs(second[:, None] - second) <= tolerance
    found = both_ways(score_seconds(video.visual, video.audio), right, CUTOFFS)
    return {direction: values.mean(axis=2) for direction, values in found.items()}


def across_videos(
    videos: Sequence[VideoSeconds], size: int, protocol: SecondProtocol
) -> dict[str, np.ndarray]:
    """Hits and chance of every video in galleries of `size` seconds.

    Returns:
      By direction `[2, cutoffs, videos]`; NaN for a video of which no second was drawn.
    """
    visual, audio = (np.concatenate([getattr(v, m) for v in videos]) for m in ("visual", "audio"))
    lengths = [len(video.visual) for video in videos]
    owner = np.repeat(np.arange(len(videos)), lengths)
    second = np.concatenate([np.arange(length) for length in lengths])
    drawn = galleries.draw_galleries(len(visual), size, protocol.num_galleries, protocol.seed)
    sums = {d: np.zeros((2, len(CUTOFFS), len(videos))) for d in DIRECTIONS}
    counts = np.zeros(len(videos))
    for rows in drawn:
        right = owner[rows, None] == owner[rows]
        right &= np.abs(second[rows, None] - second[rows]) <= protocol.tolerance_seconds
        found = both_ways(score_seconds(visual[rows], audio[rows]), right, CUTOFFS)
        counts += np.bincount(owner[rows], minlength=len(videos))
        for direction, values in found.items():
            np.add.at(sums[direction], (slice(None), slice(None), owner[rows]), values)
    with np.errstate(invalid="ignore"):
        return {direction: total / counts for direction, total in sums.items()}


def evaluate(
    videos: Iterable[VideoSeconds], protocol: SecondProtocol
) -> dict[str, dict[str, float]]:
    """Both measures with chance and intervals.

    Args:
      videos: from `JointEmbedding.embed_seconds`.
      protocol: how to measure.

    Returns:
      By `within_video/DIRECTION/recall@K` and `across_videos/SIZE/DIRECTION/recall@K`:
      `mean`, `low` and `high` (95 %, over videos), `chance` and `videos`.

    Raises:
      UserError: no video is long enough.
    """
    kept = [v for v in videos if len(v.visual) >= protocol.min_seconds]
    if not kept:
        raise UserError(f"no video has the {protocol.min_seconds} seconds that are asked for")
    each = [within_video(video, protocol.tolerance_seconds) for video in kept]
    found = {
        f"within_video/{d}": np.stack([values[d] for values in each], axis=-1) for d in DIRECTIONS
    }
    seconds = sum(len(video.visual) for video in kept)
    for size in protocol.gallery_sizes:
        if size <= seconds:
            tables = across_videos(kept, size, protocol)
            found |= {f"across_videos/{size}/{d}": table for d, table in tables.items()}
    return {
        f"{name}/recall@{k}": summary(values[:, i], protocol.seed)
        for name, values in found.items()
        for i, k in enumerate(CUTOFFS)
    }


def summary(values: np.ndarray, seed: int) -> dict[str, float]:
    """Mean, interval and chance of hits and chance by video, `[2, videos]`."""
    hits, chance = values[:, ~np.isnan(values[0])]
    interval = comparison.bootstrap_mean(hits, np.ones(len(hits)), seed)
    return {
        "mean": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "chance": float(chance.mean()),
        "videos": len(hits),
    }


def brief(videos: Iterable[VideoSeconds]) -> dict[str, float]:
    """Recall within videos of at least 2 s, both directions averaged, for a curve."""
    found = evaluate(videos, SecondProtocol(min_seconds=2, gallery_sizes=()))
    means: Mapping[str, float] = {
        f"second_recall@{k}": float(
            np.mean([found[f"within_video/{d}/recall@{k}"]["mean"] for d in DIRECTIONS])
        )
        for k in CUTOFFS
    }
    return dict(means)


def table(systems: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Results of `evaluate` by system as one table, chance first; recalls in percent."""
    rows = []
    keys = [key for key in next(iter(systems.values())) if key.endswith(f"@{CUTOFFS[0]}")]
    for key in keys:
        place, direction, metric = key.rsplit("/", 2)
        metrics = [f"{place}/{direction}/{metric[:-1]}{k}" for k in CUTOFFS]
        place = place.replace("_", " ").replace("/", ", N = ")
        names = [place, reports.TITLES[direction]]
        known = next(iter(systems.values()))
        rows.append([*names, "chance", *(f"{100 * known[m]['chance']:.1f}" for m in metrics)])
        for system, found in systems.items():
            cells = [found[m] for m in metrics]
            texts = [
                f"{100 * c['mean']:.1f} [{100 * c['low']:.1f}, {100 * c['high']:.1f}]"
                for c in cells
            ]
            rows.append([*names, system, *texts])
    header = ["seconds", "direction", "system", *(f"R@{k} %" for k in CUTOFFS)]
    return reports.markdown(header, rows, text_columns=3)
