"""Search in a collection: by a picture or a sound for pictures or sounds.

Retrieval as in Surís et al. 2018, section 5.3, and Objects that Sound, section 3.1, where
"the representations are L2-normalized": cosine. Search is exact unless a finder of
`crossmodal.faiss_index` is given.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from crossmodal import cca, embeddings
from crossmodal.collection import Collection
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import UserError
from crossmodal.ndcg import DIRECTIONS
from crossmodal.nearest import Exact

SIMILARITIES = ("cosine", "dot", "euclidean")
# What is asked for grows by this until enough videos are among it.
_GROWTH = 4
# Scores of one pair, computed twice, differ by less.
_ROUNDING = 1e-5


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """What is found.

    Attributes:
      direction: of DIRECTIONS, query and database.
      results: how many.
      similarity: "cosine"; "dot", the product of the vectors as they are; or "euclidean",
        their distance, negative so that more is better.
      moments: whether all moments of a video count; else the best one of each.
    """

    direction: str = "visual_to_audio"
    results: int = 10
    similarity: str = "cosine"
    moments: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("direction", self.direction, DIRECTIONS)
        check_choice("similarity", self.similarity, SIMILARITIES)
        check_range("results", self.results, 1, 1_000_000)

    @property
    def query_modality(self) -> str:
        """What the query is: `visual` or `audio`."""
        return self.direction.split("_to_")[0]

    @property
    def database_modality(self) -> str:
        """What is searched in."""
        return self.direction.split("_to_")[1]


class Finder(Protocol):
    """Finds the rows with the highest products: `nearest.Exact` or `faiss_index.FaissIndex`."""

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and scores [queries, k], best first; index -1 where nothing was found."""


@dataclasses.dataclass(frozen=True)
class Found:
    """An item that was found.

    Attributes:
      row: of the collection.
      score: similarity to the query, more is better.
    """

    row: int
    score: float


def database_rows(rows: np.ndarray, similarity: str) -> np.ndarray:
    """Rows [n, d] whose products with `query_rows` order them as the similarity does.

    By Euclidean distance x is nearer to q the larger q.x - |x|^2/2 is, which is the product of
    rows with one value more.
    """
    if similarity == "cosine":
        return cca.normalise(rows)
    if similarity == "euclidean":
        half = -0.5 * np.square(rows, dtype=np.float64).sum(axis=1, keepdims=True)
        return np.concatenate([rows, half.astype(np.float32)], axis=1)
    return rows


def query_rows(rows: np.ndarray, similarity: str) -> np.ndarray:
    """Queries [n, d] to go with `database_rows`."""
    if similarity == "cosine":
        return cca.normalise(rows)
    if similarity == "euclidean":
        return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)
    return rows


def scores_of(products: np.ndarray, queries: np.ndarray, similarity: str) -> np.ndarray:
    """Similarities from products [queries, n] of `query_rows` and `database_rows`.

    Args:
      products: of the prepared rows.
      queries: as they were before, [queries, d].
      similarity: of SIMILARITIES.
    """
    if similarity != "euclidean":
        return products
    squares = np.square(queries, dtype=np.float64).sum(axis=1, keepdims=True) - 2.0 * products
    return -np.sqrt(np.maximum(squares, 0.0))


def mean_embedding(rows: np.ndarray, similarity: str = "cosine") -> np.ndarray:
    """One query [d] of many moments [n, d]: the mean of their unit vectors.

    Where lengths count ("dot", "euclidean") it is the mean of the vectors as they are.
    """
    rows = embeddings.check_rows("query", rows)
    return (cca.normalise(rows) if similarity == "cosine" else rows).mean(axis=0)


def moment_at(seconds: np.ndarray, wanted: float, name: str) -> int:
    """The place of the moment nearest to a time.

    Args:
      seconds: of the moments `[n]`, rising.
      wanted: the time.
      name: of what they are of, for the error.

    Raises:
      UserError: the time is farther from all moments than they are from each other.
    """
    place = int(np.abs(seconds - wanted).argmin())
    gap = float(np.diff(seconds).max(initial=1.0))
    if not abs(seconds[place] - wanted) <= gap:
        raise UserError(f"{name} has moments from {seconds[0]:.2f} to {seconds[-1]:.2f} s")
    return place


def exact(collection: Collection, config: SearchConfig) -> Exact:
    """The finder that compares a query with every item."""
    return Exact(database_rows(collection.rows(config.database_modality), config.similarity))


def search(
    collection: Collection,
    query: np.ndarray,
    config: SearchConfig,
    finder: Finder,
    excluded: np.ndarray | None = None,
) -> list[Found]:
    """The best items for one query.

    Args:
      collection: what is searched in.
      query: [d], of the collection's model.
      config: what is found.
      finder: of the collection's rows, by `exact` or `faiss_index.build`.
      excluded: bool [n], items that must not be found, such as the query's own video.

    Returns:
      At most `results` items, best first, equal scores in the order of the collection; fewer
      where the collection has no more, or where the finder looks at a part of it only.

    Raises:
      UserError: the query is not finite or of another model, or everything is excluded.
    """
    rows = collection.rows(config.database_modality)
    query = embeddings.check_rows("query", query[None])
    if query.shape[1] != rows.shape[1]:
        raise UserError(
            f"a query of {query.shape[1]} values and a database of {rows.shape[1]} do not come"
            " from the same model"
        )
    own = np.zeros(len(rows), bool) if excluded is None else excluded
    if own.all():
        raise UserError(
            "the database holds nothing but the query's own video: add others, or keep it with"
            " --noexclude_own"
        )
    prepared = query_rows(query, config.similarity)
    asked = min(config.results + int(own.sum()), len(rows))
    while True:
        indices, products = finder.search(prepared, asked)
        scores = scores_of(products, query, config.similarity)[0]
        found = _chosen(collection, indices[0], scores, own, config)
        if len(found) >= config.results or asked == len(rows) or (indices[0] < 0).any():
            return found
        asked = min(_GROWTH * asked, len(rows))


def _chosen(
    collection: Collection,
    indices: np.ndarray,
    scores: np.ndarray,
    own: np.ndarray,
    config: SearchConfig,
) -> list[Found]:
    """Of ranked items those that count."""
    found, seen = [], set()
    for row, score in zip(indices.tolist(), scores.tolist(), strict=True):
        if row < 0 or own[row]:
            continue
        video = row if config.moments else collection.video[row]
        if video not in seen:
            seen.add(video)
            found.append(Found(row, score))
            if len(found) == config.results:
                break
    return found


def recall(finder: Finder, reference: Exact, queries: np.ndarray, k: int) -> float:
    """How many of the exact k best a finder finds, as a share; ties count as found.

    Args:
      finder: to be judged.
      reference: of the same rows.
      queries: prepared by `query_rows`, [n, d].
      k: how many are looked for.
    """
    k = min(k, len(reference.database))
    _, best = reference.search(queries, k)
    indices, _ = finder.search(queries, k)
    rows = reference.database[np.maximum(indices, 0)]
    products = np.einsum("qd,qkd->qk", queries, rows)
    tolerance = _ROUNDING * np.abs(best).max(axis=1, keepdims=True)
    good = (indices >= 0) & (products >= best[:, -1:] - tolerance)
    return float(good.mean())


def labels_of(collection: Collection, row: int) -> Sequence[str]:
    """The labels of an item."""
    text = collection.labels[row].decode(errors="replace")
    return [label for label in text.split(";") if label]
