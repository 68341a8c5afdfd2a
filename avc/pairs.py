"""Pairs of a frame and a second of sound, true ones and mismatched ones.

Objects that Sound, section 3.3: a true pair is a random frame and the second of sound
around it; the frame of a mismatched pair is from one video and its sound from another.
A network finds out any other difference between the two: the paper's reached an
accuracy of 87.6 % instead of 81.9 % because sounds of true pairs began at multiples of
0.04 s and others anywhere. Here the same functions draw all sounds, and mismatched pairs
come about by exchange only, unless `mismatched_grid` takes this safeguard away.
"""

import re
from collections.abc import Mapping

import tensorflow as tf

from avc import frames, moments, motion, sounds
from avc.derangement import derange
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.visual_inputs import FRAME, VisualInputs
from crossmodal.errors import UserError

Tensors = dict[str, tf.Tensor]

# What belongs to a sound and goes with it into another pair.
SOUND = ("waveform", "gain", "audio_start_seconds", "num_samples")


def draw(
    example: Mapping[str, tf.Tensor],
    config: PairConfig,
    frame_config: FrameConfig,
    audio_encoding: str,
    seed: tf.Tensor,
    visual: VisualInputs = FRAME,
) -> Tensors:
    """Draws pairs from one clip.

    The moment of a pair is one of the grid, from the first frame on, such that the sound
    lies within the clip; of a clip that is shorter than the sound, the sound holds all,
    and silence around it, or with `short_sounds=mask` behind it. The frame is the one that
    is shown at that moment: a still picture is held once, and goes with all of the sound.

    Args:
      example: one parsed record of `avc.records.clip`, without a batch dimension.
      config: what pairs to draw.
      frame_config: what frames look like.
      audio_encoding: `flac` or `pcm16`.
      seed: two integers; they alone decide on everything random.
      visual: what is to be seen at the moment.

    Returns:
      For P = pairs_per_read, of the same shapes for every clip:
        id, video: strings [P].
        frame: uint8 [P, image_size, image_size, 3]; and of `visual`, see `avc.motion.look`.
        brightness, saturation: float32 [P], for `avc.augmentation`.
        frame_seconds: float32 [P], the pair's moment, from the clip's start.
        waveform: int16 [P, segment_samples], as loud as in the record.
        gain: float32 [P], for `avc.augmentation`.
        audio_start_seconds: float32 [P], from the clip's start; negative where silence
          comes before the clip.
        num_samples: int32 [P], with `short_sounds=mask`: how many samples there are; the rest
          of the waveform is zero.
      and for `independent` a second sound, for a mismatched pair: `other_waveform`,
      `other_gain`, `other_audio_start_seconds`, and `other_mismatches` (bool [P]): it is
      from another moment and makes a mismatched pair with the own frame.

    Raises:
      tf.errors.InvalidArgumentError: the clip has no frame, another sample rate, or not the
        flow that is wanted.
    """
    number = config.pairs_per_read
    chance = _Chances(number, 13, seed)
    samples = sounds.decode_sound(checked_audio(example, config, visual), audio_encoding)
    if config.short_sounds == "mask":
        with tf.control_dependencies([heard(example, samples)]):
            samples = tf.identity(samples)
    num_samples = tf.size(samples)
    times = example["frame_seconds"][: example["num_frames"]]
    times = tf.cast(tf.round(times * config.sample_rate_hz), tf.int32)
    first = -(-times[0] // config.grid_samples)
    begin, end = moments.frame_range(num_samples, first, config)

    moment = moments.draw_frames(begin, end, chance.one())
    decisions = chance.several(frames.DECODING_CHANCES)
    at = moment * config.grid_samples
    seen = motion.look(
        example, times, at, config.grid_samples, visual, frame_config, decisions
    )
    brightness, saturation = frames.draw_colours(
        frame_config, chance.several(frames.COLOUR_CHANCES)
    )

    # A masked sound begins with the clip at the earliest.
    earliest = 0 if config.short_sounds == "mask" else tf.int32.min

    def sound_for(frame: tf.Tensor, on_grid: bool = True) -> Tensors:
        middle = moments.draw_sounds(frame, num_samples, config, chance.one())
        start = middle * config.grid_samples - config.segment_samples // 2
        if not on_grid:
            # Numbers of their own: those of all other draws stay as they are.
            off_grid = tf.random.stateless_uniform([number], tf.random.fold_in(seed, 1))
            start = moments.leave_grid(start, num_samples, config, off_grid)
        return {
            **cut(samples, start, config),
            "gain": 1 + config.gain * (2 * chance.one() - 1),
            "audio_start_seconds": _seconds(tf.maximum(start, earliest), config),
        }

    pairs = {
        "id": tf.repeat(example["id"], number),
        "video": tf.repeat(example["video"], number),
        **seen,
        "brightness": brightness,
        "saturation": saturation,
        "frame_seconds": _seconds(at, config),
        **sound_for(moment),
    }
    if config.negatives == "independent":
        moved, possible = moments.move_frames(moment, begin, end, config, chance.one())
        mismatches = possible & (chance.one() < config.own_clip_share)
        fresh = moments.draw_frames(begin, end, chance.one())
        other = sound_for(tf.where(mismatches, moved, fresh), config.mismatched_grid == "same")
        pairs |= {f"other_{name}": value for name, value in other.items()}
        pairs["other_mismatches"] = mismatches
    return pairs


def cut(samples: tf.Tensor, start: tf.Tensor, config: PairConfig) -> Tensors:
    """`waveform` and, with `short_sounds=mask`, `num_samples` of pieces of a clip's sound."""
    if config.short_sounds == "mask":
        waveform, there = sounds.cut_beginnings(samples, start, config.segment_samples)
        return {"waveform": waveform, "num_samples": there}
    return {"waveform": sounds.cut_segments(samples, start, config.segment_samples)}


def heard(example: Mapping[str, tf.Tensor], samples: tf.Tensor) -> tf.Operation:
    """Checks that a clip has a sound; a network that masks sounds has no mean of none."""
    return tf.debugging.Assert(tf.size(samples) > 0, [example["id"], "has no sound"])


def _seconds(samples: tf.Tensor, config: PairConfig) -> tf.Tensor:
    # In doubles: in floats the last bit would depend on how the graph was optimised.
    return tf.cast(tf.cast(samples, tf.float64) / config.sample_rate_hz, tf.float32)


class _Chances:
    """Numbers in [0, 1) for n pairs, drawn at once, since each operation costs time."""

    def __init__(self, number: int, most: int, seed: tf.Tensor):
        self._values = tf.random.stateless_uniform([number, most], seed)
        self._used = 0

    def several(self, count: int) -> tf.Tensor:
        """The next `count` numbers of each pair: float32 [n, count]."""
        self._used += count
        return self._values[:, self._used - count : self._used]

    def one(self) -> tf.Tensor:
        """The next number of each pair: float32 [n]."""
        return self.several(1)[:, 0]


def checked_audio(
    example: Mapping[str, tf.Tensor], config: PairConfig, visual: VisualInputs = FRAME
) -> tf.Tensor:
    """The audio of a clip that pairs can be drawn from.

    Raises:
      tf.errors.InvalidArgumentError: the clip has no frame, another sample rate, or not the
        flow that is wanted.
    """
    rate = tf.cast(tf.reshape(example["sample_rate_hz"], []), tf.int64)
    right = f"not {config.sample_rate_hz} Hz"
    checks = [
        tf.debugging.Assert(example["num_frames"] > 0, [example["id"], "has no frame"]),
        tf.debugging.Assert(rate == config.sample_rate_hz, [example["id"], "has", rate, right]),
    ]
    if visual.num_flows:
        checks += motion.check_flow(example, visual)
    with tf.control_dependencies(checks):
        return tf.identity(example["audio"])


def explain(error: Exception) -> UserError | None:
    """What an error that `draw` raised within a pipeline means to the user, if it was one."""
    found = re.search(r"assertion failed: \[(.*)\]", str(error))
    if not found:
        return None
    text = found[1].replace("] [", " ").strip("[] ")
    advice = ""
    if text.endswith("Hz"):
        advice = ": set sample_rate_hz to that of the records"
    elif "flow_reach" in text:
        advice = ": set it to that of the records"
    elif text.endswith("to the next"):
        advice = ": make the records anew, convert_clips --flow or make_scenes --set=flow=true"
    return UserError(f"clip {text}{advice}")


def combine(batch: Mapping[str, tf.Tensor], config: PairConfig, seed: tf.Tensor) -> Tensors:
    """Makes a batch of pairs of several clips, and mismatched pairs among them.

    Args:
      batch: of what `draw` gave one pair a clip, [batch, ...].
      config: the same as for `draw`.
      seed: two integers; they alone decide on everything random.

    Returns:
      The batch without `other_*`, and for `in_batch`:
        key: int64 [batch], for `avc.derangement.derange`: equal for the same video, or
          with `any_time` for the same clip.
      for `independent`:
        label: int32 [batch], 1 for a true pair and 0 for a mismatched one.
        audio_row: int32 [batch], in which row the clip is that the sound is from.
        unplaced: int32 [batch], in each the number of pairs that stayed true because the
          batch held too little sound of other videos.
    """
    pairs = dict(batch)
    key_seed, label_seed = tf.unstack(tf.random.split(tf.cast(seed, tf.int64), 2))
    if config.negatives == "in_batch":
        by_clip = config.negatives_from == "any_time"
        return {**pairs, "key": random_keys(pairs["id" if by_clip else "video"], key_seed)}
    own = tf.range(tf.size(pairs["video"]))
    partner, valid = derange(random_keys(pairs["video"], key_seed))
    mismatches = pairs.pop("other_mismatches")
    wanted = tf.random.stateless_uniform(tf.shape(own), label_seed) >= config.positive_rate
    placed = wanted & (mismatches | valid)
    source = tf.where(placed & ~mismatches, partner, own)
    for name in (name for name in SOUND if name in pairs):
        other = tf.gather(pairs.pop(f"other_{name}"), source)
        choice = placed[:, None] if other.shape.rank == 2 else placed
        pairs[name] = tf.where(choice, other, pairs[name])
    unplaced = tf.reduce_sum(tf.cast(wanted & ~placed, tf.int32))
    return {
        **pairs,
        "label": 1 - tf.cast(placed, tf.int32),
        "audio_row": source,
        "unplaced": tf.fill(tf.shape(own), unplaced),
    }


def random_keys(names: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Numbers that are equal where names are, in an order that the seed draws.

    Args:
      names: strings [n].
      seed: two integers.

    Returns:
      int64 [n].
    """
    prints = tf.strings.to_hash_bucket_fast(names, 2**63 - 1)
    factor = tf.random.stateless_uniform([], seed, None, None, tf.uint64)
    # A product with an odd number, modulo 2^64, keeps different numbers different.
    odd = tf.bitwise.bitwise_or(factor, tf.constant(1, tf.uint64))
    return tf.bitcast(tf.cast(prints, tf.uint64) * odd, tf.int64)
