"""Sources that fit best among those that can be used: choosing until what is chosen can be read."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from avc import source_choice
from avc.source_choice import Choice, ChoiceConfig
from avc.source_files import Sources
from crossmodal.errors import UserError

Read = TypeVar("Read")
# Why a source cannot be used, and which rows of the collection are so, bool [rows].
Problem = tuple[str, np.ndarray]


def pick(
    sources: Sources,
    banned: np.ndarray,
    embeddings: np.ndarray,
    hop_seconds: float,
    config: ChoiceConfig,
    read: Callable[[Choice], tuple[Read, list[Problem]]],
) -> tuple[Read, tuple[str, ...]]:
    """Chooses sources, and others in place of those that cannot be used.

    Args:
      sources: the collection's.
      banned: which rows are never chosen, bool `[rows]`.
      embeddings: of the query's moments, `[n, d]`.
      hop_seconds: from one moment to the next.
      config: of the choice.
      read: what is made of a choice, and what is wrong with its sources.

    Returns:
      What was read, and a line for every source that was passed over.

    Raises:
      UserError: the collection is of another network, or no source of it can be used.
    """
    banned = banned.copy()
    links, scores = sources.links(hop_seconds), sources.scores(embeddings)
    skipped: list[str] = []
    while True:
        choice = source_choice.choose(scores, len(embeddings), links, banned, config)
        if choice is None:
            more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
            raise UserError(f"no source of the database can be used: {skipped[0]}{more}")
        found, problems = read(choice)
        if not problems:
            return found, tuple(skipped)
        for line, rows in problems:
            skipped += [line] if line not in skipped else []
            banned |= rows


def not_allowed(sources: Sources, path: str, allow_own: bool, of: str) -> np.ndarray:
    """Which rows are never chosen: unusable ones, and those of the own video.

    Raises:
      UserError: these are all.
    """
    banned = sources.unusable()
    if not allow_own:
        banned |= sources.of_video(path)
    if banned.all():
        raise UserError(f"the database has no {of} of another video: --allow_own takes its own")
    return banned
