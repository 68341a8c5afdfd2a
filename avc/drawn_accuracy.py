"""Accuracy on held-out pairs that are drawn as in training, with all that training gives away.

`avc.evaluation` draws the pairs of an evaluation, alike for every network. Where a network
was trained on pairs whose sounds were cut in two ways, this here tells what it makes of
that: Objects that Sound, section 3.3, whose 87.6 % were of this kind.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from avc import pairs
from avc.evaluation import ROWS, call_in_parts, compiled
from avc.networks import Network
from avc.reading import explained
from avc.recipes import AvcConfig
from avc.visual_inputs import unit_range
from crossmodal import comparison
from crossmodal.configuration import check_choice
from crossmodal.order import folded
from crossmodal.reading import Records, blocks


def measure(
    network: Network, records: Records, encoding: str, config: AvcConfig, seed: int = 0
) -> dict[str, float]:
    """Share of right answers among pairs drawn as `config.pairs` says.

    Sounds are where training has them, misaligned and on the grid or off it; pictures are
    those of an evaluation, and loudness is as recorded.

    Args:
      network: of `config`.
      records: clips that it was not trained on.
      encoding: of their sound.
      config: with `independent` negatives.
      seed: of the pairs and of the resampling.

    Returns:
      `estimate`, `low`, `high`, `confidence` (resampling videos) and `pairs`.

    Raises:
      ConfigurationError: the negatives are not `independent`, so that none are drawn.
    """
    check_choice("negatives", config.pairs.negatives, ("independent",))
    drawing = dataclasses.replace(config.pairs, gain=0.0)
    frames, visual = config.frames.evaluation(), config.network.visual

    def draw(index: tf.Tensor, record: tf.Tensor) -> dict:
        example = records.schema.parse_one(record)
        return pairs.draw(example, drawing, frames, encoding, folded(seed, 0, index), visual)

    def combine(index: tf.Tensor, batch: dict) -> dict:
        return pairs.combine(batch, drawing, folded(seed, 1, index))

    stream = blocks(records).unbatch().enumerate()
    stream = stream.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # Whole clips would put pairs of one clip beside each other: one of each at a time.
    stream = stream.batch(ROWS).map(_by_draw).unbatch().enumerate().map(combine)
    call, right, videos = compiled(network.deployed), [], []
    with explained(records):
        for batch in stream.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            given = {x: unit_range(x, batch[x].astype(np.float32)) for x in visual.names}
            given |= {name: batch[name] for name in config.network.heard}
            given["waveform"] = batch["waveform"].astype(np.float32) / 32768
            logits = call_in_parts(call, given)["logits"]
            right.append(logits.argmax(1) == batch["label"])
            videos.append(batch["video"])
    values = np.concatenate(right).astype(np.float64)
    interval = comparison.grouped_mean(values, seed, np.concatenate(videos))
    return {**dataclasses.asdict(interval), "pairs": len(values)}


def _by_draw(batch: dict) -> dict:
    """`[clips, draws, ...]` to `[draws, clips, ...]`."""
    return {
        name: tf.transpose(value, [1, 0, *range(2, value.shape.rank)])
        for name, value in batch.items()
    }
