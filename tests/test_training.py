"""The training loop on one device, against a loop written out by hand."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from short_runs import CONFIG, rows, train, weights
from two_towers import contrast, make_data, make_dataset, make_model, regress

from crossmodal.optimization import FunctionSchedule
from crossmodal.training import TrainingConfig, load_best


def by_hand(config: TrainingConfig, losses, l2: float) -> tuple[list[np.ndarray], list[float]]:
    """Momentum descent with clipping and accumulation, one operation after the other."""
    keras.utils.set_random_seed(config.seed)
    model = make_model()
    values = [w.numpy() for w in model.trainable_variables]
    kernels = {0, 2}  # the first layer of each tower is regularised
    kernels = {i for i in kernels if l2}
    speeds = [np.zeros_like(v) for v in values]
    data, curve = iter(make_dataset(config.batch_size)(0, 0, 1)), []
    for step in range(config.max_steps):
        batch, total, loss_sum = next(data), [np.zeros_like(v) for v in values], 0.0
        size = config.batch_size // config.accumulation_steps
        for first in range(0, config.batch_size, size):
            part = {k: v[first : first + size] for k, v in batch.items()}
            with tf.GradientTape() as tape:
                outputs = model({k: part[k] for k in ("a", "b")}, training=True)
                loss = losses(outputs, part, tf.constant(step, tf.int64))["loss"]
            loss_sum += float(loss) / config.accumulation_steps
            gradients = tape.gradient(loss, model.trainable_variables)
            total = [t + g.numpy() / config.accumulation_steps
                     for t, g in zip(total, gradients, strict=True)]
        loss_sum += sum(l2 * np.sum(values[i] ** 2) for i in kernels)
        total = [t + 2 * l2 * v * (i in kernels)
                 for i, (t, v) in enumerate(zip(total, values, strict=True))]
        norms = [math.sqrt(np.sum(t**2)) for t in total]
        if config.clip_by == "global":
            norms = [math.sqrt(sum(n**2 for n in norms))] * len(norms)
        if config.clip_by != "none":
            total = [t * min(1, config.clip_norm / n) for t, n in zip(total, norms, strict=True)]
        speeds = [0.5 * s - 0.2 * t for s, t in zip(speeds, total, strict=True)]
        values = [v + s for v, s in zip(values, speeds, strict=True)]
        for variable, value in zip(model.trainable_variables, values, strict=True):
            variable.assign(value)
        curve.append(loss_sum)
    return values, curve


@pytest.mark.parametrize(
    ("losses", "l2", "config"),
    [
        (contrast, 0.0, {}),
        (contrast, 0.05, {"clip_by": "global", "clip_norm": 0.3}),
        (contrast, 0.0, {"clip_by": "variable", "clip_norm": 0.1}),
        (contrast, 0.0, {"accumulation_steps": 4}),
        (regress, 0.05, {"accumulation_steps": 2, "clip_by": "global", "clip_norm": 0.1}),
    ],
)
def test_steps_are_those_written_out_by_hand(tmp_path, losses, l2, config):
    train(tmp_path, config, {"losses": losses, "l2": l2})
    values, losses = by_hand(dataclasses.replace(CONFIG, **config), losses, l2)
    for ours, theirs in zip(weights(tmp_path), values, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    means = {row["step"]: row["loss"] for row in rows(tmp_path) if "loss" in row}
    assert means == pytest.approx({
        4: np.mean(losses[:4]), 5: losses[4], 8: np.mean(losses[5:8]),
        10: np.mean(losses[8:10]), 12: np.mean(losses[10:]),
    }, rel=1e-4)


def test_losses_are_told_the_number_of_finished_steps(tmp_path):
    train(tmp_path, {"steps_per_call": 1, "max_steps": 3})
    assert [row["started"] for row in rows(tmp_path) if "loss" in row] == [0, 1, 2]


def test_learning_rate_is_a_function_of_the_step_through_a_resume(tmp_path):
    schedule = FunctionSchedule(lambda step: 0.1 / (1 + step))
    task = {"make_optimizer": lambda: keras.optimizers.SGD(schedule)}
    train(tmp_path, {"max_steps": 4, "steps_per_call": 1}, task)
    train(tmp_path, {"max_steps": 8, "steps_per_call": 1}, task)
    rates = [row["learning_rate"] for row in rows(tmp_path) if "loss" in row]
    assert rates == pytest.approx([0.1 / (1 + step) for step in range(8)])


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    train(tmp_path / "whole", {"ema_decay": 0.9})
    train(tmp_path / "parts", {"ema_decay": 0.9, "max_steps": 5})
    result = train(tmp_path / "parts", {"ema_decay": 0.9})
    assert result.step == 12
    for ours, theirs in zip(weights(tmp_path / "parts"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = train(tmp_path / "parts", {"ema_decay": 0.9})
    assert again == result


def test_averages_are_what_is_evaluated_and_loaded(tmp_path):
    seen = []

    def evaluate(model):
        seen.append(model.get_weights())
        return {"cosine": 0.0}

    def trajectory(max_steps):
        train(tmp_path / str(max_steps), {"max_steps": max_steps, "steps_per_call": 1})
        return weights(tmp_path / str(max_steps))

    decay = 0.5
    train(tmp_path / "run", {"ema_decay": decay, "max_steps": 3}, {"evaluate": evaluate})
    keras.utils.set_random_seed(0)
    average = make_model().get_weights()
    for step in range(3):
        rate = 1 - min(decay, (1 + step) / (10 + step))
        average = [a + rate * (w - a) for a, w in zip(average, trajectory(step + 1), strict=True)]
    for loaded in (seen[-1], weights(tmp_path / "run"), weights(tmp_path / "run", load_best)):
        for ours, theirs in zip(loaded, average, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_strings_in_a_batch_do_no_harm(tmp_path):
    def dataset(start, worker, workers):
        batches = make_dataset(16)(start, worker, workers)
        return batches.map(lambda batch: {**batch, "id": tf.fill([16], "name")})

    assert train(tmp_path, {"max_steps": 2}, {"dataset": dataset}).step == 2


def test_loss_features_are_all_that_losses_get(tmp_path):
    seen = []

    def losses(outputs, batch, step):
        seen.append(sorted(batch))
        return contrast(outputs, batch, step)

    task = {"losses": losses, "loss_features": ("labels",)}
    train(tmp_path, {"max_steps": 2}, task)
    assert seen and all(names == ["labels"] for names in seen)


def test_precision_is_that_of_the_layers_and_put_back(tmp_path):
    types = []

    def losses(outputs, batch, step):
        types.append({k: v.dtype for k, v in outputs.items()})
        return regress(outputs, batch, step)

    policies = []

    def make():
        model = make_model()
        policies.extend(layer.compute_dtype for layer in model.layers if "dense" in layer.name)
        return model

    train(tmp_path, {"precision": "mixed_float16"}, {"losses": losses, "make_model": make})
    assert sorted(set(policies)) == ["float16", "float32"]
    assert types[0] == {"a": tf.float32, "b": tf.float32}
    assert keras.config.dtype_policy().name == "float32"


def test_data_has_the_widths_that_these_tests_need():
    widths = {batch["labels"].shape[1] for batch in make_dataset(4)(0, 0, 1).take(16)}
    assert widths == {1, 2} and make_data()["labels"].shape == (64, 3)
