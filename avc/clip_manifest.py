"""The table of what became of every file and of every row: OUTPUT/manifest.csv."""

import collections
import csv
import io
from collections.abc import Iterable

COLUMNS = (
    "file",
    "video",
    "split",
    "start_seconds",
    "seconds",
    "status",
    "reason",
    "shard",
    "record",
    "id",
    "labels",
    "width",
    "height",
    "frames_per_second",
    "sample_rate_hz",
    "channels",
)


def merge(shards: Iterable[dict], left_out: Iterable[dict]) -> list[dict]:
    """All rows in the order of files and times; rows without a file come last.

    Args:
      shards: notes with `file` and `clips`, rows by column.
      left_out: rows of what was not to be converted.
    """
    rows = [
        {**clip, "split": shard["file"].split("-")[0]} | _place(shard, clip)
        for shard in shards
        for clip in shard["clips"]
    ]
    rows += left_out
    return sorted(
        rows,
        key=lambda row: (not row["file"], row["file"], row.get("start_seconds") or 0.0),
    )


def to_csv(rows: Iterable[dict]) -> str:
    """The table as text; labels are separated by ";"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = {**row, "labels": ";".join(row.get("labels", ()))}
        writer.writerow([_cell(cells.get(column)) for column in COLUMNS])
    return text.getvalue()


def count(rows: Iterable[dict]) -> dict[str, int]:
    """Rows by status; those written also by split, as `written train`."""
    counts: collections.Counter[str] = collections.Counter()
    for row in rows:
        counts[row["status"]] += 1
        if row["status"] == "written":
            counts[f"written {row['split']}"] += 1
    return dict(counts)


def _place(shard: dict, clip: dict) -> dict:
    return {"shard": shard["file"]} if clip["status"] == "written" else {}


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e-3 else f"{value:.3f}".rstrip("0").rstrip(".")
    return "" if value is None else value
