"""Checkpoints: a folder `step-N` with the variables, complete once its `state.json` is there.

`state.json` is written last and whole, and taken away first, so that a run killed at any
moment leaves the older checkpoints usable. `checkpoints/` holds the last few steps with
everything that training goes on from, `best/` the weights of the best evaluation. The
order of the data and all random draws are functions of seed and step and need no saving.
"""

import contextlib
import dataclasses
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crossmodal import configuration
from crossmodal.errors import ConfigurationError, TrainingError, UserError
from crossmodal.steps import State

LATEST = "checkpoints"
BEST = "best"
STATE = "state.json"
VARIABLES = "variables"


@dataclasses.dataclass
class Record:
    """What training remembers beside the variables.

    Attributes:
      step: finished steps.
      seed: of the run, for the reader.
      averaged: whether the moving averages are the weights to use.
      evaluated_step: of the last evaluation; 0 for none.
      metrics: of the last evaluation.
      best_step: of the best evaluation; 0 for none.
      best_metrics: of the best evaluation.
      evaluations_since_best: how many evaluations did not better it.
    """

    step: int = 0
    seed: int = 0
    averaged: bool = False
    evaluated_step: int = 0
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    best_step: int = 0
    best_metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    evaluations_since_best: int = 0


def save(workdir: str, state: State, record: Record, keep: int) -> None:
    """Writes checkpoint `record.step`, then removes all but the last `keep`.

    Raises:
      TrainingError: the weights are not finite, or the checkpoint cannot be written.
    """
    folder = os.path.join(workdir, LATEST)
    _check_finite(state.model, record.step, workdir)
    variables = _weights(state.model, state.averages)
    variables["optimizer"] = [v.value for v in state.optimizer.variables]
    variables["step"] = state.step
    _write(workdir, LATEST, record.step, variables, dataclasses.asdict(record))
    for step in complete_steps(folder)[: -max(keep, 1)]:
        _remove(os.path.join(folder, f"step-{step}"))


def save_best(workdir: str, model: keras.Model, step: int, metrics: dict[str, float]) -> None:
    """Writes the model's weights as the best ones and removes the best ones before.

    Raises:
      TrainingError: as `save`.
    """
    folder = os.path.join(workdir, BEST)
    _check_finite(model, step, workdir)
    if step in complete_steps(folder):  # of a run that was killed before its next checkpoint
        _remove(os.path.join(folder, f"step-{step}"))
    _write(workdir, BEST, step, _weights(model), {"step": step, "metrics": metrics})
    for other in complete_steps(folder):
        if other != step:
            _remove(os.path.join(folder, f"step-{other}"))


def restore(workdir: str, state: State) -> Record | None:
    """Restores the newest readable checkpoint; None where there is none.

    A checkpoint that cannot be read (a disk that lost power) is passed over with a warning.

    Raises:
      TrainingError: there are checkpoints, and none can be read.
      UserError: a checkpoint is of another model.
    """
    folder = os.path.join(workdir, LATEST)
    steps = complete_steps(folder)
    for step in reversed(steps):
        variables = _weights(state.model, state.averages)
        variables["optimizer"] = [v.value for v in state.optimizer.variables]
        variables["step"] = state.step
        try:
            saved = _read(os.path.join(folder, f"step-{step}"), variables)
        except (tf.errors.OpError, ConfigurationError):
            warnings.warn(f"{folder}/step-{step} cannot be read and is passed over", stacklevel=2)
            continue
        saved.pop("variables")
        return Record(**saved)
    if steps:
        raise TrainingError(f"{folder}: no checkpoint can be read; remove the folder to start anew")
    return None


def load_latest(workdir: str, model: keras.Model) -> int:
    """Loads the weights of the newest checkpoint (the averaged ones where there are).

    Args:
      workdir: the work folder of a training.
      model: a model as the training made it.

    Returns:
      The step.

    Raises:
      UserError: there is no checkpoint, or it is of another model.
    """
    return _load(os.path.join(workdir, LATEST), model)


def load_best(workdir: str, model: keras.Model) -> int:
    """Loads the weights of the best evaluation; as `load_latest`."""
    return _load(os.path.join(workdir, BEST), model)


def load_chosen(workdir: str, model: keras.Model, checkpoint: str = "best") -> int:
    """Loads the weights of the best evaluation, or of the newest checkpoint.

    Args:
      workdir, model: as for `load_latest`.
      checkpoint: `best` (where nothing was evaluated, the newest) or `last`.

    Returns, raises: as `load_latest`.
    """
    return _load(os.path.dirname(chosen(workdir, checkpoint)), model)


def chosen(workdir: str, checkpoint: str = "best") -> str:
    """The folder of the checkpoint that `load_chosen` takes.

    Raises:
      UserError: there is no checkpoint.
    """
    evaluated = complete_steps(os.path.join(workdir, BEST))
    best = checkpoint == "best" and evaluated
    return _last(os.path.join(workdir, BEST if best else LATEST))


def complete_steps(folder: str) -> list[int]:
    """The steps of the complete checkpoints in a folder, in ascending order."""
    if not tf.io.gfile.isdir(folder):
        return []
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    steps = [int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)]
    return sorted(s for s in steps if tf.io.gfile.exists(f"{folder}/step-{s}/{STATE}"))


def remove_unusable(workdir: str, step: int) -> None:
    """Removes what a killed run left half-written, and checkpoints beyond the restored step."""
    for folder in (os.path.join(workdir, LATEST), os.path.join(workdir, BEST)):
        complete = complete_steps(folder)
        for other in complete:
            if folder.endswith(LATEST) and other > step:
                _remove(os.path.join(folder, f"step-{other}"))
        kept = {f"step-{other}" for other in complete}
        names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
        for name in (name.rstrip("/") for name in names):
            if name.startswith("step-") and name not in kept:
                tf.io.gfile.rmtree(os.path.join(folder, name))


def _weights(model: keras.Model, averages: list[tf.Variable] | None = None) -> dict[str, Any]:
    # Plain lists of variables: names inside Keras may change, the order of creation does not.
    weights = {"model": [weight.value for weight in model.weights]}
    return {**weights, "averages": list(averages)} if averages else weights


def _describe(variables: dict[str, Any]) -> dict[str, list[list[int]]]:
    lists = {k: v for k, v in variables.items() if isinstance(v, list)}
    return {name: [v.shape.as_list() for v in values] for name, values in lists.items()}


def _write(
    workdir: str, folder: str, step: int, variables: dict[str, Any], values: dict[str, Any]
) -> None:
    path = os.path.join(workdir, folder, f"step-{step}")
    values = {**values, "variables": _describe(variables)}
    with writing(workdir, path):
        try:
            if not tf.io.gfile.exists(os.path.join(path, STATE)):
                tf.io.gfile.makedirs(path)
                write_variables(variables, os.path.join(path, VARIABLES))
            # A complete checkpoint of this step has the same variables: only what is known of
            # it has changed.
            configuration.save(os.path.join(path, STATE), values)
        except (OSError, tf.errors.OpError):
            if not tf.io.gfile.exists(os.path.join(path, STATE)):
                with contextlib.suppress(OSError, tf.errors.OpError):
                    tf.io.gfile.rmtree(path)
            raise


@contextlib.contextmanager
def writing(workdir: str, path: str) -> Iterator[None]:
    """Turns what goes wrong with a file of a training into one line.

    Raises:
      TrainingError: `path` cannot be written.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        text = getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
        # TensorFlow names its operation and the temporary file first.
        reason = text.split(" [Op:")[0].split("; ")[-1].partition("\n")[0] or type(error).__name__
        raise TrainingError(
            f"{path}: cannot write ({reason}); {usable(workdir)}: free some space and start the "
            "same command again"
        ) from error


def write_variables(variables: dict[str, Any], prefix: str) -> None:
    """Writes variables, by name, under the prefix of a TensorFlow checkpoint."""
    tf.train.Checkpoint(**variables).write(prefix)


def _read(path: str, variables: dict[str, Any]) -> dict[str, Any]:
    values = configuration.load(os.path.join(path, STATE))
    saved, here = values["variables"], _describe(variables)
    for name, shapes in here.items():
        if saved.get(name) != shapes:
            raise UserError(
                f"{path}: its {name} has other variables ({len(saved.get(name, []))} of them, "
                f"here {len(shapes)}); it is a checkpoint of another configuration"
            )
    status = tf.train.Checkpoint(**variables).read(os.path.join(path, VARIABLES))
    status.assert_existing_objects_matched().expect_partial()
    return values


def _load(folder: str, model: keras.Model) -> int:
    path = _last(folder)
    variables = _weights(model)
    averaged = configuration.load(os.path.join(path, STATE)).get("averaged")
    if averaged:
        trainable = model.trainable_variables
        variables["averages"] = [tf.Variable(tf.zeros_like(v)) for v in trainable]
    _read(path, variables)
    if averaged:
        for variable, average in zip(trainable, variables["averages"], strict=True):
            variable.assign(average)
    return int(path.rpartition("-")[2])


def _last(folder: str) -> str:
    """The newest checkpoint in a folder."""
    steps = complete_steps(folder)
    if not steps:
        raise UserError(f"{folder}: no checkpoint here; name the work folder of a training")
    return os.path.join(folder, f"step-{steps[-1]}")


def _remove(path: str) -> None:
    # Without its state the folder no longer counts, should the rest of the removal not happen.
    tf.io.gfile.remove(os.path.join(path, STATE))
    tf.io.gfile.rmtree(path)


def _check_finite(model: keras.Model, step: int, workdir: str) -> None:
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise TrainingError(
                f"weight {weight.path} has a NaN or Inf after step {step}; {usable(workdir)}: "
                "lower the learning rate or clip the gradients"
            )


def usable(workdir: str) -> str:
    """What is left to go on from, as part of an error's sentence."""
    steps = complete_steps(os.path.join(workdir, LATEST))
    if not steps:
        return "no checkpoint was written before"
    return f"the checkpoint of step {steps[-1]} is intact"
