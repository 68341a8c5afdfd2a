"""The triplet loss of DAVEnet: random impostors and semi-hard negatives in equal parts.

Boggust et al. 2019, Grounding Spoken Words in Unlabeled Video, section 2: a margin of 1; "in
the first case, impostor samples are randomly drawn from other examples within a minibatch";
"the second loss term employs semi-hard negative mining". Clips of the same video are no
impostors of each other.
"""

import keras
from keras import ops

from avc import matchmaps

Tensors = dict[str, keras.KerasTensor]

# Below every similarity.
NEVER = -1e30


def triplet(
    outputs: Tensors, batch: Tensors, margin: float, similarity: str, temperature: float = 1.0
) -> Tensors:
    """Hinge losses of all pictures and all sounds of a batch.

    A picture's own sound is to be more like it than another sound, by the margin, and a
    sound's own picture than another picture. The other one is, with a weight of one half
    each, drawn at random; and the semi-hard one: the most similar of those that are less
    similar than the own one, or, where all are more similar, the least similar (as in
    FaceNet's loss, Schroff et al. 2015, as it is commonly implemented).

    Args:
      outputs: `visual_embedding`, `audio_embedding` [batch, d]; unless the similarity is `sisa`
        also `visual_map`, `audio_map`, see `avc.matchmaps`.
      batch: `key` [batch], equal for clips of one video; `impostor_chance` float32 [batch, 2],
        which decides on each row's random sound and random picture.
      margin: what the own one is to be more similar by.
      similarity: see `avc.matchmap_config`.
      temperature: its `instance_temperature`.

    Returns:
      `loss`; its parts `random_impostors` and `semi_hard_negatives`, each the mean over the
      rows of the sum of both directions; `accuracy`: the share of rows whose own partner is the
      most similar.
    """
    scores = similarities(outputs, similarity, temperature)
    allowed = ops.not_equal(batch["key"][:, None], batch["key"][None, :])
    own = ops.diagonal(scores)
    random = semi_hard = nearest = 0.0
    for side, matrix in enumerate((scores, ops.transpose(scores))):
        drawn = impostors(allowed, batch["impostor_chance"][:, side])
        random += _hinge(own, _pick(matrix, drawn), allowed, margin)
        hard = semi_hard_negatives(matrix, allowed)
        semi_hard += _hinge(own, _pick(matrix, hard), allowed, margin)
        rivals = ops.max(ops.where(allowed, matrix, NEVER), 1)
        nearest += 0.5 * ops.mean(ops.cast(own > rivals, scores.dtype))
    return {
        "loss": 0.5 * (random + semi_hard),
        "random_impostors": random,
        "semi_hard_negatives": semi_hard,
        "accuracy": nearest,
    }


def similarities(outputs: Tensors, similarity: str, temperature: float = 1.0):
    """The similarity of every picture to every sound, `[pictures, sounds]`."""
    if similarity == "sisa":
        sounds = ops.transpose(outputs["audio_embedding"])
        return ops.matmul(outputs["visual_embedding"], sounds)
    maps = outputs["visual_map"], outputs["audio_map"]
    return map_similarities(*maps, similarity, temperature)


def map_similarities(visual, audio, similarity: str, temperature: float = 1.0):
    """The same from maps: `[n, height, width, d]`, `[m, steps, d + 1]` to `[n, m]`."""
    visual, audio = ops.cast(visual, "float32"), ops.cast(audio, "float32")
    matchmap = ops.einsum("nhwd,mtd->nmthw", visual, audio[..., :-1])
    keep = ops.broadcast_to(audio[None, ..., -1], ops.shape(matchmap)[:3])
    return matchmaps.pool(matchmap, keep, similarity, temperature)


def impostors(allowed, chance):
    """Draws one of the allowed columns of each row, all alike; `[batch]`.

    Args:
      allowed: bool `[batch, batch]`.
      chance: in [0, 1), `[batch]`.
    """
    number = ops.cumsum(ops.cast(allowed, "int32"), 1)
    most = number[:, -1]
    place = ops.cast(chance * ops.cast(most, "float32"), "int32")
    place = ops.minimum(place, most - 1)
    return ops.argmax(ops.cast(number > place[:, None], "int32"), 1)


def semi_hard_negatives(scores, allowed):
    """The column of each row's semi-hard negative, `[batch]`; see `triplet`.

    Args:
      scores: `[batch, batch]`, the own ones on the diagonal.
      allowed: bool `[batch, batch]`.
    """
    below = ops.logical_and(allowed, scores < ops.diagonal(scores)[:, None])
    hardest = ops.argmax(ops.where(below, scores, NEVER), 1)
    easiest = ops.argmin(ops.where(allowed, scores, -NEVER), 1)
    return ops.where(ops.any(below, 1), hardest, easiest)


def _pick(matrix, columns):
    return ops.squeeze(ops.take_along_axis(matrix, columns[:, None], axis=1), 1)


def _hinge(own, other, allowed, margin: float):
    """The mean over all rows; one without an allowed column adds nothing."""
    loss = ops.maximum(other - own + margin, 0)
    return ops.mean(ops.where(ops.any(allowed, 1), loss, 0.0))
