"""What a reproduction found: a paper's numbers beside ours, as Markdown and as JSON.

Every number of ours is read from the report of a step, and JSON says from which file and
which place in it; every other one says where the paper has it.
"""

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crossmodal import configuration, environment, files, reports
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import Cell, Column, Detail, Plan, Published, Table
from crossmodal.reproduction_steps import clock, now

SYNTHETIC = "SYNTHETIC"
ALL_FIELDS = "All fields of every training are in `report.json`, under `configurations`."
NOTHING_LEARNT = (
    "This size shows that everything runs: **numbers of ours say nothing of the methods.**"
)


def write(plan: Plan, folder: str, records: Mapping[str, Mapping[str, Any]]) -> str:
    """Writes `report.json` and `report.md` into a folder, each whole.

    Args:
      plan: whose steps have finished.
      folder: of the job.
      records: of `reproduction_steps.run`.

    Returns:
      The Markdown.

    Raises:
      UserError: a report of a step cannot be read.
    """
    report = gather(plan, records)
    text = markdown(plan, report, folder)
    reports.write_json(os.path.join(folder, "report.json"), report)
    files.write_text(os.path.join(folder, "report.md"), text)
    return text


def gather(plan: Plan, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All that the report says, JSON-compatible."""
    return {
        "paper": plan.paper,
        "synthetic": plan.synthetic,
        "date": now(),
        "settings": dict(plan.settings),
        "notes": list(plan.notes),
        "tables": [table_values(table) for table in plan.tables],
        "configurations": configurations(plan),
        "environment": environment.describe(),
        "folder": os.getcwd(),
        "seconds": round(sum(record["seconds"] for record in records.values()), 1),
        "steps": dict(records),
    }


def configurations(plan: Plan) -> dict[str, Any]:
    """All fields of every training, by the path of the file that it saved them in."""
    folders = dict.fromkeys(step.flags["workdir"] for step in plan.steps if "workdir" in step.flags)
    paths = [os.path.join(str(folder), configuration.FILE) for folder in folders]
    return {path: configuration.load(path) for path in paths if os.path.exists(path)}


def table_values(table: Table) -> dict[str, Any]:
    """A table with its numbers looked up."""
    return {
        "title": table.title,
        "note": table.note,
        "columns": [column.title for column in table.columns],
        "rows": {
            name: [cell_values(cell) for cell in cells] for name, cells in table.rows.items()
        },
    }


def cell_values(cell: Cell) -> dict[str, Any] | None:
    """A number and where it is from; None where there is none.

    Of several seeds the mean and, as `spread`, the standard deviation over them; of one half
    the width of its interval, or its own standard deviation.
    """
    if cell is None:
        return None
    if isinstance(cell, Published):
        return {"value": cell.value, "published": cell.source}
    found = [find(configuration.load(path), cell.path) for path in cell.reports]
    if not all(found):
        return None
    values = [numbers_in(keys[-1])[0] if cell.of_key else number(leaf) for leaf, keys in found]
    spread = None if cell.of_key else spread_of(found[0][0])
    if len(values) > 1:
        spread = float(np.std(values, ddof=1))
    return {
        "value": float(np.mean(values)),
        "spread": spread,
        "reports": list(cell.reports),
        "path": found[0][1],
    }


def find(report: Mapping[str, Any], path: Sequence[str]) -> tuple[Any, list[str]] | None:
    """What is at a path, and the path without `*`; None where nothing is there."""
    value: Any = report
    taken = []
    for pattern in path:
        if not isinstance(value, Mapping):
            return None
        keys = [key for key in value if fnmatch.fnmatchcase(key, pattern)]
        if not keys:
            return None
        taken.append(max(keys, key=numbers_in))
        value = value[taken[-1]]
    return None if value is None else (value, taken)


def numbers_in(key: str) -> list[int]:
    """The whole numbers in a key, in their order."""
    return [int(digits) for digits in re.findall(r"\d+", key)]


def number(leaf: Any) -> float:
    """The number of a leaf: itself, an interval's estimate or a mean.

    Raises:
      ConfigurationError: it is neither.
    """
    if isinstance(leaf, int | float):
        return float(leaf)
    for name in ("estimate", "mean"):
        if isinstance(leaf, Mapping) and name in leaf:
            return float(leaf[name])
    raise ConfigurationError(f"a report has no number where one is expected, but {leaf!r}")


def spread_of(leaf: Any) -> float | None:
    """Half of an interval, or a standard deviation over galleries, of one report."""
    if isinstance(leaf, Mapping) and "low" in leaf:
        return (leaf["high"] - leaf["low"]) / 2
    if isinstance(leaf, Mapping) and leaf.get("galleries", 0) > 1:
        return leaf["std"]
    return None


def markdown(plan: Plan, report: Mapping[str, Any], folder: str) -> str:
    """The report for reading; tables are headed by what the data are."""
    parts = [f"# {plan.paper}: reproduction"]
    if plan.synthetic:
        parts.append(f"**{SYNTHETIC}**: {plan.synthetic}")
    time = f"{clock(report['seconds'])} of wall time, report of {report['date']}."
    parts.append(f"Size `{plan.settings['size']}`, {time}")
    parts += [NOTHING_LEARNT] if plan.settings["size"] == "tiny" else []
    parts += [*plan.notes, "## The paper's numbers"]
    for table, values in zip(plan.tables, report["tables"], strict=True):
        parts += [heading(plan, table.title), table_text(table, values)]
        parts += [table.note] if table.note else []
    parts += detail_texts(plan)
    parts += figure_texts(plan, folder)
    parts += ["## Configuration", settings_text(plan.settings)]
    parts += [ALL_FIELDS] if report["configurations"] else []
    parts += ["## Versions and machine", environment_text(report)]
    parts += ["## Steps", steps_text(report["steps"])]
    parts += [f"By hand, in `{report['folder']}`:", commands_text(report["steps"])]
    return "\n\n".join(parts) + "\n"


def heading(plan: Plan, title: str) -> str:
    """The title of a table."""
    return f"### {SYNTHETIC}: {title}" if plan.synthetic else f"### {title}"


def table_text(table: Table, values: Mapping[str, Any]) -> str:
    """The table as Markdown; a dash where there is no number."""
    rows = [
        [name, *(cell_text(cell, column) for cell, column in zip(own, table.columns, strict=True))]
        for name, own in values["rows"].items()
    ]
    return reports.markdown(["", *(column.title for column in table.columns)], rows, 1)


def cell_text(cell: Mapping[str, Any] | None, column: Column) -> str:
    """A number in the unit of its column, with its spread where it has one."""
    if cell is None:
        return "-"
    numbers = [cell["value"], cell.get("spread")]
    shown = [f"{column.factor * n:.{column.digits}f}" for n in numbers if n is not None]
    return " ± ".join(shown)


def detail_texts(plan: Plan) -> list[str]:
    """Further tables; those that reports hold nothing for are left out."""
    parts = []
    for detail in plan.details:
        text = detail_text(detail)
        parts += [heading(plan, detail.title), text] if text else []
    return ["## More of what was measured", *parts] if parts else []


def detail_text(detail: Detail) -> str:
    """One of them; empty where the reports hold nothing for it."""
    try:
        return detail.make({path: configuration.load(path) for path in detail.reports})
    except ConfigurationError:
        return ""


def figure_texts(plan: Plan, folder: str) -> list[str]:
    """Links to the figures that were drawn, relative to the report."""
    there = {title: path for title, path in plan.figures.items() if os.path.exists(path)}
    links = [f"![{title}]({os.path.relpath(path, folder)})" for title, path in there.items()]
    titles = [heading(plan, title) for title in there]
    parts = [part for pair in zip(titles, links, strict=True) for part in pair]
    return ["## Figures", *parts] if parts else []


def settings_text(settings: Mapping[str, Any]) -> str:
    """The choices as a table."""
    rows = [[name, str(value)] for name, value in configuration.flat(settings).items()]
    return reports.markdown(["setting", "value"], rows, 2)


def environment_text(report: Mapping[str, Any]) -> str:
    """Versions and hardware as a table, and which steps ran elsewhere."""
    own = report["environment"]
    rows = []
    for part in ("versions", "hardware"):
        for name, value in own[part].items():
            text = (", ".join(value) or "none") if isinstance(value, list) else str(value)
            rows.append([name.replace("_", " "), text])
    lines = [reports.markdown(["", "value"], rows, 2)]
    others: dict[str, list[str]] = {}
    for name, record in report["steps"].items():
        differing = configuration.differences(record["environment"], own)
        if differing:
            others.setdefault("; ".join(differing), []).append(f"`{name}`")
    for text, names in others.items():
        lines.append(f"Other when these ran: {', '.join(names)}: {text}.")
    return "\n\n".join(lines)


def steps_text(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Wall times, summed over all starts of a step."""
    rows = [
        [name, clock(record["seconds"]), str(record["starts"]), record["ended"]]
        for name, record in records.items()
    ]
    return reports.markdown(["step", "wall time", "starts", "ended"], rows, 1)


def commands_text(records: Mapping[str, Mapping[str, Any]]) -> str:
    """The commands to repeat it by hand, in their order."""
    lines = [line for name, r in records.items() for line in (f"# {name}", r["command"])]
    return "\n".join(["```bash", *lines, "```"])


