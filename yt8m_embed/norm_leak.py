"""What the joint normalisation of the authors' code gives away.

It divides both modalities of a pair by the norm of their concatenation, so the squared
norms of the two parts add up to 1 for every true pair: without a look at any content,
the video whose sound has the norm that is missing is the match.
"""

import numpy as np

from crossmodal import galleries
from crossmodal.retrieval import DIRECTIONS, Ranks


def norm_only_recall(
    mean_rgb: np.ndarray,
    mean_audio: np.ndarray,
    size: int,
    num_galleries: int,
    seed: int,
    joint: bool = True,
) -> dict[str, dict[str, float]]:
    """Recall of a retrieval that sees nothing but the norm of each normalised vector.

    Args:
      mean_rgb: features of true pairs, `[n, 1024]`.
      mean_audio: `[n, 128]`.
      size: videos in a gallery.
      num_galleries: galleries.
      seed: of the galleries.
      joint: normalise both together as the authors' code does, or each by itself.

    Returns:
      By `DIRECTION/SIZE/recall@K`, as `galleries.summarise`.
    """
    visual = np.linalg.norm(mean_rgb.astype(np.float64), axis=1)
    audio = np.linalg.norm(mean_audio.astype(np.float64), axis=1)
    whole = np.hypot(visual, audio) if joint else None
    visual, audio = (
        (visual / whole, audio / whole) if joint else (visual / visual, audio / audio)
    )
    hits: dict[str, list[float]] = {}
    for gallery in galleries.draw_galleries(len(visual), size, num_galleries, seed):
        # How far the two squared norms of each pair of the gallery are from adding up to 1.
        gap = np.abs(visual[gallery, None] ** 2 + audio[gallery] ** 2 - 1)
        for direction, table in zip(DIRECTIONS, (gap, gap.T), strict=True):
            own = np.diagonal(table)[:, None]
            # Rounding leaves gaps of about 1e-16 where exact arithmetic has none.
            closer = (table < own - 1e-12).sum(axis=1)
            level = (np.abs(table - own) <= 1e-12).sum(axis=1) - 1
            for k in galleries.CUTOFFS:
                mean = Ranks(closer, level).hits(k).mean()
                hits.setdefault(f"{direction}/{size}/recall@{k}", []).append(mean)
    return {
        key: {
            "mean": float(np.mean(v)),
            "std": float(np.std(v, ddof=1)) if len(v) > 1 else 0.0,
            "galleries": len(v),
        }
        for key, v in hits.items()
    }
