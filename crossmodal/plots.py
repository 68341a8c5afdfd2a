"""Line charts as PNG: how a measure goes with a number that can be chosen."""

from collections.abc import Mapping

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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `pictures`") from error
    figure = Figure(figsize=(3 * len(panels), 3.4), layout="constrained")
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
    with files.whole_file(path) as temporary:
        try:
            figure.savefig(temporary, format="png", dpi=110)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
