"""What a joint embedding is trained for, and by which optimiser."""

import dataclasses

from crossmodal.configuration import check_choice, check_range


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
class SynchronousConfig:
    """The objective of the seconds: a picture belongs to the sound of the same moment.

    Full paper, section 6, names this as future work and leaves all of it open.

    Attributes:
      synchronous_weight: of this objective beside that of whole videos; 0 for none.
      synchronous_loss: `contrastive` (symmetric InfoNCE) or `cosine` (equation 2, true
        pairs and mismatched ones as two means, weighted by p_negative).
      synchronous_temperature: of the contrastive loss.
      seconds_per_video: sampled in each step, without repeats; a shorter video has fewer.
      tolerance_seconds: seconds of a video that are at most so far apart are no
        negatives of each other.
      same_video_negatives: whether those farther apart are.
      rotate_seconds: picture and sound of each training video are rotated by independent
        random numbers of seconds, so that counting seconds matches nothing.
      clip_seconds: longest stretch of a video in a training step; 0 for the whole.
    """

    synchronous_weight: float = 0.0
    synchronous_loss: str = "contrastive"
    synchronous_temperature: float = 0.07
    seconds_per_video: int = 8
    tolerance_seconds: int = 1
    same_video_negatives: bool = True
    rotate_seconds: bool = True
    clip_seconds: int = 0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its choices or range.
        """
        check_choice("synchronous_loss", self.synchronous_loss, ("contrastive", "cosine"))
        check_range("synchronous_weight", self.synchronous_weight, 0, 1e6)
        check_range("synchronous_temperature", self.synchronous_temperature, 1e-4, 1e4)
        check_range("seconds_per_video", self.seconds_per_video, 1, 10_000)
        check_range("tolerance_seconds", self.tolerance_seconds, 0, 1_000_000)
        check_range("clip_seconds", self.clip_seconds, 0, 1_000_000)


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
