"""What was found for a file as cards, with heat maps of a network that localises.

Objects that Sound, section 4: where in a picture a sound is. Of a picture that looks for
sounds it is told twice: in the frame that a sound is found with, and in the picture itself.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from avc import gallery
from avc.embedding import TrainedNetwork
from avc.gallery import WHAT, Item
from avc.localized_video import Look
from avc.page_media import PageMedia
from avc.shown_moments import Shown
from crossmodal import index
from crossmodal.cards import Group
from crossmodal.collection import Collection
from crossmodal.index import Found, SearchConfig

# The query's place among the rows of what is shown.
QUERY = -1


def paint(
    network: TrainedNetwork,
    database: Collection,
    query: Item,
    shown: Mapping[int, Shown],
    search: SearchConfig,
    found: Sequence[Found],
    media: PageMedia,
    look: Look,
) -> tuple[Group, ...]:
    """The query and what was found; and where the sounds that were found are in its picture.

    Args:
      network: that searched.
      database: in what.
      query: the brought file.
      shown: by row, and at QUERY of the query.
      search: what was searched for.
      found: best first.
      media: how pictures and sounds are made smaller.
      look: how heat maps are shown.

    Raises:
      UserError: a sound has another rate than the network takes.
    """
    of, to = WHAT[search.query_modality], WHAT[search.database_modality]
    sought = search.direction == "audio_to_visual"
    source = "the query's sound" if sought else "its own sound"
    heard = {each.row: QUERY if sought else each.row for each in found}
    inside = [each.row for each in found if search.direction == "visual_to_audio"]
    maps = {}
    if network.localizes:
        pairs = [(QUERY, QUERY), *heard.items(), *((QUERY, row) for row in inside)]
        maps = gallery.heatmaps(network, shown, pairs)
    own = maps.get((QUERY, QUERY))
    cards = [gallery.card(query, f"query: {of}", media, own, look, "its own sound")]
    here = []
    for rank, each in enumerate(found, 1):
        item = Item(
            database.ids[each.row].decode(errors="replace"), shown[each.row],
            tuple(index.labels_of(database, each.row)), float(database.seconds[each.row]),
        )
        badge = f"{rank}. {to}"
        card = gallery.card(
            item, badge, media, maps.get((each.row, heard[each.row])), look, source
        )
        cards.append(
            dataclasses.replace(card, lines=(f"score {each.score:.4f}", *card.lines))
        )
        if each.row in inside and (QUERY, each.row) in maps:
            seen = dataclasses.replace(shown[each.row], picture=query.shown.picture)
            there = dataclasses.replace(item, shown=seen, labels=())
            here.append(
                gallery.card(there, badge, media, maps[QUERY, each.row], look, "this sound")
            )
    groups = [Group(f"{of} of {query.name} → {to}s", search.direction, (), tuple(cards))]
    if here:
        title = f"Where in {query.name} these sounds are"
        groups.append(Group(title, search.direction, (), tuple(here)))
    return tuple(groups)


def describe(name: str, search: SearchConfig, seconds: np.ndarray) -> str:
    """What was searched for, in words."""
    what = f"the {WHAT[search.query_modality]} of {name}"
    if len(seconds) > 1:
        mean = "unit vectors" if search.similarity == "cosine" else "vectors"
        shown = f"shown at {seconds[len(seconds) // 2]:.2f} s"
        return f"Query: {what}, mean of the {mean} of {len(seconds)} moments; {shown}."
    return f"Query: {what}." if math.isnan(seconds[0]) else f"Query: {what} at {seconds[0]:.2f} s."
