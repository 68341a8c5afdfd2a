"""Trainings of tiny audio-visual networks on the bundled scenes, in processes of their own."""

import os
import pathlib

import training_runs

from avc import recipes
from avc.convolutions import BatchNorm
from avc.training import DataConfig, make_network
from avc.training import train as train_network
from crossmodal.strategies import make_strategy
from crossmodal.training import Result, TrainingConfig

SCENES = pathlib.Path(__file__).parents[1] / "testdata" / "scenes"
# A quarter of a second at 48 kHz: 257 x 25 where the paper has 257 x 200.
TINY = {
    "image_size": 32,
    "width": 1 / 32,
    "segment_seconds": 0.25,
    "hop_seconds": 0.01,
    "embedding_dim": 8,
    "pairs_per_read": 2,
    "negatives_within": 4,
    "learning_rate": 1e-3,
    "decay_rate": 0.5,
    "decay_epochs": 3,
}
RUN = {
    "batch_size": 8,
    "max_steps": 8,
    "steps_per_call": 1,
    "checkpoint_every_steps": 2,
    "evaluate_every_steps": 4,
}


# As the bundled scenes have it; a frame of them every half second.
TINY_OF = {"davenet": {"sample_rate_hz": 48_000, "fft_length": 2048, "grid_seconds": 0.5}}


def tiny(recipe: str = "ave", **changes) -> recipes.AvcConfig:
    changes = {**TINY, **TINY_OF.get(recipe, {}), **changes}
    return recipes.override(recipes.recipe(recipe), changes)


def train(
    workdir, recipe: str = "ave", changes: dict | None = None, initial=None, **run
) -> Result:
    data = DataConfig(f"{SCENES}/train*.tfrecord", f"{SCENES}/test-*.tfrecord")
    config = tiny(recipe, **(changes or {}))
    run = TrainingConfig(**{**RUN, **run})
    return train_network(
        config, data, run, os.fspath(workdir), progress=False, initial=initial
    )


def fused_layers(strategy: str) -> list[bool]:
    """Of each batch normalisation of a network to train, whether it is one operation."""
    with make_strategy(strategy).scope():
        model = make_network(tiny()).training
    towers = model.get_layer("towers").layers
    return [layer.kernel is not None for layer in towers if isinstance(layer, BatchNorm)]


def train_until_killed(workdir, moment: tuple[int, float]) -> None:
    training_runs.set_up()
    training_runs.kill_after(moment)
    train(workdir)
