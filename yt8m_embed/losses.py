"""Losses of the joint embedding, in keras.ops only.

Cosine loss with a margin (full paper, section 4.1, equation 2), classification
with one classifier for both modalities (section 4.2, equations 3 to 5), and a
symmetric contrastive loss in which exact duplicates are no negatives.
"""

from keras import ops

from yt8m_embed.loss_configuration import LossConfig

# Added to the squared class loss under the root, whose slope at 0 is infinite.
SQRT_EPSILON = 1e-12


def cosine_loss(visual, audio, match, margin: float, scale_hinge: bool):
    """Mean of 1 - cos for pairs that match and of max(0, cos - margin) for the others.

    Args:
      visual: L2-normalised embeddings `[batch, dim]`.
      audio: L2-normalised embeddings `[batch, dim]`.
      match: 1 where row i of both comes from one video, else -1 (or 0), `[batch]`.
      margin: alpha of equation 2.
      scale_hinge: divide the negatives' term by 1 - margin, as the authors' code does,
        so that both terms have the range [0, 1] for cosines in [0, 1].
    """
    cosine = ops.sum(visual * audio, axis=-1)
    hinge = ops.maximum(0.0, cosine - margin)
    if scale_hinge:
        hinge = hinge / (1.0 - margin)
    return ops.mean(ops.where(match > 0, 1.0 - cosine, hinge))


def first_occurrences(labels):
    """1.0 where a label is present and not a repeat within its row, else 0.0: `[batch, n]`.

    Args:
      labels: class indices padded with -1, `[batch, n]`.
    """
    same = ops.equal(labels[:, :, None], labels[:, None, :])
    position = ops.arange(ops.shape(labels)[1])
    earlier = position[None, :] < position[:, None]
    repeated = ops.any(ops.logical_and(same, earlier[None]), axis=-1)
    return ops.cast(ops.logical_and(labels >= 0, ops.logical_not(repeated)), "float32")


def sigmoid_cross_entropy(logits, labels):
    """Binary cross-entropy summed over the classes, averaged over the batch.

    Computed as sum(softplus(logit)) less the logits of the labels, so that no
    `[batch, classes]` target is ever built.

    Args:
      logits: `[batch, classes]`.
      labels: class indices padded with -1, `[batch, n]`; an empty row means no class.
    """
    present = first_occurrences(labels)
    chosen = ops.take_along_axis(logits, ops.maximum(labels, 0), axis=1)
    each = ops.sum(ops.softplus(logits), axis=-1) - ops.sum(chosen * present, axis=-1)
    return ops.mean(each)


def softmax_cross_entropy(logits, labels):
    """Cross-entropy with the targets c / |c|, averaged over the batch; 0 for an empty row.

    Args:
      logits: `[batch, classes]`.
      labels: class indices padded with -1, `[batch, n]`.
    """
    present = first_occurrences(labels)
    log_probability = ops.take_along_axis(
        ops.log_softmax(logits, axis=-1), ops.maximum(labels, 0), axis=1
    )
    counts = ops.maximum(ops.sum(present, axis=-1), 1.0)
    return ops.mean(-ops.sum(log_probability * present, axis=-1) / counts)


def feature_keys(features):
    """Two fixed projections of each row, `[..., size]` to `[..., 2]`."""
    size = features.shape[-1]
    index = ops.cast(ops.arange(1, size + 1), "float32")
    weights = ops.stack([ops.sin(index * 1.7), ops.cos(index * index * 0.61)], axis=1)
    return ops.sum(features[..., None] * weights, axis=-2)


def same_items(features):
    """True where two rows hold identical features: `[batch, batch]`.

    Compared by two fixed projections rather than by all values: rows that are equal
    project equally, and rows that differ collide with no practical probability.

    Args:
      features: `[batch, size]`.
    """
    keys = feature_keys(features)
    return ops.all(ops.equal(keys[:, None, :], keys[None, :, :]), axis=-1)


def contrastive_loss(visual, audio, duplicates, temperature: float, label_smoothing: float):
    """Symmetric InfoNCE over the batch (both directions averaged).

    Args:
      visual: embeddings `[batch, dim]`.
      audio: embeddings `[batch, dim]`.
      duplicates: True at [i, j] where items i and j cannot be told apart (the same
        video or the same sound); off the diagonal such pairs are no negatives.
      temperature: divides the scores.
      label_smoothing: share of the target spread evenly over the batch's other pairs.
    """
    scores = ops.matmul(visual, ops.transpose(audio)) / temperature
    size = ops.shape(scores)[0]
    diagonal = ops.eye(size, dtype="bool")
    masked = ops.logical_and(duplicates, ops.logical_not(diagonal))
    allowed = ops.cast(ops.logical_not(masked), scores.dtype)
    logits = ops.where(masked, -1e9, scores)
    matches = ops.diagonal(scores)
    total = 0.0
    for axis in (0, 1):
        normaliser = ops.logsumexp(logits, axis=axis)
        mean_score = ops.sum(scores * allowed, axis=axis) / ops.sum(allowed, axis=axis)
        target = (1.0 - label_smoothing) * matches + label_smoothing * mean_score
        total = total + ops.mean(normaliser - target)
    return 0.5 * total


def tower_losses(visual, audio, sizes, duplicates, temperature: float, label_smoothing: float):
    """Mean of the contrastive losses of the towers, each for itself.

    Towers that answer for themselves stay different, and their joined embedding gains
    from that; one loss on the joined embedding would let them share the work.

    Args:
      visual: joined unit embeddings `[batch, sum(sizes)]`.
      audio: likewise.
      sizes: of the towers' shares; all towers have the same norm.
      duplicates, temperature, label_smoothing: see `contrastive_loss`.
    """
    total, start = 0.0, 0
    norm = len(sizes) ** 0.5
    for size in sizes:
        part = slice(start, start + size)
        total = total + contrastive_loss(
            visual[:, part] * norm, audio[:, part] * norm, duplicates, temperature, label_smoothing
        )
        start += size
    return total / len(sizes)


def class_weight(step, config: LossConfig):
    """Lambda at a step: 0 at first, `config.class_weight` from `class_weight_step` on."""
    started = ops.cast(step, "float32") >= float(config.class_weight_step)
    return ops.where(started, float(config.class_weight), 0.0)


def embedding_losses(outputs, batch, step, config: LossConfig, tower_sizes, classifier=None):
    """All parts of the loss of one batch.

    Args:
      outputs: the model's `visual_embedding`, `audio_embedding` `[batch, dim]`; for the
        contrastive loss also `visual_features` and `audio_features`, what the towers
        were given.
      batch: `labels` `[batch, n]`; for the cosine loss also `match`, `audio_labels` and
        `unplaced`, see `negatives.mismatch_pairs`.
      step: the training step, a scalar.
      config: margin, lambda and the other numbers.
      tower_sizes: shares of the embedding, see `ModelConfig.tower_sizes`.
      classifier: from embeddings to logits `[batch, classes]`, the model's own, or None.

    Returns:
      A dict of scalars: `loss` is the sum that is minimised (equation 5), and
      `embedding_loss`, `class_loss`, `lambda` are its parts (the last two with a
      classifier; the class loss is 0 while lambda is); `unplaced_negatives` counts the
      examples of a batch for which no other video would do.
    """
    visual, audio = outputs["visual_embedding"], outputs["audio_embedding"]
    losses, audio_labels = {}, batch["labels"]
    if config.embedding_loss == "cosine":
        embedding = cosine_loss(visual, audio, batch["match"], config.margin, config.scale_hinge)
        audio_labels = batch["audio_labels"]
        losses["unplaced_negatives"] = ops.mean(ops.cast(batch["unplaced"], "float32"))
    else:
        duplicates = ops.logical_or(
            same_items(outputs["visual_features"]), same_items(outputs["audio_features"])
        )
        embedding = tower_losses(
            visual, audio, tower_sizes, duplicates, config.temperature, config.label_smoothing
        )
    losses |= {"loss": embedding, "embedding_loss": embedding}
    if classifier is None:
        return losses
    weight = class_weight(step, config)

    def weighted() -> tuple:
        class_loss = classification_loss(
            classifier(visual), classifier(audio), batch["labels"], audio_labels, config
        )
        term = ops.sqrt(class_loss + SQRT_EPSILON) if config.sqrt_class_loss else class_loss
        return class_loss, weight * term

    # The classifier is half of the step's work: nothing of it is done while lambda is 0.
    nothing = ops.zeros((), "float32")
    class_loss, term = ops.cond(weight > 0, weighted, lambda: (nothing, nothing))
    return {**losses, "loss": embedding + term, "class_loss": class_loss, "lambda": weight}


def classification_loss(visual_logits, audio_logits, labels, audio_labels, config: LossConfig):
    """Cross-entropy of both modalities, added (equation 4).

    Args:
      visual_logits, audio_logits: `[batch, classes]`.
      labels: of the videos that the pictures come from, padded with -1, `[batch, n]`.
      audio_labels: of those that the sounds come from, `[batch, m]`.
      config: says which cross-entropy.
    """
    choices = {"softmax": softmax_cross_entropy, "sigmoid": sigmoid_cross_entropy}
    cross_entropy = choices[config.class_activation]
    return cross_entropy(visual_logits, labels) + cross_entropy(audio_logits, audio_labels)
