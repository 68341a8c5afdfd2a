"""Quality of class scores: GAP and mAP, as the YouTube-8M challenges define them.

GAP@20 (Abu-El-Haija et al. 2016): the 20 highest scores of every video are pooled and
sorted as if one query had asked for all of them; the average precision of that list,
over all labels there are. mAP: the mean over classes of the average precision of all
videos sorted by that class's score.
"""

from collections.abc import Sequence

import numpy as np

from crossmodal import labels as label_lists
from crossmodal.errors import UserError

TOP = 20
# Scores looked at together, 64 MB of float32.
BLOCK = 1 << 24


def global_average_precision(
    scores: np.ndarray, labels: np.ndarray | Sequence[Sequence[int]], top: int = TOP
) -> float:
    """GAP: average precision of the pooled top predictions of all videos.

    Args:
      scores: [videos, classes], higher is more confident; comparable between videos.
      labels: int [videos, n] padded with -1, or one sequence of classes for each video.
      top: predictions pooled from each video.

    Returns:
      A value in [0, 1]: the sum of precision at every hit, divided by the number of
      labels there are. Equal scores stay in the order of videos and classes.

    Raises:
      UserError: the labels do not fit the scores, or no video has a label.
    """
    rows, classes = _pairs(scores, labels)
    keys = rows * scores.shape[1] + classes
    top = min(top, scores.shape[1])
    confidence, hits = [], []
    for start, block in _blocks(scores):
        best = np.argsort(-block, axis=1, kind="stable")[:, :top]
        confidence.append(np.take_along_axis(block, best, axis=1).ravel())
        videos = np.arange(start, start + len(block))[:, None]
        hits.append(np.isin(videos * scores.shape[1] + best, keys).ravel())
    order = np.argsort(-np.concatenate(confidence), kind="stable")
    hits = np.concatenate(hits)[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / len(rows))


def mean_average_precision(
    scores: np.ndarray, labels: np.ndarray | Sequence[Sequence[int]]
) -> float:
    """mAP: the mean of `class_average_precision` over classes that occur."""
    return float(np.mean(list(class_average_precision(scores, labels).values())))


def class_average_precision(
    scores: np.ndarray, labels: np.ndarray | Sequence[Sequence[int]]
) -> dict[int, float]:
    """Average precision of each class that has a video.

    Args:
      scores: [videos, classes].
      labels: int [videos, n] padded with -1, or one sequence of classes for each video.

    Returns:
      By class: precision averaged over its videos, in the order of the class's score.
      Videos of equal score enter together, so their order does not matter.

    Raises:
      UserError: the labels do not fit the scores, or no video has a label.
    """
    rows, classes = _pairs(scores, labels)
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    members = np.split(rows[order], starts[1:])
    return {
        int(label): _average_precision(scores[:, label], positives)
        for label, positives in zip(present, members, strict=True)
    }


def _average_precision(scores: np.ndarray, positives: np.ndarray) -> float:
    """Mean over the positives of the precision among scores not below theirs."""
    ascending = np.sort(scores)
    own = np.sort(scores[positives])
    reached = len(ascending) - np.searchsorted(ascending, own, side="left")
    found = len(own) - np.searchsorted(own, own, side="left")
    return float(np.mean(found / reached))


def _pairs(scores, labels):
    """(video, class) pairs, checked against the scores."""
    if len(labels) != len(scores):
        raise UserError(f"{len(labels)} rows of labels for scores of {len(scores)} videos")
    for start, block in _blocks(scores):
        finite = np.isfinite(block.sum(axis=1, dtype=np.float64))
        if not finite.all():
            raise UserError(f"class scores of row {start + np.argmin(finite)} have a NaN or Inf")
    rows, classes = label_lists.label_pairs(labels, scores.shape[1])
    if not rows.size:
        raise UserError("no video has a label: GAP and mAP need labelled videos")
    return rows, classes


def _blocks(scores):
    """Runs of rows with their first index."""
    step = max(BLOCK // scores.shape[1], 1)
    for start in range(0, len(scores), step):
        yield start, scores[start : start + step]
