"""The tables of *Grounding Spoken Words in Unlabeled Video* (Boggust et al. 2019).

Audio and visual Recall@10 of 1000 pairs without labels (Table 2), by the similarity of the
matchmap, and after fine-tuning on pairs in which what is seen is said, by the first weights of
the towers (Table 3).
"""

import dataclasses
from collections.abc import Mapping

from avc import davenet_data, published, reading
from avc import reproduction_runs as runs
from avc.initialization import RANDOM
from avc.reproduction_data import ClipData, ClipOptions
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import Cell, Column, Measured, Options, Plan, Published, Step, Table

NAME = "davenet"
PAPER = "Boggust et al. 2019, Grounding Spoken Words in Unlabeled Video"
PAIRS = 1000
TINY = {
    "batch_size": 8,
    "max_steps": 2,
    "steps_per_call": 1,
    "set": "image_size=32,width=0.03125,embedding_dim=8,segment_seconds=1,hop_seconds=0.02,"
    "negatives_within=4,pairs_per_read=2",
}
SMALL = {
    "batch_size": 100,
    "max_steps": 400,
    "precision": "mixed_bfloat16",
    "evaluate_every_steps": 100,
    # The rate falls after as many epochs of the longest training.
    "set": "decay_epochs=48",
}
TRAININGS: Mapping[str, Mapping[str, object]] = {"tiny": TINY, "small": SMALL, "full": {}}
# What follows the training with SISA. Every one is a process or two more.
SIMILARITIES = {"tiny": ("misa",), "small": ("misa", "sima"), "full": ("misa", "sima")}
INITIALIZATIONS = {
    "tiny": (("unsupervised", "unsupervised"),),
    "small": (("random", "random"), ("unsupervised", "unsupervised")),
    "full": tuple(published.DAVENET_WEAK),
}
COLUMNS = (Column("of", 1.0, 0), Column("Audio R@10 %"), Column("Visual R@10 %"))
# Given a picture, and given a sound.
DIRECTIONS = ("visual_to_audio", "audio_to_visual")


def plan(options: Options, clips: ClipOptions, weak_data: str = "") -> Plan:
    """How the paper is reproduced.

    Args:
      options, clips: what to do.
      weak_data: records of pairs that labels selected (docs/weak_supervision.md), for Table 3
        beside `options.data`.

    Raises:
      UserError: the data are not what the paper needs.
    """
    unused = clips.motion or clips.vgg16_weights or clips.sounds or clips.sprites or clips.ontology
    if unused:
        raise ConfigurationError(
            "--motion, --vgg16_weights, --sounds, --sprites and --ontology are not for "
            "--paper=davenet"
        )
    if weak_data and not options.data:
        raise ConfigurationError("--weak_data goes with --data: narrations are made without")
    data, weak = davenet_data.find(options, clips, weak_data)
    steps = [*data.steps, *(weak.steps if weak else ())]
    name = runs.recipe(NAME, options.size)
    for seed in options.seeds:
        steps += unsupervised_steps(options, data, name, seed)
        if weak:
            steps += weak_steps(options, weak, name, seed)
    return Plan(
        PAPER,
        runs.settings(NAME, options, clips, data) | ({"weak_data": weak_data} if weak_data else {}),
        tuple(steps),
        (unsupervised_table(options, name), *([weak_table(options, name)] if weak else [])),
        data.synthetic,
        notes=notes(options, data, weak),
        files=data.files,
    )


def notes(options: Options, data: ClipData, weak: ClipData | None) -> tuple[str, ...]:
    """What a reader has to know of the tables."""
    found = [*data.notes]
    if weak and not options.data:
        found.append(
            "Weak pairs are narrations in which nothing else is said than what is seen at that "
            f"moment (`{davenet_data.WEAK}`), as of pairs that perfect labels select; no "
            "transcript was used."
        )
    if weak and options.size != "full":
        found.append("Weights of ImageNet take part in the size `full` only.")
    if not weak:
        found.append(
            "Table 3 needs `--weak_data`, records of pairs that transcripts and a classifier chose "
            "(docs/weak_supervision.md)."
        )
    return tuple(found)


def flags_of(options: Options, similarity: str, steps: float = 1.0) -> dict[str, object]:
    """Flags of a training with a similarity; `steps`: in parts of the usual number."""
    flags = dict(TRAININGS[options.size])
    if similarity != "sisa":
        fields = [flags.get("set"), f"similarity={similarity}"]
        flags["set"] = ",".join(field for field in fields if field)
    if flags.get("max_steps"):
        flags["max_steps"] = max(2, round(steps * flags["max_steps"]))
    return flags


def evaluate(options: Options, data: ClipData, name: str, seed: int, report: str) -> Step:
    """Recall@10 of 1000 pairs, or of all where there are fewer."""
    flags = {"clips_per_video": "all", "gallery_sizes": gallery(options, data)}
    return runs.evaluate(options, data, name, seed, flags, report)


def gallery(options: Options, data: ClipData) -> str:
    """Pairs of a gallery: the paper's number where there are as many, or all."""
    if options.size == "tiny":
        return "all"
    if data.steps:
        # What a conversion gives is not known yet; the narrations of size `small` are enough.
        return str(PAIRS) if options.size == "full" or not options.data else "all"
    count = reading.open_clips(data.test, "data", "skip", progress=False)[2].count()
    return str(PAIRS) if count >= PAIRS else "all"


def unsupervised_steps(options: Options, data: ClipData, name: str, seed: int) -> list[Step]:
    """SISA, as in the paper; MISA and SIMA begin with its weights."""
    first = f"{name}-sisa"
    steps = [
        runs.train(options, data, first, NAME, seed, flags_of(options, "sisa")),
        evaluate(options, data, first, seed, "evaluation"),
    ]
    begin = runs.workdir(options, first, seed)
    for similarity in SIMILARITIES[options.size]:
        own = f"{name}-{similarity}"
        flags = flags_of(options, similarity) | {"audio_init": begin, "visual_init": begin}
        steps.append(runs.train(options, data, own, NAME, seed, flags))
        steps.append(evaluate(options, data, own, seed, "evaluation"))
    return steps


def weak_name(name: str, pair: tuple[str, str]) -> str:
    """The training on weak pairs from some first weights."""
    return f"{name}-weak-{pair[0]}-{pair[1]}"


def weak_steps(options: Options, weak: ClipData, name: str, seed: int) -> list[Step]:
    """Trainings on weak pairs, and the unsupervised network on the same test pairs."""
    before = f"{name}-sisa"
    steps = [evaluate(options, weak, before, seed, "weak")]
    unsupervised = runs.workdir(options, before, seed)
    for pair in INITIALIZATIONS[options.size]:
        audio, visual = (
            {"unsupervised": unsupervised, RANDOM: None}.get(each, each) for each in pair
        )
        flags = flags_of(options, "sisa") | {"audio_init": audio, "visual_init": visual}
        own = weak_name(name, pair)
        steps.append(runs.train(options, weak, own, NAME, seed, flags))
        steps.append(evaluate(options, weak, own, seed, "evaluation"))
    return steps


def recall_cells(options: Options, training: str, report: str, recipe: str) -> tuple[Cell, ...]:
    """The size of the gallery, and Recall@10 given a picture and given a sound."""
    found = runs.reports(options, training, report)
    keys = [f"{direction}/*/recall@10" for direction in DIRECTIONS]
    cells = tuple(Measured(found, ("recall", "intervals", recipe, key)) for key in keys)
    return dataclasses.replace(cells[0], reports=found[:1], of_key=True), *cells


def published_cells(values: tuple[float, float], of: int, source: str) -> tuple[Cell, ...]:
    """The same of the paper."""
    return Published(of, source), *(Published(value / 100, source) for value in values)


def unsupervised_table(options: Options, name: str) -> Table:
    """Table 2."""
    first = runs.reports(options, f"{name}-sisa")[:1]
    chance = [
        Measured(first, ("recall", "systems", "chance", f"{direction}/*/recall@10"))
        for direction in DIRECTIONS
    ]
    rows = {
        f"DAVEnet, SISA (the paper, {pairs})": published_cells(
            values, PAIRS, "Table 2 of Boggust et al. 2019"
        )
        for pairs, values in published.DAVENET_UNSUPERVISED.items()
    }
    rows["chance"] = (dataclasses.replace(chance[0], of_key=True), *chance)
    for similarity in ("sisa", *SIMILARITIES[options.size]):
        begun = "" if similarity == "sisa" else ", begun with the weights of sisa"
        rows[f"{name}, {similarity}{begun}"] = recall_cells(
            options, f"{name}-{similarity}", "evaluation", name
        )
    return Table("Table 2, Recall@10 without labels", COLUMNS, rows, runs.INTERVALS)


def weak_table(options: Options, name: str) -> Table:
    """Table 3."""
    source = "Table 3 of Boggust et al. 2019"
    rows = {
        "before fine-tuning (the paper)": published_cells(
            published.DAVENET_BEFORE, published.DAVENET_LABELLED,
            "section 6 of Boggust et al. 2019",
        ),
        f"{name}-sisa, before fine-tuning": recall_cells(options, f"{name}-sisa", "weak", name),
    }
    for pair, values in published.DAVENET_WEAK.items():
        title = f"sound {pair[0]}, picture {pair[1]}"
        rows[f"{title} (the paper)"] = published_cells(values, published.DAVENET_LABELLED, source)
        if pair in INITIALIZATIONS[options.size]:
            rows[f"{title}, ours"] = recall_cells(
                options, weak_name(name, pair), "evaluation", name
            )
    return Table(
        "Table 3, Recall@10 after training on weak pairs, by the first weights", COLUMNS, rows,
        runs.INTERVALS,
    )
