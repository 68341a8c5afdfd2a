"""Two devices, or two processes, give what one device gives."""

import functools
import os
import signal
import time

import numpy as np
import pytest
import training_runs
from training_runs import curve, free_addresses, start, variables
from two_towers import regress, rest, spread

SHORT = {"max_steps": 12, "checkpoint_every_steps": 12, "evaluate_every_steps": 0}
CASES = {
    "contrast": ({}, {}),
    "single_examples": ({"losses": regress, "gather": False}, {}),
    "l2": ({"l2": 0.05}, {}),
    "clip_variable": ({}, {"clip_by": "variable", "clip_norm": 0.05}),
    "clip_global": ({"l2": 0.05}, {"clip_by": "global", "clip_norm": 0.1}),
    "accumulation": ({}, {"accumulation_steps": 2}),
    "average": ({"optimizer": "adam"}, {"ema_decay": 0.8}),
}


@pytest.fixture(scope="module")
def executor():
    with training_runs.two_devices() as executor:
        yield executor


@pytest.fixture(scope="module")
def trained(executor, tmp_path_factory):
    """Trains once for each set of arguments; gives the variables and the curve."""

    @functools.cache
    def get(case: str, strategy: str):
        workdir = tmp_path_factory.mktemp(f"{case}-{strategy}") / "run"
        task, config = CASES[case]
        config = {**SHORT, **config, "strategy": strategy}
        executor.submit(training_runs.train, workdir, task, config).result()
        return variables(workdir), curve(workdir)

    return get


def flat(row: dict) -> dict:
    return {**{k: v for k, v in row.items() if k != "evaluation"}, **row.get("evaluation", {})}


def largest_difference(first: dict, second: dict, part: str = "model") -> float:
    names = [name for name in first if name.startswith(part)]
    assert names and first.keys() == second.keys()
    return max(np.abs(first[name] - second[name]).max() for name in names)


@pytest.mark.parametrize("case", CASES)
def test_two_devices_give_what_one_gives(trained, case):
    (one, one_curve), (two, two_curve) = trained(case, "default"), trained(case, "mirrored")
    assert largest_difference(one, two) < 3e-6
    for a, b in zip(one_curve, two_curve, strict=True):
        assert flat(a) == pytest.approx(flat(b), rel=1e-5, abs=1e-5)
    if case == "average":
        assert largest_difference(one, two, "averages") < 3e-6
    elif case != "contrast":  # the option does something, else the comparison is idle
        assert largest_difference(one, trained("contrast", "default")[0]) > 1e-3


def test_accumulated_means_are_those_of_the_whole_batch(executor, tmp_path):
    for steps in (1, 2, 4):
        task, config = CASES["single_examples"]
        config = {**SHORT, "accumulation_steps": steps, "strategy": "mirrored"}
        executor.submit(training_runs.train, tmp_path / str(steps), task, config).result()
    one, two, four = (variables(tmp_path / str(steps)) for steps in (1, 2, 4))
    assert largest_difference(one, two) < 1e-6 and largest_difference(one, four) < 1e-6


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_on_two_devices(executor, trained, tmp_path, precision):
    config = {**SHORT, "precision": precision, "strategy": "mirrored", "clip_by": "global",
              "clip_norm": 0.5}
    executor.submit(training_runs.train, tmp_path, {}, config).result()
    config = {**config, "precision": "float32"}
    executor.submit(training_runs.train, tmp_path / "full", {}, config).result()
    half, full = variables(tmp_path), variables(tmp_path / "full")
    assert all(value.dtype == np.float32 for name, value in half.items() if "model" in name)
    names = [name for name in full if name.startswith("model")]
    difference = max(np.abs(half[name] - full[name]).max() for name in names)
    assert 0 < difference < 0.05
    scales = [row["loss_scale"] for row in curve(tmp_path) if "loss_scale" in row]
    assert len(scales) == (3 if precision == "mixed_float16" else 0)


def test_loss_scale_falls_on_overflow_and_is_restored(executor, tmp_path):
    # Beyond float16's largest number the scaled gradients overflow until the scale has fallen.
    task = {"losses": spread, "gather": False}
    config = {**SHORT, "precision": "mixed_float16", "strategy": "mirrored", "steps_per_call": 1}
    executor.submit(training_runs.train, tmp_path, task, config).result()
    executor.submit(training_runs.train, tmp_path, task, {**config, "max_steps": 16}).result()
    scales = [row["loss_scale"] for row in curve(tmp_path) if "loss" in row]
    assert scales[0] == 2.0**15 and scales[1] == 2.0**14 and scales[12] == scales[13] < 2.0**12
    first = scales.index(scales[12])
    assert scales == [2.0 ** (15 - min(i, first)) for i in range(16)]


@pytest.mark.parametrize("strategy", ["default", "mirrored"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_differs_between_steps_and_replicas(executor, tmp_path, strategy, dropout):
    # Weights and batch stay the same, and the batch's second half repeats the first.
    task = {"dropout": dropout, "losses": rest, "repeat": True}
    config = {**SHORT, "strategy": strategy, "steps_per_call": 1, "accumulation_steps": 1}
    executor.submit(training_runs.train, tmp_path, task, config).result()
    apart = [row["halves_apart"] for row in curve(tmp_path) if "loss" in row]
    if dropout:
        assert min(apart) > 0.1 and len(set(apart)) == 12
    else:
        assert set(apart) == {0}


WORKERS = {"max_steps": 60, "strategy": "multi_worker", "ema_decay": 0.9}


def run_workers(folder, disturb=None, seconds: float = 60) -> list[int]:
    """Runs two workers; gives their exit codes.

    A worker whose peer is gone may wait for long, and is killed after some seconds.
    """
    addresses = free_addresses(2)
    processes = [
        start(folder / "run", {"l2": 0.01}, WORKERS,
              (training_runs.keep_weights, str(folder / f"weights{index}.npz")),
              (index, addresses))
        for index in (0, 1)
    ]
    if disturb:
        disturb(processes)
    end = time.monotonic() + seconds
    for process in processes:
        process.join(max(0, end - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """The folder of two workers that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("workers")
    assert run_workers(folder) == [0, 0]
    return folder


def test_two_workers_end_with_identical_weights(workers, executor, tmp_path):
    with np.load(workers / "weights0.npz") as first, np.load(workers / "weights1.npz") as second:
        assert first.files == second.files and len(first.files) > 8
        assert all(np.array_equal(first[name], second[name]) for name in first.files)
    config = {**WORKERS, "strategy": "default"}
    executor.submit(training_runs.train, tmp_path, {"l2": 0.01}, config).result()
    assert largest_difference(variables(workers / "run"), variables(tmp_path)) < 1e-4
    for a, b in zip(curve(workers / "run"), curve(tmp_path), strict=True):
        assert flat(a) == pytest.approx(flat(b), rel=1e-3, abs=1e-4)


def wait_for(path) -> None:
    while not os.path.exists(path):
        time.sleep(0.01)


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_workers_resume_after_one_is_killed(workers, tmp_path, victim):
    def kill(processes):
        wait_for(tmp_path / "run/checkpoints/step-20/state.json")
        processes[victim].kill()

    codes = run_workers(tmp_path, kill, seconds=10)
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] != 0
    if codes[1 - victim] == 1:  # else it was still waiting
        log = (tmp_path / f"run.{1 - victim}.log").read_text()
        assert "error: another worker is gone" in log and "is intact: start all workers" in log
    assert run_workers(tmp_path) == [0, 0]
    ours, theirs = variables(tmp_path / "run"), variables(workers / "run")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert curve(tmp_path / "run") == curve(workers / "run")


def test_signal_to_one_worker_stops_both(workers, tmp_path):
    def stop(processes):
        wait_for(tmp_path / "run/metrics.jsonl")
        os.kill(processes[1].pid, signal.SIGTERM)

    assert run_workers(tmp_path, stop) == [143, 143]
    assert run_workers(tmp_path) == [0, 0]
    ours, theirs = variables(tmp_path / "run"), variables(workers / "run")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
