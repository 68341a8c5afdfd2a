"""The tables of *Objects that Sound* (Arandjelović and Zisserman 2018), as steps and cells.

Accuracy of correspondence (sections 3.1, 3.2 and 4.1), Table 1 (nDCG@30, with L3-Net aligned
by CCA and, where weights are given, VGG16), and localisation (section 4.1).
"""

from collections.abc import Mapping

from avc import objects_that_sound_motion as motion
from avc import published, reproduction_data
from avc import reproduction_runs as runs
from avc.reproduction_data import ClipData, ClipOptions, Wanted
from crossmodal.reproduction import Cell, Column, Measured, Options, Plan, Published, Step, Table

NAME = "objects_that_sound"
PAPER = "Arandjelović and Zisserman 2018, Objects that Sound"
NETWORKS = ("l3", "ave", "avol")
TRAININGS: Mapping[str, Mapping[str, object]] = {
    "tiny": {
        "batch_size": 8,
        "max_steps": 4,
        "steps_per_call": 1,
        "set": "image_size=32,width=0.03125,embedding_dim=16,pairs_per_read=2,negatives_per_clip=1",
    },
    "small": {"max_steps": 1000, "precision": "mixed_bfloat16", "evaluate_every_steps": 250},
    "full": {},
}
TINY = "picture_size=64,clip_seconds=2,audio_encoding=pcm16"
SMALL = "picture_size=96,audio_encoding=pcm16"
SCENES = {
    "tiny": (
        ("train", "train", {"num_clips": 96, "clips_per_shard": 48, "set": TINY}),
        ("test", "test", {"num_clips": 32, "clips_per_shard": 16, "swap_pairs": 4, "set": TINY}),
    ),
    "small": (
        ("train", "train", {"num_clips": 3000, "set": SMALL}),
        ("validation", "validation", {"num_clips": 300, "set": SMALL}),
        ("test", "test", {"num_clips": 1000, "swap_pairs": 100, "set": SMALL}),
        ("test_two", "test",
         {"num_clips": 500, "seed": 1, "set": f"{SMALL},{runs.TWO_OBJECTS}"}),
    ),
}
RANDOM_VGG16 = "The weights of VGG16 are random (`--vgg16_weights=none`)."
INSTRUMENTS = "Musical instrument,Singing,Tools"


def plan(options: Options, clips: ClipOptions) -> Plan:
    """How the paper is reproduced.

    Raises:
      UserError: the data are not what the paper needs.
    """
    data = find(options, clips)
    names = {network: runs.recipe(network, options.size) for network in NETWORKS}
    steps = [*data.steps]
    for seed in options.seeds:
        for network, name in names.items():
            flags = TRAININGS[options.size]
            steps.append(runs.train(options, data, name, network, seed, flags))
        steps += evaluations(options, data, names, seed)
    seen = dict(names)
    moving = motion.find(options, data) if clips.motion else None
    if moving:
        steps += moving.steps if moving is not data else ()
        seen |= motion.names(options, moving, data)
        for seed in options.seeds:
            steps += motion.runs_of(options, moving, data, seed, TRAININGS[options.size])
    if clips.vgg16_weights:
        steps += vgg16_steps(options, clips, data, names["l3"])
    return Plan(
        PAPER,
        runs.settings(NAME, options, clips, data),
        tuple(steps),
        tables(options, clips, data, names, seen),
        data.synthetic,
        details(options, data, names),
        figures(options),
        (*data.notes, *([RANDOM_VGG16] if clips.vgg16_weights == "none" else [])),
        data.files,
    )


def find(options: Options, clips: ClipOptions) -> ClipData:
    """The clips of --data, or scenes."""
    if not options.data:
        return reproduction_data.scenes(options, clips, SCENES[options.size])
    filtered = options.size == "full" and clips.ontology and (clips.label_table or clips.test_table)
    kept = {"ontology": clips.ontology, "keep_descendants_of": INSTRUMENTS} if filtered else {}
    return reproduction_data.given(options, clips, Wanted(NAME, conversion=kept))


def evaluations(
    options: Options, data: ClipData, names: Mapping[str, str], seed: int
) -> list[Step]:
    """The three evaluations of a seed, and AVOL-Net's on scenes of two objects."""
    ontology = {"ontology": data.ontology or None}
    baseline = {
        "baseline_workdir": runs.workdir(options, names["l3"], seed),
        "train_pattern": data.train,
    }
    # Curves and pictures take longer than all the rest of a tiny evaluation.
    drawn = {"figures": None if options.size == "tiny" else options.path("figures")}
    first = drawn if seed == options.seeds[0] else {}
    swap = {"swap_pattern": data.swap or None}
    steps = [
        runs.evaluate(options, data, names["l3"], seed, {}),
        runs.evaluate(options, data, names["ave"], seed, {**baseline, **ontology, **first}),
        runs.evaluate(options, data, names["avol"], seed, {} if data.two else swap),
    ]
    if data.two:
        on_two = {"eval_pattern": data.two, **swap}
        steps.append(runs.evaluate(options, data, names["avol"], seed, on_two, "two"))
    return steps


def vgg16_steps(
    options: Options, clips: ClipOptions, data: ClipData, l3: str
) -> list[Step]:
    """VGG16's pictures with L3-Net's sounds, for Table 1; of the first seed."""
    steps = []
    paths = {}
    for split, pattern in (("train", data.train), ("test", data.test)):
        sounds, both = (
            options.path("runs", f"{name}_{split}.npz") for name in ("l3", "vgg16_l3")
        )
        embed = {
            "workdir": runs.workdir(options, l3, options.seeds[0]),
            "moments": "middle",
            "input_pattern": pattern,
            "output": sounds,
        }
        look = {
            "input_pattern": pattern,
            "weights": clips.vgg16_weights,
            "audio_embeddings": sounds,
            "output": both,
        }
        steps.append(Step(f"embed-l3-{split}", "launch.embed_avc", embed, sounds))
        steps.append(Step(f"embed-vgg16-{split}", "launch.embed_vgg16", look, both))
        paths[split] = both
    output = options.path("runs", "vgg16.json")
    flags = {
        "eval_pattern": data.test,
        "moment": "middle",
        "ontology": data.ontology or None,
        "embeddings": paths["test"],
        "train_embeddings": paths["train"],
        "output": output,
    }
    return [*steps, Step("evaluate-vgg16", "launch.evaluate_avc", flags, output)]


def tables(
    options: Options,
    clips: ClipOptions,
    data: ClipData,
    names: Mapping[str, str],
    seen: Mapping[str, str],
) -> tuple[Table, ...]:
    """The paper's tables with ours."""
    accuracies = runs.accuracy_rows(options, seen)
    if data.scenes:
        accuracies |= runs.limit_row(options, names["ave"])
    if clips.motion and not options.data:
        accuracies |= motion.references(options)
    found = [runs.accuracy_table("Accuracy of correspondence, sections 3.1, 3.2 and 4.1",
                                 accuracies)]
    found.append(
        Table("Table 1, nDCG@30", runs.NDCG_COLUMNS, ndcg_rows(options, clips, names),
              runs.INTERVALS)
    )
    if data.scenes:
        found.append(localization_table(options, data, names["avol"]))
    return tuple(found)


def ndcg_rows(
    options: Options, clips: ClipOptions, names: Mapping[str, str]
) -> dict[str, tuple[Cell, ...]]:
    """Table 1: each system of the paper with ours below."""
    ave = runs.reports(options, names["ave"])
    vgg = (options.path("runs", "vgg16.json"),) if clips.vgg16_weights else ()
    ours = {
        "L3-Net": (names["l3"], ave),
        "L3-Net with CCA": (f"{names['l3']} + CCA", ave),
        "VGG16-ImageNet": ("vgg16_l3_test", vgg),
        "VGG16-ImageNet + L3-Audio CCA": ("vgg16_l3_test + CCA", vgg),
        "AVE-Net": (names["ave"], ave),
    }
    source = "Table 1 of Objects that Sound"
    rows = {
        "chance (the paper)": runs.published_ndcg([published.NDCG_CHANCE] * 4, source),
        "chance": runs.ndcg_chance(ave),
    }
    for system, values in published.NDCG.items():
        where = "section 3.2 of Objects that Sound" if system == "AVE+OF" else source
        rows[f"{system} (the paper)"] = runs.published_ndcg(values, where)
        name, reports = ours.get(system, ("", ()))
        if reports:
            rows[f"{name}, ours"] = runs.ndcg_cells(reports, name)
    return rows


def localization_table(options: Options, data: ClipData, avol: str) -> Table:
    """Where the highest place of a map is, section 4.1."""
    found = runs.reports(options, avol, "two" if data.two else "evaluation")
    source = "section 4.1 of Objects that Sound"

    def ours(system: str) -> tuple[Cell, ...]:
        return (Measured(found, ("localization", "systems", system, "mode_in_box")),)

    rows = {
        "AVOL-Net (the paper)": (Published(published.MODE_IN_BOX, source),),
        f"{avol}, ours": ours("network"),
        "always the centre (the paper)": (Published(published.CENTRE_IN_BOX, source),),
        "always the centre": ours("centre"),
        "a random visible object": ours("random_object"),
        f"{avol}, with the sound of another clip": ours("shuffled_audio"),
    }
    if data.swap:
        swapped = Measured(found, ("swap", "both_right"))
        rows[f"{avol}, swap test (figure 6): right with either sound"] = (swapped,)
    return Table(
        "Localisation, section 4.1: the map's mode is on what sounds",
        (Column("clips %"),), rows, runs.INTERVALS,
    )


def details(options: Options, data: ClipData, names: Mapping[str, str]) -> tuple:
    """All that the evaluations say of it."""
    every = [path for name in names.values() for path in runs.reports(options, name)]
    maps = runs.reports(options, names["avol"], "two" if data.two else "evaluation")
    kinds = {"correspondence": tuple(every), "ndcg": runs.reports(options, names["ave"])}
    return runs.details(kinds | ({"localization": maps} if data.scenes else {}))


def figures(options: Options) -> dict[str, str]:
    """Those that the evaluation of AVE-Net draws."""
    return {
        "nDCG@K by K (figure 10)": options.path("figures", "ndcg_by_cutoff.png"),
        "nDCG@30 by dimensions (figure 9)": options.path("figures", "ndcg_by_dimension.png"),
        "retrieved clips (figure 3)": options.path("figures", "retrieval.png"),
    }
