"""Results of several systems side by side, for reading and as JSON.

A result is a flat mapping of keys `DIRECTION/SIZE/METRIC` to {"mean", "std",
"galleries"}, as `galleries.summarise` and `galleries.chance` return it. Published
numbers enter the same table as data (`published`), with no spread.
"""

from collections.abc import Mapping, Sequence

from crossmodal import configuration
from crossmodal.comparison import Interval
from crossmodal.retrieval import DIRECTIONS

Result = Mapping[str, Mapping[str, float]]
METRICS = ("recall@1", "recall@5", "recall@10", "median_rank", "mrr")
TITLES = {"visual_to_audio": "visual -> audio", "audio_to_visual": "audio -> visual"}


def published(numbers: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """A result of numbers that came without a spread, by `DIRECTION/SIZE/METRIC`.

    Args:
      numbers: in the units of the result: recalls in [0, 1].
    """
    return {key: {"mean": value, "std": 0.0, "galleries": 0} for key, value in numbers.items()}


def retrieval_table(systems: Mapping[str, Result], metrics: Sequence[str] = METRICS) -> str:
    """A Markdown table for each direction, aligned so that it reads as plain text.

    Args:
      systems: results by name, in the order of the rows.
      metrics: columns; one that no system has is left out, and a number that one system
        lacks is shown as `-`.

    Returns:
      The tables, rows ordered by gallery size and then by system. Recalls in percent;
      mean ± standard deviation over galleries, or the mean alone where there is one
      gallery or none.
    """
    directions = [d for d in DIRECTIONS if any(_sizes(r, d) for r in systems.values())]
    tables = []
    for direction in directions:
        keys = {key for result in systems.values() for key in result}
        shown = [m for m in metrics if any(k.startswith(direction) and k.endswith(f"/{m}")
                                           for k in keys)]
        sizes = sorted({size for result in systems.values() for size in _sizes(result, direction)})
        rows = [
            [str(size), name, *(_cell(result, f"{direction}/{size}/{m}") for m in shown)]
            for size in sizes
            for name, result in systems.items()
            if size in _sizes(result, direction)
        ]
        header = ["N", "system", *(_heading(m) for m in shown)]
        tables.append(f"{TITLES[direction]}\n\n{markdown(header, rows)}")
    return "\n\n".join(tables)


def class_table(
    classes: Mapping[int, Mapping[str, float]], names: Mapping[int, str], limit: int | None = None
) -> str:
    """A Markdown table of `comparison.per_class`, the most frequent classes first.

    Args:
      classes: by class, `videos` and metrics.
      names: of the classes; one without a name shows its number.
      limit: rows to show; None shows all.
    """
    order = sorted(classes, key=lambda label: (-classes[label]["videos"], label))[:limit]
    metrics = [m for m in (classes[order[0]] if order else {}) if m != "videos"]
    rows = [
        [names.get(label, str(label)), str(classes[label]["videos"])]
        + [_number(metric, classes[label][metric]) for metric in metrics]
        for label in order
    ]
    return markdown(["class", "videos", *(_heading(m) for m in metrics)], rows, text_columns=1)


def interval_text(interval: Interval, metric: str) -> str:
    """An interval in one line, e.g. `+2.1 [+1.4, +2.8] (95 %)`; recalls in points."""
    factor, digits = _scale(metric)
    estimate, low, high = (
        f"{factor * v:+.{digits}f}" for v in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate} [{low}, {high}] ({100 * interval.confidence:g} %)"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 2) -> str:
    """A Markdown table with columns of equal width.

    Args:
      header: titles of the columns.
      rows: cells, as many in each row.
      text_columns: so many first columns align left, the others right.
    """
    cells = [[text.replace("|", "\\|") for text in row] for row in [header, *rows]]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]
    left = [i < text_columns for i in range(len(header))]
    lines = [
        "| " + " | ".join(
            text.ljust(width) if flush else text.rjust(width)
            for text, width, flush in zip(row, widths, left, strict=True)
        ) + " |"
        for row in cells
    ]
    rule = [":" + "-" * (w - 1) if flush else "-" * (w - 1) + ":"
            for w, flush in zip(widths, left, strict=True)]
    return "\n".join([lines[0], "| " + " | ".join(rule) + " |", *lines[1:]])


def write_json(path: str, report: Mapping) -> None:
    """Writes a report as JSON, whole or not at all; classes become string keys."""
    configuration.save(path, _plain(report))


def _plain(value):
    """Mappings with string keys throughout, so that they sort and round-trip."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return value


def _sizes(result: Result, direction: str) -> set[int]:
    """Gallery sizes that a result has in one direction."""
    parts = (key.split("/") for key in result)
    return {int(p[1]) for p in parts if len(p) == 3 and p[0] == direction}


def _cell(result: Result, key: str) -> str:
    """`mean ± std` of one number, or `-`."""
    if key not in result:
        return "-"
    metric, cell = key.rsplit("/", 1)[1], result[key]
    text = _number(metric, cell["mean"])
    return f"{text} ± {_number(metric, cell['std'])}" if cell["galleries"] > 1 else text


def _heading(metric: str) -> str:
    """Short title of a column, with its unit."""
    if metric.startswith("recall@"):
        return f"R@{metric.removeprefix('recall@')} %"
    return {"median_rank": "median rank", "mrr": "MRR"}.get(metric, metric)


def _scale(metric: str) -> tuple[int, int]:
    """Factor and digits with which a metric is shown."""
    if metric.startswith("recall@"):
        return 100, 1
    return (1, 1) if metric == "median_rank" else (1, 3)


def _number(metric: str, value: float) -> str:
    """A metric in the unit of its column."""
    factor, digits = _scale(metric)
    return f"{factor * value:.{digits}f}"
