"""The files that a collection's items are moments of, as sources for other videos."""

import dataclasses
import itertools
import os
from collections.abc import Sequence

import numpy as np

from avc import source_choice
from avc.source_choice import Choice, Links
from crossmodal import index
from crossmodal.collection import Collection
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class Segment:
    """Some seconds of the result, from one source without a break.

    Attributes:
      begin, end: seconds of the result.
      source_seconds: which second of the source stands at `begin`.
      rows: the items, in order.
      score: their mean similarity.
    """

    begin: float
    end: float
    source_seconds: float
    rows: tuple[int, ...]
    score: float


@dataclasses.dataclass(frozen=True)
class Sources:
    """Items of one modality, and where their files are.

    Attributes:
      collection: the items.
      modality: `visual` or `audio`, of what is taken.
      similarity: of `crossmodal.index.SIMILARITIES`.
      media: the folder that `file` is relative to; a `file` may be absolute, too.
    """

    collection: Collection
    modality: str
    similarity: str
    media: str

    def __post_init__(self) -> None:
        """Raises UserError for a collection that does not tell files and times."""
        known = (self.collection.file != b"") & ~np.isnan(self.collection.seconds)
        if not known.any():
            raise UserError(
                f"{self.collection.sources[0][0]}: does not tell of which `file` and `seconds` its"
                " items are: take a file of launch.embed_avc"
            )

    def path(self, row: int) -> str:
        """Where the file of an item should be."""
        return os.path.join(self.media, os.fsdecode(self.collection.file[row]))

    def unusable(self) -> np.ndarray:
        """Items without file or time, bool `[n]`."""
        return (self.collection.file == b"") | np.isnan(self.collection.seconds)

    def of_video(self, path: str) -> np.ndarray:
        """All items of the video that a file is, bool `[n]`: by its name, or the file itself."""
        column = self.collection.file
        own = self.collection.of_file(os.path.abspath(path))
        wanted = os.path.realpath(path)
        for name in np.unique(column):
            if name and os.path.realpath(os.path.join(self.media, os.fsdecode(name))) == wanted:
                own |= column == name
        return np.isin(self.collection.video, self.collection.video[own])

    def hop(self) -> float:
        """The time from one item of a file to the next."""
        return source_choice.spacing(self.collection.file, self.collection.seconds)

    def links(self, hop_seconds: float) -> Links:
        """Which items go on from which."""
        return source_choice.link(self.collection.file, self.collection.seconds, hop_seconds)

    def scores(self, queries: np.ndarray) -> source_choice.Scores:
        """Similarities of a clip's moments `[n, d]` to all items.

        Raises:
          UserError: they are of another model.
        """
        rows = self.collection.rows(self.modality)
        if queries.shape[1] != rows.shape[1]:
            raise UserError(
                f"the network's embeddings have {queries.shape[1]} values, the database's"
                f" {rows.shape[1]}: they are of different models"
            )
        prepared = index.query_rows(queries, self.similarity)
        database = index.database_rows(rows, self.similarity)

        def compute(begin: int, end: int) -> np.ndarray:
            products = prepared[begin:end] @ database.T
            return index.scores_of(products, queries[begin:end], self.similarity)

        return compute

    def segments(
        self, choice: Choice, moments: np.ndarray, hop_seconds: float, duration: float
    ) -> list[Segment]:
        """What a choice means in seconds.

        A moment stands for half a hop on both sides, the first and the last for what is left.

        Args:
          choice: an item for each moment.
          moments: seconds of them.
          hop_seconds: from one to the next.
          duration: of the result.
        """
        edges = [0.0, *(moments[1:] - hop_seconds / 2).tolist(), duration]
        firsts = [*np.flatnonzero(~choice.goes_on).tolist(), len(moments)]
        found = []
        for first, last in itertools.pairwise(firsts):
            rows = tuple(choice.rows[first:last].tolist())
            lead = float(moments[first]) - edges[first]
            source = float(self.collection.seconds[rows[0]]) - lead
            score = float(choice.scores[first:last].mean())
            found.append(Segment(edges[first], edges[last], source, rows, score))
        return found

    def described(self, segments: Sequence[Segment]) -> list[dict]:
        """Segments for a report, JSON-compatible."""
        return [
            {
                "begin_seconds": round(segment.begin, 6),
                "end_seconds": round(segment.end, 6),
                "file": os.fsdecode(self.collection.file[segment.rows[0]]),
                "path": self.path(segment.rows[0]),
                "source_seconds": round(segment.source_seconds, 6),
                "score": segment.score,
            }
            for segment in segments
        ]
