r"""Puts several evaluation reports into one table.

Reports of the same recipe (other seeds) become one row: the mean of their means, with
the standard deviation over the reports. Chance, the paper's numbers and the baseline are
taken from the first report that has them.

Example (about 5 seconds):

  python -m launch.tabulate_yt8m --reports='runs/*/evaluation.json'
"""

import os

import numpy as np
from absl import flags

from crossmodal import configuration, files, reports
from crossmodal.errors import ConfigurationError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("reports", None, "Reports of evaluate_yt8m: glob patterns, by commas.")
flags.DEFINE_string("output", "", "Markdown file to write the table to as well.")
flags.mark_flag_as_required("reports")

METRICS = ("recall@1", "recall@5", "recall@10", "median_rank")


def across(results: list[reports.Result]) -> reports.Result:
    """Mean and standard deviation over reports of their means."""
    merged = {}
    for key in results[0]:
        means = [result[key]["mean"] for result in results if key in result]
        std = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        merged[key] = {"mean": float(np.mean(means)), "std": std, "galleries": len(means)}
    return merged


def main() -> None:
    """Reads the reports and prints their table."""
    systems: dict[str, reports.Result] = {}
    recipes: dict[str, list[reports.Result]] = {}
    protocols = {}
    for path in files.expand_patterns(FLAGS.reports, "reports"):
        report = configuration.load(path)
        if "systems" not in report or "embedding" not in report:
            raise ConfigurationError(f"{path}: not a report of evaluate_yt8m")
        recipe = report["embedding"]["recipe"]
        protocols[path] = (report["protocol"], report["eval_pattern"], report["videos"])
        for name, result in report["systems"].items():
            if name == recipe:
                recipes.setdefault(recipe, []).append(result)
            else:
                systems.setdefault(name, result)
    first = next(iter(protocols))
    for path, protocol in protocols.items():
        if protocol != protocols[first]:
            raise ConfigurationError(f"{path} and {first} were not measured in the same way")
    for recipe, results in recipes.items():
        count = f" ({len(results)} runs)" if len(results) > 1 else ""
        systems[f"{recipe}{count}"] = across(results)
    order = ["chance", *(name for name in systems if name != "chance")]
    table = reports.retrieval_table({name: systems[name] for name in order}, METRICS)
    print(table)
    if FLAGS.output:
        files.write_text(os.path.expanduser(FLAGS.output), table + "\n")


if __name__ == "__main__":
    commands.run(main)
