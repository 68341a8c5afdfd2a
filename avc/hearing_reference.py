"""What the accuracy of correspondence on scenes would be with labels: a reference, no contender.

The classifier of `avc.hearing` is trained on scenes with labels, which no network here sees,
and told which classes each crop shows. So it sees perfectly, and hears as well as the
network's sound trunk does with labels: that far the lack of labels, and the picture, account
for what a network falls short of perfect eyes and ears.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from avc import hearing
from avc.correspondence_scores import answered, measure_rows
from avc.evaluation import Evaluated, evaluation_batches
from avc.evaluation_protocol import Protocol
from avc.evaluation_report import ClipSet
from avc.hearing import Hearing, HearingConfig
from avc.recipes import AvcConfig
from avc.scene_truth import Truth
from crossmodal import comparison
from crossmodal.errors import UserError


def compare(
    network: AvcConfig,
    train: ClipSet,
    clips: ClipSet,
    found: Evaluated,
    truths: Sequence[Truth] | None,
    protocol: Protocol,
    config: HearingConfig,
) -> dict[str, object]:
    """A classifier trained with labels, with perfect eyes, on the pairs of a network.

    Args:
      network: its configuration.
      train: scenes to train the classifier on.
      clips, found, truths: what the network was measured on.
      protocol: the same as for the network.
      config: how the classifier is trained.

    Returns:
      What `measure` does, and `config`.

    Raises:
      UserError: clips are no scenes, or too few, or bad.
    """
    if truths is None or train.kind != "scene":
        flag = "eval_pattern" if truths is None else "train_pattern"
        raise UserError(f"--hearing_reference: --{flag} holds no scenes")
    trained = hearing.train(train.records, train.encoding, network, config)
    heard = probabilities(trained, clips, network, protocol)
    level = protocol.truth.audible_dbfs
    result = measure(trained, heard, found, truths, level, protocol.seed)
    return {**result, "config": dataclasses.asdict(config)}


def probabilities(
    trained: Hearing, clips: ClipSet, network: AvcConfig, protocol: Protocol
) -> np.ndarray:
    """What is heard in the seconds on which `embed_pairs` evaluates: `[n, 1 + classes]`."""
    call = tf.function(trained.model)
    batches = evaluation_batches(
        clips.records, clips.encoding, network, protocol.seed, protocol.moment
    )
    return np.concatenate([np.asarray(call(tf.constant(b["waveform"]))) for b in batches])


def measure(
    trained: Hearing,
    heard: np.ndarray,
    found: Evaluated,
    truths: Sequence[Truth],
    audible_dbfs: float,
    seed: int = 0,
) -> dict[str, object]:
    """The classifier on the pairs of a network.

    Args:
      trained: the classifier.
      heard: its `probabilities` of the rows' sounds.
      found: the rows, from `embed_pairs`.
      truths: of each row.
      audible_dbfs: level from which a second counts as audible.
      seed: of the resampling.

    Returns:
      What `correspondence_scores.measure_rows` returns of its answers, and `top1`: the share
      of audible seconds with a sound whose most probable class is one that is heard, an
      interval with their number, `seconds`; None without such a second.
    """
    own = [trained.says(p, truth.seen) for p, truth in zip(heard, truths, strict=True)]
    other = [
        trained.says(p, truth.seen) for p, truth in zip(heard[found.partner], truths, strict=True)
    ]
    answers = answered(found, np.array(own), np.array(other))
    result = measure_rows(answers, truths, seed)
    names = (None, *trained.classes)
    best = heard.argmax(1)
    right = np.array([names[b] in t.heard for b, t in zip(best, truths, strict=True)])
    audible = (found.level_dbfs >= audible_dbfs) & np.array([bool(t.heard) for t in truths])
    if not audible.any():
        return {**result, "top1": None}
    top1 = comparison.grouped_mean(right[audible].astype(float), seed, found.video[audible])
    return {**result, "top1": {**dataclasses.asdict(top1), "seconds": int(audible.sum())}}
