"""What the network of a joint embedding is made of."""

import dataclasses

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

VISUAL_SIZE = 1024
AUDIO_SIZE = 128
ACTIVATIONS = ("relu", "gelu", "silu", "elu", "selu", "leaky_relu", "tanh", "linear")
POOLINGS = ("mean", "gru", "lstm", "attention")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Towers and classifier (full paper, sections 3 and 4.3).

    Attributes:
      feature_level: `video` (mean_rgb, mean_audio) or `frame` (rgb, audio, pooled in
        the graph).
      temporal_pooling: how a frame-level tower makes one vector of the seconds: `mean` (of
        the features, before the tower), `gru` or `lstm` (last state, over hidden layers of
        each second) or `attention` (over the same, with a learned query a head).
      temporal_units: of the recurrent layer (each direction) or of all heads together.
      bidirectional: whether the recurrent layer also runs backwards.
      attention_heads: of the attention pooling.
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
    temporal_pooling: str = "mean"
    temporal_units: int = 256
    bidirectional: bool = True
    attention_heads: int = 4
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

    @property
    def temporal(self) -> bool:
        """Whether the towers see the seconds one by one rather than their mean."""
        return self.temporal_pooling != "mean"

    @property
    def has_seconds(self) -> bool:
        """Whether each second of a video has an embedding of its own."""
        return self.feature_level == "frame" and self.normalization != "joint"

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
        check_choice("temporal_pooling", self.temporal_pooling, POOLINGS)
        check_range("temporal_units", self.temporal_units, 1, 65_536)
        check_range("attention_heads", self.attention_heads, 1, self.temporal_units)
        if self.temporal:
            self._check_temporal()

    def _check_temporal(self) -> None:
        pooling = f"temporal_pooling={self.temporal_pooling}"
        if self.feature_level != "frame":
            raise ConfigurationError(f"{pooling} needs frame-level records: these are video-level")
        if self.num_towers > 1 or self.linear_towers:
            raise ConfigurationError(f"{pooling} has one tower a modality, without a linear path")
        if self.normalization == "joint":
            raise ConfigurationError(f"{pooling} needs inputs that are normalised one by one")
        if self.temporal_units % self.attention_heads:
            raise ConfigurationError(
                f"temporal_units={self.temporal_units} cannot be divided among "
                f"attention_heads={self.attention_heads}"
            )
