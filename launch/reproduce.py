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

import os
import pathlib

from absl import flags

from crossmodal import reproduction, reproduction_report, reproduction_steps
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import Options, Plan
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_enum("paper", None, ["suris2018"], "What to reproduce.")
flags.DEFINE_string("data", "", "Folder of data; empty: made-up ones.")
flags.DEFINE_string("output", None, "Folder of all that is made, on a local disk.")
flags.DEFINE_enum("size", "small", reproduction.SIZES, "How much of it.")
flags.DEFINE_list("seeds", [], "Of the trainings; default: 0, of size full 0,1,2.")
flags.DEFINE_bool("dry_run", False, "Print the commands, and run nothing.")
flags.mark_flags_as_required(["paper", "output"])

SEEDS = {"full": (0, 1, 2)}
BUNDLED = pathlib.Path(__file__).parents[1] / "testdata" / "yt8m"


def options() -> Options:
    """What the flags say.

    Raises:
      ConfigurationError: a seed is no number, or the full size has no data.
    """
    if not all(seed.isdigit() for seed in FLAGS.seeds):
        raise ConfigurationError(f"--seeds={','.join(FLAGS.seeds)}: must be whole numbers")
    if FLAGS.size == "full" and not FLAGS.data:
        raise ConfigurationError("--size=full is for real data: give --data")
    seeds = tuple(map(int, FLAGS.seeds)) or SEEDS.get(FLAGS.size, (0,))
    return Options(FLAGS.size, FLAGS.data, FLAGS.output, seeds)


def make_plan() -> Plan:
    """The steps and tables of the paper."""
    from yt8m_embed import reproduction

    return reproduction.plan(options(), os.path.relpath(BUNDLED))


def main() -> None:
    """Runs what is left to do and writes the report."""
    plan = make_plan()
    if FLAGS.dry_run:
        print("\n".join(map(str, plan.steps)))
        return
    records = reproduction_steps.run(FLAGS.output, plan.settings, plan.steps)
    text = reproduction_report.write(plan, FLAGS.output, records)
    print(f"\n{text}\nreport: {os.path.join(FLAGS.output, 'report.md')}")


if __name__ == "__main__":
    commands.run(main)
