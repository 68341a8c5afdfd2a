"""Approximate search in large collections by FAISS, the extra `search` of this package.

An inverted file (`IndexIVFFlat`) puts the items into `nlist` cells around centres that
k-means finds, and looks at the `nprobe` cells nearest to a query; a small collection is
searched whole (`IndexFlatIP`), as without FAISS.
"""

import dataclasses
import math
import types

import numpy as np

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import UserError

KINDS = ("auto", "flat", "ivf")


@dataclasses.dataclass(frozen=True)
class FaissConfig:
    """What index is built.

    Attributes:
      kind: "flat", "ivf", or "auto": flat below `flat_below` items.
      nlist: cells; 0 for four times the square root of the number of items.
      nprobe: cells that are looked at for a query.
      flat_below: items.
      seed: of k-means.
    """

    kind: str = "auto"
    nlist: int = 0
    nprobe: int = 16
    flat_below: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("kind", self.kind, KINDS)
        check_range("nlist", self.nlist, 0, 1 << 24)
        check_range("nprobe", self.nprobe, 1, 1 << 24)
        check_range("flat_below", self.flat_below, 0, 1 << 40)


class FaissIndex:
    """An index of rows for search by product.

    Attributes:
      description: in words, with its numbers.
    """

    def __init__(self, index: object, description: str) -> None:
        """Keeps an index of FAISS."""
        self._index = index
        self.description = description

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The best rows that are found.

        Args:
          queries: float32 [queries, d].
          k: how many.

        Returns:
          indices: int64 [queries, k], best first; -1 where the cells hold no more.
          scores: float32 [queries, k].
        """
        scores, indices = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        return indices, scores


def build(rows: np.ndarray, config: FaissConfig) -> FaissIndex:
    """Builds an index of rows [n, d] as `index.database_rows` gives them.

    Raises:
      UserError: FAISS is not installed, or there are more cells than rows.
    """
    faiss = _import()
    rows = np.ascontiguousarray(rows, np.float32)
    number, size = rows.shape
    if config.kind == "flat" or (config.kind == "auto" and number < config.flat_below):
        index = faiss.IndexFlatIP(size)
        index.add(rows)
        return FaissIndex(index, f"FAISS, flat, {number} items")
    nlist = config.nlist or min(number, max(1, round(4 * math.sqrt(number))))
    if nlist > number:
        raise UserError(f"nlist is {nlist}: there are only {number} items to put into cells")
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(size), size, nlist, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = config.seed
    # It would warn of few items for so many cells; the recall that is printed tells more.
    index.cp.min_points_per_centroid = 1
    index.train(rows)
    index.add(rows)
    index.nprobe = min(config.nprobe, nlist)
    text = f"FAISS, inverted file, {number} items, nlist {nlist}, nprobe {index.nprobe}"
    return FaissIndex(index, text)


def _import() -> types.ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            "FAISS is not installed: install this package with its extra `search`, or search"
            " with --index=exact"
        ) from error
    return faiss
