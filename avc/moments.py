"""When in a clip a pair's frame and its sound are: whole steps of the grid of 0.04 s.

All sounds, of true and of mismatched pairs, get their place from `draw_sounds`, from
frames' moments that are uniform over the same range: nothing in a sound's place tells
what it is for.
"""

import tensorflow as tf

from avc.pair_config import PairConfig


def frame_range(
    num_samples: tf.Tensor, first: tf.Tensor, config: PairConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first and last moment from which a sound within the clip can be reached.

    Args:
      num_samples: length of the clip's sound; int32.
      first: the moment of the clip's first frame, in steps; int32.
      config: what pairs to draw.

    Returns:
      Two int32 scalars in steps; never an empty range.
    """
    low, high = _sound_range(num_samples, config)
    last = tf.maximum(-(-num_samples // config.grid_samples) - 1, first)
    begin = tf.clip_by_value(low - config.misalignment_steps, first, last)
    return begin, tf.clip_by_value(high + config.misalignment_steps, begin, last)


def draw_frames(begin: tf.Tensor, end: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Moments in [begin, end], all alike.

    Args:
      begin, end: in steps, int32; alike in shape, or scalars.
      chance: numbers in [0, 1); float32 [n].

    Returns:
      int32 [n].
    """
    number = tf.cast(end - begin + 1, tf.float32)
    # The largest float below 1 times a large number may round up to it.
    return tf.minimum(begin + tf.cast(chance * number, tf.int32), end)


def draw_sounds(
    frame: tf.Tensor, num_samples: tf.Tensor, config: PairConfig, chance: tf.Tensor
) -> tf.Tensor:
    """The middles of sounds for frames, at most the misalignment away and in the clip.

    Where a frame's own second is not in the clip, and no misalignment is allowed that
    would bring it in, the sound comes as near to the clip as it may.

    Args:
      frame: moments in steps, int32 [n].
      num_samples: length of the clip's sound; int32.
      config: what pairs to draw.
      chance: numbers in [0, 1); float32 [n].

    Returns:
      int32 [n] in steps.
    """
    low, high = _sound_range(num_samples, config)
    most = config.misalignment_steps
    nearest = tf.clip_by_value(low - frame, -most, most)
    farthest = tf.clip_by_value(high - frame, -most, most)
    return draw_frames(frame + nearest, frame + farthest, chance)


def move_frames(
    frame: tf.Tensor, begin: tf.Tensor, end: tf.Tensor, config: PairConfig, chance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Other moments of the clip, so far away that no sound serves both.

    The range is gone around like a ring: where the moments are uniform, so are the moved.

    Args:
      frame: moments in [begin, end], int32 [n].
      begin, end: what `frame_range` gave.
      config: what pairs to draw.
      chance: numbers in [0, 1); float32 [n].

    Returns:
      moved: int32 [n].
      possible: bool scalar, whether the clip is long enough; if not, `moved` is of no use.
    """
    number, apart = end - begin + 1, config.apart_steps
    possible = number >= 2 * apart
    distance = draw_frames(apart, tf.maximum(number - apart, apart), chance)
    return begin + (frame - begin + distance) % number, possible


def leave_grid(
    start: tf.Tensor, num_samples: tf.Tensor, config: PairConfig, chance: tf.Tensor
) -> tf.Tensor:
    """Moves sounds to any sample until the next step of the grid, as far as the clip reaches.

    What `draw_sounds` must never be followed by, except to show what comes of it.

    Args:
      start: first samples of sounds, int32 [n].
      num_samples: length of the clip's sound; int32.
      config: what pairs to draw.
      chance: numbers in [0, 1); float32 [n].

    Returns:
      int32 [n].
    """
    room = tf.maximum(num_samples - config.segment_samples - start, 0)
    last = tf.minimum(config.grid_samples - 1, room)
    return start + draw_frames(tf.zeros_like(last), last, chance)


def _sound_range(num_samples: tf.Tensor, config: PairConfig) -> tuple[tf.Tensor, tf.Tensor]:
    before = config.segment_samples // 2
    after = num_samples - (config.segment_samples - before)
    # The sound within the clip, or, of a shorter clip, the clip within the sound.
    low = -(-tf.minimum(before, after) // config.grid_samples)
    high = tf.maximum(before, after) // config.grid_samples
    # Of a clip of just the sound's length, the middle need not be on the grid.
    return tf.minimum(low, high), tf.maximum(low, high)
