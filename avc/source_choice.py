"""Which items of a collection stand at each moment of a clip: one source, or a path of many.

Items are moments of files. Pure arithmetic on their similarities to the clip's moments; what
is seen and what is heard are chosen alike.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from crossmodal.configuration import check_choice, check_range

MODES = ("whole", "seconds")
# An item goes on from another whose time is this share of a hop from where it should be.
_TOLERANCE = 0.1
# Moments whose similarities to all items are computed at once.
_BLOCK = 16

# Similarities float [n, items] of the clip's moments from one place to before another.
Scores = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class ChoiceConfig:
    """How sources are chosen.

    Attributes:
      mode: "whole": one source, from where the mean similarity over the moments is highest,
        from its beginning again where it is too short. "seconds": the path of items whose
        similarities, summed over the moments, less `switch_cost` for every switch, are
        highest (Viterbi).
      switch_cost: of "seconds", in units of similarity; going on in the same file and in time
        costs nothing.
    """

    mode: str = "whole"
    switch_cost: float = 0.1

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("mode", self.mode, MODES)
        check_range("switch_cost", self.switch_cost, 0, 1e6)


@dataclasses.dataclass(frozen=True)
class Links:
    """Which items follow each other in a file.

    Attributes:
      before, after: int64 [items], the items one hop earlier and later; -1 for none.
    """

    before: np.ndarray
    after: np.ndarray


@dataclasses.dataclass(frozen=True)
class Choice:
    """What stands at each moment.

    Attributes:
      rows: int64 [moments], items.
      scores: float64 [moments], their similarities.
      goes_on: bool [moments], whether an item follows that of the moment before.
    """

    rows: np.ndarray
    scores: np.ndarray
    goes_on: np.ndarray


def spacing(file: np.ndarray, seconds: np.ndarray) -> float:
    """The usual time from one item of a file to the next; 1 where no file has two."""
    order = np.lexsort((seconds, file))
    same = file[order][1:] == file[order][:-1]
    gaps = np.diff(seconds[order])[same]
    gaps = gaps[gaps > 0]
    return round(float(np.median(gaps)), 6) if len(gaps) else 1.0


def link(file: np.ndarray, seconds: np.ndarray, hop_seconds: float) -> Links:
    """Finds the items that are a hop apart in the same file.

    Args:
      file: names [items].
      seconds: [items]; an item without a time (NaN) follows none.
      hop_seconds: the distance.
    """
    after = np.full(len(file), -1)
    known = np.flatnonzero(~np.isnan(seconds))
    if len(known):
        _, code = np.unique(file[known], return_inverse=True)
        times = seconds[known] - seconds[known].min()
        # Files one after the other, too far apart to be mixed up.
        line = code * (times.max() + 3 * hop_seconds) + times
        order = np.argsort(line, kind="stable")
        wanted = line + hop_seconds
        place = np.searchsorted(line[order], wanted - _TOLERANCE * hop_seconds)
        found = order[np.minimum(place, len(order) - 1)]
        near = np.abs(line[found] - wanted) <= _TOLERANCE * hop_seconds
        after[known[near]] = known[found[near]]
    before = np.full(len(file), -1)
    linked = np.flatnonzero(after >= 0)
    before[after[linked]] = linked
    # Where two items have one time, only one of them goes on.
    after[linked[before[after[linked]] != linked]] = -1
    return Links(before, after)


def choose(
    scores: Scores, moments: int, links: Links, banned: np.ndarray, config: ChoiceConfig
) -> Choice | None:
    """Chooses an item for each moment.

    Args:
      scores: similarities.
      moments: how many there are.
      links: between the items.
      banned: bool [items], never chosen.
      config: how.

    Returns:
      The choice, of equally good ones that of the first item; None where nothing is left.
    """
    if banned.all():
        return None
    lines = _lines(scores, moments, banned)
    if config.mode == "whole":
        rows = _whole(lines, moments, links)
    else:
        rows = _path(lines, links, config.switch_cost)
    if rows is None:
        return None
    # A second time, since all similarities to many items may not fit into memory.
    lines = _lines(scores, moments, banned)
    found = np.array([line[row] for line, row in zip(lines, rows, strict=True)])
    goes_on = np.concatenate([[False], links.after[rows[:-1]] == rows[1:]])
    return Choice(rows, found, goes_on)


def _lines(scores: Scores, moments: int, banned: np.ndarray) -> Iterator[np.ndarray]:
    """Similarities to all items, moment by moment; minus infinity where banned."""
    for start in range(0, moments, _BLOCK):
        for line in scores(start, min(start + _BLOCK, moments)):
            yield np.where(banned, -np.inf, line.astype(np.float64))


def _whole(lines: Iterator[np.ndarray], moments: int, links: Links) -> np.ndarray | None:
    head, length = _heads(links.before), _lengths(links.after)
    step = np.where(links.after >= 0, links.after, head)
    # Sources that are too short begin at their beginning.
    starts = (length >= moments) | (links.before < 0)
    at = np.arange(len(head))
    total = np.zeros(len(head))
    for line in lines:
        total += line[at]
        at = step[at]
    total[~starts] = -np.inf
    row = int(total.argmax())
    if not np.isfinite(total[row]):
        return None
    rows = [row]
    while len(rows) < moments:
        rows.append(int(step[rows[-1]]))
    return np.array(rows)


def _path(lines: Iterator[np.ndarray], links: Links, switch_cost: float) -> np.ndarray | None:
    best = None
    stays, leaders = [], []
    for line in lines:
        if best is None:
            best = line
            continue
        leader = int(best.argmax())
        going = np.where(links.before >= 0, best[links.before], -np.inf)
        switch = best[leader] - switch_cost
        stay = going >= switch
        best = np.where(stay, going, switch) + line
        stays.append(np.packbits(stay))
        leaders.append(leader)
    row = int(best.argmax())
    if not np.isfinite(best[row]):
        return None
    rows = [row]
    for packed, leader in zip(reversed(stays), reversed(leaders), strict=True):
        stay = np.unpackbits(packed[row // 8 : row // 8 + 1])[row % 8]
        row = int(links.before[row]) if stay else leader
        rows.append(row)
    return np.array(rows[::-1])


def _heads(before: np.ndarray) -> np.ndarray:
    """The first item of each item's chain, by doubling the steps back."""
    head = np.where(before >= 0, before, np.arange(len(before)))
    while True:
        further = head[head]
        if (further == head).all():
            return head
        head = further


def _lengths(after: np.ndarray) -> np.ndarray:
    """How many items a chain has from each item on."""
    length, jump = np.ones(len(after), np.int64), after
    while (jump >= 0).any():
        more = jump >= 0
        length = length + np.where(more, length[jump], 0)
        jump = np.where(more, jump[jump], -1)
    return length
