"""Losses of audio-visual correspondence, on logits and on embeddings.

Objects that Sound, sections 3 and 4: the cross-entropy of `corresponds or not`. Beyond the
paper an all-pairs contrast of the embeddings (InfoNCE), in which clips of the same video
are no negatives of each other.
"""

import keras
from keras import ops

Tensors = dict[str, keras.KerasTensor]


def correspondence(outputs: Tensors, batch: Tensors) -> Tensors:
    """Mean cross-entropy and accuracy over the pairs of a batch.

    Args:
      outputs: `logits` [batch, 2], and `mismatched_logits` [batch, K, 2] where the network
        made negatives of its own.
      batch: `label` [batch] 1 or 0 where the pairs came labelled; otherwise `logits` are of
        true pairs and `partner_offset` [batch, K] is 0 where a pair is no mismatched one. A
        row's mismatched pairs count together as much as its true one.

    Returns:
      `loss` and `accuracy`, scalars.
    """
    logits = outputs["logits"]
    if "label" in batch:
        return _scores(logits, batch["label"], ops.ones_like(logits[:, 0]))
    mismatched = ops.reshape(outputs["mismatched_logits"], (-1, 2))
    offset = batch["partner_offset"]
    placed = ops.reshape(ops.cast(ops.not_equal(offset, 0), logits.dtype), (-1,))
    true = ops.ones_like(logits[:, 0])
    return _scores(
        ops.concatenate([logits, mismatched]),
        ops.concatenate([true, ops.zeros_like(placed)]),
        ops.concatenate([true, placed / offset.shape[1]]),
    )


def _scores(logits, label, weight) -> Tensors:
    label = ops.cast(label, "int32")
    picked = ops.squeeze(ops.take_along_axis(logits, label[:, None], axis=1), 1)
    entropy = ops.logsumexp(logits, axis=-1) - picked
    right = ops.cast(ops.equal(ops.argmax(logits, -1), label), logits.dtype)
    total = ops.sum(weight)
    return {
        "loss": ops.sum(weight * entropy) / total,
        "accuracy": ops.sum(weight * right) / total,
    }


def infonce(outputs: Tensors, batch: Tensors, temperature: float) -> Tensors:
    """Symmetric contrast of all pairs of a batch.

    Args:
      outputs: `visual_embedding`, `audio_embedding` [batch, d]; compared by their cosine.
      batch: `key` [batch], equal for clips of one video: they are left out of each other's
        negatives.
      temperature: the cosine is divided by it.

    Returns:
      `loss`, and `accuracy`: the share of rows whose own partner is the nearest.
    """
    visual, audio = (
        ops.normalize(outputs[name], axis=-1) for name in ("visual_embedding", "audio_embedding")
    )
    similarity = ops.matmul(visual, ops.transpose(audio)) / temperature
    own = ops.eye(ops.shape(similarity)[0], dtype="bool")
    same = ops.equal(batch["key"][:, None], batch["key"][None, :])
    similarity = ops.where(ops.logical_and(same, ops.logical_not(own)), -1e9, similarity)
    true = ops.diagonal(similarity)
    loss = 0.5 * sum(ops.mean(ops.logsumexp(similarity, axis=a) - true) for a in (0, 1))
    nearest = [ops.equal(ops.max(similarity, axis=axis), true) for axis in (0, 1)]
    accuracy = 0.5 * sum(ops.mean(ops.cast(n, similarity.dtype)) for n in nearest)
    return {"loss": loss, "accuracy": accuracy}
