"""A network on clips that it was not trained on: one pair a clip, and its mismatch.

Objects that Sound, section 3.1: "a single frame and surrounding 1 second of audio are
sampled randomly from each test video". Frames are cropped from the centre, nothing is
augmented, picture and sound are aligned. The mismatched pair of a clip takes the sound of
another clip of the same batch, of another video.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from avc import pairs
from avc.derangement import derange
from avc.networks import Network
from avc.recipes import AvcConfig
from crossmodal import galleries
from crossmodal.order import folded
from crossmodal.reading import Records, blocks, explained

# Clips that go through the network at once.
ROWS = 64


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What a network says of a set of clips, row by row.

    Attributes:
      id, video: bytes `[n]`.
      frame_seconds: when the frame is shown, from the clip's start, `[n]`.
      visual_embedding, audio_embedding: `[n, d]`.
      logits: of the clip's own pair, `[n, 2]`.
      mismatched_logits: of its frame with another video's sound, `[n, 2]`.
      mismatched: whether there was another video in the batch, `[n]`.
    """

    id: np.ndarray
    video: np.ndarray
    frame_seconds: np.ndarray
    visual_embedding: np.ndarray
    audio_embedding: np.ndarray
    logits: np.ndarray
    mismatched_logits: np.ndarray
    mismatched: np.ndarray


def evaluation_batches(
    records: Records, encoding: str, config: AvcConfig, seed: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """One aligned pair of every clip, in file order.

    Args:
      records: the clips.
      encoding: of their sound.
      config: the network's inputs.
      seed: of the moments; the same for every network.

    Yields:
      `id`, `video`, `frame_seconds`, `key`; `frame` float32 [n, size, size, 3] in [0, 1] and
      `waveform` float32 [n, samples] in [-1, 1].
    """
    plain = dataclasses.replace(
        config.pairs,
        misalignment_seconds=0.0,
        gain=0.0,
        negatives="in_batch",
        negatives_from="other_video",
        pairs_per_read=1,
    )
    frames = config.frames.evaluation()

    def draw(index: tf.Tensor, record: tf.Tensor) -> dict:
        example = {name: value[0] for name, value in records.schema.parse(record[None]).items()}
        drawn = pairs.draw(example, plain, frames, encoding, folded(seed, 0, index))
        return {name: value[0] for name, value in drawn.items()}

    stream = blocks(records).unbatch().enumerate()
    stream = stream.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(ROWS)
    stream = stream.map(lambda batch: pairs.combine(batch, plain, tf.constant([seed, 1], tf.int64)))
    with explained(records):
        for batch in stream.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield {
                **{name: batch[name] for name in ("id", "video", "frame_seconds", "key")},
                "frame": batch["frame"].astype(np.float32) / 255,
                "waveform": batch["waveform"].astype(np.float32) / 32768,
            }


def embed_pairs(
    network: Network, records: Records, encoding: str, config: AvcConfig, seed: int = 0
) -> Evaluated:
    """Embeds and scores one pair of every clip, and one mismatched pair.

    Raises:
      UserError: a record is bad.
    """
    call = tf.function(network.deployed)
    rows: dict[str, list[np.ndarray]] = {}
    for batch in evaluation_batches(records, encoding, config, seed):
        partner, valid = (np.asarray(each) for each in derange(batch["key"]))
        frame, waveform = tf.constant(batch["frame"]), tf.constant(batch["waveform"])
        own = call({"frame": frame, "waveform": waveform})
        other = call({"frame": frame, "waveform": tf.gather(waveform, partner)})
        found = {
            **{name: batch[name] for name in ("id", "video", "frame_seconds")},
            **{
                name: own[name].numpy()
                for name in ("visual_embedding", "audio_embedding", "logits")
            },
            "mismatched_logits": other["logits"].numpy(),
            "mismatched": valid,
        }
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
    return Evaluated(**{name: np.concatenate(values) for name, values in rows.items()})


def score(found: Evaluated, gallery_size: int) -> dict[str, float]:
    """Accuracy of correspondence, and retrieval both ways, for the curve while training."""
    right = np.concatenate(
        [
            found.logits.argmax(1) == 1,
            found.mismatched_logits[found.mismatched].argmax(1) == 0,
        ]
    )
    size = min(gallery_size, len(found.id))
    scores = galleries.evaluate(found.visual_embedding, found.audio_embedding, [size], 10, seed=0)
    metrics = {key: value["mean"] for key, value in galleries.summarise(scores).items()}
    for cutoff in ("recall@1", "recall@10"):
        both = [value for key, value in metrics.items() if key.endswith(f"/{cutoff}")]
        metrics[cutoff] = float(np.mean(both))
    return {"accuracy": float(right.mean()), **metrics}
