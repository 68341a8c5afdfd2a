"""Networks of pairs on two processes, as docs/scaling.md starts them."""

import json
import os
import subprocess
import sys

import pytest
from training_runs import free_addresses


def train(workdir, testdata, steps: int) -> list[str]:
    """What each of two workers says in the end, and in its bars."""
    addresses, running = free_addresses(2), []
    for index in (0, 1):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [
            sys.executable, "-m", "launch.train_avc", "--strategy=multi_worker",
            f"--train_pattern={testdata}/scenes/train-*",
            f"--eval_pattern={testdata}/scenes/test-*",
            "--recipe=ave_small", f"--workdir={workdir}", "--batch_size=8", f"--max_steps={steps}",
            "--steps_per_call=1", "--set=negatives_within=4,negatives_per_clip=3,width=0.0625",
            "--evaluate_every_steps=2", "--checkpoint_every_steps=2",
        ]
        with open(f"{workdir}.{index}.log", "w") as log:
            running.append(subprocess.Popen(
                command, stdout=log, stderr=log, cwd=testdata.parent,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster), "TF_CPP_MIN_LOG_LEVEL": "3"},
            ))
    codes = [each.wait(timeout=200) for each in running]
    said = []
    for index in (0, 1):
        with open(f"{workdir}.{index}.log") as log:
            said.append(log.read())
    assert codes == [0, 0], said
    return said


@pytest.mark.slow
def test_two_workers_agree_and_go_on(tmp_path, testdata):
    workdir = tmp_path / "run"
    for steps in (4, 6):
        said = train(workdir, testdata, steps)
        # What the chief tells the others is traced once, not at every message.
        assert not any("retracing" in each for each in said)
        results = [
            [line for line in each.splitlines() if line.startswith(("trained", "best step"))]
            for each in said
        ]
        assert len(results[0]) == 2 and results[0] == results[1]
        assert results[0][0].startswith(f"trained {steps} steps")
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
