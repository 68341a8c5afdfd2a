"""Trainings and evaluations of audio-visual networks as steps, and their numbers as cells."""

import functools
import os
from collections.abc import Mapping, Sequence

from avc import published, run_tables
from avc.reproduction_data import ClipData, ClipOptions
from crossmodal.ndcg import DIRECTIONS
from crossmodal.reproduction import (
    Cell,
    Column,
    Detail,
    Measured,
    Options,
    Published,
    Step,
    Table,
)

INTERVALS = "± is half of the 95 % interval over clips, with several seeds their deviation."
NDCG_COLUMNS = tuple(Column(name.replace("_to_", " -> "), 1.0, 3) for name in DIRECTIONS)
# Fields of scenes in which one of two objects sounds all the time.
TWO_OBJECTS = (
    "min_objects=2,max_objects=2,min_sounding_share=1,silent_share=0,two_classes_share=0,"
    "same_class_share=0,switch_share=0,off_screen_share=0"
)


def recipe(network: str, size: str) -> str:
    """The recipe of a network: the paper's of size `full`, else the one for a CPU."""
    return network if size == "full" else f"{network}_small"


def workdir(options: Options, name: str, seed: int) -> str:
    """Work folder of a training."""
    return options.path("runs", f"{name}-{seed}")


def train(
    options: Options,
    data: ClipData,
    name: str,
    network: str,
    seed: int,
    flags: Mapping[str, object],
) -> Step:
    """The training of a network; `name` is that of its step and folder."""
    folder = workdir(options, name, seed)
    common = {
        "train_pattern": data.train,
        "eval_pattern": data.validation or None,
        "workdir": folder,
        "recipe": recipe(network, options.size),
        "seed": seed,
    }
    kept = "best" if data.validation else "checkpoints"
    product = os.path.join(folder, kept, "*")
    return Step(f"train-{name}-{seed}", "launch.train_avc", common | dict(flags), product)


def evaluate(
    options: Options,
    data: ClipData,
    name: str,
    seed: int,
    flags: Mapping[str, object],
    report: str = "evaluation",
) -> Step:
    """The evaluation of a training; `report`: of its file, where there are several."""
    folder = workdir(options, name, seed)
    output = os.path.join(folder, f"{report}.json")
    common = {
        "workdir": folder,
        "eval_pattern": data.test,
        "checkpoint": None if data.validation else "last",
        "output": output,
    }
    step = f"evaluate-{name}-{seed}" + ("" if report == "evaluation" else f"-{report}")
    return Step(step, "launch.evaluate_avc", common | dict(flags), output)


def reports(options: Options, name: str, report: str = "evaluation") -> tuple[str, ...]:
    """The reports of a training, one a seed."""
    return tuple(
        os.path.join(workdir(options, name, seed), f"{report}.json") for seed in options.seeds
    )


def ndcg_cells(found: tuple[str, ...], system: str) -> tuple[Cell, ...]:
    """nDCG@30 in all directions."""
    return tuple(Measured(found, ("ndcg", "systems", system, name)) for name in DIRECTIONS)


def ndcg_chance(found: tuple[str, ...]) -> tuple[Cell, ...]:
    """The same of a random order."""
    return tuple(Measured(found[:1], ("ndcg", "chance", name)) for name in DIRECTIONS)


def published_ndcg(values: Sequence[float | None], source: str) -> tuple[Cell, ...]:
    """The same of a paper."""
    return tuple(None if value is None else Published(value, source) for value in values)


def accuracy_rows(
    options: Options, networks: Mapping[str, str]
) -> dict[str, tuple[Cell, ...]]:
    """Accuracy of correspondence: the paper's and ours, network by network.

    Args:
      options: size and seeds.
      networks: names of the trainings by network.
    """
    rows: dict[str, tuple[Cell, ...]] = {}
    for network, name in networks.items():
        value, source = published.ACCURACY[network]
        rows[f"{network} ({source})"] = (Published(value, source),)
        rows[f"{name}, ours"] = (Measured(reports(options, name), ("avc", "accuracy")),)
    return rows


def limit_row(options: Options, name: str) -> dict[str, tuple[Cell, ...]]:
    """What perfect eyes and ears reach on scenes."""
    found = Measured(reports(options, name)[:1], ("avc", "limit", "accuracy"))
    return {"limit of these scenes: perfect eyes and ears": (found,)}


def accuracy_table(title: str, rows: Mapping[str, tuple[Cell, ...]]) -> Table:
    """Accuracy of correspondence."""
    return Table(title, (Column("accuracy %"),), rows, f"Chance is 50 %. {INTERVALS}")


def details(kinds: Mapping[str, tuple[str, ...]]) -> tuple[Detail, ...]:
    """The tables of `avc.run_tables` by kind, of reports."""
    titles = {
        "correspondence": "correspondence, by what is seen and heard",
        "ndcg": "nDCG@30 of all systems",
        "localization": "maps, beside baselines and with the sound of another clip",
    }
    return tuple(
        Detail(titles[kind], functools.partial(run_tables.make, kind), found)
        for kind, found in kinds.items()
    )


def settings(
    paper: str, options: Options, clips: ClipOptions, data: ClipData
) -> dict[str, object]:
    """What makes up a job besides its commands."""
    chosen = {name: value for name, value in vars(clips).items() if value}
    return {
        "paper": paper,
        "size": options.size,
        "data": options.data or "made-up",
        "seeds": list(options.seeds),
        **chosen,
        "train_pattern": data.train,
        "eval_pattern": data.test,
    }
