"""Queries and what a network finds for them, as the figures of the papers show it.

Objects that Sound, figure 3, and Surís et al. 2018, figure 3: a query and the items nearest to
it, each with its picture. A sound is shown as the picture of its moment, and can be heard.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from avc import clip_moments
from avc.embedding import TrainedNetwork
from avc.localized_video import Look
from avc.page_media import PageMedia
from avc.shown_moments import Shown
from crossmodal import card_page, index
from crossmodal.cards import Card, Group
from crossmodal.collection import Collection
from crossmodal.errors import UserError
from crossmodal.index import Found, SearchConfig

WHAT = {"visual": "picture", "audio": "sound"}
# Which picture and which sound, as rows of the collection.
Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A query and what was found.

    Attributes:
      direction: of `crossmodal.ndcg.DIRECTIONS`.
      query: its row.
      found: best first.
    """

    direction: str
    query: int
    found: tuple[Found, ...]

    def rows(self) -> tuple[int, ...]:
        """The query's row, and those of what was found."""
        return (self.query, *(item.row for item in self.found))

    def pairs(self) -> tuple[Pair, ...]:
        """Of each card the picture and the sound that a heat map is of.

        Where a sound finds pictures, it is the query's sound that is looked for in them; else
        it is each item's own.
        """
        sound = {"audio_to_visual": self.query}
        return (
            (self.query, self.query),
            *((item.row, sound.get(self.direction, item.row)) for item in self.found),
        )


def draw_queries(collection: Collection, number: int, seed: int) -> list[int]:
    """Draws videos, and of each a moment: rows, fewer where there are fewer videos."""
    generator = np.random.default_rng(seed)
    videos, places = np.unique(collection.video, return_inverse=True)
    drawn = generator.choice(len(videos), min(number, len(videos)), replace=False)
    return [int(generator.choice(np.flatnonzero(places == video))) for video in drawn]


def named_queries(collection: Collection, names: Iterable[str]) -> list[int]:
    """The rows of ids; of a video or file the moment in its middle.

    Raises:
      UserError: the collection has none of that name.
    """
    found = [collection.find(name) for name in names]
    return [int(rows[len(rows) // 2]) for rows in found]


def answer(
    collection: Collection, queries: Sequence[int], config: SearchConfig, own: bool
) -> list[Answer]:
    """What is found for queries.

    Args:
      collection: with the embeddings that the direction needs.
      queries: rows.
      config: what is searched for.
      own: whether the query's own video may be found.

    Raises:
      UserError: nothing is left to be found.
    """
    finder, rows = index.exact(collection, config), collection.rows(config.query_modality)
    answers = []
    for query in queries:
        excluded = None if own else collection.video == collection.video[query]
        found = index.search(collection, rows[query], config, finder, excluded)
        answers.append(Answer(config.direction, query, tuple(found)))
    return answers


def verdict(collection: Collection, query: int, row: int) -> tuple[str, tuple[str, ...]]:
    """Whether an item is right (see `crossmodal.cards.VERDICTS`), and the labels that it shares."""
    ours, theirs = index.labels_of(collection, query), index.labels_of(collection, row)
    shared = tuple(label for label in theirs if label in set(ours))
    if collection.video[row] == collection.video[query]:
        return "own", ()
    if not ours or not theirs:
        return "unknown", ()
    return ("shared", shared) if shared else ("wrong", ())


def heatmaps(
    network: TrainedNetwork, shown: Mapping[int, Shown], pairs: Iterable[Pair]
) -> dict[Pair, np.ndarray]:
    """Heat maps in [0, 1] of pictures and sounds, as far as there are both.

    Args:
      network: one that localises.
      shown: by row.
      pairs: which picture with which sound.

    Raises:
      UserError: a sound has another rate than the network takes.
    """
    found, samples = {}, network.config.network.segment_samples
    for pair in pairs:
        seen, heard = shown[pair[0]], shown[pair[1]]
        if pair in found or seen.picture is None or not len(heard.sound):
            continue
        if heard.sample_rate_hz != network.sample_rate_hz:
            raise UserError(
                f"the records' sound has {heard.sample_rate_hz} Hz, the network takes"
                f" {network.sample_rate_hz}"
            )
        waveform, inside = heard.segment(samples)
        if inside[0] >= inside[1]:
            continue
        given, number = waveform[None], None
        if network.config.network.masks_sound:
            given, number = clip_moments.beginnings(given, [inside])
        # Pictures differ in size; each goes by itself.
        found[pair] = network.localize(seen.picture[None], given, number)[0]
    return found


@dataclasses.dataclass(frozen=True)
class Item:
    """Something to see and hear.

    Attributes:
      name: what it is called.
      shown: its picture and its sound.
      labels: its classes.
      seconds: where in its file it is; NaN where that is not known.
    """

    name: str
    shown: Shown
    labels: tuple[str, ...] = ()
    seconds: float = math.nan


@dataclasses.dataclass(frozen=True)
class Painter:
    """Makes cards.

    Attributes:
      collection: what the rows are of.
      shown: by row.
      media: how pictures and sounds are made smaller.
      maps: heat maps of some pairs.
      look: how they are shown.
      most_megabytes: of the page.
    """

    collection: Collection
    shown: Mapping[int, Shown]
    media: PageMedia
    maps: Mapping[Pair, np.ndarray]
    look: Look | None
    most_megabytes: float

    def groups(self, answers: Sequence[Answer]) -> list[Group]:
        """A group for each answer.

        Raises:
          UserError: the page would become too large.
        """
        groups, size = [], 0
        for each in answers:
            groups.append(self._group(each))
            size += sum(card.size() for card in groups[-1].cards)
            card_page.check_size(
                size, self.most_megabytes,
                "lower --num_queries, --results, --sound_seconds or --shorter_side, or allow more"
                " by --most_megabytes",
            )
        return groups

    def _group(self, each: Answer) -> Group:
        of, to = (WHAT[name] for name in each.direction.split("_to_"))
        name = self._name(each.query)
        first, *rest = each.pairs()
        own = self._card(first, f"query: {of}", "its own sound")
        source = "the query's sound" if each.direction == "audio_to_visual" else "its own sound"
        cards = [own]
        for rank, (item, pair) in enumerate(zip(each.found, rest, strict=True), 1):
            made = self._card(pair, f"{rank}. {to}", source)
            judged, shared = verdict(self.collection, each.query, item.row)
            lines = (f"score {item.score:.4f}", *made.lines)
            cards.append(dataclasses.replace(made, verdict=judged, shared=shared, lines=lines))
        title = f"{of} of {name} → {to}s"
        labels = tuple(index.labels_of(self.collection, each.query))
        return Group(title, each.direction, labels, tuple(cards))

    def _name(self, row: int) -> str:
        return self.collection.ids[row].decode(errors="replace")

    def _card(self, pair: Pair, badge: str, source: str) -> Card:
        row = pair[0]
        labels = tuple(index.labels_of(self.collection, row))
        item = Item(self._name(row), self.shown[row], labels, self.collection.seconds[row])
        return card(item, badge, self.media, self.maps.get(pair), self.look, source)


def card(
    item: Item,
    badge: str,
    media: PageMedia,
    heatmap: np.ndarray | None = None,
    look: Look | None = None,
    source: str = "",
) -> Card:
    """A card of one item.

    Args:
      item: what is shown.
      badge: its part in the group.
      media: how pictures and sounds are made smaller.
      heatmap: in [0, 1], of its picture; needs `look`.
      look: how a map is shown.
      source: of which sound the map is.
    """
    shown, name = item.shown, item.name
    picture = drawn = None
    lines = shown.problems
    if shown.picture is not None:
        what = f" ({', '.join(item.labels)})" if item.labels else ""
        picture = media.picture(shown.picture, f"frame of {name}{what}")
        if heatmap is not None:
            drawn = media.picture(look.draw(shown.picture, heatmap), f"heat map of {source}")
            lines = (f"map: {source}, highest {float(heatmap.max()):.2f}", *lines)
    if not np.isnan(item.seconds):
        lines = (f"at {item.seconds:.2f} s", *lines)
    heard = media.around(shown.sound, shown.middle, shown.sample_rate_hz)
    sound = media.encode(heard, shown.sample_rate_hz)
    return Card(name, badge, lines, item.labels, picture, drawn, sound)
