"""Tables over several runs: their reports of evaluation, and their curves while training."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossmodal import configuration, files, reports
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.retrieval import DIRECTIONS

METRICS = ("recall@1", "recall@5", "recall@10", "median_rank")
SHORT = {"visual_to_audio": "v", "audio_to_visual": "a"}


def load_reports(paths: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Reports of evaluate_yt8m by path.

    Raises:
      ConfigurationError: a file is no such report, or two differ in what was measured.
    """
    loaded = {path: configuration.load(path) for path in paths}
    protocols = {}
    for path, report in loaded.items():
        if "systems" not in report or "embedding" not in report:
            raise ConfigurationError(f"{path}: not a report of evaluate_yt8m")
        protocols[path] = [report[name] for name in ("protocol", "eval_pattern", "videos")]
        if protocols[path] != protocols[paths[0]]:
            raise ConfigurationError(f"{path} and {paths[0]} were not measured in the same way")
    return loaded


def systems(loaded: Mapping[str, Mapping[str, Any]], by_file: bool) -> dict[str, reports.Result]:
    """Results by the name of their row: chance and baselines first, each once.

    Args:
      loaded: from `load_reports`.
      by_file: whether each report is a row by its path. Otherwise reports of one recipe
        (other seeds) are one: the mean of their means, with the deviation over them.
    """
    others: dict[str, reports.Result] = {}
    rows: dict[str, list[reports.Result]] = {}
    for path, report in loaded.items():
        recipe = report["embedding"]["recipe"]
        for name, result in report["systems"].items():
            if name == recipe:
                rows.setdefault(path if by_file else recipe, []).append(result)
            else:
                others.setdefault(name, result)
    named = {
        f"{name} ({len(found)} runs)" if len(found) > 1 else name: across(found)
        for name, found in rows.items()
    }
    first = {name: others[name] for name in ("chance",) if name in others}
    return {**first, **others, **named}


def across(results: Sequence[reports.Result]) -> reports.Result:
    """Mean and standard deviation over reports of their means."""
    merged = {}
    for key in results[0]:
        means = [result[key]["mean"] for result in results if key in result]
        std = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        merged[key] = {"mean": float(np.mean(means)), "std": std, "galleries": len(means)}
    return merged


def wide(rows: Mapping[str, reports.Result], metrics: Sequence[str]) -> str:
    """One row a system: the metrics in percent at every gallery size, in both directions.

    Columns are headed `256 v@1`: of 256 videos, from the picture its sound, R@1; `a` from
    the sound its picture.
    """
    sizes = sorted({int(key.split("/")[1]) for result in rows.values() for key in result})
    columns = {
        f"{size} {SHORT[direction]}@{metric[len('recall@') :]}": f"{direction}/{size}/{metric}"
        for size in sizes
        for direction in DIRECTIONS
        for metric in metrics
    }
    cells = [
        [
            name,
            *(f"{100 * row[key]['mean']:.1f}" if key in row else "-" for key in columns.values()),
        ]
        for name, row in rows.items()
    ]
    return reports.markdown(["recall in %", *columns], cells, 1)


def gains(loaded: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """Differences to the baseline with their paired intervals, a column a report.

    Raises:
      ConfigurationError: a report was made without a baseline.
    """
    size = max(next(iter(loaded.values()))["protocol"]["gallery_sizes"])
    rows = []
    for direction in DIRECTIONS:
        for metric in metrics:
            row = [f"{reports.TITLES[direction]} R@{metric.removeprefix('recall@')}"]
            for path, report in loaded.items():
                found = report["intervals"].get(f"{direction}/{size}/{metric}", {})
                if "over_baseline" not in found:
                    raise ConfigurationError(f"{path}: made without --baseline, nothing to compare")
                gain = found["over_baseline"]
                low, high, mean = (100 * gain[name] for name in ("low", "high", "estimate"))
                row.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]")
            rows.append(row)
    return reports.markdown([f"N = {size}, points", *loaded], rows, 1)


def curves(workdirs: Sequence[str]) -> str:
    """Recall on the held-out videos while training, mean of both directions: a row a step.

    Raises:
      UserError: a folder holds no curve.
    """
    points: dict[int, dict[str, dict[str, float]]] = {}
    for workdir in workdirs:
        path = os.path.join(workdir, "metrics.jsonl")
        for line in files.read_text(path).splitlines():
            found = json.loads(line)
            if found.get("evaluation"):
                points.setdefault(found["step"], {})[workdir] = found["evaluation"]
    if not points:
        raise UserError(f"{workdirs[0]}: was trained without evaluations, there is no curve")
    metrics = ("recall@1", "recall@10")
    rows = [
        [str(step)]
        + [
            f"{100 * found[workdir][metric]:.1f}" if workdir in found else "-"
            for workdir in workdirs
            for metric in metrics
        ]
        for step, found in sorted(points.items())
    ]
    names = [f"{os.path.basename(w.rstrip('/'))} R@{m[7:]} %" for w in workdirs for m in metrics]
    return reports.markdown(["step", *names], rows, 0)
