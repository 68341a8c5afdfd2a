"""The networks of *Objects that Sound* that see motion (section 3.2), in its reproduction.

On clips of one's own they see those of the other networks. Where scenes are made up, theirs
are ones in which motion alone tells what sounds, and AVE-Net, which sees none, is beside them.
"""

from collections.abc import Mapping

from avc import reproduction_data
from avc import reproduction_runs as runs
from avc.reproduction_data import ClipData
from crossmodal.reproduction import Cell, Measured, Options, Step

NETWORKS = ("ave_of", "ave_mf")
# A step on nine frames takes nine times as long; what a small network does within an hour.
MOVING_STEPS = {"tiny": 4, "small": 300, "full": None}
# Scenes in which motion alone tells: other networks see nothing that helps.
SWINGING = (
    "motion=by_class,looks=any,motion_range=0.05,flow=true,flow_shorter_side=48,clip_seconds=1.2,"
    "frames_per_second=12.5,max_objects=2,min_sounding_share=1,two_classes_share=0,"
    "same_class_share=0,switch_share=0,off_screen_share=0,silent_share=0,audio_encoding=pcm16"
)
MOVING_SCENES = {"tiny": (24, 0, 16, 64), "small": (1500, 150, 300, 96)}


def find(options: Options, data: ClipData) -> ClipData:
    """Clips with optical flow: those of --data, or scenes in which motion alone tells."""
    if options.data:
        return data
    train, validation, test, side = MOVING_SCENES[options.size]
    flags = {"only": "bell,rain,siren", "set": f"picture_size={side},{SWINGING}"}
    counts = {"train": train, "validation": validation, "test": test}
    sets = [
        (f"moving_{split}", split, {**flags, "num_clips": count})
        for split, count in counts.items()
        if count
    ]
    folder = options.path("data")
    steps = tuple(
        reproduction_data.make_set("launch.make_scenes", folder, split, name, own)
        for name, split, own in sets
    )
    patterns = {split: f"{folder}/{name}-*.tfrecord" for name, split, _ in sets}
    return ClipData(
        patterns["train"], patterns["test"], patterns.get("validation", ""), steps, scenes=True
    )


def names(options: Options, moving: ClipData, data: ClipData) -> dict[str, str]:
    """Trainings of the networks that see motion, by network; on scenes beside AVE-Net."""
    prefix = "" if moving is data else "moving-"
    return {network: prefix + runs.recipe(network, options.size) for network in NETWORKS}


def runs_of(
    options: Options, moving: ClipData, data: ClipData, seed: int, flags: Mapping[str, object]
) -> list[Step]:
    """Their trainings and evaluations."""
    trained = names(options, moving, data)
    if moving is not data:
        trained = {"ave": reference(options), **trained}
    steps = []
    for network, name in trained.items():
        own = dict(flags)
        if network == "ave_mf":
            own["max_steps"] = MOVING_STEPS[options.size]
        if moving is not data:
            fields = [own.get("set"), "misalignment_seconds=0.0"]
            if network == "ave_mf" and options.size == "tiny":
                fields.append("num_frames=3")
            own["set"] = ",".join(field for field in fields if field)
        steps.append(runs.train(options, moving, name, network, seed, own))
        steps.append(runs.evaluate(options, moving, name, seed, {}))
    return steps


def reference(options: Options) -> str:
    """The training of AVE-Net on scenes in which motion alone tells."""
    return "moving-" + runs.recipe("ave", options.size)


def references(options: Options) -> dict[str, tuple[Cell, ...]]:
    """Rows of the accuracy on these scenes: a network that sees no motion, and the limit."""
    name = reference(options)
    found = Measured(runs.reports(options, name), ("avc", "accuracy"))
    limits = runs.limit_row(options, name)
    return {
        f"{name}, ours: sees no motion": (found,),
        **{f"{row} (moving scenes)": cells for row, cells in limits.items()},
    }
