"""The tables of Surís et al. 2018 with our recipes: steps, and where their numbers are."""

import functools
import glob
import os
from collections.abc import Mapping, Sequence

from crossmodal import opening
from crossmodal.errors import UserError
from crossmodal.reproduction import (
    Cell,
    Column,
    Detail,
    Measured,
    Options,
    Plan,
    Published,
    Step,
    Table,
)
from yt8m_embed import published, reading, tables

# Flags of each training. `full` are the recipes as they are.
SLOW = {"precision": "mixed_bfloat16"}
TINY = {
    "batch_size": 256,
    "max_steps": 30,
    "steps_per_call": 5,
    "gallery_size": 256,
    "set": "visual_layers=128,audio_layers=128,embedding_dim=32",
}
TINY_TOWERS = (
    ",num_towers=1,linear_towers=1,linear_dim=32,cca_visual_ridge=1.0,cca_audio_ridge=1.0"
)
TRAININGS: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "tiny": {
        "paper": TINY,
        "authors": TINY,
        "contrastive": TINY | {"set": TINY["set"] + TINY_TOWERS},
    },
    "small": {
        "paper": SLOW | {"max_steps": 600, "evaluate_every_steps": 100},
        "authors": SLOW | {"max_steps": 600, "evaluate_every_steps": 100},
        "contrastive": {},
    },
    "full": {"paper": {}, "authors": {}, "contrastive": {}},
}
COMPARED = "contrastive"
GALLERIES = (256, 512, 1024)
LEAK = "LEAKS the answer"
SHORT = (
    "`paper` and `authors` are trained for 600 steps at this size, where they have hardly begun to "
    "learn; docs/results.md has longer trainings."
)
SPLITS = {"train": ("train",), "test": ("dev", "validate", "validation", "test")}
NEEDS = (
    "suris2018 needs YouTube-8M records in train/*.tfrecord and dev/*.tfrecord (or validate/), or "
    "train*.tfrecord and validate*.tfrecord"
)
BUNDLED = (
    "videos drawn from a model that is bundled with the code (testdata/README.md), not real "
    "ones: this shows that everything runs; the paper's numbers are of other data"
)


def plan(options: Options, bundled: str) -> Plan:
    """How the paper is reproduced.

    Args:
      options: what to do.
      bundled: folder of the bundled videos, taken where no data are given.

    Raises:
      UserError: the data are not what the paper needs.
    """
    found = find_shards(options.data or bundled)
    kind = kind_of(found["train"])
    if kind == "frame":
        steps, patterns = convert(found, options)
        sizes: Sequence[int] = GALLERIES
    else:
        steps, patterns = [], found
        sizes = gallery_sizes(found["test"], options)
    jobs = {
        (recipe, seed): options.path("runs", f"{recipe}-{seed}")
        for recipe in TRAININGS[options.size]
        for seed in options.seeds
    }
    for (recipe, seed), workdir in jobs.items():
        flags = TRAININGS[options.size][recipe]
        steps.append(train(recipe, seed, workdir, patterns["train"], flags))
        compare = recipe == COMPARED and seed == options.seeds[0]
        steps.append(evaluate(recipe, seed, workdir, patterns["test"], sizes, compare))
    leaky = jobs["authors", options.seeds[0]]
    steps.append(evaluate_jointly(leaky, patterns["test"], sizes))
    compared = os.path.join(jobs[COMPARED, options.seeds[0]], "evaluation.json")
    return Plan(
        paper=f"{published.PAPER}, {published.TITLE}",
        settings={
            "paper": "suris2018",
            "size": options.size,
            "data": options.data or bundled,
            "seeds": list(options.seeds),
            "gallery_sizes": list(sizes),
        },
        steps=tuple(steps),
        tables=tuple(table(direction, jobs, leaky, sizes) for direction in published.RECALL),
        synthetic="" if options.data else BUNDLED,
        details=(Detail("difference to CCA, query by query (95 % intervals)", gains, (compared,)),),
        notes=(
            "Every system embeds one modality without seeing the other, except where a row says "
            f"that it {LEAK}: the published code normalises picture and sound of a video together.",
            *([SHORT] if options.size == "small" else []),
        ),
    )


def find_shards(folder: str) -> dict[str, str]:
    """Patterns of the shards to train on and to test on.

    Args:
      folder: with folders `train` and `dev` or the like, or with shards named so; or with one
        of these in a folder `yt8m`.

    Raises:
      UserError: there are none.
    """
    if not os.path.isdir(folder):
        raise UserError(f"--data={folder}: there is no such folder; {NEEDS}")
    for root in (folder, os.path.join(folder, "yt8m")):
        found = {}
        for split, names in SPLITS.items():
            patterns = [
                pattern
                for name in names
                for pattern in (
                    os.path.join(root, name, "*.tfrecord"),
                    os.path.join(root, f"{name}*.tfrecord"),
                )
                if glob.glob(pattern)
            ]
            if patterns:
                found[split] = patterns[0]
        if len(found) == len(SPLITS):
            return found
    there = sorted(os.listdir(folder))[:3]
    raise UserError(f"--data={folder}: {NEEDS}; it holds {', '.join(there) or 'nothing'}")


def kind_of(pattern: str) -> str:
    """What kind of records the shards hold.

    Raises:
      UserError: they are none of YouTube-8M.
    """
    kinds = {name: make(reading.ANY_CLASS) for name, make in reading.KINDS.items()}
    kind = opening.find_kind(sorted(glob.glob(pattern)), kinds)
    if kind is None:
        raise UserError(f"--data: {pattern} holds no YouTube-8M records; {NEEDS}")
    return kind


def gallery_sizes(pattern: str, options: Options) -> list[int]:
    """Those of the paper's that the test videos fill.

    Raises:
      UserError: there are too few videos, or a record is bad.
    """
    if options.size == "full":  # to count them all would take minutes, at each start
        return list(GALLERIES)
    _, records = reading.open_records(pattern, reading.ANY_CLASS, "data", progress=False)
    sizes = [size for size in GALLERIES if size <= records.count()]
    if not sizes:
        raise UserError(
            f"--data: {pattern} has {records.count()} videos, the paper's smallest gallery "
            f"{GALLERIES[0]}"
        )
    return sizes[:1] if options.size == "tiny" else sizes


def convert(found: Mapping[str, str], options: Options) -> tuple[list[Step], dict[str, str]]:
    """Frame-level records become video-level ones, which is what the paper trains on."""
    steps, patterns = [], {}
    for split, pattern in found.items():
        prefix = options.path("data", split)
        flags = {"job": "frame_to_video", "input_pattern": pattern, "output": prefix}
        steps.append(Step(f"convert-{split}", "launch.convert_yt8m", flags, f"{prefix}.json"))
        patterns[split] = f"{prefix}-*.tfrecord"
    return steps, patterns


def train(
    recipe: str, seed: int, workdir: str, pattern: str, flags: Mapping[str, object]
) -> Step:
    """The training of a recipe."""
    common = {"train_pattern": pattern, "workdir": workdir, "recipe": recipe, "seed": seed}
    return Step(
        f"train-{recipe}-{seed}",
        "launch.train_yt8m",
        common | {"cache": "memory"} | dict(flags),
        os.path.join(workdir, "best", "*"),
    )


def evaluate(
    recipe: str, seed: int, workdir: str, pattern: str, sizes: Sequence[int], compare: bool
) -> Step:
    """Its evaluation, each modality alone; `compare`: beside CCA, too."""
    flags = {
        "workdir": workdir,
        "eval_pattern": pattern,
        "gallery_sizes": ",".join(map(str, sizes)),
        "baseline": "cca" if compare else None,
        "brief": True,
    }
    product = os.path.join(workdir, "evaluation.json")
    return Step(f"evaluate-{recipe}-{seed}", "launch.evaluate_yt8m", flags, product)


def evaluate_jointly(workdir: str, pattern: str, sizes: Sequence[int]) -> Step:
    """The evaluation that the published code has: true pairs are normalised together."""
    output = os.path.join(workdir, "joint.json")
    flags = {
        "workdir": workdir,
        "checkpoint": "last",
        "joint_pairs": True,
        "eval_pattern": pattern,
        "gallery_sizes": ",".join(map(str, sizes)),
        "output": output,
        "brief": True,
    }
    return Step("evaluate-authors-jointly", "launch.evaluate_yt8m", flags, output)


def table(
    direction: str, jobs: Mapping[tuple[str, int], str], leaky: str, sizes: Sequence[int]
) -> Table:
    """One of the paper's two tables, with ours below."""
    source = f"{published.TABLES[direction]} of {published.PAPER}"
    columns = [(size, cutoff) for size in sizes for cutoff in published.CUTOFFS]

    def ours(reports: tuple[str, ...], system: str) -> tuple[Cell, ...]:
        return tuple(
            Measured(reports, ("systems", system, f"{direction}/{size}/recall@{cutoff}"))
            for size, cutoff in columns
        )

    def reports_of(recipe: str) -> tuple[str, ...]:
        own = (workdir for (name, _), workdir in jobs.items() if name == recipe)
        return tuple(os.path.join(workdir, "evaluation.json") for workdir in own)

    compared, joint = reports_of(COMPARED)[:1], (os.path.join(leaky, "joint.json"),)
    rows = {
        f"{published.PAPER}, their data": tuple(
            Published(published.RECALL[direction][size][at] / 100, source)
            for size in sizes
            for at in range(len(published.CUTOFFS))
        ),
        "chance": ours(compared, "chance"),
        "CCA": ours(compared, "CCA"),
        **{recipe: ours(reports_of(recipe), recipe) for recipe in ("paper", "authors")},
        COMPARED: ours(reports_of(COMPARED), COMPARED),
        f"authors, true pairs normalised together: {LEAK}": ours(joint, "authors"),
        f"joint norms alone, no network: {LEAK}": ours(joint, "joint norms alone"),
    }
    words = {"audio_to_visual": "from a sound its picture", "visual_to_audio": "from a picture "
             "its sound"}
    return Table(
        f"{published.TABLES[direction]}, {words[direction]}: Recall@K among N videos",
        tuple(Column(f"N = {size}, R@{cutoff} %") for size, cutoff in columns),
        rows,
        "± is the standard deviation over galleries, of a recipe with several seeds over them.",
    )


gains = functools.partial(tables.gains, metrics=("recall@1", "recall@10"))
