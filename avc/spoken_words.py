"""Spoken words with their times, and where names are said among them.

Words and names are compared after `normalise`; a name is found where its words follow one
another exactly, as the "exact food class name" of Boggust et al. 2019, section 6.
"""

import bisect
import dataclasses
import functools
import math
import unicodedata
from collections.abc import Iterable, Sequence

# Written inside words and left out: "don't", "don’t".
_JOINERS = "'’ʼ"


@dataclasses.dataclass(frozen=True)
class Word:
    """A word, normalised, and when it is said, in seconds since the video's beginning."""

    text: str
    start_seconds: float
    end_seconds: float


def normalise(text: str) -> tuple[str, ...]:
    """Splits a text into words that can be compared.

    Unicode's NFKC and case folding; apostrophes are left out; whatever is no letter, digit
    or mark of one separates words, so "stir-fry" and "Granny_Smith" are two. Numbers stay as
    they are written, and no ending is taken off: "tomatoes" is not "tomato". A script that
    writes no spaces gives one word a line.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(letter for letter in text if letter not in _JOINERS)
    kept = (letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in text)
    return tuple("".join(kept).split())


def spread(text: str, start_seconds: float, end_seconds: float) -> list[Word]:
    """The words of a text, each with an equal part of its time."""
    words = normalise(text)
    part = (end_seconds - start_seconds) / max(1, len(words))
    return [
        Word(word, start_seconds + i * part, start_seconds + (i + 1) * part)
        for i, word in enumerate(words)
    ]


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What is said in a video.

    Attributes:
      words: in the order in which they are read; that of their times except where cues
        overlap. None at all: nothing is said.
    """

    words: tuple[Word, ...] = ()

    @functools.cached_property
    def _places(self) -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for place, word in enumerate(self.words):
            places.setdefault(word.text, []).append(place)
        return places

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """How often each word is said."""
        return {text: len(places) for text, places in self._places.items()}

    def occurrences(self, name: Sequence[str]) -> list[tuple[float, float]]:
        """When a name is said: from where its first word begins to where its last one ends.

        Args:
          name: its words, normalised.
        """
        found = []
        for place in self._places.get(name[0], ()) if name else ():
            said = self.words[place : place + len(name)]
            if tuple(word.text for word in said) == tuple(name):
                ends = max(word.end_seconds for word in said)
                found.append((min(word.start_seconds for word in said), ends))
        return found

    def nearest(self, name: Sequence[str], seconds: float) -> tuple[float, float, float]:
        """The occurrence of a name that the shortest window around a moment holds whole.

        Args:
          name: its words, normalised.
          seconds: the middle of the window.

        Returns:
          The window's length, to a microsecond, infinite where the name is not said, and the
          occurrence.
        """
        windows = (
            (round(2 * max(seconds - start, end - seconds, 0.0), 6), start, end)
            for start, end in self.occurrences(name)
        )
        return min(windows, default=(math.inf, math.nan, math.nan))

    def within(self, start_seconds: float, end_seconds: float) -> list[Word]:
        """Words that lie within, wholly."""
        order, starts = self._by_start
        first = bisect.bisect_left(starts, start_seconds)
        last = bisect.bisect_right(starts, end_seconds)
        return [word for word in order[first:last] if word.end_seconds <= end_seconds]

    @functools.cached_property
    def _by_start(self) -> tuple[list[Word], list[float]]:
        order = sorted(self.words, key=lambda word: word.start_seconds)
        return order, [word.start_seconds for word in order]


def read_names(lines: Iterable[str]) -> list[str]:
    """Names from a list, one a line; empty lines and those after "#" are passed over."""
    names = (line.split("#")[0].strip() for line in lines)
    return list(dict.fromkeys(name for name in names if normalise(name)))
