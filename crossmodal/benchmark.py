"""Speed as ratios: jobs take turns within one run, so that a busy machine slows all alike.

A round runs every job once. A ratio is taken within each round, and the median over the
rounds is the result; quartiles say how far to trust it.
"""

import dataclasses
import importlib
import time
import types
from collections.abc import Callable, Mapping

import numpy as np
import tqdm

from crossmodal import reports
from crossmodal.errors import UserError

Times = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One row of the result.

    Attributes:
      name: what is compared.
      ours, peer: what each side does and what was measured, in words.
      ratio: median over the rounds.
      low, high: quartiles over the rounds.
      target: what the ratio should be.
      at_least: whether the target is a lower bound (of speed) or an upper one (of time).
    """

    name: str
    ours: str
    peer: str
    ratio: float
    low: float
    high: float
    target: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the median keeps to the target."""
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


CLOCKS = ("wall", "processor")


def now(clock: str = "wall") -> float:
    """Seconds on the wall, or those that all threads of this process have computed.

    The latter are for a machine that has other work to do: they do not count the time in which
    a job did not get its turn. They say nothing of waiting, nor of several threads.
    """
    return time.process_time() if clock == "processor" else time.perf_counter()


def alternate(
    jobs: Mapping[str, Callable[[], object]], rounds: int, title: str = "", clock: str = "wall"
) -> Times:
    """Times jobs in turns: A B C, A B C, and so on, after a first round that is not counted.

    Args:
      jobs: by name.
      rounds: how many times each is timed.
      title: of a bar; none is shown without.
      clock: of CLOCKS.

    Returns:
      Seconds by name, float64 [rounds].
    """
    seconds = {name: np.zeros(rounds) for name in jobs}
    bar = tqdm.tqdm(total=(rounds + 1) * len(jobs), desc=title, disable=not title, leave=False)
    with bar:
        for turn in range(-1, rounds):
            for name, job in jobs.items():
                start = now(clock)
                job()
                if turn >= 0:
                    seconds[name][turn] = now(clock) - start
                bar.update()
    return seconds


def compare_speed(
    name: str, times: Times, ours: str, peer: str, target: float, amount: int, unit: str
) -> Comparison:
    """How many times as fast as the peer's job ours is: at least `target`.

    Args:
      name: of the row.
      times: from `alternate`.
      ours, peer: names of the two jobs.
      target: the smallest good ratio.
      amount: units of work that either job does.
      unit: of the work, e.g. `records`.
    """
    def cell(job: str) -> str:
        return f"{job}: {amount / np.median(times[job]):,.0f} {unit}/s"

    return _row(name, cell(ours), cell(peer), times[peer] / times[ours], target, True)


def compare_time(name: str, times: Times, ours: str, peer: str, target: float) -> Comparison:
    """How many times as long as the peer's job ours takes: at most `target`."""
    def cell(job: str) -> str:
        return f"{job}: {1000 * np.median(times[job]):,.0f} ms"

    return _row(name, cell(ours), cell(peer), times[ours] / times[peer], target, False)


def _row(name, ours, peer, ratios, target, at_least) -> Comparison:
    low, median, high = (float(v) for v in np.percentile(ratios, [25, 50, 75]))
    return Comparison(name, ours, peer, median, low, high, target, at_least)


def fastest(times: Times, *names: str) -> str:
    """The name of the job with the smallest median time."""
    return min(names, key=lambda name: float(np.median(times[name])))


def table(rows: list[Comparison]) -> str:
    """A Markdown table, one row a comparison."""
    cells = [
        [
            row.name, row.ours, row.peer,
            f"{row.ratio:.2f}", f"{row.low:.2f} to {row.high:.2f}",
            f"{'>=' if row.at_least else '<='} {row.target:g}", "yes" if row.met else "NO",
        ]
        for row in rows
    ]
    header = ["what", "ours", "compared with", "ratio", "quartiles", "target", "met"]
    return reports.markdown(header, cells, 3)


def to_dict(rows: list[Comparison]) -> list[dict]:
    """The rows as JSON-compatible values."""
    return [{**dataclasses.asdict(row), "met": row.met} for row in rows]


def import_peer(name: str) -> types.ModuleType:
    """Imports a library that is there to be compared with.

    Raises:
      UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} is not installed: install this package with its extra `benchmark`, "
            "or leave the comparison out with --only"
        ) from error
