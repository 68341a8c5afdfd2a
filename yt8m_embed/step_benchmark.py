"""How fast a training step of the `paper` network is: beside PyTorch, and beside its input."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from crossmodal import benchmark, strategies, training
from crossmodal.benchmark import Comparison
from crossmodal.pipeline import PipelineConfig, TrainingBatches, open_training
from crossmodal.reading import Records
from crossmodal.steps import State, Steps
from yt8m_embed import model, objectives
from yt8m_embed import training as yt8m_training
from yt8m_embed.configuration import EmbeddingConfig, recipe
from yt8m_embed.input_benchmark import WINDOW, drain


def configure(batch_size: int, num_classes: int, **changes: object) -> EmbeddingConfig:
    """The `paper` recipe with lambda above 0 from the first step on.

    Args:
      batch_size: examples a step.
      num_classes: of the classifier.
      changes: of the model's fields.
    """
    config = recipe("paper")
    changed = dataclasses.replace(config.model, num_classes=num_classes, **changes)
    switched = dataclasses.replace(config.loss, class_weight_step=0)
    return dataclasses.replace(config, model=changed, loss=switched, batch_size=batch_size)


class Ours:
    """The steps of training on batches of the real pipeline, or on one of them for ever."""

    def __init__(self, records: Records, config: EmbeddingConfig) -> None:
        """Builds model, optimizer and input as training does."""
        run = training.TrainingConfig(
            batch_size=config.batch_size, clip_by="variable", clip_norm=config.clip_norm
        )
        self.config = config
        self.batches: TrainingBatches = open_training(
            records, PipelineConfig(config.batch_size, shuffle_window=WINDOW)
        )
        task = training.Task(
            make_model=lambda: model.build_model(config.model),
            make_optimizer=lambda: yt8m_training.make_optimizer(config.optimizer, run),
            losses=objectives.batch_losses(config, lambda: self.state.model),
            dataset=lambda start, worker, workers: self.dataset(),
        )
        self.strategy = strategies.make_strategy("default")
        self.state: State = training.make_state(task, run, self.strategy)
        options = training.step_options(task, run)
        _, specs = self.distribute(self.dataset())
        self.steps = Steps(self.state, task.losses, options, self.strategy, specs)

    def dataset(self) -> tf.data.Dataset:
        """Batches of training with their mismatched pairs."""
        return self.batches.dataset(0, objectives.sampler(self.config))

    def distribute(self, dataset: tf.data.Dataset) -> tuple[object, Mapping]:
        """An iterator for `Steps`."""
        return strategies.distribute(self.strategy, lambda *_: dataset, self.config.batch_size)

    def first_batch(self) -> dict[str, np.ndarray]:
        """The batch that `constant` repeats."""
        return next(self.dataset().take(1).as_numpy_iterator())

    def streaming(self, number: int) -> Callable[[], object]:
        """A job of so many steps, fed by the pipeline."""
        iterator, _ = self.distribute(self.dataset())
        return lambda: self.steps(iterator, number, False)

    def constant(self, number: int) -> Callable[[], object]:
        """A job of so many steps, all on the first batch."""
        iterator, _ = self.distribute(self.dataset().take(1).cache().repeat())
        return lambda: self.steps(iterator, number, False)


def compare_step(
    records: Records, num_classes: int, rounds: int, threads: int, batch_size: int = 1024,
    steps: int = 4,
) -> list[Comparison]:
    """A step beside PyTorch's, and beside what its input takes.

    PyTorch's threads wait for each other busily, so on a busy machine one may do more than
    several: it is taken at whichever is faster.

    Args:
      records: video level.
      num_classes: of the classifier.
      rounds: how many times each job is timed.
      threads: of PyTorch; TensorFlow's are set when it starts.
      batch_size: examples a step.
      steps: in one job.
    """
    torch = benchmark.import_peer("torch")
    from yt8m_embed import torch_benchmark  # needs torch

    config = configure(batch_size, num_classes)
    ours = Ours(records, config)
    peer = torch_benchmark.Step(ours.state.model, ours.first_batch(), config)

    def take_steps(number: int) -> None:
        torch.set_num_threads(number)
        for _ in range(steps):
            peer()

    peers = {f"PyTorch, threads: {n}": n for n in sorted({1, threads})}
    jobs = {
        "paper, one batch again and again": ours.constant(steps),
        "paper, fed by the pipeline": ours.streaming(steps),
        "pipeline alone": drain(ours.dataset().take(steps * 8)),
    }
    constant, fed, alone = jobs
    jobs |= {name: lambda n=number: take_steps(n) for name, number in peers.items()}
    times = benchmark.alternate(jobs, rounds, "step")
    times[alone] = times[alone] / 8  # of its batches a job of training takes so many fewer
    name = f"{steps} training steps, batch {batch_size}"
    return [
        benchmark.compare_time(name, times, constant, benchmark.fastest(times, *peers), 1.2),
        benchmark.compare_time(f"{name}, with their input", times, fed, constant, 1.1),
        benchmark.compare_speed(
            "input beside training", times, alone, fed, 2, batch_size * steps, "examples"
        ),
    ]
