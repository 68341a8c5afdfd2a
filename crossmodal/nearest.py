"""Exact nearest items, for looking at what a model has learnt.

Suris et al. 2018, section 5.3: a query video's nearest item of the other modality, and
the second one where the first is the video itself.
"""

import numpy as np

from crossmodal import embeddings, retrieval
from crossmodal.errors import UserError

# Scores held at once, 64 MB of float32.
BLOCK = 1 << 24


class Exact:
    """A database that is searched without approximation, block by block.

    Attributes:
      database: float32 [items, size].
    """

    def __init__(self, database: np.ndarray) -> None:
        """Looks for identical items, once for all searches.

        Raises:
          UserError: the database is not [items, size], or a row is not finite.
        """
        self.database = embeddings.check_rows("database", database)
        self._first = embeddings.identical_rows(self.database)
        self._repeats = np.flatnonzero(self._first != np.arange(len(self.database)))

    def search(
        self, queries: np.ndarray, k: int, exclude: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `nearest`."""
        queries, database = embeddings.check_rows("query", queries), self.database
        if queries.shape[1] != database.shape[1]:
            raise UserError(
                f"queries of {queries.shape[1]} values and a database of {database.shape[1]} "
                "do not come from the same model"
            )
        exclude = np.full(len(queries), -1) if exclude is None else np.asarray(exclude)
        available = len(database) - bool((exclude >= 0).any())
        if not 0 < k <= available:
            raise UserError(f"{k} nearest items asked for, the database offers {available}")
        indices = np.empty((len(queries), k), np.int64)
        values = np.empty((len(queries), k), np.float32)
        step = max(BLOCK // len(database), 1)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            scores = retrieval.multiply(queries[part], database)
            # The product may round identical items differently.
            scores[:, self._repeats] = scores[:, self._first[self._repeats]]
            own = exclude[part]
            known = np.flatnonzero(own >= 0)
            scores[known, own[known]] = -np.inf
            for row, line in enumerate(scores, start):
                indices[row] = _best(line, k)
                values[row] = line[indices[row]]
        return indices, values


def nearest(
    queries: np.ndarray, database: np.ndarray, k: int, exclude: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k items of the database with the highest dot product for each query.

    Args:
      queries: [queries, size] normalised embeddings.
      database: [items, size].
      k: items to return for each query.
      exclude: int [queries], an item that must not be returned (the query's own video),
        or -1; None excludes nothing.

    Returns:
      indices: int64 [queries, k], best first; equal scores in order of index, and
        identical items have equal scores.
      scores: float32 [queries, k].

    Raises:
      UserError: shapes that do not fit, a row that is not finite, or fewer than k items.
    """
    queries = embeddings.check_rows("query", queries)
    return Exact(database).search(queries, k, exclude)


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k highest scores, ties in order of index."""
    bound = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= bound)
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[:k]]
