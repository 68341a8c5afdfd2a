"""Posteriors of classes for frames of videos, read from CSV.

Boggust et al. 2019, section 3.1: a detector gives posteriors of 2200 food classes and of
food against not food for each frame. The file holds a row for each class of a frame, so that
the few likely classes are enough:

  video,seconds,class,posterior,none_posterior
  3VxQ1,12,olive oil,0.71,0.02
  3VxQ1,12,pan,0.11,0.02
  3VxQ1,13,,,0.97

`none_posterior`, the confidence that nothing of the kind is in the picture, is of the frame
and the same in all its rows; the column may be absent. `launch/classify_frames.py` writes
such files.
"""

import dataclasses
from collections.abc import Iterable

from avc import csv_rows
from avc.spoken_words import normalise

COLUMNS = ("video", "seconds", "class", "posterior")
NONE = "none_posterior"


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a classifier says of a frame.

    Attributes:
      video: the video's id.
      seconds: when the frame is shown, since the video's beginning.
      classes: names and posteriors, the likeliest first; equal ones by name.
      none_posterior: that nothing of the kind is there; None where the file does not say.
    """

    video: str
    seconds: float
    classes: tuple[tuple[str, float], ...] = ()
    none_posterior: float | None = None

    def top(self, number: int) -> tuple[str, ...]:
        """Names of the likeliest classes."""
        return tuple(name for name, _ in self.classes[:number])

    @property
    def posterior(self) -> float:
        """Of the likeliest class; 0 without any."""
        return self.classes[0][1] if self.classes else 0.0


@dataclasses.dataclass(frozen=True)
class Posteriors:
    """The frames of a set of videos.

    Attributes:
      frames: by video and time, each once.
      has_none: whether `none_posterior` is known of any.
      repeated_rows: rows that said again what another did.
    """

    frames: tuple[Frame, ...]
    has_none: bool
    repeated_rows: int

    @property
    def videos(self) -> list[str]:
        """Ids of the videos, each once."""
        return list(dict.fromkeys(frame.video for frame in self.frames))


def read(paths: Iterable[str]) -> Posteriors:
    """Reads posteriors from one or several files.

    Raises:
      UserError: a row cannot be read, or contradicts another about the same frame; names
        the file and the line.
    """
    classes: dict[tuple[str, float], dict[str, float]] = {}
    none: dict[tuple[str, float], float] = {}
    repeated = 0
    for path in paths:
        for line, row in csv_rows.read(path, COLUMNS, (NONE,)):
            if not row["video"]:
                csv_rows.fail(path, line, "video is empty")
            key = (row["video"], csv_rows.number(path, line, row, "seconds"))
            fresh = key not in classes
            known = classes.setdefault(key, {})
            fresh |= row["class"] != "" and row["class"] not in known
            if row["class"] or row["posterior"]:
                _check_name(path, line, row["class"])
                value = csv_rows.number(path, line, row, "posterior", 1.0)
                _note(path, line, known, row["class"], value, row)
            if row.get(NONE):
                value = csv_rows.number(path, line, row, NONE, 1.0)
                fresh |= key not in none
                _note(path, line, none, key, value, row)
            repeated += not fresh
    frames = tuple(
        Frame(*key, tuple(sorted(found.items(), key=lambda c: (-c[1], c[0]))), none.get(key))
        for key, found in sorted(classes.items())
    )
    return Posteriors(frames, bool(none), repeated)


def _check_name(path: str, line: int, name: str) -> None:
    if not normalise(name) or ";" in name:
        csv_rows.fail(
            path, line, f"class is {name!r}: it must be a name with letters and without ';'"
        )


def _note(path: str, line: int, known: dict, key: object, value: float, row: dict) -> None:
    if known.setdefault(key, value) != value:
        what = row["class"] if isinstance(key, str) else NONE
        csv_rows.fail(
            path, line, f"{what} of video {row['video']} at {row['seconds']} s is {value:g} here"
            f" and {known[key]:g} in an earlier row"
        )
