"""The objective of the seconds, in keras.ops only: a picture and the sound of its moment.

Full paper, section 6: the sound and the pictures of a video are synchronous, which
supervises itself. The match of a second is the same second of the other modality. Its
negatives are the seconds of other videos and, if wanted, those of its own video that are
farther away than a tolerance; within the tolerance there are none.
"""

from keras import ops

from yt8m_embed.loss_configuration import LossConfig, SynchronousConfig
from yt8m_embed.losses import feature_keys

MODALITIES = ("visual", "audio")


def negative_pairs(seconds, tolerance: int, same_video: bool):
    """Which pairs of sampled seconds are negatives: bool `[batch * n, batch * n]`.

    Args:
      seconds: moments of each video, -1 where there is none, `[batch, n]`.
      tolerance: seconds of a video at most so far apart are none.
      same_video: whether those farther apart are.
    """
    batch, number = ops.shape(seconds)[:2]
    second = ops.reshape(seconds, (-1,))
    video = ops.arange(batch * number) // number
    exists = second >= 0
    both = ops.logical_and(exists[:, None], exists[None, :])
    allowed = ops.not_equal(video[:, None], video[None, :])
    if same_video:
        far = ops.abs(second[:, None] - second[None, :]) > tolerance
        allowed = ops.logical_or(allowed, far)
    return ops.logical_and(both, allowed)


def take_seconds(values, places):
    """Rows of `[batch, time, size]` at `[batch, n]` places; zeros where the place is -1.

    By a product rather than a gather, whose gradient some accelerators sum in any order.
    """
    time = ops.arange(ops.shape(values)[1])
    chosen = ops.equal(ops.cast(places, "int32")[:, :, None], ops.cast(time, "int32"))
    return ops.matmul(ops.cast(chosen, "float32"), ops.cast(values, "float32"))


def select_seconds(outputs, batch):
    """The outputs that the losses need, before those of all replicas are joined.

    Args:
      outputs: the model's, `frame_visual_embedding` and `frame_audio_embedding`
        `[batch, time, dim]` among them.
      batch: `rgb`, `audio` and what `second_sampling.sample_seconds` adds: `seconds`,
        `visual_places` and `audio_places` `[batch, n]`.

    Returns:
      The outputs of whole videos, and for the sampled seconds `sampled_visual_embedding`
      `[batch, n, dim]`, `sampled_visual_keys` `[batch, n, 2]` and those of the sound.
    """
    kept = {name: value for name, value in outputs.items() if not name.startswith("frame_")}
    for modality, feature in (("visual", "rgb"), ("audio", "audio")):
        places = batch[f"{modality}_places"]
        embedding = outputs[f"frame_{modality}_embedding"]
        kept[f"sampled_{modality}_embedding"] = take_seconds(embedding, places)
        keys = feature_keys(take_seconds(batch[feature], places))
        kept[f"sampled_{modality}_keys"] = keys
    return kept


def same_keys(keys):
    """True where two of the `[rows, 2]` keys are equal: `[rows, rows]`."""
    return ops.all(ops.equal(keys[:, None, :], keys[None, :, :]), axis=-1)


def mean_of(values, chosen):
    """Mean of the values that are chosen; 0 where none is."""
    weights = ops.cast(chosen, "float32")
    return ops.sum(ops.where(chosen, values, 0.0)) / ops.maximum(ops.sum(weights), 1.0)


def contrastive_seconds(scores, exists, negatives, temperature: float):
    """Symmetric InfoNCE of seconds, both directions averaged.

    Args:
      scores: cosines of pictures and sounds `[n, n]`, matches on the diagonal.
      exists: which of the seconds there are, bool `[n]`; the others are no queries.
      negatives: which sounds are negatives of which pictures, bool `[n, n]`.
      temperature: divides the scores.
    """
    scores = scores / temperature
    matches = ops.diagonal(scores)
    total = 0.0
    for axis in (0, 1):
        rivals = ops.logsumexp(ops.where(negatives, scores, -1e9), axis=axis)
        # -log(e^m / (e^m + e^r)) without overflow; exactly 0 without a rival.
        total = total + mean_of(ops.softplus(rivals - matches), exists)
    return 0.5 * total


def cosine_seconds(scores, exists, negatives, config: LossConfig):
    """Equation 2 on seconds: matches and negatives as two means, weighted by p_negative.

    Args:
      scores, exists, negatives: as for `contrastive_seconds`.
      config: `margin`, `p_negative` and `scale_hinge`.
    """
    hinge = ops.maximum(0.0, scores - config.margin)
    if config.scale_hinge:
        hinge = hinge / (1.0 - config.margin)
    share = config.p_negative
    matches = mean_of(1.0 - ops.diagonal(scores), exists)
    return (1.0 - share) * matches + share * mean_of(hinge, negatives)


def synchronous_loss(outputs, batch, config: SynchronousConfig, loss: LossConfig):
    """The loss of the sampled seconds of a batch, a scalar.

    Args:
      outputs: from `select_seconds`.
      batch: `seconds` `[batch, n]`, the sampled moments, -1 where a video has no more.
      config: of this objective.
      loss: for the numbers of the cosine loss.
    """
    seconds = ops.cast(batch["seconds"], "int32")
    flat = {
        name: ops.reshape(outputs[name], (-1, outputs[name].shape[-1]))
        for name in outputs
        if name.startswith("sampled_")
    }
    negatives = negative_pairs(seconds, config.tolerance_seconds, config.same_video_negatives)
    for modality in MODALITIES:  # silence, or a still picture: nobody can tell them apart
        alike = same_keys(flat[f"sampled_{modality}_keys"])
        negatives = ops.logical_and(negatives, ops.logical_not(alike))
    scores = ops.matmul(
        flat["sampled_visual_embedding"], ops.transpose(flat["sampled_audio_embedding"])
    )
    exists = ops.reshape(seconds >= 0, (-1,))
    if config.synchronous_loss == "cosine":
        return cosine_seconds(scores, exists, negatives, loss)
    return contrastive_seconds(scores, exists, negatives, config.synchronous_temperature)
