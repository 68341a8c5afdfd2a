"""A run that is killed or stopped at any moment and started again is the run that never was."""

import os
import random
import shutil
import signal
import time

import numpy as np
import pytest
import training_runs
from training_runs import curve, start, variables

from crossmodal import checkpoints

TASK = {"optimizer": "adam", "dropout": 0.3, "l2": 0.01}
CONFIG = {"ema_decay": 0.9, "keep_checkpoints": 2}


def run(workdir, config=CONFIG, hook=None) -> int:
    process = start(workdir, TASK, config, hook)
    process.join()
    return process.exitcode


def assert_same(workdir, reference) -> None:
    for folder in (checkpoints.LATEST, checkpoints.BEST):
        mine, theirs = variables(workdir, folder), variables(reference, folder)
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
    assert curve(workdir) == curve(reference)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of a run that nothing has disturbed."""
    workdir = tmp_path_factory.mktemp("reference") / "run"
    assert run(workdir) == 0
    return workdir


def log(workdir) -> str:
    with open(f"{workdir}.0.log") as file:
        return file.read()


def test_reference_has_trained(reference):
    rows = [row for row in curve(reference) if "loss" in row]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert [row["step"] for row in rows] == list(range(5, 61, 5))
    assert checkpoints.complete_steps(str(reference / checkpoints.LATEST)) == [50, 60]


def killed_at_random(workdir, reference, number: int, seed: int) -> None:
    rng = random.Random(seed)
    killed = 0
    for _ in range(number):
        moment = (rng.randint(1, 4), rng.uniform(0, 0.03))
        killed += run(workdir, hook=(training_runs.kill_after, moment)) == -signal.SIGKILL
    assert killed >= 2
    assert run(workdir) == 0
    assert_same(workdir, reference)


def test_killed_at_random_moments(tmp_path, reference):
    killed_at_random(tmp_path / "run", reference, number=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_at_many_random_moments(tmp_path, reference, seed):
    killed_at_random(tmp_path / "run", reference, number=5, seed=seed)


@pytest.mark.parametrize(
    "place",
    ["unfinished", *(pytest.param(x, marks=pytest.mark.slow) for x in ("torn", "unlisted"))],
)
def test_killed_while_a_checkpoint_is_written(tmp_path, reference, place):
    workdir = tmp_path / "run"
    assert run(workdir, hook=(training_runs.kill_in_write, place)) == -signal.SIGKILL
    folder = str(workdir / checkpoints.LATEST)
    usable = checkpoints.complete_steps(folder)
    assert usable and len(os.listdir(folder)) == len(usable) + 1
    assert run(workdir) == 0
    assert_same(workdir, reference)
    assert len(os.listdir(folder)) == 2


def test_killed_while_an_old_checkpoint_is_removed(tmp_path, reference):
    workdir = tmp_path / "run"
    assert run(workdir, hook=(training_runs.kill_in_removal, "")) == -signal.SIGKILL
    assert run(workdir) == 0
    assert_same(workdir, reference)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_saves_and_ends(tmp_path, reference, number, status):
    workdir = tmp_path / "run"
    # Only the signal makes this run write a checkpoint before its end.
    config = {**CONFIG, "checkpoint_every_steps": 100_000, "max_steps": 100_000}
    process = start(workdir, TASK, config)
    while not os.path.exists(workdir / "metrics.jsonl"):
        time.sleep(0.002)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == status
    stopped = checkpoints.complete_steps(str(workdir / checkpoints.LATEST))
    assert len(stopped) == 1 and stopped[0] % 5 == 0
    assert curve(workdir)[-1]["step"] == stopped[0]
    assert f"stopped after step {stopped[0]}" in log(workdir)
    assert run(workdir, {**config, "max_steps": max(60, stopped[0])}) == 0
    if stopped[0] < 60:
        ours, theirs = variables(workdir), variables(reference)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_full_disk_ends_with_one_line(tmp_path, reference):
    workdir = tmp_path / "run"
    assert run(workdir, hook=(training_runs.fill_disk, 1000)) == 1
    lines = [line for line in log(workdir).splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cannot write (File too large); the checkpoint of step" in lines[0]
    assert "is intact" in lines[0]
    assert "Traceback" not in log(workdir)
    assert run(workdir) == 0
    assert_same(workdir, reference)


def test_unreadable_newest_checkpoint_is_passed_over(tmp_path, reference):
    workdir = tmp_path / "run"
    shutil.copytree(reference, workdir)
    newest = workdir / checkpoints.LATEST / "step-60" / "variables.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:-200] + bytes(200))
    shutil.rmtree(workdir / checkpoints.BEST)
    assert run(workdir) == 0
    assert "step-60 cannot be read" in log(workdir)
    ours, theirs = variables(workdir), variables(reference)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
