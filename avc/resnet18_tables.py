"""The results of ResNet18-AVC (Feng et al. 2020), as steps and cells.

Accuracy of correspondence (Table I); retrieval in four directions, which the paper shows and
does not measure; and the embeddings by t-SNE (figure 3).
"""

from collections.abc import Mapping

from avc import objects_that_sound_tables, published, reproduction_data
from avc import reproduction_runs as runs
from avc.reproduction_data import ClipOptions, Wanted
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import Options, Plan, Published, Table

NAME = "resnet18"
PAPER = (
    "Feng et al. 2020, Self-Supervised Audio-Visual Representation Learning for in-the-wild Videos"
)
TRAININGS: Mapping[str, Mapping[str, object]] = {
    "tiny": objects_that_sound_tables.TRAININGS["tiny"],
    "small": {"max_steps": 2000, "precision": "mixed_bfloat16", "evaluate_every_steps": 250},
    "full": {},
}


def plan(options: Options, clips: ClipOptions) -> Plan:
    """How the paper is reproduced.

    Raises:
      UserError: the data are not what the paper needs.
    """
    if clips.motion or clips.vgg16_weights:
        raise ConfigurationError("--motion and --vgg16_weights are for --paper=objects_that_sound")
    if options.data:
        data = reproduction_data.given(options, clips, Wanted(NAME))
    else:
        sets = objects_that_sound_tables.SCENES[options.size]
        sets = tuple(one for one in sets if one[0] != "test_two")
        data = reproduction_data.scenes(options, clips, sets)
    name = runs.recipe(NAME, options.size)
    steps = [*data.steps]
    for seed in options.seeds:
        first = seed == options.seeds[0]
        flags = {
            "ontology": data.ontology or None,
            "figures": options.path("figures") if first else None,
        }
        steps.append(
            runs.train(options, data, name, NAME, seed, TRAININGS[options.size])
        )
        steps.append(runs.evaluate(options, data, name, seed, flags))
    found = runs.reports(options, name)
    rows = {
        "L3-Net on Flickr-SoundNet, of the paper's Table I": (
            Published(published.L3_ON_FLICKR, "Table I of Feng et al. 2020"),
        ),
        "AVE-Net on AudioSet-Instruments, of the paper's Table I": (
            Published(published.ACCURACY["ave"][0], "Table I of Feng et al. 2020"),
        ),
        **runs.accuracy_rows(options, {NAME: name}),
    }
    if data.scenes:
        rows |= runs.limit_row(options, name)
    return Plan(
        PAPER,
        runs.settings(NAME, options, clips, data),
        tuple(steps),
        (
            runs.accuracy_table("Table I, accuracy of correspondence", rows),
            *([retrieval_table(found, name)] if data.ontology else []),
        ),
        data.synthetic,
        runs.details({"correspondence": found}),
        {
            "retrieved clips (figure 2)": options.path("figures", "retrieval.png"),
            "embeddings by t-SNE (figure 3)": options.path("figures", "embeddings.png"),
        },
        data.notes,
        data.files,
    )


def retrieval_table(found: tuple[str, ...], name: str) -> Table:
    """What figure 2 shows, as numbers."""
    rows = {
        "chance": runs.ndcg_chance(found),
        f"{name}, ours": runs.ndcg_cells(found, name),
    }
    return Table(
        "Retrieval within and across picture and sound (figure 2), nDCG@30",
        runs.NDCG_COLUMNS, rows,
        f"The paper shows retrieved clips and gives no number. {runs.INTERVALS}",
    )
