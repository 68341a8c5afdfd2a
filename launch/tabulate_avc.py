r"""Puts reports of evaluate_avc over several runs into one Markdown table.

Tables:
  correspondence   accuracy by the number of visible objects, beside its references
  ndcg             nDCG@30 in four directions, beside chance and baselines
  localization     where maps have their mode, overlap, emptiness and the swap test

Reports of the same recipe (other seeds) become one row: the mean over runs ± the standard
deviation over them, and in brackets half of the 95 % interval over clips.

Example (about 5 seconds):

  python -m launch.tabulate_avc --reports='runs/*/evaluation.json' --table=correspondence
"""

import os

from absl import flags

from avc import run_tables
from crossmodal import files
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("reports", None, "Reports of evaluate_avc: glob patterns, by commas.")
flags.DEFINE_enum("table", "correspondence", run_tables.KINDS, "What to print.")
flags.DEFINE_string("output", "", "Markdown file to write the table to as well.")
flags.mark_flag_as_required("reports")


def main() -> None:
    """Reads the reports and prints their table."""
    loaded = run_tables.load_reports(files.expand_patterns(FLAGS.reports, "reports"))
    table = run_tables.make(FLAGS.table, loaded)
    print(table)
    if FLAGS.output:
        files.write_text(os.path.expanduser(FLAGS.output), table + "\n")


if __name__ == "__main__":
    commands.run(main)
