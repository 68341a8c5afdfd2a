"""What a network sees of a moment beside its frame: the frames around it, and their flow.

Objects that Sound, section 3.2 and appendix C. All that is shown of one moment is cut from one
place and mirrored alike. Steps are those of the pairs' grid; where the picture holds still
nothing moves, and before a clip's first frame and after its last it holds still.
"""

from collections.abc import Mapping

import tensorflow as tf

from avc import frames
from avc.frames import FrameConfig
from avc.visual_inputs import STEPS, STILL, VisualInputs

Tensors = dict[str, tf.Tensor]


def look(
    example: Mapping[str, tf.Tensor],
    times: tf.Tensor,
    moment: tf.Tensor,
    step: int,
    visual: VisualInputs,
    config: FrameConfig,
    decisions: tf.Tensor,
) -> Tensors:
    """What is seen of a clip at some moments.

    Args:
      example: one parsed record, checked by `check_flow` where flow is wanted.
      times: when its frames begin, in samples; int32 [num_frames].
      moment: in samples; int32 [n].
      step: of the grid, in samples.
      visual: what the network takes.
      config: what frames look like.
      decisions: random numbers of each moment; float32 [n, frames.DECODING_CHANCES].

    Returns:
      By the names of `visual`:
        frame: uint8 [n, size, size, 3].
        frames: uint8 [n, num_frames, size, size, 3].
        flow: uint8 [n, size, size, 2 * num_flows], as records hold it.
    """
    chances = tf.unstack(decisions, moment.shape[0])
    found = {}
    if visual.frame:
        jpegs = tf.unstack(tf.gather(example["frames"], shown_at(times, moment)), len(chances))
        found["frame"] = tf.stack(
            [
                frames.decode_frame(jpeg, config, chance)
                for jpeg, chance in zip(jpegs, chances, strict=True)
            ]
        )
    if visual.num_frames:
        around = moment[:, None] + step * steps_around(visual.num_frames)
        rows = tf.unstack(shown_at(times, around), len(chances))
        found["frames"] = tf.stack(
            [
                decode_frames(example["frames"], row, config, chance)
                for row, chance in zip(rows, chances, strict=True)
            ]
        )
    if visual.num_flows:
        around = moment[:, None] + step * steps_around(visual.num_flows + 1)
        # A field leads to the frame that begins next, if one begins before the next step.
        shown = shown_at(times, around)
        fields = tf.where(shown[:, 1:] > shown[:, :-1], shown[:, 1:] - 1, -1)
        found["flow"] = tf.stack(
            [
                decode_flow(example, row, config, chance)
                for row, chance in zip(tf.unstack(fields, len(chances)), chances, strict=True)
            ]
        )
    return found


def steps_around(number: int) -> tf.Tensor:
    """Steps of the grid with the moment, 0, in the middle: `-(number // 2)` and on."""
    return tf.range(number) - number // 2


def shown_at(times: tf.Tensor, moment: tf.Tensor) -> tf.Tensor:
    """Which frame is shown at moments of any shape; before the first one, the first."""
    found = tf.searchsorted(times, tf.reshape(moment, [-1]), side="right") - 1
    return tf.reshape(tf.maximum(found, 0), tf.shape(moment))


def decode_frames(
    jpegs: tf.Tensor, shown: tf.Tensor, config: FrameConfig, chance: tf.Tensor
) -> tf.Tensor:
    """Frames of one clip with the same crop and flip; those shown again are decoded once.

    Args:
      jpegs: strings [num_frames].
      shown: which of them; int32 [t].
      config, chance: see `frames.decode_frame`.

    Returns:
      uint8 [t, size, size, 3].
    """
    size = config.image_size
    distinct, place = tf.unique(shown)
    decoded = tf.map_fn(
        lambda index: frames.decode_frame(jpegs[index], config, chance),
        distinct,
        fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8),
    )
    return tf.ensure_shape(tf.gather(decoded, place), [shown.shape[0], size, size, 3])


def decode_flow(
    example: Mapping[str, tf.Tensor], fields: tf.Tensor, config: FrameConfig, chance: tf.Tensor
) -> tf.Tensor:
    """Fields of one clip, with the crop and flip that its frame has.

    Args:
      example: the record.
      fields: which of its fields, -1 for no motion; int32 [t].
      config, chance: see `frames.decode_frame`.

    Returns:
      uint8 [size, size, 2 * t], as bytes of `avc.flow`: the components of a field beside
      each other.
    """
    shape = tf.io.extract_jpeg_shape(example["frames"][0])[:2]
    corner, side = frames.draw_square(shape, config, chance)
    size = config.image_size

    def decode(index: tf.Tensor) -> tf.Tensor:
        field = tf.ensure_shape(tf.io.decode_png(example["flow"][index]), [None, None, 2])
        return fit_flow(tf.cast(field, tf.float32)[None], corner, side, shape, size)[0]

    def decode_or_still(index: tf.Tensor) -> tf.Tensor:
        still = tf.fill([size, size, 2], tf.constant(STILL, tf.float32))
        return tf.cond(index < 0, lambda: still, lambda: decode(index))

    distinct, place = tf.unique(fields)
    spec = tf.TensorSpec((size, size, 2), tf.float32)
    decoded = tf.gather(tf.map_fn(decode_or_still, distinct, fn_output_signature=spec), place)
    values = tf.transpose(tf.round(decoded), [1, 2, 0, 3])
    if config.flip:
        values = tf.cond(frames.flips(chance), lambda: mirror(values), lambda: values)
    values = tf.clip_by_value(values, STILL - STEPS, STILL + STEPS)
    return tf.reshape(tf.cast(values, tf.uint8), [size, size, 2 * fields.shape[0]])


def mirror(values: tf.Tensor) -> tf.Tensor:
    """Bytes of fields [height, width, t, 2] mirrored, left to right: right becomes left."""
    mirrored = tf.reverse(values, [1])
    return tf.stack([2 * STILL - mirrored[..., 0], mirrored[..., 1]], -1)


def fit_flow(
    fields: tf.Tensor, corner: tf.Tensor, side: tf.Tensor, shape: tf.Tensor, size: int
) -> tf.Tensor:
    """The square of fields that lies over a square of their frame, bilinearly scaled.

    Args:
      fields: float32 [n, height, width, channels], of a whole frame, of any size.
      corner: top and left of the square in pixels of the frame, int32 [2].
      side: of the square in pixels of the frame, int32.
      shape: height and width of the frame, int32 [2].
      size: pixels a side of what is wanted.

    Returns:
      float32 [n, size, size, channels]; values are parts of the shorter side and stay.
    """
    ratio = tf.cast(tf.shape(fields)[1:3], tf.float32) / tf.cast(shape, tf.float32)
    scale = size / (tf.cast(side, tf.float32) * ratio)
    translation = -tf.cast(corner, tf.float32) * ratio * scale
    fitted = tf.raw_ops.ScaleAndTranslate(
        images=fields,
        size=[size, size],
        scale=scale,
        translation=translation,
        kernel_type="triangle",
        antialias=True,
    )
    return tf.ensure_shape(fitted, [fields.shape[0], size, size, fields.shape[3]])


def check_flow(example: Mapping[str, tf.Tensor], visual: VisualInputs) -> list[tf.Operation]:
    """Checks that a clip has the flow that a network takes; errors as `pairs.explain` reads them.

    A clip of one frame needs none.
    """
    needed = tf.maximum(example["num_frames"] - 1, 0)
    held = example["num_flows"]
    reach = tf.reduce_max(tf.concat([example["flow_reach"], [0.0]], 0))
    right = tf.logical_or(needed == 0, tf.abs(reach - visual.flow_reach) < 1e-6)
    lacking = "has no optical flow from each frame to the next"
    wrong = f"of its flow, and the network takes flow_reach={visual.flow_reach:g}"
    return [
        tf.debugging.Assert(held == needed, [example["id"], lacking]),
        tf.debugging.Assert(right, [example["id"], "has a flow_reach of", reach, wrong]),
    ]
