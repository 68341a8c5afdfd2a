"""Rows of CSV files with a header, by column; what is wrong is said with file and line."""

import csv
import io
import math
from collections.abc import Iterator, Sequence

from crossmodal import files
from crossmodal.errors import UserError


def read(
    path: str, required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the number of each line and its cells by column, without spaces around them.

    Args:
      path: the file, UTF-8; empty lines are passed over.
      required: columns that must be there, in any order.
      optional: columns that may be; others are passed over.

    Raises:
      UserError: the file cannot be read, lacks a column, or a line has too many or too few.
    """
    text = files.read_text(path).removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if header is None:
                header = cells
                _check_header(path, header, required)
                wanted = {*required, *optional}
            elif len(cells) != len(header):
                fail(path, reader.line_num, f"has {len(cells)} columns, not {len(header)}")
            else:
                row = dict(zip(header, cells, strict=True))
                yield reader.line_num, {name: row[name] for name in row if name in wanted}
    except csv.Error as error:
        fail(path, reader.line_num, str(error))
    if header is None:
        raise UserError(f"{path}: is empty; its header must have {', '.join(required)}")


def fail(path: str, line: int, reason: str) -> None:
    """Raises UserError that names the file and the line."""
    raise UserError(f"{path}: line {line}: {reason}")


def number(
    path: str, line: int, row: dict[str, str], column: str, high: float = math.inf
) -> float:
    """A cell as a number from 0 to `high`.

    Raises:
      UserError: it is none; names the file, the line and the column.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not 0 <= value <= high or math.isinf(value):
        most = "" if math.isinf(high) else f" to {high:g}"
        fail(path, line, f"{column} is {row[column]!r}: it must be a number from 0{most}")
    return value


def to_csv(columns: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    """A header and rows as the text of a file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _check_header(path: str, header: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing or len(set(header)) < len(header):
        raise UserError(
            f"{path}: its header is {','.join(header)}: it must have the columns"
            f" {', '.join(required)}, once each"
        )
