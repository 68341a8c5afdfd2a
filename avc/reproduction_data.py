"""What an audio-visual paper is reproduced on: records, videos to be converted, or scenes."""

import dataclasses
import glob
import json
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

from avc import reading, scene_classes
from avc.label_tables import SUFFIXES
from crossmodal import opening
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.reproduction import Options, Step

SPLITS = ("train", "validation", "test")
SYNTHETIC_SCENES = (
    "scenes of drawn or given pictures and sounds (docs/scenes.md): this says that the methods "
    "work, not how well they do on videos; the paper's numbers are of other data"
)


@dataclasses.dataclass(frozen=True)
class ClipOptions:
    """What can be said of clips besides where they are; all may be empty.

    Attributes:
      label_table, test_table: of videos that are to be converted.
      ontology: AudioSet's ontology.json.
      vgg16_weights: `imagenet` or a file, for the baselines with VGG16.
      sounds, sprites: of made-up scenes: recordings, and pictures of what sounds.
      motion: whether the networks that see motion take part, too.
    """

    label_table: str = ""
    test_table: str = ""
    ontology: str = ""
    vgg16_weights: str = ""
    sounds: str = ""
    sprites: str = ""
    motion: bool = False


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a paper asks of its clips.

    Attributes:
      paper: its name on the command line.
      sample_rate_hz: of the sound.
      ndcg: whether its tables have nDCG, for which labels and an ontology are needed.
      conversion: flags of the conversion of videos.
    """

    paper: str
    sample_rate_hz: int = 48_000
    ndcg: bool = True
    conversion: Mapping[str, object] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ClipData:
    """Patterns of records, and the steps that make them.

    Attributes:
      steps: none where the records are there.
      train, test: patterns.
      validation: pattern; empty where there are too few videos to choose checkpoints on.
      two, swap: scenes of two objects and swap pairs, if there are any.
      scenes: whether the truth is known.
      synthetic: what they are, if they are made up.
      files: texts to be written by path.
      ontology: path of the ontology; empty for none.
      notes: what a reader has to know.
    """

    train: str
    test: str
    validation: str = ""
    steps: tuple[Step, ...] = ()
    two: str = ""
    swap: str = ""
    scenes: bool = False
    synthetic: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ontology: str = ""
    notes: tuple[str, ...] = ()


def given(options: Options, clips: ClipOptions, wanted: Wanted) -> ClipData:
    """The data of a folder: records as they are, or videos and their conversion.

    Raises:
      UserError: the folder holds neither, or not what the paper needs.
    """
    needs = (
        f"{wanted.paper} needs records train-*.tfrecord and test-*.tfrecord of convert_clips, or "
        "videos"
    )
    folder = options.data
    if clips.sounds or clips.sprites:
        raise ConfigurationError("--sounds and --sprites are for made-up scenes, without --data")
    if not os.path.isdir(folder):
        raise UserError(f"--data={folder}: there is no such folder; {needs}")
    if glob.glob(os.path.join(folder, "train*.tfrecord")):
        if clips.label_table or clips.test_table:
            raise ConfigurationError(
                f"--label_table and --test_table are for videos, --data={folder} holds records"
            )
        found = records(folder, wanted, needs)
    elif holds_videos(folder):
        found = videos(options, clips, wanted)
    else:
        there = sorted(os.listdir(folder))[:3]
        raise UserError(f"--data={folder}: {needs}; it holds {', '.join(there) or 'nothing'}")
    unmeasured = wanted.ndcg and not clips.ontology
    notes = ("nDCG needs labels and `--ontology`, and was not measured.",) if unmeasured else ()
    return dataclasses.replace(
        found, ontology=clips.ontology, notes=(*found.notes, *notes)
    )


def holds_videos(folder: str) -> bool:
    """Whether there is a file in it, or in a folder of it, that is named as a video."""
    every = (name for _, _, names in os.walk(folder) for name in names)
    return any(name.lower().endswith(SUFFIXES) for name in every)


def records(folder: str, wanted: Wanted, needs: str, flag: str = "data") -> ClipData:
    """Records that are there, checked by their first one.

    Args:
      folder: which a flag named.
      wanted: what the paper asks for.
      needs: the same in words.
      flag: its name.

    Raises:
      UserError: they are not what the paper needs.
    """
    patterns = {
        name: os.path.join(folder, f"{name}-*.tfrecord")
        for name in (*SPLITS, "test_two", "test_swap")
    }
    there = {name: pattern for name, pattern in patterns.items() if glob.glob(pattern)}
    kind = opening.find_kind(sorted(glob.glob(os.path.join(folder, "train*"))), reading.KINDS)
    if kind is None:
        raise UserError(f"--{flag}={folder}: holds no records of clips; {needs}")
    if "train" not in there or not {"test", "validation"} & there.keys():
        raise UserError(f"--{flag}={folder}: {needs}; there is no {patterns['test']}")
    rate = sample_rate_hz(there["train"], kind)
    if rate != wanted.sample_rate_hz:
        raise UserError(
            f"--{flag}={folder}: {wanted.paper} needs sound of {wanted.sample_rate_hz} Hz, these "
            f"records have {rate}: convert the videos with --sample_rate_hz={wanted.sample_rate_hz}"
        )
    found = ClipData(
        there["train"], there.get("test", ""), there.get("validation", ""),
        two=there.get("test_two", ""), swap=there.get("test_swap", ""),
        scenes=kind[0] == "scene",
        synthetic=SYNTHETIC_SCENES if kind[0] == "scene" else "",
    )
    return found if found.test else tested_on_validation(found)


def tested_on_validation(found: ClipData) -> ClipData:
    """Without a test split nothing is left to choose checkpoints on."""
    note = (
        "There is no test split: numbers are of the validation split, and the last checkpoint of "
        "every training is taken, not the best one."
    )
    return dataclasses.replace(
        found, test=found.validation, validation="", notes=(*found.notes, note)
    )


def sample_rate_hz(pattern: str, kind: tuple[str, str]) -> int:
    """Of the first record that can be read."""
    schema = reading.KINDS[kind]
    record = next(
        record
        for path in sorted(glob.glob(pattern))
        for record in opening.first_records(path)
        if schema.problem(record) is None
    )
    return int(schema.parse_one(tf.constant(record))["sample_rate_hz"])


def videos(options: Options, clips: ClipOptions, wanted: Wanted) -> ClipData:
    """The conversion of videos; their own test split is that of the tables."""
    output = options.path("data")
    flags = {
        "input": options.data,
        "output": output,
        "label_table": clips.label_table or None,
        "test_table": clips.test_table or None,
        "flow": True if clips.motion else None,
        **wanted.conversion,
    }
    step = Step("convert", "launch.convert_clips", flags, os.path.join(output, "manifest.csv"))
    patterns = [os.path.join(output, f"{name}-*.tfrecord") for name in SPLITS]
    found = ClipData(patterns[0], patterns[2], patterns[1], steps=(step,))
    return found if clips.label_table or clips.test_table else tested_on_validation(found)


def make_set(
    module: str, folder: str, split: str, name: str, flags: Mapping[str, object]
) -> Step:
    """A step that makes one set of made-up records, `NAME-*.tfrecord`."""
    fixed = {"output": folder, "split": split, "name": name}
    return Step(f"make-{name}", module, fixed | dict(flags),
                os.path.join(folder, f"{name}-*.tfrecord"))


def scenes(
    options: Options, clips: ClipOptions, sets: Sequence[tuple[str, str, Mapping[str, object]]]
) -> ClipData:
    """Made-up scenes.

    Args:
      options, clips: what to do.
      sets: name, split and flags of make_scenes of each set: `train`, `test` and, if they are
        to be, `validation` and `test_two`.
    """
    if clips.label_table or clips.test_table:
        raise ConfigurationError("--label_table and --test_table are for videos: give --data")
    folder = options.path("data")
    world = {"sounds": clips.sounds or None, "sprites": clips.sprites or None}
    steps = tuple(
        make_set("launch.make_scenes", folder, split, name, {**world, **flags})
        for name, split, flags in sets
    )
    patterns = {name: os.path.join(folder, f"{name}-*.tfrecord") for name, _, _ in sets}
    swapped = any("swap_pairs" in flags for _, _, flags in sets)
    texts, ontology, notes = {}, clips.ontology, ()
    if not ontology:
        ontology = options.path("ontology.json")
        texts = {ontology: flat_ontology()}
        notes = (
            "No `--ontology` was given: nDCG is of a made-up one, in which all classes are "
            "siblings, and its chance level is not that of AudioSet's.",
        )
    return ClipData(
        patterns["train"], patterns["test"], patterns.get("validation", ""), steps,
        two=patterns.get("test_two", ""),
        swap=os.path.join(folder, "test_swap-*.tfrecord") if swapped else "",
        scenes=True, synthetic=SYNTHETIC_SCENES, files=texts, ontology=ontology, notes=notes,
    )


def flat_ontology() -> str:
    """An ontology.json in which every class of scenes is a child of one root."""
    names = {
        known.label: known.display_name
        for classes in (scene_classes.OWN, scene_classes.ESC10)
        for known in classes
    }
    entries = [{"id": "root", "name": "sound", "child_ids": list(names)}] + [
        {"id": label, "name": name, "child_ids": []} for label, name in names.items()
    ]
    return json.dumps(entries, indent=1) + "\n"
