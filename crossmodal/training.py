"""The training loop of every model of this library.

A custom loop on `strategy.run`: `fit` fails under several workers in this stack. The order
of the data and every random draw are functions of (seed, position), so a run that is
killed and started again ends with the weights of a run that never was, bit for bit on CPU.

Files in the work folder: `configuration.json`, `metrics.jsonl`, `tensorboard/`,
`checkpoints/step-N/` and `best/step-N/`.
"""

import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from crossmodal import checkpoints, configuration, optimization, progress, strategies
from crossmodal.checkpoints import load_best, load_latest
from crossmodal.errors import ConfigurationError
from crossmodal.loop import Loop
from crossmodal.steps import State, StepOptions, Steps
from crossmodal.task import Result, Task, TrainingConfig

__all__ = ["Result", "Task", "TrainingConfig", "load_best", "load_latest", "train"]

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
    record = checkpoints.restore(workdir, state)
    if record is None:
        initialize(task, state)
        record = checkpoints.Record(seed=config.seed, averaged=config.ema_decay > 0)
    if chief:
        with checkpoints.writing(workdir, workdir):
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
    path = os.path.join(workdir, configuration.FILE)
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
        with checkpoints.writing(workdir, path):
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


def initialize(task: Task, state: State) -> None:
    """Gives the model of a new run the weights that it is to begin with."""
    if task.initialize is None:
        return
    task.initialize(state.model)
    for average, weight in zip(state.averages, state.model.trainable_variables, strict=False):
        average.assign(weight)


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
        select=task.select,
    )
