"""What a joint embedding is made of, and the recipes that name whole sets of choices.

Every number and every choice that the papers leave open is a field; a run saves all
of them beside its results.
"""

import dataclasses

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError
from yt8m_embed.loss_configuration import LossConfig, OptimizerConfig, SynchronousConfig
from yt8m_embed.model_configuration import AUDIO_SIZE, VISUAL_SIZE, ModelConfig

__all__ = [
    "AUDIO_SIZE",
    "RECIPES",
    "VISUAL_SIZE",
    "EmbeddingConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "SynchronousConfig",
    "recipe",
]


@dataclasses.dataclass(frozen=True)
class EmbeddingConfig:
    """A recipe: model, losses and optimiser, with the batch and clipping they assume."""

    recipe: str
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    synchronous: SynchronousConfig = dataclasses.field(default_factory=SynchronousConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    batch_size: int = 1024
    clip_norm: float = 1.0
    ema_decay: float = 0.0
    max_steps: int = 20_000

    def __post_init__(self) -> None:
        """Checks that model and loss fit each other.

        Raises:
          ConfigurationError: they do not, or a number is outside its range.
        """
        check_range("batch_size", self.batch_size, 1, 1_000_000_000)
        check_range("max_steps", self.max_steps, 1, 1_000_000_000)
        check_range("clip_norm", self.clip_norm, 0, 1e9)
        if self.loss.class_weight and not self.model.classifier:
            raise ConfigurationError("class_weight above 0 needs classifier=True")
        if self.synchronous.synchronous_weight:
            self._check_synchronous()

    def _check_synchronous(self) -> None:
        if self.model.feature_level != "frame":
            raise ConfigurationError(
                "synchronous_weight above 0 needs frame-level records: these are video-level"
            )
        if self.model.normalization == "joint":
            raise ConfigurationError("synchronous_weight above 0 rules out normalization=joint")
        if self.loss.embedding_loss != "contrastive":
            raise ConfigurationError(
                "synchronous_weight above 0 needs embedding_loss=contrastive: mismatched pairs "
                "of videos have no seconds in common"
            )


# `paper`: what the full paper says; open points: inputs L2-normalised per modality, a
# linear embedding, lambda times L_class without a root, hinge not rescaled, Adam 5e-4.
# `authors`: what their published code does. `contrastive`: ours. `temporal`: ours, for
# frame-level records, towards the paper's future work (section 6).
RECIPES = {
    "paper": EmbeddingConfig("paper"),
    "authors": EmbeddingConfig(
        "authors",
        model=ModelConfig(normalization="joint", embedding_activation="relu"),
        loss=LossConfig(scale_hinge=True, class_activation="sigmoid", sqrt_class_loss=True),
    ),
    "contrastive": EmbeddingConfig(
        "contrastive",
        model=ModelConfig(
            classifier=False,
            normalization="none",
            visual_layers=(2048, 1024),
            audio_layers=(2048, 1024),
            hidden_activation="gelu",
            embedding_dim=768,
            standardize=True,
            layer_normalization=True,
            num_towers=3,
            linear_towers=2,
            linear_rate=0.1,
            visual_dropout=0.3,
            audio_dropout=0.1,
            hidden_dropout=0.3,
            l2=0.0,
        ),
        loss=LossConfig(
            embedding_loss="contrastive",
            class_activation="sigmoid",
            class_weight=0.0,
            class_weight_step=0,
            temperature=0.07,
        ),
        optimizer=OptimizerConfig(
            learning_rate=2e-3,
            schedule="cosine",
            warmup_steps=20,
            weight_decay=0.05,
            beta_2=0.98,
        ),
        clip_norm=0.0,
        ema_decay=0.98,
        max_steps=288,
    ),
    "temporal": EmbeddingConfig(
        "temporal",
        model=ModelConfig(
            feature_level="frame",
            temporal_pooling="gru",
            classifier=False,
            visual_layers=(512,),
            audio_layers=(512,),
            hidden_activation="gelu",
            embedding_dim=256,
            layer_normalization=True,
            visual_dropout=0.1,
            audio_dropout=0.1,
            hidden_dropout=0.1,
            l2=0.0,
        ),
        loss=LossConfig(
            embedding_loss="contrastive",
            class_activation="sigmoid",
            class_weight=0.0,
            class_weight_step=0,
        ),
        synchronous=SynchronousConfig(synchronous_weight=1.0),
        optimizer=OptimizerConfig(
            learning_rate=1e-3,
            schedule="cosine",
            warmup_steps=20,
            weight_decay=0.05,
            beta_2=0.98,
        ),
        batch_size=64,
        max_steps=1000,
    ),
}


def recipe(name: str) -> EmbeddingConfig:
    """The configuration of that name.

    Raises:
      ConfigurationError: there is none of that name.
    """
    check_choice("recipe", name, tuple(RECIPES))
    return RECIPES[name]
