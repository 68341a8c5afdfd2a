"""What a batch is trained for: the losses that a configuration names, and their samples."""

from collections.abc import Callable

import keras
import tensorflow as tf

from crossmodal.steps import Losses
from yt8m_embed import losses, model, negatives, second_sampling, synchronous_losses
from yt8m_embed.configuration import EmbeddingConfig


def batch_losses(config: EmbeddingConfig, find_model: Callable[[], keras.Model]) -> Losses:
    """The losses of a batch as the loop calls them.

    Args:
      config: what is trained.
      find_model: gives the model, which the loop makes inside its strategy; the loss
        asks it for its classifier.
    """

    def classify(embedded: tf.Tensor) -> tf.Tensor:
        return model.classify(find_model(), embedded, config.model)

    def call(outputs: dict, batch: dict, step: tf.Tensor) -> dict:
        found = losses.embedding_losses(
            outputs,
            batch,
            step,
            config.loss,
            config.model.tower_sizes(),
            classify if config.model.classifier else None,
        )
        weight = config.synchronous.synchronous_weight
        if not weight:
            return found
        synchronous = synchronous_losses.synchronous_loss(
            outputs, batch, config.synchronous, config.loss
        )
        total = found["loss"] + weight * synchronous
        return {**found, "loss": total, "synchronous_loss": synchronous}

    return call


def loss_features(config: EmbeddingConfig) -> tuple[str, ...] | None:
    """The features of a batch that its losses read; None for all."""
    if config.loss.embedding_loss != "contrastive":
        return None
    return ("labels", "seconds") if config.synchronous.synchronous_weight else ("labels",)


def select(config: EmbeddingConfig) -> Callable[[dict, dict], dict] | None:
    """What the losses need of the outputs: of seconds the sampled ones, or none."""
    if config.synchronous.synchronous_weight:
        return synchronous_losses.select_seconds
    if not config.model.has_seconds:
        return None
    return lambda outputs, batch: {
        name: value for name, value in outputs.items() if not name.startswith("frame_")
    }


def sampler(config: EmbeddingConfig) -> Callable | None:
    """The sample phase: mismatched pairs for the cosine loss, or seconds, or nothing."""
    if config.synchronous.synchronous_weight:
        return lambda batch, seed: second_sampling.sample_seconds(batch, config.synchronous, seed)
    if config.loss.embedding_loss == "contrastive":
        return None
    names = model.audio_features(config.model)
    return lambda batch, seed: negatives.mismatch_pairs(
        batch, config.loss.p_negative, seed, names
    )
