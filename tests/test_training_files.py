"""What a training leaves in its folder, what it refuses, and how it ends."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from short_runs import CONFIG, curve, rows, steps_of, train, weights
from two_towers import contrast, make_dataset, make_model, make_task

from crossmodal import checkpoints, training
from crossmodal.errors import BadRecordError, ConfigurationError, TrainingError, UserError
from crossmodal.optimization import FunctionSchedule
from crossmodal.training import load_best, load_latest


def test_best_is_kept_and_patience_counts_through_a_resume(tmp_path):
    scores = {2: 0.1, 4: 0.7, 6: 0.2, 8: 0.7, 10: 0.3, 12: 0.9}
    at = []

    def evaluate(model):
        at.append(2 * len(at) + 2)
        return {"cosine": scores[at[-1]]}

    config = {"evaluate_every_steps": 2, "patience_evaluations": 3, "checkpoint_every_steps": 1}
    task = {"evaluate": evaluate}
    first = train(tmp_path, {**config, "max_steps": 6}, task)
    assert (first.best_step, first.stopped_early) == (4, False)
    result = train(tmp_path, config, task)
    assert at == [2, 4, 6, 8, 10]
    assert result == training.Result(10, {"cosine": 0.3}, 4, {"cosine": 0.7}, True)
    assert steps_of(tmp_path, checkpoints.BEST) == [4]
    assert steps_of(tmp_path) == [8, 9, 10]
    assert load_best(str(tmp_path), make_model()) == 4
    train(tmp_path / "short", {"max_steps": 4})
    for ours, theirs in zip(weights(tmp_path, load_best), weights(tmp_path / "short"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert train(tmp_path, config, task) == result and len(at) == 5


def test_unknown_best_metric_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigurationError, match=r"best_metric='recall'.*cosine"):
        train(tmp_path, task={"best_metric": "recall"})


def spoil(value: float, step: int):
    """A loss that is `value` at one step."""
    def losses(outputs, batch, now):
        loss = contrast(outputs, batch, now)["loss"]
        return {"loss": keras.ops.where(now == step, value, loss)}

    return losses


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_that_is_not_finite_ends_with_one_line(tmp_path, value):
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) at step 10; .*step 8 is intact"):
        train(tmp_path, task={"losses": spoil(value, step=9)})
    train(tmp_path)  # a loss that was mended goes on from step 8
    train(tmp_path / "whole")
    for ours, theirs in zip(weights(tmp_path), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    schedule = FunctionSchedule(lambda step: keras.ops.where(step == 7, math.nan, 0.1))
    with pytest.raises(TrainingError, match=r"weight .* NaN or Inf after step 8; .*step 4 is in"):
        train(tmp_path, task={"make_optimizer": lambda: keras.optimizers.SGD(schedule)})
    assert steps_of(tmp_path) == [4]
    assert all(np.isfinite(w).all() for w in weights(tmp_path))


def test_other_configuration_is_refused_by_field(tmp_path):
    task = make_task()
    training.train(task, CONFIG, str(tmp_path), {"model": {"width": 3}, "recipe": "a"})
    with pytest.raises(ConfigurationError) as refused:
        changed = dataclasses.replace(CONFIG, clip_norm=2.0, max_steps=20)
        training.train(task, changed, str(tmp_path), {"model": {"width": 4}, "recipe": "a"})
    text = str(refused.value)
    assert "model.width: 3 -> 4" in text and "training.clip_norm: 1.0 -> 2.0" in text
    assert "recipe" not in text and "max_steps" not in text and "\n" not in text
    saved = json.loads((tmp_path / "configuration.json").read_text())
    assert saved["training"]["clip_norm"] == 1.0 and saved["model"] == {"width": 3}


def test_checkpoint_of_another_model_is_refused(tmp_path):
    train(tmp_path)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match="another configuration"):
        load_latest(str(tmp_path), other)
    with pytest.raises(UserError, match="no checkpoint here"):
        load_best(str(tmp_path / "nowhere"), other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"precision": "float8"}, "precision='float8': choose one of float32"),
        ({"strategy": "tpu"}, "strategy='tpu': choose one of default"),
        ({"clip_by": "value"}, "clip_by='value': choose one of none"),
        ({"accumulation_steps": 0}, "accumulation_steps=0: must be at least 1"),
        ({"ema_decay": 1.0}, r"ema_decay=1.0: must be in \[0, 1\)"),
        ({"clip_by": "global", "clip_norm": 0.0}, "clip_norm=0.0: must be above 0"),
    ],
)
def test_senseless_configuration_is_refused(values, message):
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(CONFIG, **values)


def test_batch_that_cannot_be_divided_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"batch_size=16 cannot be divided .* of 3$"):
        train(tmp_path, {"accumulation_steps": 3})


@pytest.mark.parametrize("known", [True, False])
def test_input_errors_are_explained(tmp_path, known):
    def dataset(start, worker, workers):
        batches = make_dataset(16)(start, worker, workers)
        return batches.enumerate().map(
            lambda i, batch: {**batch, "a": tf.debugging.check_numerics(
                batch["a"] / tf.cast(i != 6, tf.float32), "bad record")}
        )

    asked = []

    def explain(error):
        asked.append(error)
        return BadRecordError("x.tfrecord: record 3: NaN") if known else None

    task = {"dataset": dataset, "explain_input_error": explain}
    with pytest.raises(BadRecordError if known else tf.errors.InvalidArgumentError):
        train(tmp_path, {"steps_per_call": 1}, task)
    assert len(asked) == 1 and steps_of(tmp_path) == [4]


def test_dataset_that_ends_is_an_error(tmp_path):
    def dataset(start, worker, workers):
        return make_dataset(16)(start, worker, workers).take(3)

    with pytest.raises(tf.errors.OpError, match="infinite"):
        train(tmp_path, task={"dataset": dataset})


def test_tensorboard_has_the_curve(tmp_path):
    train(tmp_path, {"evaluate_every_steps": 6})
    found = {}
    for path in (tmp_path / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    for row in rows(tmp_path):
        prefix = "evaluation" if "evaluation" in row else "train"
        for name, value in row.get("evaluation", row).items():
            if name != "step":
                assert found[f"{prefix}/{name}", row["step"]] == pytest.approx(value, rel=1e-6)
    names = {name for name, _ in found}
    assert {"train/loss", "train/started", "train/learning_rate", "train/examples_per_second",
            "evaluation/cosine"} <= names


def test_curve_is_cut_at_the_checkpoint_that_is_resumed(tmp_path):
    train(tmp_path, {"max_steps": 6, "evaluate_every_steps": 3})
    path = tmp_path / "metrics.jsonl"
    whole = curve(tmp_path)
    with path.open("a") as file:
        file.write('{"step": 8, "loss": 1.0}\n{"step": 9, "evaluation": {}}\n{"step": 10, "lo')
    train(tmp_path, {"max_steps": 6, "evaluate_every_steps": 3})
    assert curve(tmp_path) == whole
