"""What a trained network finds in a collection for a file that somebody brings.

The four directions of retrieval of Surís et al. 2018 (section 5.3) and Objects that Sound
(section 3.1), and the latter's heat maps (section 4): of what is found, and in the brought
picture of each sound that is found. Nothing is kept from one query to the next.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from avc import (
    decoder,
    explorer_cards,
    gallery,
    localized_picture,
    queries,
    query_kinds,
    shown_moments,
)
from avc.embedding import TrainedNetwork
from avc.explorer_cards import QUERY
from avc.gallery import WHAT
from avc.localized_video import Look
from avc.page_media import PageMedia
from avc.queries import QueryConfig
from avc.shown_items import Items
from avc.shown_moments import Extent, Shown
from crossmodal import collection, index
from crossmodal.cards import Group
from crossmodal.collection import Collection
from crossmodal.configuration import check_range
from crossmodal.errors import UserError
from crossmodal.index import SearchConfig
from crossmodal.ndcg import DIRECTIONS
from crossmodal.nearest import Exact


@dataclasses.dataclass(frozen=True)
class ExplorerConfig:
    """How files are searched for.

    Attributes:
      results: how many items are found.
      most_seconds: of a longer file no query is made.
      query: how a file is cut into moments.
      media: how pictures and sounds are made smaller for the page.
      stretch: whether each heat map is stretched from its lowest to its highest value.
    """

    results: int = 8
    most_seconds: float = 300.0
    query: QueryConfig = dataclasses.field(default_factory=QueryConfig)
    media: PageMedia = dataclasses.field(default_factory=PageMedia)
    stretch: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value out of range."""
        check_range("results", self.results, 1, 100)
        check_range("most_seconds", self.most_seconds, 1, 36_000)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was found for a file.

    Attributes:
      facts: lines about the query and the search.
      groups: the query and what was found; and where that is in the query's picture.
    """

    facts: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclasses.dataclass(frozen=True)
class Explorer:
    """A network, and the collection that it searches.

    Attributes:
      network: a trained one.
      database: the collection, embedded by it.
      items: what the collection's items look and sound like.
      finders: by modality of what is searched in.
      config: how.
    """

    network: TrainedNetwork
    database: Collection
    items: Items
    finders: Mapping[str, Exact]
    config: ExplorerConfig

    @property
    def directions(self) -> tuple[str, ...]:
        """Of DIRECTIONS those that the collection can answer, across modalities first."""
        found = [name for name in DIRECTIONS if name.split("_to_")[1] in self.finders]
        return tuple(sorted(found, key=lambda name: len(set(name.split("_to_"))), reverse=True))

    def suited(self, path: str, direction: str) -> str:
        """The direction nearest to one that a file can be a query of, by the file's name."""
        of, to = direction.split("_to_")
        given = query_kinds.modalities_of(path)
        if of in given:
            return direction
        wanted = f"{given[0]}_to_{'audio' if given[0] == 'visual' else 'visual'}"
        return wanted if wanted in self.directions else f"{given[0]}_to_{to}"

    def explore(
        self, path: str, direction: str, seconds: float | None = None, leave_out: bool = False
    ) -> Answer:
        """Searches for a file.

        Args:
          path: a picture, a sound or a video on a local disk.
          direction: one of `directions`.
          seconds: a moment of the file, the nearest to this time; None for the mean of all.
          leave_out: whether the video of the collection that is called like the file is not
            to be found.

        Raises:
          UserError: the file cannot be a query of this direction; the path's folders are not
            in the message.
        """
        name = os.path.basename(path)
        try:
            return self._explore(path, name, direction, seconds, leave_out)
        except UserError as error:
            raise UserError(str(error).replace(path, name)) from None

    def _explore(
        self, path: str, name: str, direction: str, seconds: float | None, leave_out: bool
    ) -> Answer:
        similarity = queries.similarity_of(self.network)
        search = SearchConfig(direction, self.config.results, similarity)
        if direction not in self.directions:
            raise UserError(f"the database holds no {WHAT[search.database_modality]}s")
        query_kinds.check(path, search.query_modality)
        vectors, times = self._embed(path, search.query_modality, seconds)
        query = index.mean_embedding(vectors, similarity)
        excluded = None
        if leave_out:
            own = self.database.of_file(name)
            excluded = np.isin(self.database.video, self.database.video[own])
        finder = self.finders[search.database_modality]
        found = index.search(self.database, query, search, finder, excluded)
        middle = times[len(times) // 2]
        shown = {QUERY: self._shown(path, middle), **self.items([each.row for each in found])}
        look = Look(self.network.config.frames.crop_share, self.config.stretch)
        painted = explorer_cards.paint(
            self.network, self.database, gallery.Item(name, shown[QUERY], (), middle), shown,
            search, found, self.config.media, look,
        )
        return Answer((explorer_cards.describe(name, search, times),), painted)

    def _embed(
        self, path: str, modality: str, seconds: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings [n, d] and seconds [n] of the moments that are searched for."""
        if query_kinds.is_picture(path):
            return queries.embed_picture(self.network, path), np.full(1, np.nan)
        most, taken = self.config.most_seconds / self.config.query.hop_seconds, 0

        def count(number: int) -> None:
            nonlocal taken
            taken += number
            if taken > most:
                raise UserError(
                    f"{path}: is longer than {self.config.most_seconds:g} s: cut it, or allow"
                    " more by --most_seconds"
                )

        times, vectors = queries.embed_moments(
            self.network, path, modality, self.config.query, count
        )
        if seconds is None:
            return vectors, times
        place = index.moment_at(times, seconds, path)
        return vectors[place : place + 1], times[place : place + 1]

    def _shown(self, path: str, seconds: float) -> Shown:
        """What the query looks and sounds like at a moment."""
        if query_kinds.is_picture(path):
            return Shown(localized_picture.read_picture(path))
        found = shown_moments.of_file(path, seconds, extent(self.network, self.config.media))
        # What a sound without pictures lacks is no problem.
        return dataclasses.replace(found, problems=())


def prepare(
    network: TrainedNetwork,
    paths: Sequence[str],
    open_items: Callable[[Collection], Items],
    config: ExplorerConfig,
) -> Explorer:
    """An explorer of files of embeddings.

    Args:
      network: a trained one, which sees one frame.
      paths: .npz files of `launch.embed_avc`, made with that network.
      open_items: what the collection's items look and sound like.
      config: how.

    Raises:
      UserError: the network sees motion, or the files are none of its embeddings.
    """
    queries.check_network(network)
    with decoder.borrow() as reader:
        reader.start()
    held = [m for m in collection.MODALITIES if all(collection.holds(p, m) for p in paths)]
    database = collection.read(paths, held or collection.MODALITIES)
    size = embedding_size(network)
    for modality in held:
        if database.rows(modality).shape[1] != size:
            raise UserError(
                f"{paths[0]}: its {modality} embeddings have {database.rows(modality).shape[1]}"
                f" values, those of {network.source} {size}: embed the collection with this"
                " network"
            )
    similarity = queries.similarity_of(network)
    finders = {
        m: index.exact(database, SearchConfig(f"{m}_to_{m}", similarity=similarity)) for m in held
    }
    return Explorer(network, database, open_items(database), finders, config)


def embedding_size(network: TrainedNetwork) -> int:
    """How many values an embedding has; the network is warm afterwards."""
    side = network.config.network.image_size
    frame = np.zeros((1, side, side, 3), np.uint8)
    waveform = np.zeros((1, network.config.network.segment_samples), np.float32)
    network.embed_audio(waveform)
    if network.localizes:
        network.localize(frame, waveform)
    return network.embed_visual(frame).shape[1]


def extent(network: TrainedNetwork, media: PageMedia) -> Extent:
    """How much of a file is read for a page and for a network's heat maps."""
    seconds = max(media.sound_seconds, network.config.network.segment_seconds)
    return Extent(seconds, max(256, media.shorter_side), network.sample_rate_hz)
