"""Short trainings in the test's own process."""

import dataclasses
import json

import numpy as np
from two_towers import make_model, make_task

from crossmodal import checkpoints, training
from crossmodal.training import TrainingConfig, load_latest

# Determinism of operations would stay on for the tests that follow.
CONFIG = TrainingConfig(
    batch_size=16, max_steps=12, steps_per_call=5, checkpoint_every_steps=4,
    evaluate_every_steps=0, deterministic=False,
)


def train(workdir, config: dict | None = None, task: dict | None = None) -> training.Result:
    config = dataclasses.replace(CONFIG, **(config or {}))
    return training.train(make_task(**(task or {})), config, str(workdir))


def rows(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def curve(workdir) -> list[dict]:
    """The rows without what the clock says."""
    return [{k: v for k, v in row.items() if k != "examples_per_second"} for row in rows(workdir)]


def weights(workdir, load=load_latest) -> list[np.ndarray]:
    model = make_model()
    load(str(workdir), model)
    return model.get_weights()


def steps_of(workdir, folder=checkpoints.LATEST) -> list[int]:
    return checkpoints.complete_steps(str(workdir / folder))
