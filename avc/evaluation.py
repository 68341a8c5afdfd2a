"""A network on clips that it was not trained on: one pair a clip, and its mismatch.

Objects that Sound, section 3.1: "a single frame and surrounding 1 second of audio are
sampled randomly from each test video"; section 4.1 looks at "the middle frame". Frames are
cropped from the centre, nothing is augmented, picture and sound are aligned. The mismatched
pair of a clip takes the sound of another clip of the same batch, of another video.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
import tqdm

from avc import map_similarity, motion, pairs, sounds
from avc.derangement import derange
from avc.frames import DECODING_CHANCES, FrameConfig
from avc.networks import Network
from avc.pair_config import PairConfig
from avc.reading import explained
from avc.recipes import AvcConfig
from avc.visual_inputs import FRAME, VisualInputs, unit_range
from crossmodal import galleries
from crossmodal.configuration import check_choice
from crossmodal.order import folded
from crossmodal.reading import Records, blocks
from crossmodal.rows import in_rows

# Clips that go through the network at once.
ROWS = 64
MOMENTS = ("random", "middle")
KEPT = ("id", "video", "frame_seconds")
OUTPUTS = ("visual_embedding", "audio_embedding", "logits")


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What a network says of a set of clips, row by row.

    Attributes:
      id, video: bytes `[n]`.
      frame_seconds: when the frame is shown, from the clip's start, `[n]`.
      level_dbfs: root mean square of the sound, in decibels of full scale, `[n]`.
      visual_embedding, audio_embedding: `[n, d]`.
      logits: of the clip's own pair, `[n, 2]`.
      mismatched_logits: of its frame with another video's sound, `[n, 2]`.
      mismatched: whether there was another video in the batch, `[n]`.
      partner: the row that this sound is of, int64 `[n]`.
      heatmap, mismatched_heatmap: `[n, height, width]` of the two pairs; None where the
        network has none.
      product: whether the network compares by the product of the embeddings as they are,
        not normalised.
      similarity: of every row's picture (rows) to every row's sound, `[n, n]`, of a network
        whose similarity is no product of embeddings; else None.
    """

    id: np.ndarray
    video: np.ndarray
    frame_seconds: np.ndarray
    level_dbfs: np.ndarray
    visual_embedding: np.ndarray
    audio_embedding: np.ndarray
    logits: np.ndarray
    mismatched_logits: np.ndarray
    mismatched: np.ndarray
    partner: np.ndarray
    heatmap: np.ndarray | None = None
    mismatched_heatmap: np.ndarray | None = None
    product: bool = False
    similarity: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Evaluated":
        """Some of the rows; `partner` is then of no use and -1."""
        values = {
            field.name: value[rows] if isinstance(value, np.ndarray) else value
            for field in dataclasses.fields(self)
            for value in [getattr(self, field.name)]
        }
        if self.similarity is not None:
            values["similarity"] = values["similarity"][:, rows]
        return Evaluated(**{**values, "partner": np.full(len(values["id"]), -1)})


def evaluation_batches(
    records: Records, encoding: str, config: AvcConfig, seed: int = 0, moment: str = "random"
) -> Iterator[dict[str, np.ndarray]]:
    """One aligned pair of every clip, in file order.

    Args:
      records: the clips.
      encoding: of their sound.
      config: the network's inputs.
      seed: of the moments; the same for every network.
      moment: `random`, or `middle` of the clip.

    Yields:
      `id`, `video`, `frame_seconds`, `key`; `frame` float32 [n, size, size, 3] in [0, 1], or
      what else the network sees (`avc.visual_inputs`), and `waveform` float32 [n, samples] in
      [-1, 1], with `num_samples` [n] where the network masks sounds.
    """
    check_choice("moment", moment, MOMENTS)
    plain = dataclasses.replace(
        config.pairs,
        misalignment_seconds=0.0,
        gain=0.0,
        negatives="in_batch",
        negatives_from="other_video",
        mismatched_grid="same",
        pairs_per_read=1,
    )
    frames, visual = config.frames.evaluation(), config.network.visual

    def draw(index: tf.Tensor, record: tf.Tensor) -> dict:
        example = records.schema.parse_one(record)
        if moment == "middle":
            return draw_middle(example, plain, frames, encoding, visual)
        drawn = pairs.draw(example, plain, frames, encoding, folded(seed, 0, index), visual)
        return {name: drawn[name][0] for name in (*KEPT, *visual.names, *config.network.heard)}

    stream = blocks(records).unbatch().enumerate()
    stream = stream.map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).batch(ROWS)
    stream = stream.map(lambda batch: pairs.combine(batch, plain, tf.constant([seed, 1], tf.int64)))
    with explained(records):
        for batch in stream.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            yield {
                **{name: batch[name] for name in (*KEPT, "key")},
                **{x: unit_range(x, batch[x].astype(np.float32)) for x in visual.names},
                **{name: batch[name] for name in config.network.heard},
                "waveform": batch["waveform"].astype(np.float32) / 32768,
            }


def draw_middle(
    example: dict[str, tf.Tensor],
    config: PairConfig,
    frame_config: FrameConfig,
    encoding: str,
    visual: VisualInputs = FRAME,
) -> dict[str, tf.Tensor]:
    """The frame that a clip shows in its middle, and the sound around that moment.

    Args:
      example: one parsed record of `avc.records.clip`, without a batch dimension.
      config: sample rate and length of the sound.
      frame_config: of an evaluation.
      encoding: `flac` or `pcm16`.
      visual: what is to be seen at that moment.

    Returns:
      `id`, `video`, `frame_seconds`, what is seen and heard as `avc.pairs.draw` gives them
      for one pair.

    Raises:
      tf.errors.InvalidArgumentError: the clip has no frame, or another sample rate.
    """
    samples = sounds.decode_sound(pairs.checked_audio(example, config, visual), encoding)
    middle = tf.size(samples) // 2
    seconds = tf.cast(tf.cast(middle, tf.float64) / config.sample_rate_hz, tf.float32)
    times = example["frame_seconds"][: example["num_frames"]]
    times = tf.cast(tf.round(times * config.sample_rate_hz), tf.int32)
    # Times are rounded to floats: a frame that begins at the middle is to be found.
    moment = middle[None] + round(1e-4 * config.sample_rate_hz)
    chance = tf.zeros([1, DECODING_CHANCES])
    seen = motion.look(
        example, times, moment, config.grid_samples, visual, frame_config, chance
    )
    start = middle - config.segment_samples // 2
    seen |= pairs.cut(samples, start[None], config)
    kept = {"id": example["id"], "video": example["video"], "frame_seconds": seconds}
    return {**kept, **{name: value[0] for name, value in seen.items()}}


def embed_pairs(
    network: Network,
    records: Records,
    encoding: str,
    config: AvcConfig,
    seed: int = 0,
    moment: str = "random",
    progress: bool = False,
) -> Evaluated:
    """Embeds and scores one pair of every clip, and one mismatched pair.

    Args:
      network: of `config`.
      records, encoding, config, seed, moment: see `evaluation_batches`.
      progress: whether to show a bar.

    Raises:
      UserError: a record is bad.
    """
    call = compiled(network.deployed)
    maps = map_similarity.Maps(network.deployed, config.network)
    rows: dict[str, list[np.ndarray]] = {}
    number = 0
    total = records.count() if progress else None
    bar = tqdm.tqdm(total=total, unit="clip", desc="embed", disable=not progress)
    for batch in evaluation_batches(records, encoding, config, seed, moment):
        partner, valid = (np.asarray(each) for each in derange(batch["key"]))
        seen = {name: batch[name] for name in config.network.visual.names}
        heard = {name: batch[name] for name in config.network.heard}
        own = call_in_parts(call, {**seen, **heard})
        maps.add({**seen, **heard})
        other = call_in_parts(call, {**seen, **{k: v[partner] for k, v in heard.items()}})
        found = {
            **{name: batch[name] for name in KEPT},
            "level_dbfs": levels(batch["waveform"]),
            **{name: np.asarray(own[name]) for name in OUTPUTS},
            "mismatched_logits": np.asarray(other["logits"]),
            "mismatched": valid,
            "partner": number + partner.astype(np.int64),
        }
        if "heatmap" in own:
            found["heatmap"] = np.asarray(own["heatmap"])
            found["mismatched_heatmap"] = np.asarray(other["heatmap"])
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
        number += len(partner)
        bar.update(len(partner))
    bar.close()
    return Evaluated(
        **{name: np.concatenate(values) for name, values in rows.items()},
        product=config.network.network == "davenet",
        similarity=maps.similarities(),
    )


@functools.lru_cache(maxsize=4)
def compiled(model: keras.Model) -> Callable:
    """The model as a graph, traced once for all evaluations of a training run."""
    return tf.function(model)


def call_in_parts(call: Callable, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a network says of some rows; of so many at a time that activations fit in memory."""
    several = inputs["frames"].shape[1] if "frames" in inputs else 1
    return in_rows(call, max(1, ROWS // several))(inputs)


def levels(waveforms: np.ndarray) -> np.ndarray:
    """Root mean squares of waveforms `[n, samples]` in decibels of full scale, `[n]`."""
    power = np.mean(np.square(waveforms, dtype=np.float64), axis=1)
    return 10 * np.log10(np.maximum(power, 1e-20))


def score(found: Evaluated, gallery_size: int) -> dict[str, float]:
    """Accuracy of correspondence, and retrieval both ways, for the curve while training."""
    right = np.concatenate(
        [
            found.logits.argmax(1) == 1,
            found.mismatched_logits[found.mismatched].argmax(1) == 0,
        ]
    )
    size = min(gallery_size, len(found.id))
    if found.similarity is not None:
        scores = galleries.evaluate_scores(found.similarity, [size], 10, seed=0)
    else:
        pair = found.visual_embedding, found.audio_embedding
        scores = galleries.evaluate(*pair, [size], 10, seed=0)
    metrics = {key: value["mean"] for key, value in galleries.summarise(scores).items()}
    for cutoff in ("recall@1", "recall@10"):
        both = [value for key, value in metrics.items() if key.endswith(f"/{cutoff}")]
        metrics[cutoff] = float(np.mean(both))
    return {"accuracy": float(right.mean()), **metrics}
