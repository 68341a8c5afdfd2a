"""What a search found: as a Markdown table, as JSON, as a page of its own."""

import html
import math
from collections.abc import Mapping, Sequence

from crossmodal import reports
from crossmodal.collection import Collection
from crossmodal.index import Found, labels_of

_COLUMNS = ("rank", "score", "id", "file", "seconds", "labels")
_LONGEST = 60
_STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
table { border-collapse: collapse } td, th { padding: .3em .8em; text-align: left }
tr { border-bottom: 1px solid #ccc } .number { text-align: right }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #181818 } }
"""


def entries(collection: Collection, found: Sequence[Found]) -> list[dict]:
    """What was found, JSON-compatible.

    Returns:
      By item, best first: `rank` from 1, `score`, `row` and `database` (the file, and the row
      in it), `id`, `video`; `file`, `seconds` and `labels` where the collection has them.
    """
    result = []
    for rank, item in enumerate(found, 1):
        path, row = _place(collection, item.row)
        entry = {"rank": rank, "score": item.score, "database": path, "row": row}
        for key, column in (("id", collection.ids), ("video", collection.video),
                            ("file", collection.file)):
            if column[item.row]:
                entry[key] = column[item.row].decode(errors="replace")
        if not math.isnan(collection.seconds[item.row]):
            entry["seconds"] = float(collection.seconds[item.row])
        if labels := list(labels_of(collection, item.row)):
            entry["labels"] = labels
        result.append(entry)
    return result


def table(found: Sequence[Mapping]) -> str:
    """A Markdown table of `entries`, aligned; columns that nothing has are left out."""
    columns = _columns(found)
    rows = [[_short(_cell(entry, column)) for column in columns] for entry in found]
    # Numbers align right, and `markdown` has text first.
    order = sorted(range(len(columns)), key=lambda i: columns[i] in ("score", "seconds"))
    texts = sum(column not in ("score", "seconds") for column in columns)
    return reports.markdown(
        [columns[i] for i in order], [[row[i] for i in order] for row in rows], texts
    )


def page(title: str, facts: Sequence[str], found: Sequence[Mapping]) -> str:
    """An HTML page of `entries` that needs no other file.

    Args:
      title: of the page.
      facts: lines below it.
      found: the entries.
    """
    columns = _columns(found)
    kinds = {c: ' class="number"' if c in ("rank", "score", "seconds") else "" for c in columns}
    head = "".join(f'<th scope="col"{kinds[c]}>{c}</th>' for c in columns)
    lines = [
        "".join(f"<td{kinds[c]}>{html.escape(_cell(entry, c))}</td>" for c in columns)
        for entry in found
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    notes = "\n".join(f"<p>{html.escape(fact)}</p>" for fact in facts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{notes}
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""


def _place(collection: Collection, row: int) -> tuple[str, int]:
    first = 0
    for path, end in collection.sources:
        if row < end:
            return path, row - first
        first = end
    raise IndexError(row)


def _columns(found: Sequence[Mapping]) -> list[str]:
    return [c for c in _COLUMNS if c in ("rank", "score", "id") or any(c in e for e in found)]


def _cell(entry: Mapping, column: str) -> str:
    value = entry.get(column, "")
    if column == "score":
        return f"{value:.4f}"
    if column == "seconds" and value != "":
        return f"{value:.2f}"
    return "; ".join(value) if isinstance(value, list) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
