"""Tables over several runs: reports of evaluate_avc, those of one recipe (other seeds) in a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from avc import published
from crossmodal import configuration, reports
from crossmodal.errors import ConfigurationError
from crossmodal.ndcg import DIRECTIONS

Report = Mapping[str, Any]
# What of a report a cell shows: an interval (`estimate`, `low`, `high`), or None.
Cell = Callable[[Report], Mapping[str, float] | None]
SAME = ("protocol", "eval_pattern", "clips")
KINDS = ("correspondence", "ndcg", "localization")


def load_reports(paths: Sequence[str]) -> dict[str, Report]:
    """Reports of evaluate_avc by path.

    Raises:
      ConfigurationError: a file is no such report, or two differ in what was measured.
    """
    loaded = {path: configuration.load(path) for path in paths}
    for path, report in loaded.items():
        if not report.get("avc_config"):
            raise ConfigurationError(f"{path}: not a report of evaluate_avc on a network")
        if any(_same(report, name) != _same(loaded[paths[0]], name) for name in SAME):
            raise ConfigurationError(f"{path} and {paths[0]} were not measured in the same way")
    return loaded


def _same(report: Report, name: str) -> Any:
    value = report[name]
    # Permutations are an addition to what is measured: without them the rest is the same.
    return {**value, "num_permutations": 0} if name == "protocol" else value


def by_recipe(loaded: Mapping[str, Report]) -> dict[str, list[Report]]:
    """Reports by the name of their row."""
    rows: dict[str, list[Report]] = {}
    for report in loaded.values():
        rows.setdefault(report["avc_config"]["recipe"], []).append(report)
    return {
        f"{name} ({len(own)} runs)" if len(own) > 1 else name: own for name, own in rows.items()
    }


def make(kind: str, loaded: Mapping[str, Report]) -> str:
    """The table of one of `KINDS`.

    A cell is the mean over runs, the standard deviation over them and in brackets half of the
    95 % interval over clips, the mean over runs.

    Raises:
      ConfigurationError: no report holds what the table shows.
    """
    make_rows = {
        "correspondence": _correspondence, "ndcg": _ndcg, "localization": _localization,
    }
    header, rows = make_rows[kind](by_recipe(loaded))
    if not any(cell != "-" for row in rows for cell in row[1:]):
        raise ConfigurationError(f"--reports hold nothing for --table={kind}")
    return reports.markdown(header, rows, 1)


def _correspondence(runs: Mapping[str, list[Report]]) -> tuple[list[str], list[list[str]]]:
    every = [report for own in runs.values() for report in own]
    numbers = sorted({n for r in every for n in r["avc"].get("by_visible_objects", ())}, key=int)
    columns: dict[str, tuple[str, ...]] = {
        f"{number} visible, %": ("by_visible_objects", number) for number in numbers
    }
    columns |= {"off-screen, %": ("off_screen",), "silence, %": ("silent",)}
    columns |= {"all, %": ("accuracy",)}

    def row(name: str, own: Sequence[Report], *inside: str) -> list[str]:
        cells = [_cell(own, _at("avc", *inside, *path), 100, 1) for path in columns.values()]
        return [name, *cells]

    rows = [row(name, own) for name, own in runs.items()]
    # These depend on the clips and on the front end, not on the network's training.
    heard = [report for report in every if "hearing_reference" in report["avc"]]
    if heard:
        rows.append(row("sound heard with labels, true picture", heard, "hearing_reference"))
    limited = [report for report in every if "limit" in report["avc"]]
    if limited:
        rows.append(row("limit: perfect eyes and ears", limited[:1], "limit"))
    return ["network", *columns], rows


def _ndcg(runs: Mapping[str, list[Report]]) -> tuple[list[str], list[list[str]]]:
    measured = {name: [r for r in own if "ndcg" in r] for name, own in runs.items()}
    every = [report for own in measured.values() for report in own]
    if not every:
        return ["system"], []
    chance = every[0]["ndcg"]["chance"]
    rows = [["chance", *(f"{chance[direction]:.3f}" for direction in DIRECTIONS)]]
    shown = set()
    for own in measured.values():
        for system in dict.fromkeys(name for r in own for name in r["ndcg"]["systems"]):
            # A baseline comes with every network that it was compared with: once is enough.
            if system in shown:
                continue
            shown.add(system)
            cells = [_cell(own, _at("ndcg", "systems", system, d), 1, 3) for d in DIRECTIONS]
            number = sum(system in report["ndcg"]["systems"] for report in own)
            rows.append([f"{system} ({number} runs)" if number > 1 else system, *cells])
            permuted = [_cell(own, _permuted(system, d), 1, 3) for d in DIRECTIONS]
            if any(cell != "-" for cell in permuted):
                rows.append([f"{system}, classes permuted", *permuted])
    return ["system", *(direction.replace("_to_", " -> ") for direction in DIRECTIONS)], rows


def _permuted(system: str, direction: str) -> Cell:
    find = _at("ndcg", "permuted_classes", system, direction)

    def cell(report: Report) -> Mapping[str, float] | None:
        found = find(report)
        if not found:
            return None
        mean, std = found["mean"], found["std"]
        return {"estimate": mean, "low": mean - 2 * std, "high": mean + 2 * std}

    return cell


def _localization(runs: Mapping[str, list[Report]]) -> tuple[list[str], list[list[str]]]:
    systems = ("network", "shuffled_audio", "random_object", "centre", "whole_image")
    titles = {"network": "", "random_object": ", a random visible object"}
    metrics = {"mode in box, %": "mode_in_box", "cIoU, %": "ciou_adaptive",
               "AUC, %": "auc_adaptive", "cIoU fixed, %": "ciou_fixed", "AUC fixed, %": "auc_fixed"}
    rows = []
    for name, own in runs.items():
        for system in systems if any("localization" in report for report in own) else ():
            cells = [
                _cell(own, _at("localization", "systems", system, metric), 100, 1)
                for metric in metrics.values()
            ]
            silent = _cell(own, _at("localization", "emptiness", "foreign_sound"), 1, 3)
            swap = _cell(own, _at("swap", "both_right"), 100, 1)
            rest = [silent, swap] if system == "network" else ["-", "-"]
            title = titles.get(system, f", {system.replace('_', ' ')}")
            rows.append([name + title, *cells, *rest])
    for name, value in (
        ("AVOL-Net", published.MODE_IN_BOX),
        ("centre", published.CENTRE_IN_BOX),
    ):
        if rows:
            rows.append([f"{name} (the paper, its data)", f"{100 * value:.1f}", *["-"] * 6])
    return ["maps of", *metrics, "emptiness AUC", "swap, both right, %"], rows


def _at(*path: str) -> Cell:
    def find(report: Report) -> Mapping[str, float] | None:
        value: Any = report
        for name in path:
            value = (value or {}).get(name)
        return value

    return find


def _cell(own: Sequence[Report], find: Cell, factor: float, digits: int) -> str:
    found = [value for value in map(find, own) if value]
    if not found:
        return "-"
    estimates = [factor * value["estimate"] for value in found]
    text = f"{np.mean(estimates):.{digits}f}"
    if len(found) > 1:
        text += f" ± {np.std(estimates, ddof=1):.{digits}f}"
    half = factor * np.mean([(value["high"] - value["low"]) / 2 for value in found])
    return f"{text} ({half:.{digits}f})"
