"""Similarity of bags: of the frames and the words (or pieces of sound) of a window.

The future work of Boggust et al. 2019, section 7 ("modelling audio and visual alignment (e.g.
multiple instance learning)"): what is said in a window may be about any of its frames, and
at any moment of it, so that a pair of window and sound is as similar as its best pairs of a
frame and a word are. The contrast of bags is that of MIL-NCE (Miech et al. 2020, equation 1).
All functions are of keras.ops and of any backend.
"""

import math

from keras import ops

from crossmodal.configuration import check_choice, check_range

POOLINGS = ("max", "soft", "mean")
# Below every similarity, and finite: minus infinity would make gradients NaN.
NEVER = -1e30


def pool(
    similarity, frame_mask=None, word_mask=None, pooling: str = "max", temperature: float = 1.0
):
    """The similarity of two bags from those of their members.

    `max`: of the most similar pair. `mean`: the mean over all pairs. `soft`: between the two,
    temperature * log(mean(exp(similarity / temperature))), which goes to the largest as the
    temperature goes to 0 and to the mean as it grows, and sends a gradient to every pair.

    Args:
      similarity: `[..., F, W]`, of F frames and W words; such as `[batch, batch, F, W]` of
        every window's frames to every window's words.
      frame_mask: `[..., F]`, true for frames that are there; None for all.
      word_mask: `[..., W]`, the same for words. Masks are broadcast to the similarity.
      pooling: one of `POOLINGS`.
      temperature: of `soft`, in units of the similarity; above 0.

    Returns:
      `[...]` in float32. A bag without a pair has 0, and no gradient; tell those by
      `has_pairs`.

    Raises:
      ConfigurationError: there is no such pooling, or the temperature is not above 0.
    """
    check_choice("pooling", pooling, POOLINGS)
    check_range("temperature", temperature, 1e-6, math.inf)
    similarity = ops.cast(similarity, "float32")
    mask = pair_mask(similarity, frame_mask, word_mask)
    axes = (-2, -1)
    count = ops.sum(ops.cast(mask, "float32"), axes)
    some = ops.maximum(count, 1.0)
    # What is masked may be NaN: it is replaced before anything is computed of it.
    known = ops.where(mask, similarity, 0.0)
    if pooling == "mean":
        return ops.sum(known, axes) / some
    largest = ops.max(ops.where(mask, known, NEVER), axes)
    if pooling == "max":
        return ops.where(count > 0, largest, 0.0)
    # In this form nothing cancels out, however high the temperature is.
    top = ops.stop_gradient(largest)[..., None, None]
    below = ops.where(mask, ops.expm1((ops.where(mask, known, top) - top) / temperature), 0.0)
    pooled = top[..., 0, 0] + temperature * ops.log1p(ops.sum(below, axes) / some)
    return ops.where(count > 0, pooled, 0.0)


def pair_mask(similarity, frame_mask=None, word_mask=None):
    """Which pairs of a frame and a word are there: bool, of the similarity's shape."""
    mask = ops.ones(ops.shape(similarity), dtype="bool")
    if frame_mask is not None:
        mask = ops.logical_and(mask, ops.cast(frame_mask, "bool")[..., :, None])
    if word_mask is not None:
        mask = ops.logical_and(mask, ops.cast(word_mask, "bool")[..., None, :])
    return mask


def has_pairs(frame_mask, word_mask):
    """Whether bags have a frame and a word: bool `[...]` of masks `[..., F]` and `[..., W]`."""
    masks = (ops.any(ops.cast(mask, "bool"), -1) for mask in (frame_mask, word_mask))
    return ops.logical_and(*masks)


def mil_nce(similarity, same_bag, frame_mask=None, word_mask=None, temperature: float = 1.0):
    """MIL-NCE: all pairs of a bag together against all pairs of its row and its column.

    For window i it is -log(sum over its pairs of exp(s / temperature), divided by the same
    sum and those of the pairs of its frames with the words of other windows and of its words
    with the frames of others).

    Args:
      similarity: `[batch, batch, F, W]`; frames of row, words of column; own ones on the
        diagonal.
      same_bag: bool `[batch, batch]`, true where frames and words, though of different
        windows, are no impostors: clips of one video. The diagonal is the own bag whatever
        it says.
      frame_mask: bool `[batch, F]`.
      word_mask: bool `[batch, W]`.
      temperature: above 0.

    Returns:
      float32 `[batch]`; 0 for windows without a frame or a word, which are no impostors.

    Raises:
      ConfigurationError: the temperature is not above 0.
    """
    check_range("temperature", temperature, 1e-6, math.inf)
    similarity = ops.cast(similarity, "float32")
    frames = None if frame_mask is None else frame_mask[:, None, :]
    words = None if word_mask is None else word_mask[None, :, :]
    mask = pair_mask(similarity, frames, words)
    known = ops.where(mask, similarity, 0.0)
    bags = ops.logsumexp(ops.where(mask, known / temperature, NEVER), (-2, -1))
    number = ops.shape(bags)[0]
    own = ops.eye(number, dtype="bool")
    foreign = ops.logical_and(ops.logical_not(own), ops.logical_not(ops.cast(same_bag, "bool")))
    away = ops.where(foreign, bags, NEVER)
    right = ops.diagonal(bags)
    all_pairs = ops.stack(
        [right, ops.logsumexp(away, 1), ops.logsumexp(ops.transpose(away), 1)], 0
    )
    there = ops.diagonal(ops.any(mask, (-2, -1)))
    return ops.where(there, ops.logsumexp(all_pairs, 0) - right, 0.0)
