"""The training loop of every model of this library.

A custom loop on `strategy.run`: `fit` fails under several workers in this stack. The order
of the data and every random draw are functions of (seed, position), so a run that is
killed and started again ends with the weights of a run that never was, bit for bit on CPU.

Files in the work folder: `configuration.json`, `metrics.jsonl`, `tensorboard/`,
`checkpoints/step-N/` and `best/step-N/`.
"""

import dataclasses
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crossmodal import checkpoints, configuration, interruption, optimization, progress, strategies
from crossmodal.checkpoints import load_best, load_latest
from crossmodal.errors import ConfigurationError, TrainingError
from crossmodal.steps import State, StepOptions, Steps
from crossmodal.task import Result, Task, TrainingConfig

__all__ = ["Result", "Task", "TrainingConfig", "load_best", "load_latest", "train"]

CONFIGURATION = "configuration.json"
# A run may be resumed with other values of these: none of them changes what a step does.
MAY_CHANGE = (
    "training.max_steps",
    "training.steps_per_call",
    "training.checkpoint_every_steps",
    "training.evaluate_every_steps",
    "training.keep_checkpoints",
    "training.patience_evaluations",
)


def train(
    task: Task,
    config: TrainingConfig,
    workdir: str,
    saved: Mapping[str, Any] | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> Result:
    """Trains, or goes on from the newest checkpoint in `workdir`.

    SIGTERM and SIGINT end the run after the current call with a checkpoint; the process then
    exits with status 143 or 130. The same command goes on.

    Args:
      task: what to train.
      config: how.
      workdir: the work folder; under several workers one that all of them see.
      saved: everything else that makes up this run (JSON-compatible); goes into
        configuration.json, and a folder where it differs is refused.
      strategy: made by `strategies.make_strategy(config.strategy)`; to be given where
        TensorFlow runs anything before, as `multi_worker` must be made first.

    Raises:
      ConfigurationError: batch_size cannot be divided, or the folder holds checkpoints of
        another configuration.
      TrainingError: the loss is not finite, or a file cannot be written; the last
        checkpoint stays usable.
      UserError: what `explain_input_error` made of an error of the dataset.
    """
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategy or strategies.make_strategy(config.strategy)
    chief = strategies.is_chief(strategy)
    share = replica_batch_size(config, strategy.num_replicas_in_sync)
    check_configuration(workdir, saved or {}, config, write=chief)
    state = make_state(task, config, strategy)
    record = checkpoints.restore(workdir, state) or checkpoints.Record(
        seed=config.seed, averaged=config.ema_decay > 0
    )
    if chief:
        checkpoints.remove_unusable(workdir, record.step)
    iterator, specs = strategies.distribute(
        strategy, lambda worker, workers: task.dataset(record.step, worker, workers), share
    )
    steps = Steps(state, task.losses, step_options(task, config), strategy, specs)
    with progress.open_journal(workdir, record, config, write=chief) as journal:
        return Loop(task, config, workdir, record, steps, journal).run(iterator)


def replica_batch_size(config: TrainingConfig, replicas: int) -> int:
    """Examples of a micro-batch on one replica.

    Raises:
      ConfigurationError: the batch cannot be divided so.
    """
    parts = replicas * config.accumulation_steps
    if config.batch_size % parts:
        raise ConfigurationError(
            f"batch_size={config.batch_size} cannot be divided among {replicas} replicas with "
            f"accumulation_steps={config.accumulation_steps}: take a multiple of {parts}"
        )
    return config.batch_size // parts


def check_configuration(
    workdir: str, saved: Mapping[str, Any], config: TrainingConfig, write: bool
) -> None:
    """Writes configuration.json, unless a run with another one is under way in the folder.

    Raises:
      ConfigurationError: naming the fields that differ from those of the checkpoints.
    """
    values = {**saved, "training": configuration.to_dict(config)}
    path = os.path.join(workdir, CONFIGURATION)
    if checkpoints.complete_steps(os.path.join(workdir, checkpoints.LATEST)):
        differing = [
            line
            for line in configuration.differences(configuration.load(path), values)
            if line.split(":")[0] not in MAY_CHANGE
        ]
        if differing:
            raise ConfigurationError(
                f"{workdir} holds a run with another configuration ({'; '.join(differing)}): "
                "take these values again, or another work folder"
            )
    if write:
        configuration.save(path, values)


def make_state(task: Task, config: TrainingConfig, strategy: tf.distribute.Strategy) -> State:
    """Model, optimizer and counters in their initial state, a function of the seed."""
    keras.utils.set_random_seed(config.seed)
    with strategy.scope(), optimization.precision_policy(config.precision):
        model = task.make_model()
        optimizer = optimization.prepare_optimizer(
            task.make_optimizer(), model.trainable_variables, config.precision
        )
        step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        averaged = model.trainable_variables if config.ema_decay else []
        averages = [tf.Variable(tf.convert_to_tensor(v), trainable=False) for v in averaged]
    return State(model, optimizer, step, averages)


def step_options(task: Task, config: TrainingConfig) -> StepOptions:
    """What the compiled step is told."""
    return StepOptions(
        accumulation_steps=config.accumulation_steps,
        clip_by=config.clip_by,
        clip_norm=config.clip_norm,
        ema_decay=config.ema_decay,
        seed=config.seed,
        gather=task.gather,
        loss_features=task.loss_features,
    )


class Loop:
    """One run, from its first or restored step to its end."""

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        workdir: str,
        record: checkpoints.Record,
        steps: Steps,
        journal: progress.Journal,
    ) -> None:
        """Takes what `train` has made."""
        self.task, self.config, self.workdir = task, config, workdir
        self.record, self.steps, self.journal = record, steps, journal
        self.state, self.strategy = steps.state, steps.strategy
        self.chief = strategies.is_chief(self.strategy)
        self.saved = dataclasses.replace(record)  # as the newest checkpoint has it
        self.compiled = False

    def run(self, iterator: Any) -> Result:
        """Steps, evaluations and checkpoints until the end."""
        record, config = self.record, self.config
        with interruption.deferred_signals() as received:
            while True:
                if self.evaluation_due():
                    self.evaluate()
                early = 0 < config.patience_evaluations <= record.evaluations_since_best
                ended = early or record.step >= config.max_steps
                if ended or record.step % config.checkpoint_every_steps == 0:
                    self.save()
                if ended:
                    break
                if self.advance(iterator, bool(received)):
                    self.save()
                    self.journal.close()
                    print(f"stopped after step {record.step}; its checkpoint is saved, and the "
                          "same command goes on from there", file=sys.stderr)
                    interruption.stop(received)
        return Result(record.step, record.metrics, record.best_step, record.best_metrics, early)

    def advance(self, iterator: Any, stop: bool) -> bool:
        """Takes the steps up to the next one where something else is due.

        Returns:
          Whether this worker or another was asked to stop.

        Raises:
          TrainingError: the loss is not finite.
        """
        first, config = self.record.step, self.config
        ends = [config.max_steps]
        # Multiples of fixed numbers: a resumed run makes the same calls.
        for every in (config.steps_per_call, config.checkpoint_every_steps,
                      config.evaluate_every_steps):
            if every:
                ends.append((first // every + 1) * every)
        number = min(ends) - first
        self.journal.start_clock()
        history, stop = self.call(iterator, number, stop)
        means = dict(zip(self.steps.names, history.mean(0).tolist(), strict=True))
        losses = history[:, self.steps.names.index("loss")]
        if not np.isfinite(losses).all():
            wrong = int(np.argmin(np.isfinite(losses)))
            kept = checkpoints.usable(os.path.join(self.workdir, checkpoints.LATEST))
            raise TrainingError(
                f"the loss is {losses[wrong]} at step {first + wrong + 1}; {kept}: lower the "
                "learning rate, clip the gradients or look at the input"
            )
        self.record.step = first + number
        self.journal.note_steps(self.record.step, number, means, timed=self.compiled)
        self.compiled = True
        return stop

    def call(self, iterator: Any, number: int, stop: bool) -> tuple[np.ndarray, bool]:
        """One call of the compiled steps, with the errors of the dataset in plain words."""
        try:
            return self.steps(iterator, number, stop)
        except tf.errors.OpError as error:
            explain = self.task.explain_input_error
            explained = explain(error) if explain else None
            if explained is None:
                raise
            raise explained from error

    def evaluation_due(self) -> bool:
        """Whether the current step is to be evaluated and has not been yet."""
        step, every = self.record.step, self.config.evaluate_every_steps
        due = step >= self.config.max_steps or (every > 0 and step % every == 0)
        return bool(self.task.evaluate and due and 0 < step != self.record.evaluated_step)

    def evaluate(self) -> None:
        """Evaluates the (averaged) weights and keeps them if they are the best so far."""
        record, model = self.record, self.state.model
        with optimization.averaged_weights(self.state.averages, model.trainable_variables):
            metrics = strategies.from_chief(self.strategy, lambda: self.task.evaluate(model))
            record.evaluated_step = record.step
            if not metrics:
                return
            record.metrics = {name: float(value) for name, value in metrics.items()}
            self.journal.note_evaluation(record.step, record.metrics)
            if not self.is_best():
                record.evaluations_since_best += 1
                return
            record.best_step, record.best_metrics = record.step, record.metrics
            record.evaluations_since_best = 0
            if self.chief:
                checkpoints.save_best(self.workdir, model, record.step, record.metrics)

    def is_best(self) -> bool:
        """Whether the last metrics are better than all before."""
        name, record = self.task.best_metric, self.record
        if name not in record.metrics:
            raise ConfigurationError(
                f"best_metric={name!r} is not evaluated; there are {', '.join(record.metrics)}"
            )
        best = record.best_metrics.get(name, -math.inf)
        return record.metrics[name] > best

    def save(self) -> None:
        """Writes a checkpoint, unless the newest one says the same."""
        if self.chief and self.record.step and self.record != self.saved:
            checkpoints.save(self.workdir, self.state, self.record, self.config.keep_checkpoints)
        self.saved = dataclasses.replace(self.record)
