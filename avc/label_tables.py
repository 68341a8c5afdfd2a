"""Label tables: which clips of which videos there are, what they are called, and their split.

Four forms are read; what a file holds tells which one it is:

  simple      `clip,start_seconds,labels,split`, with a header; all but `clip` may be left
              out. Labels are separated by ";", since names hold commas. `seconds` and
              `frame_seconds` say how long a clip is, and which one picture it has.
  AudioSet    `# YTID, start_seconds, end_seconds, positive_labels` and rows like
              `--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"`
  VGGSound    `YouTube ID, start seconds, label, train/test`, without a header
  VGGSound    `glLQrEijrKg_000300.mp4,playing hammond organ`: the names of cut files
"""

import csv
import dataclasses
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence

from crossmodal import files
from crossmodal.errors import UserError

SPLITS = ("train", "test")
COLUMNS = ("clip", "start_seconds", "labels", "split", "seconds", "frame_seconds")
SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".mov", ".m4v", ".flv", ".ts")
_CUT = re.compile(r"(?P<video>.+)_(?P<start>\d{6})(\.\w+)?")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
      clip: what the table names: a video id, or a file.
      video: the id of the video.
      start_seconds: where the clip begins in the video; None for all of the video.
      labels: names or ids, as the table has them.
      split: "train" or "test" where the table says it, else None.
      seconds: the clip's length; None for that of the conversion.
      frame_seconds: the moment in the video whose picture is the clip's only one; None for
        pictures all along.
    """

    clip: str
    video: str
    start_seconds: float | None
    labels: tuple[str, ...]
    split: str | None = None
    seconds: float | None = None
    frame_seconds: float | None = None


class _Unreadable(Exception):
    """What is wrong with one line."""


def read(path: str, split: str | None = None) -> list[Row]:
    """Reads a table of any of the forms.

    Args:
      path: the file.
      split: the split of all rows, whatever the table says.

    Raises:
      UserError: the file cannot be read, or a line of it; names the file and the line.
    """
    text = files.read_text(path).removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text), skipinitialspace=True, strict=True)
    rows: list[Row] = []
    try:
        parse = None
        for cells in _lines(reader):
            if parse is None:
                # AudioSet's comments name its columns; its rows are known without them.
                if cells[0].startswith("#"):
                    continue
                parse, is_header = _recognise(cells)
                if is_header:
                    continue
            rows.append(parse(cells))
    except (csv.Error, _Unreadable) as error:
        raise UserError(f"{path}: line {reader.line_num}: {error}") from None
    if not rows:
        raise UserError(f"{path}: holds no rows")
    return [dataclasses.replace(row, split=split) for row in rows] if split else rows


def video_name(file: str) -> str:
    """The name of a file without folders and the suffix of a video."""
    name = file.rpartition("/")[2]
    stem, suffix = os.path.splitext(name)
    return stem if stem and suffix.lower() in SUFFIXES else name


def _lines(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    return ([cell.strip() for cell in cells] for cells in reader if any(map(str.strip, cells)))


def _recognise(cells: Sequence[str]) -> tuple[Callable[[Sequence[str]], Row], bool]:
    """How to parse the rows of a table, by the first of them, and whether that is a header."""
    if "clip" in cells:
        return _simple(cells), True
    if len(cells) == 4 and cells[3] in SPLITS:
        return _vggsound, False
    if len(cells) == 4 and _is_number(cells[1]) and _is_number(cells[2]):
        return _audioset, False
    if len(cells) == 2 and _CUT.fullmatch(cells[0]):
        return _vggsound_files, False
    raise _Unreadable(
        "is of no form that is known: neither a header with the column clip, nor a row of"
        " AudioSet's or VGGSound's tables (docs/clips.md)"
    )


def _simple(header: Sequence[str]) -> Callable[[Sequence[str]], Row]:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown or len(set(header)) < len(header):
        raise _Unreadable(
            f"the header is {','.join(header)}: its columns may be {','.join(COLUMNS)}, once each"
        )

    def parse(cells: Sequence[str]) -> Row:
        _check_number(cells, len(header))
        values = dict(zip(header, cells, strict=True))
        if not values["clip"]:
            raise _Unreadable("clip is empty")
        start, seconds, frame = _clip_times(values)
        labels = [label.strip() for label in values.get("labels", "").split(";")]
        return Row(
            values["clip"],
            video_name(values["clip"]),
            start,
            tuple(label for label in labels if label),
            _split(values.get("split", "")) or None,
            seconds,
            frame,
        )

    return parse


def _clip_times(values: dict[str, str]) -> tuple[float | None, float | None, float | None]:
    """Start and length of a clip, and the moment of its only picture, as far as they are said."""
    start, seconds, frame = (
        _seconds(values[name]) if values.get(name) else None
        for name in ("start_seconds", "seconds", "frame_seconds")
    )
    if start is None and (seconds is not None or frame is not None):
        raise _Unreadable("has seconds or frame_seconds, but no start_seconds")
    if seconds == 0:
        raise _Unreadable("seconds is 0")
    if frame is not None and frame < start:
        raise _Unreadable(f"frame_seconds {frame:g} is before start_seconds {start:g}")
    if frame is not None and seconds is not None and frame >= start + seconds:
        raise _Unreadable(f"frame_seconds {frame:g} is after the clip's end")
    return start, seconds, frame


def _audioset(cells: Sequence[str]) -> Row:
    _check_number(cells, 4)
    _seconds(cells[2])
    labels = [label.strip() for label in cells[3].split(",")]
    return Row(cells[0], cells[0], _seconds(cells[1]), tuple(label for label in labels if label))


def _vggsound(cells: Sequence[str]) -> Row:
    _check_number(cells, 4)
    return Row(cells[0], cells[0], _seconds(cells[1]), (cells[2],), _split(cells[3]))


def _vggsound_files(cells: Sequence[str]) -> Row:
    _check_number(cells, 2)
    match = _CUT.fullmatch(cells[0])
    if not match:
        raise _Unreadable(f"{cells[0]!r} is not a file such as glLQrEijrKg_000300.mp4")
    return Row(match["video"], match["video"], float(match["start"]), (cells[1],))


def _check_number(cells: Sequence[str], number: int) -> None:
    if len(cells) != number:
        raise _Unreadable(f"has {len(cells)} columns, not {number}")


def _split(text: str) -> str:
    if text and text not in SPLITS:
        raise _Unreadable(f"split {text!r} is neither train nor test")
    return text


def _seconds(text: str) -> float:
    if not _is_number(text) or float(text) < 0:
        raise _Unreadable(f"{text!r} is not a time in seconds")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
