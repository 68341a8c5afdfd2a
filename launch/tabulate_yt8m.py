r"""Puts the results of several runs into one Markdown table.

Tables:
  tall   a row a gallery size and system, with the deviation over galleries or seeds
  wide   a row a system, R@1 and R@10 in every column
  gain   differences to the baseline, with paired intervals, at the largest gallery size
  curve  recall on the held-out videos while training, of the folders in --workdirs

Reports of the same recipe (other seeds) become one row, unless --by=file. Chance, the
paper's numbers and the baseline are taken from the first report that has them.

Example (about 5 seconds):

  python -m launch.tabulate_yt8m --reports='runs/*/evaluation.json' --table=wide
"""

import os

from absl import flags

from crossmodal import files, reports
from crossmodal.errors import ConfigurationError
from launch import commands
from yt8m_embed import tables

FLAGS = flags.FLAGS
flags.DEFINE_string("reports", "", "Reports of evaluate_yt8m: glob patterns, by commas.")
flags.DEFINE_list("workdirs", [], "Work folders of train_yt8m, for --table=curve.")
flags.DEFINE_enum("table", "tall", ["tall", "wide", "gain", "curve"], "What to print.")
flags.DEFINE_enum("by", "recipe", ["recipe", "file"], "What makes a row of tall and wide.")
flags.DEFINE_string("output", "", "Markdown file to write the table to as well.")


def make_table() -> str:
    """The table that the flags ask for."""
    if FLAGS.table == "curve":
        if not FLAGS.workdirs:
            raise ConfigurationError("--workdirs is empty: --table=curve reads work folders")
        return tables.curves(FLAGS.workdirs)
    loaded = tables.load_reports(files.expand_patterns(FLAGS.reports, "reports"))
    if FLAGS.table == "gain":
        return tables.gains(loaded, ("recall@1", "recall@10"))
    rows = tables.systems(loaded, by_file=FLAGS.by == "file")
    if FLAGS.table == "wide":
        return tables.wide(rows, ("recall@1", "recall@10"))
    return reports.retrieval_table(rows, tables.METRICS)


def main() -> None:
    """Reads the results and prints their table."""
    table = make_table()
    print(table)
    if FLAGS.output:
        files.write_text(os.path.expanduser(FLAGS.output), table + "\n")


if __name__ == "__main__":
    commands.run(main)
