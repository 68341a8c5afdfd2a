r"""Reproduces a paper's tables: conversion, training, evaluation, and one report.

Runs the commands of this library one after the other, each in a process of its own, and
writes report.md and report.json: the paper's numbers beside ours, configuration, versions,
machine, wall time of every step, and the exact commands. Killed and started again, it goes on
where it was: finished steps are skipped, an unfinished training resumes.

Papers: suris2018, objects_that_sound, davenet, resnet18. Sizes:
  tiny    shows that everything runs: a minute or two
  small   small networks or few steps: about an hour of a core
  full    the paper's own configuration; wants --data, and mostly an accelerator

Examples (about a minute each on an idle core):

  python -m launch.reproduce --paper=suris2018 --size=tiny --output=/tmp/suris2018
  python -m launch.reproduce --paper=davenet --size=tiny --output=/tmp/davenet

On real videos:

  python -m launch.reproduce --paper=suris2018 --data=/data/yt8m --output=runs/suris2018

Without --data made-up data are taken, and every table is headed SYNTHETIC. What --data may
hold, and what the tables show: docs/reproducing.md.
"""

import dataclasses
import os
import pathlib

from absl import flags

from avc import davenet_tables, objects_that_sound_tables, resnet18_tables
from avc.reproduction_data import ClipOptions
from crossmodal import files, reproduction_report, reproduction_steps
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import SIZES, Options, Plan
from launch import commands
from yt8m_embed import reproduction

FLAGS = flags.FLAGS
PAPERS = ("suris2018", "objects_that_sound", "davenet", "resnet18")
flags.DEFINE_enum("paper", None, PAPERS, "What to reproduce.")
flags.DEFINE_string("data", "", "Folder of data; empty: made-up ones.")
flags.DEFINE_string("output", None, "Folder of all that is made, on a local disk.")
flags.DEFINE_enum("size", "small", SIZES, "How much of it.")
flags.DEFINE_list("seeds", [], "Of the trainings; default: 0, of size full 0,1,2.")
flags.DEFINE_string("label_table", "", "Of videos: CSV file with clips, labels and splits.")
flags.DEFINE_string("test_table", "", "Of videos: the same; all its clips are for the test.")
flags.DEFINE_string("ontology", "", "AudioSet's ontology.json, for nDCG.")
flags.DEFINE_string("sounds", "", "Of made-up scenes: folder of recordings, as make_scenes has it.")
flags.DEFINE_string("sprites", "", "Of made-up scenes: pictures or an emoji font.")
flags.DEFINE_string(
    "vgg16_weights", "", "objects_that_sound: adds VGG16; `imagenet` or a file .h5 or .keras."
)
flags.DEFINE_bool(
    "motion", False, "objects_that_sound: adds the networks that see motion, AVE+OF and AVE+MF."
)
flags.DEFINE_string("weak_data", "", "davenet: records of weakly labelled pairs, for Table 3.")
flags.DEFINE_bool("dry_run", False, "Print the commands, and run nothing.")
flags.mark_flags_as_required(["paper", "output"])

SEEDS = {"full": (0, 1, 2)}
BUNDLED = pathlib.Path(__file__).parents[1] / "testdata" / "yt8m"


def options() -> Options:
    """What the flags say.

    Raises:
      ConfigurationError: a seed is no number, the full size has no data, or the output is not
        on this machine.
    """
    if not all(seed.isdigit() for seed in FLAGS.seeds):
        raise ConfigurationError(f"--seeds={','.join(FLAGS.seeds)}: must be whole numbers")
    if FLAGS.size == "full" and not FLAGS.data:
        raise ConfigurationError("--size=full is for real data: give --data")
    if "://" in FLAGS.output:
        raise ConfigurationError(f"--output={FLAGS.output}: must be a folder on a local disk")
    seeds = tuple(map(int, FLAGS.seeds)) or SEEDS.get(FLAGS.size, (0,))
    # The same folder however it is written: its commands are compared with those before.
    return Options(FLAGS.size, FLAGS.data, os.path.normpath(FLAGS.output), seeds)


def clip_options() -> ClipOptions:
    """What the flags say of clips."""
    names = [field.name for field in dataclasses.fields(ClipOptions)]
    return ClipOptions(**{name: FLAGS[name].value for name in names})


def make_plan() -> Plan:
    """The steps and tables of the paper.

    Raises:
      UserError: the data are not what the paper needs, or a flag is of another paper.
    """
    chosen, clips = options(), clip_options()
    if FLAGS.weak_data and FLAGS.paper != "davenet":
        raise ConfigurationError("--weak_data is for --paper=davenet")
    if FLAGS.paper == "suris2018":
        given = [name for name, value in vars(clips).items() if value]
        if given:
            raise ConfigurationError(f"--{given[0]} is not for --paper=suris2018")
        return reproduction.plan(chosen, os.path.relpath(BUNDLED))
    if FLAGS.paper == "davenet":
        return davenet_tables.plan(chosen, clips, FLAGS.weak_data)
    papers = {"objects_that_sound": objects_that_sound_tables, "resnet18": resnet18_tables}
    return papers[FLAGS.paper].plan(chosen, clips)


def main() -> None:
    """Runs what is left to do and writes the report."""
    plan = make_plan()
    if FLAGS.dry_run:
        print("\n".join(map(str, plan.steps)))
        return
    for path, text in plan.files.items():
        files.write_text(path, text)
    records = reproduction_steps.run(FLAGS.output, plan.settings, plan.steps)
    text = reproduction_report.write(plan, FLAGS.output, records)
    print(f"\n{text}\nreport: {os.path.join(FLAGS.output, 'report.md')}")


if __name__ == "__main__":
    commands.run(main)
