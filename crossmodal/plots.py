"""Charts as PNG: lines over a number that can be chosen, intervals of classes, points."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from crossmodal import files
from crossmodal.errors import UserError

Series = Mapping[str, Mapping[float, float]]


def line_chart(path: str, panels: Mapping[str, Series], across: str, along: str) -> None:
    """Draws charts beside each other, which share their axes and colours.

    Args:
      path: of the PNG, which appears whole or not at all.
      panels: by title, at least one; for each line its name and the values by number.
      across: name of the numbers; their axis is logarithmic.
      along: name of the values.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    figure = _figure(3 * len(panels), 3.4)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    drawn = {}
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_xscale("log")
        axis.set_xlabel(across, fontsize=8)
        axis.grid(alpha=0.3)
        numbers = sorted({number for values in lines.values() for number in values})
        axis.set_xticks(numbers, [f"{number:g}" for number in numbers], rotation=90)
        axis.minorticks_off()
        axis.tick_params(labelsize=7)
        for name, values in lines.items():
            points = sorted(values.items())
            (drawn[name],) = axis.plot(
                *zip(*points, strict=True), marker=".", color=f"C{names.index(name) % 10}"
            )
    axes[0].set_ylabel(along, fontsize=8)
    figure.legend([drawn[n] for n in names], names, loc="outside lower center", ncols=4, fontsize=8)
    _save(figure, path)


@dataclasses.dataclass(frozen=True)
class Intervals:
    """A panel of `interval_chart`.

    Attributes:
      rows: `estimate`, `low` and `high` of each row, shares; None where there is none.
      lines: levels to compare with, by name.
    """

    rows: Sequence[Mapping[str, float] | None]
    lines: Mapping[str, float]


def interval_chart(
    path: str,
    panels: Mapping[str, Intervals],
    names: Sequence[str],
    kinds: Sequence[str],
    colors: Mapping[str, str],
) -> None:
    """Draws shares in percent with their intervals, a row for each name, the first on top.

    Args:
      path: of the PNG, which appears whole or not at all.
      panels: by title, at least one.
      names: of the rows.
      kinds: of the rows.
      colors: by kind.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    figure = _figure(2.4 + 3 * len(panels), 1.4 + 0.17 * len(names))
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    handles = {}
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        for place, (row, kind) in enumerate(zip(panel.rows, kinds, strict=True)):
            if row is None:
                continue
            low, estimate, high = (100 * row[key] for key in ("low", "estimate", "high"))
            handles[kind] = axis.errorbar(
                estimate, place, xerr=[[estimate - low], [high - estimate]], fmt="o",
                markersize=3, linewidth=1, color=colors[kind],
            )
        for style, (name, level) in zip(("-", ":"), panel.lines.items(), strict=False):
            handles[name] = axis.axvline(100 * level, color="black", linestyle=style, linewidth=0.8)
        axis.set_xlabel(title, fontsize=8)
        axis.grid(axis="x", alpha=0.3)
        axis.tick_params(labelsize=7)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=7
    )
    _save(figure, path)


def point_chart(
    path: str, panels: Mapping[str, np.ndarray], groups: Sequence[str], title: str = ""
) -> None:
    """Draws the same items as points in several panels, each group in its colour.

    Args:
      path: of the PNG, which appears whole or not at all.
      panels: by title, at least one: [items, 2].
      groups: of the items; ten of them have colours of their own.
      title: above all.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    figure = _figure(4.2 * len(panels), 4.8)
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    groups, handles = np.asarray(groups), {}
    for axis, (name, points) in zip(axes, panels.items(), strict=True):
        axis.set_title(name, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        for number, group in enumerate(np.unique(groups).tolist()):
            own = points[groups == group]
            handles[group] = axis.scatter(*own.T, s=9, color=f"C{number % 10}", alpha=0.8)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=5, fontsize=7
    )
    _save(figure, path)


def _figure(width: float, height: float):
    """An empty figure of that many inches.

    Raises:
      UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `pictures`") from error
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure, path: str) -> None:
    with files.whole_file(path) as temporary:
        try:
            figure.savefig(temporary, format="png", dpi=110)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
