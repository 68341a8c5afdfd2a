"""What mismatched pairs of the batch's own are worth: pairs a second, and what they teach.

`in_batch` makes n true and n mismatched pairs of n clips; `independent`, the paper's
drawing, n pairs. Two trainings take turns on the same records, each with its own pipeline,
until both have had the same time; then both are scored on held-out clips.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tqdm

from avc import evaluation, reading, recipes
from avc import training as avc_training
from avc.recipes import AvcConfig
from avc.step_benchmark import Ours
from crossmodal import benchmark, training
from crossmodal.benchmark import Comparison
from crossmodal.pipeline import open_training
from crossmodal.reading import Records, explained

OURS, PEER = "in_batch", "independent"
GALLERY = 256


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn of a training: the seconds it took and the steps taken in them."""

    seconds: float
    steps: int


def configure(recipe: str) -> AvcConfig:
    """A recipe with one mismatched pair a clip, as either way of drawing can have."""
    return recipes.override(recipes.recipe(recipe), {"negatives_per_clip": 1})


def start(config: AvcConfig, negatives: str, records: Records, encoding: str) -> Ours:
    """A training that has taken its first step, on batches of the real pipeline."""
    config = recipes.override(config, {"negatives": negatives})
    run = training.TrainingConfig(batch_size=config.batch_size)
    avc_training.check_group(config, run, 1)
    batches = open_training(records, avc_training.pipeline_config(config, run))
    dataset = avc_training.draw_batches(batches, config, encoding)
    steps_per_epoch = max(1, records.count() // config.batch_size)
    made = Ours(config, dataset, steps_per_epoch=steps_per_epoch)
    made.take(1)  # compiles
    return made


def take_turns(
    jobs: dict[str, Callable[[], object]], rounds: int, seconds: float, clock: str = "wall"
) -> dict[str, list[Turn]]:
    """Lets jobs take turns until each has had its time.

    A pipeline reads ahead while the other trains; as each does it for as much, a turn pays
    for what it gains.

    Args:
      jobs: by name; each takes a step.
      rounds: turns of each.
      seconds: that each has in all. A step more than fits is made up for in the next turn.
      clock: of `benchmark.CLOCKS`.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in jobs}
    bar = tqdm.tqdm(total=rounds * len(jobs), desc="negatives", leave=False)
    with bar:
        for number in range(1, rounds + 1):
            for name, job in jobs.items():
                left = number * seconds / rounds - sum(turn.seconds for turn in turns[name])
                begin, steps, passed = benchmark.now(clock), 0, 0.0
                while passed < left or not steps:
                    job()
                    steps += 1
                    passed = benchmark.now(clock) - begin
                turns[name].append(Turn(passed, steps))
                bar.update()
    return turns


def compare_negatives(
    config: AvcConfig,
    train_pattern: str,
    eval_pattern: str,
    rounds: int,
    seconds: float,
    clock: str = "wall",
) -> list[Comparison]:
    """Pairs a second, and Recall@10 after the same time.

    Args:
      config: what to train, but for its negatives.
      train_pattern, eval_pattern: clips to train on, and held-out ones.
      rounds: turns of each training.
      seconds: of each training in all, the first step not counted.
      clock: of `benchmark.CLOCKS`.

    Raises:
      UserError: a pattern or record is bad, or the batch and its negatives do not fit.
    """
    _, held_out_encoding, held_out = reading.open_clips(eval_pattern, "eval_pattern")
    _, encoding, records = reading.open_clips(train_pattern, "train_pattern")
    trainings = {name: start(config, name, records, encoding) for name in (OURS, PEER)}
    jobs = {name: lambda made=made: made.take(1) for name, made in trainings.items()}
    with explained(records):
        turns = take_turns(jobs, rounds, seconds, clock)
    clips, steps = config.batch_size, {}
    pairs = {OURS: 2 * clips, PEER: clips}
    times = {}
    for name, each in turns.items():
        times[name] = np.array([turn.seconds / (turn.steps * pairs[name]) for turn in each])
        steps[name] = sum(turn.steps for turn in each)
    recalls = {}
    for name, made in trainings.items():
        found = evaluation.embed_pairs(made.network, held_out, held_out_encoding, made.config)
        recalls[name] = evaluation.score(found, GALLERY)["recall@10"]
    title = f"{config.recipe}, {clips} clips a step"
    return [
        benchmark.compare_speed(f"training, {title}", times, OURS, PEER, 1.7, 1, "pairs"),
        compare_recall(f"Recall@10 after {seconds:g} s", recalls, steps, held_out.count()),
    ]


def compare_recall(
    name: str, recalls: dict[str, float], steps: dict[str, int], clips: int
) -> Comparison:
    """The ratio of two recalls in galleries of `clips`, GALLERY at most; one number, no median."""
    size = min(clips, GALLERY)
    cells = {
        job: f"{job}: {recall:.3f}, {steps[job]:,} steps, gallery of {size}"
        for job, recall in recalls.items()
    }
    # A recall of nothing counts as one clip found.
    ratio = recalls[OURS] / max(recalls[PEER], 1 / clips)
    return Comparison(name, cells[OURS], cells[PEER], ratio, ratio, ratio, 1, True)
