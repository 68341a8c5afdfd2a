"""The order of things in a training: steps, evaluations, checkpoints, the end."""

import dataclasses
import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from crossmodal import checkpoints, interruption, optimization, progress, strategies
from crossmodal.errors import ConfigurationError, TrainingError, UserError
from crossmodal.steps import Steps
from crossmodal.task import Result, Task, TrainingConfig


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
        """Steps, evaluations and checkpoints until the end; TensorFlow's errors in plain words."""
        record = self.record
        try:
            with interruption.deferred_signals() as received:
                early = self.work(iterator, received)
        except tf.errors.OpError as error:
            explained = self.explain(error)
            if explained is None:
                raise
            raise explained from error
        return Result(record.step, record.metrics, record.best_step, record.best_metrics, early)

    def work(self, iterator: Any, received: list[int]) -> bool:
        """Does what is due until the end; returns whether that came early."""
        record, config = self.record, self.config
        while True:
            if self.evaluation_due():
                self.evaluate()
            early = 0 < config.patience_evaluations <= record.evaluations_since_best
            ended = early or record.step >= config.max_steps
            if ended or record.step % config.checkpoint_every_steps == 0:
                self.save()
            if ended:
                return early and record.step < config.max_steps
            if self.advance(iterator, bool(received)):
                self.save()
                self.journal.close()
                print(
                    f"stopped after step {record.step}; its checkpoint is saved, and the same "
                    "command goes on from there",
                    file=sys.stderr,
                )
                interruption.stop(received)

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
        history, stop = self.steps(iterator, number, stop)
        means = dict(zip(self.steps.names, history.mean(0).tolist(), strict=True))
        losses = history[:, self.steps.names.index("loss")]
        if not np.isfinite(losses).all():
            wrong = int(np.argmin(np.isfinite(losses)))
            kept = checkpoints.usable(self.workdir)
            raise TrainingError(
                f"the loss is {losses[wrong]} at step {first + wrong + 1}; {kept}: lower the "
                "learning rate, clip the gradients or look at the input"
            )
        self.record.step = first + number
        self.journal.note_steps(self.record.step, number, means, timed=self.compiled)
        self.compiled = True
        return stop

    def explain(self, error: tf.errors.OpError) -> UserError | None:
        """What an error of TensorFlow means to the user, if anybody knows."""
        if strategies.is_multi_worker(self.strategy) and "ollective" in str(error):
            kept = checkpoints.usable(self.workdir)
            return TrainingError(
                f"another worker is gone after step {self.record.step}; {kept}: start all workers "
                "again with the same command"
            )
        explain = self.task.explain_input_error
        return explain(error) if explain else None

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
