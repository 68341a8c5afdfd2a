"""What a joint embedding is made of, and the recipes that name whole sets of choices.

Every number and every choice that the papers leave open is a field; a run saves all
of them beside its results.
"""

import dataclasses

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

VISUAL_SIZE = 1024
AUDIO_SIZE = 128
ACTIVATIONS = ("relu", "gelu", "silu", "elu", "selu", "leaky_relu", "tanh", "linear")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Towers and classifier (full paper, sections 3 and 4.3).

    Attributes:
      feature_level: `video` (mean_rgb, mean_audio) or `frame` (rgb, audio, pooled in
        the graph).
      num_classes: 3862 (2018 release), 4716 (2017) or any other.
      normalization: of the inputs: `per_modality` (L2 each), `joint` (L2 of both
        together, as the authors' code; it leaks which video a vector belongs to) or
        `none`.
      visual_layers, audio_layers: widths of the hidden layers, input to output.
      hidden_activation: name of a Keras activation, one of ACTIVATIONS.
      classifier: whether there is one, shared by both modalities, on the embeddings.
      classifier_scale: multiplies the unit embeddings before it; without that a
        classifier with small weights can hardly tell unit vectors apart.
      classifier_bias: where its biases start; -6 says that a class is rare.
      embedding_dim: size of the embedding (per tower of an ensemble).
      embedding_activation: `linear` or `relu`, before the L2 normalisation.
      standardize: subtract the training set's mean and divide by its overall standard
        deviation, after the normalisation.
      layer_normalization: normalise the units of the first hidden layer.
      num_towers: towers a modality, side by side; their unit embeddings are
        concatenated into one.
      linear_towers: so many of the towers have a linear path beside the hidden layers,
        which starts at the solution of a regularised CCA.
      linear_dim: size of that path.
      linear_rate: its step size relative to the other layers.
      cca_visual_ridge, cca_audio_ridge: regularisation of that CCA, in units of the mean
        variance.
      cca_power: its components are weighted by their correlation to this power.
      visual_dropout, audio_dropout: shares of a tower's inputs dropped in training.
      hidden_dropout: share of hidden units dropped in training.
      l2: Keras L2 factor of all kernels.
    """

    feature_level: str = "video"
    num_classes: int = 3862
    classifier: bool = True
    classifier_scale: float = 1.0
    classifier_bias: float = 0.0
    normalization: str = "per_modality"
    visual_layers: tuple[int, ...] = (2000, 2000, 700, 700)
    audio_layers: tuple[int, ...] = (450, 450, 200, 200)
    hidden_activation: str = "relu"
    embedding_dim: int = 250
    embedding_activation: str = "linear"
    standardize: bool = False
    layer_normalization: bool = False
    num_towers: int = 1
    linear_towers: int = 0
    linear_dim: int = 128
    linear_rate: float = 1.0
    cca_visual_ridge: float = 0.3
    cca_audio_ridge: float = 0.1
    cca_power: float = 0.5
    visual_dropout: float = 0.0
    audio_dropout: float = 0.0
    hidden_dropout: float = 0.0
    l2: float = 5e-9

    def tower_sizes(self) -> tuple[int, ...]:
        """The share of each tower in the joined embedding."""
        linear = [self.linear_dim if i < self.linear_towers else 0 for i in range(self.num_towers)]
        return tuple(self.embedding_dim + size for size in linear)

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its choices or range.
        """
        check_choice("feature_level", self.feature_level, ("video", "frame"))
        check_choice("normalization", self.normalization, ("per_modality", "joint", "none"))
        check_choice("embedding_activation", self.embedding_activation, ("linear", "relu"))
        check_choice("hidden_activation", self.hidden_activation, ACTIVATIONS)
        check_range("num_classes", self.num_classes, 1, 1_000_000)
        check_range("embedding_dim", self.embedding_dim, 1, 65_536)
        check_range("num_towers", self.num_towers, 1, 64)
        check_range("linear_towers", self.linear_towers, 0, self.num_towers)
        check_range("linear_dim", self.linear_dim, 1, AUDIO_SIZE)
        check_range("linear_rate", self.linear_rate, 1e-6, 1)
        check_range("visual_dropout", self.visual_dropout, 0, 0.99)
        check_range("audio_dropout", self.audio_dropout, 0, 0.99)
        check_range("hidden_dropout", self.hidden_dropout, 0, 0.99)
        if self.linear_towers and not self.standardize:
            raise ConfigurationError("linear_towers needs standardize: CCA subtracts the means")
        if self.standardize and self.normalization == "joint":
            raise ConfigurationError("standardize needs inputs that are normalised one by one")
        for name in ("visual_layers", "audio_layers"):
            for width in getattr(self, name):
                check_range(name, width, 1, 1_000_000)


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The loss and its pairs (full paper, section 4).

    Attributes:
      embedding_loss: `cosine` (equation 2) or `contrastive` (symmetric InfoNCE over
        the batch).
      margin: alpha of equation 2.
      p_negative: share of mismatched pairs.
      scale_hinge: divide the negatives' term by 1 - margin (authors' code).
      class_activation: `softmax` (full paper, equation 3) or `sigmoid` (workshop paper
        and authors' code).
      sqrt_class_loss: lambda times the root of the class loss (authors' code).
      class_weight: lambda of equation 5 from step `class_weight_step` on; 0 before.
      class_weight_step: the step of that switch, counted within the run.
      temperature: of the contrastive loss, which every tower has for itself.
      label_smoothing: of the contrastive loss.
    """

    embedding_loss: str = "cosine"
    margin: float = 0.2
    p_negative: float = 0.6
    scale_hinge: bool = False
    class_activation: str = "softmax"
    sqrt_class_loss: bool = False
    class_weight: float = 0.02
    class_weight_step: int = 10_000
    temperature: float = 0.07
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its choices or range.
        """
        check_choice("embedding_loss", self.embedding_loss, ("cosine", "contrastive"))
        check_choice("class_activation", self.class_activation, ("softmax", "sigmoid"))
        check_range("margin", self.margin, -1, 0.99)
        check_range("p_negative", self.p_negative, 0, 1)
        check_range("class_weight", self.class_weight, 0, 1e6)
        check_range("temperature", self.temperature, 1e-4, 1e4)
        check_range("label_smoothing", self.label_smoothing, 0, 0.99)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its schedule.

    Attributes:
      learning_rate: the initial (staircase) or peak (cosine) rate.
      schedule: `staircase` (times `decay_rate` after every `decay_examples` examples)
        or `cosine` (a cosine to 0 at the last step).
      warmup_steps: steps over which the rate rises to its peak.
      weight_decay: decoupled, of dense kernels only (AdamW); 0 for plain Adam.
      beta_2: of Adam.
      adam_epsilon: TensorFlow 1's default, 1e-8, unless said otherwise.
    """

    learning_rate: float = 5e-4
    schedule: str = "staircase"
    decay_rate: float = 0.95
    decay_examples: int = 4_000_000
    warmup_steps: int = 0
    weight_decay: float = 0.0
    beta_2: float = 0.999
    adam_epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its choices or range.
        """
        check_choice("schedule", self.schedule, ("staircase", "cosine"))
        check_range("learning_rate", self.learning_rate, 0, 1e3)
        check_range("warmup_steps", self.warmup_steps, 0, 1_000_000_000)
        check_range("weight_decay", self.weight_decay, 0, 1e3)


@dataclasses.dataclass(frozen=True)
class EmbeddingConfig:
    """A recipe: model, loss and optimiser, with the batch and clipping they assume."""

    recipe: str
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
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


# `paper`: what the full paper says; open points: inputs L2-normalised per modality, a
# linear embedding, lambda times L_class without a root, hinge not rescaled, Adam 5e-4.
# `authors`: what their published code does. `contrastive`: ours.
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
}


def recipe(name: str) -> EmbeddingConfig:
    """The configuration of that name.

    Raises:
      ConfigurationError: there is none of that name.
    """
    check_choice("recipe", name, tuple(RECIPES))
    return RECIPES[name]
