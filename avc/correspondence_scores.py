"""Accuracy of audio-visual correspondence on true pairs and as many mismatched ones.

Objects that Sound, section 3.1: AVE-Net 81.9 %, L3-Net 80.8 %. Mismatched pairs are never
filtered by class: two dogs are a mismatch that no network can hear, so that even perfect
eyes and ears fall short of 100 %. On scenes what they reach is computed, on the same pairs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from avc.evaluation import Evaluated
from avc.scene_truth import OFF_SCREEN, ON_SCREEN, SILENT, Truth, kinds
from crossmodal import comparison


def measure(
    found: Evaluated, truths: Sequence[Truth] | None = None, seed: int = 0
) -> dict[str, object]:
    """Accuracies with their 95 % intervals, resampling videos.

    Args:
      found: from `embed_pairs`.
      truths: of each row, where the clips are scenes; then also by the number of objects
        that the crop shows, among clips that are `on_screen`, with sounds of such clips;
        `off_screen` and `silent` are clips' own pairs of that kind, of which the network
        should say that they do not correspond. Also the same of `perfect`, as `limit`.
      seed: of the resampling.

    Returns:
      JSON-compatible: `accuracy`, `true_pairs`, `mismatched_pairs` (each an interval with
      the number of pairs) and `by_visible_objects`, `off_screen`, `silent`, `limit`.
    """
    result = measure_rows(found, truths, seed)
    if truths is not None:
        result["limit"] = measure_rows(perfect(found, truths), truths, seed)
    return result


def perfect(found: Evaluated, truths: Sequence[Truth]) -> Evaluated:
    """The same pairs judged by perfect eyes and ears.

    A pair corresponds exactly if a class that is heard during its second is that of an
    object that the crop shows, whether the two belong together or not.

    Args:
      found: from `embed_pairs`.
      truths: of each row.
    """
    own = [bool(truth.seen & truth.heard) for truth in truths]
    other = [
        bool(truth.seen & truths[row].heard)
        for truth, row in zip(truths, found.partner, strict=True)
    ]
    return answered(found, np.array(own), np.array(other))


def answered(found: Evaluated, own: np.ndarray, mismatched: np.ndarray) -> Evaluated:
    """The same pairs with other answers.

    Args:
      found: from `embed_pairs`.
      own: bool [n], whether each row's own pair is said to correspond.
      mismatched: bool [n], whether its mismatched pair is.
    """
    logits = [np.stack([~says, says], -1).astype(np.float64) for says in (own, mismatched)]
    return dataclasses.replace(found, logits=logits[0], mismatched_logits=logits[1])


def measure_rows(
    found: Evaluated, truths: Sequence[Truth] | None = None, seed: int = 0
) -> dict[str, object]:
    """`measure` without `limit`."""
    everything = np.ones(len(found.id), bool)
    result = {
        "accuracy": accuracy(found, everything, everything, seed),
        "true_pairs": accuracy(found, everything, ~everything, seed),
        "mismatched_pairs": accuracy(found, ~everything, everything, seed),
    }
    if truths is None:
        return result
    kind = kinds(truths)
    heard = kind == ON_SCREEN
    objects = np.array([len(truth.visible) for truth in truths])
    by_objects = {}
    for number in np.unique(objects[heard]):
        rows = heard & (objects == number)
        by_objects[str(number)] = accuracy(found, rows, rows & heard[found.partner], seed)
    result["by_visible_objects"] = by_objects
    for name in (OFF_SCREEN, SILENT):
        rows = kind == name
        own = accuracy(found, rows, ~everything, seed)
        if own:
            # Here the right answer is that they do not correspond.
            low, high = 1 - own["high"], 1 - own["low"]
            own |= {"estimate": 1 - own["estimate"], "low": low, "high": high}
        result[name] = own
    return result


def accuracy(
    found: Evaluated, true_rows: np.ndarray, mismatched_rows: np.ndarray, seed: int
) -> dict[str, float] | None:
    """Share of right answers among some true and some mismatched pairs.

    Args:
      found: from `embed_pairs`.
      true_rows: bool `[n]`, the rows whose own pairs count.
      mismatched_rows: bool `[n]`, the rows whose mismatched pairs count, where there are.
      seed: of the resampling.

    Returns:
      `estimate`, `low`, `high`, `confidence` and `pairs`; None without a pair.
    """
    mismatched_rows = mismatched_rows & found.mismatched
    right = np.concatenate(
        [
            found.logits[true_rows].argmax(1) == 1,
            found.mismatched_logits[mismatched_rows].argmax(1) == 0,
        ]
    ).astype(np.float64)
    if not len(right):
        return None
    videos = np.concatenate([found.video[true_rows], found.video[mismatched_rows]])
    interval = comparison.grouped_mean(right, seed, videos)
    return {**dataclasses.asdict(interval), "pairs": len(right)}
