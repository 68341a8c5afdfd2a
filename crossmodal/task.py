"""What to train and how: the two things that `training.train` is given."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from crossmodal import optimization, strategies
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.steps import Losses


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train; every number is saved with the model.

    Attributes:
      batch_size: examples in a step, over all replicas, workers and micro-batches.
      max_steps: optimizer steps.
      steps_per_call: steps in one call of the compiled function; also the length of the
        means that are noted down, and how long a SIGTERM waits at most.
      checkpoint_every_steps: steps between checkpoints; one is written at the end anyway.
      evaluate_every_steps: steps between evaluations; 0 for one at the end.
      keep_checkpoints: how many of the last checkpoints stay, beside the best.
      patience_evaluations: training ends after so many evaluations without a better one;
        0 for never.
      precision: `float32`, `mixed_float16` (with dynamic loss scaling) or `mixed_bfloat16`.
      strategy: `default`, `mirrored` or `multi_worker`.
      clip_by: `none`, `variable` or `global`: whose norm `clip_norm` limits.
      clip_norm: largest norm of a gradient, over the global batch.
      accumulation_steps: micro-batches in a step. A loss over pairs within the batch sees
        the pairs of one micro-batch at a time.
      ema_decay: of the moving average of the weights, which then are the ones that are
        evaluated and loaded; 0 for none.
      seed: of the initial weights and of every random draw in a step.
      deterministic: whether operations must give the same bits on every run.
    """

    batch_size: int = 1024
    max_steps: int = 10_000
    steps_per_call: int = 20
    checkpoint_every_steps: int = 1000
    evaluate_every_steps: int = 1000
    keep_checkpoints: int = 3
    patience_evaluations: int = 0
    precision: str = "float32"
    strategy: str = "default"
    clip_by: str = "none"
    clip_norm: float = 1.0
    accumulation_steps: int = 1
    ema_decay: float = 0.0
    seed: int = 0
    deterministic: bool = True

    def __post_init__(self) -> None:
        """Refuses values that mean nothing.

        Raises:
          ConfigurationError: naming the field.
        """
        for name, allowed in (
            ("precision", optimization.PRECISIONS),
            ("strategy", strategies.STRATEGIES),
            ("clip_by", optimization.CLIPPING),
        ):
            if getattr(self, name) not in allowed:
                value = getattr(self, name)
                raise ConfigurationError(f"{name}={value!r}: choose one of {', '.join(allowed)}")
        for name in ("batch_size", "steps_per_call", "checkpoint_every_steps",
                     "keep_checkpoints", "accumulation_steps"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name}={getattr(self, name)}: must be at least 1")
        if not 0 <= self.ema_decay < 1:
            raise ConfigurationError(f"ema_decay={self.ema_decay}: must be in [0, 1)")
        if self.clip_by != "none" and not self.clip_norm > 0:
            raise ConfigurationError(f"clip_norm={self.clip_norm}: must be above 0")


@dataclasses.dataclass(frozen=True)
class Task:
    """What to train, as functions.

    Attributes:
      make_model: () -> built keras.Model, called inside the strategy's scope under the
        precision's policy; its outputs are a dict of tensors. Heads take dtype="float32".
        A functional model with named inputs is given just those features of the batch.
      make_optimizer: () -> keras optimizer, without clipping of its own; the learning rate
        a number, a LearningRateSchedule or `optimization.FunctionSchedule(function)`.
      losses: (outputs, batch, step) -> dict of scalars, `loss` and whatever else is to be
        noted: means over the examples given. `step` counts finished steps (int64 scalar).
        Outputs come as float32. Made of keras.ops. L2 penalties of layers are added to
        `loss` by the loop and noted as `regularization`.
      dataset: (start_step, worker, workers) -> infinite tf.data.Dataset of dict batches of
        batch_size / workers examples, beginning with the batch of step `start_step`.
      gather: whether `losses` needs the global batch (a contrast within it): outputs and
        batch are then joined over the replicas first.
      loss_features: the batch's features that `losses` reads, None for all; spares
        gathering the others.
      select: (outputs, batch) -> outputs that `losses` is given, a dict of tensors of fixed
        width: applied on each replica before anything is gathered, which spares large ones.
        None for all outputs as they are.
      evaluate: model -> metrics, or None for no evaluation. Runs on the chief alone: no
        `predict`, no tf.distribute inside.
      best_metric: the metric by which the best weights are chosen; higher is better.
      initialize: called with the model before the first step, to give it other weights than
        its initial ones; not where a run is resumed.
      explain_input_error: asked what a TensorFlow error means that may have come out of the
        dataset; the UserError it returns is raised in its place.
    """

    make_model: Callable[[], keras.Model]
    make_optimizer: Callable[[], keras.optimizers.Optimizer]
    losses: Losses
    dataset: Callable[[int, int, int], tf.data.Dataset]
    gather: bool = False
    loss_features: tuple[str, ...] | None = None
    select: Callable[[dict, dict], dict] | None = None
    evaluate: Callable[[keras.Model], dict[str, float] | None] | None = None
    best_metric: str = ""
    initialize: Callable[[keras.Model], None] | None = None
    explain_input_error: Callable[[Exception], UserError | None] | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """Where a training ended.

    Attributes:
      step: finished steps.
      metrics: of the last evaluation.
      best_step: the step whose weights `load_best` loads; 0 without evaluations.
      best_metrics: of that step.
      stopped_early: whether patience ran out before max_steps.
    """

    step: int
    metrics: dict[str, float]
    best_step: int
    best_metrics: dict[str, float]
    stopped_early: bool
