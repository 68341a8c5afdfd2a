"""A paper to be reproduced, as data: steps that are commands, and tables of what they find.

A plan is made by the module of a paper; `crossmodal.reproduction_steps` runs it, and
`crossmodal.reproduction_report` writes what came of it beside what the paper reports.
"""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from crossmodal.configuration import check_choice

SIZES = ("tiny", "small", "full")


@dataclasses.dataclass(frozen=True)
class Step:
    """A command in a process of its own.

    Attributes:
      name: of the step, its record and its log.
      module: what `python -m` runs.
      flags: by name; True stands for a flag without a value, None for one that is not given.
      product: a file, or a glob pattern of files, that is there when the step is done.
    """

    name: str
    module: str
    flags: Mapping[str, object]
    product: str

    @property
    def arguments(self) -> list[str]:
        """What follows the name of the Python interpreter."""
        given = {name: value for name, value in self.flags.items() if value is not None}
        return ["-m", self.module] + [
            f"--{name}" if value is True else f"--{name}={value}" for name, value in given.items()
        ]

    def __str__(self) -> str:
        """The command as it is typed into a shell."""
        return shlex.join(["python", *self.arguments])


@dataclasses.dataclass(frozen=True)
class Published:
    """A number that a paper reports.

    Attributes:
      value: in the unit of the reports of ours beside it; recalls are in [0, 1].
      source: where the paper has it.
    """

    value: float
    source: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number that steps wrote: where it is.

    Attributes:
      reports: JSON files, one a seed.
      path: keys from the outside to the inside. A key with `*` stands for the one that
        matches, of several the one with the largest number in its place. At the end there is
        a number, an interval (`estimate`, `low`, `high`) or a mean (`mean`, `std`).
      of_key: whether the number is not what is there, but the first one in the last key.
    """

    reports: tuple[str, ...]
    path: tuple[str, ...]
    of_key: bool = False


Cell = Published | Measured | None


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table: its title, and how a number becomes what is shown."""

    title: str
    factor: float = 100.0
    digits: int = 1


@dataclasses.dataclass(frozen=True)
class Table:
    """Numbers of a paper beside ours.

    Attributes:
      title: names the table of the paper.
      columns: those behind the first, which names the row.
      rows: cells by name.
      note: what ± is, and what else is to be known.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Mapping[str, tuple[Cell, ...]]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Detail:
    """Further tables of an existing command's making.

    Attributes:
      title: of the tables.
      make: Markdown of reports by path.
      reports: JSON files.
    """

    title: str
    make: Callable[[Mapping[str, Any]], str]
    reports: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Options:
    """What whoever reproduces a paper chooses.

    Attributes:
      size: `tiny` shows that everything runs, `small` takes about an hour of a core, `full` is
        the configuration of the paper.
      data: folder of data; empty for made-up ones.
      output: folder of all that is made.
      seeds: of the trainings.
    """

    size: str
    data: str
    output: str
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a size that there is not."""
        check_choice("size", self.size, SIZES)

    def path(self, *parts: str) -> str:
        """A path in the output folder."""
        return os.path.join(self.output, *parts)


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that reproduces a paper.

    Attributes:
      paper: authors, title and year.
      settings: the choices, for the report and to tell one job from another.
      steps: in the order in which they run.
      tables: the paper's numbers beside ours.
      synthetic: what the data are if they are made up, else empty.
      details: further tables.
      figures: PNG files by title; those that are not there are left out.
      notes: what a reader has to know.
      files: texts that steps read, by path.
    """

    paper: str
    settings: Mapping[str, Any]
    steps: tuple[Step, ...]
    tables: tuple[Table, ...]
    synthetic: str = ""
    details: tuple[Detail, ...] = ()
    figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
