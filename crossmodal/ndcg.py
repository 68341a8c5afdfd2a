"""nDCG@K: how well relevance falls along the ranking that embeddings give.

The measure of Objects that Sound (Arandjelovic and Zisserman 2018, section 3.1 and
appendix A.2; Järvelin and Kekäläinen 2002): DCG@K is the sum over the first K ranks i of
gain / log2(i + 1), and nDCG@K is that over the DCG@K of the best order of the same
candidates. The gain is 2^r - 1 of a relevance r, or r itself; the paper does not say
which, but only the former has a chance level like the paper's.

**Candidates** are all items that have a label, apart from the query itself unless
`include_self`. An item without a label has no relevance: it is neither a query nor a
candidate. A query to which no candidate is relevant has no nDCG. Both are counted.

**Ties have their expected value.** Items of one score share the mean of their gains, as
over all orders of them, those beyond rank K too. Identical embeddings tie exactly,
whatever the rounding of the product: silent videos have identical audio.

**Chance is computed, not drawn.** In a random order every rank holds the mean gain of the
candidates, so the expected DCG@K is that mean times the sum of the discounts.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from crossmodal import cca, comparison, cumulative_gain, embeddings, ranking, retrieval
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.label_sets import SetRelevance

DIRECTIONS = ("visual_to_visual", "visual_to_audio", "audio_to_visual", "audio_to_audio")
"""Query and database, in the order of the paper's Table 1."""
# Scores held at once, 16 MB of float32.
BLOCK = 1 << 22


@dataclasses.dataclass(frozen=True)
class NdcgConfig:
    """What is measured.

    Attributes:
      cutoffs: the K; all come from one ranking.
      gain: "exponential" is 2^r - 1, "linear" is r.
      include_self: whether the item that a query comes from is a candidate. Within one
        modality it is the query's own embedding and always first.
      similarity: "cosine" ranks L2-normalised rows by dot product, which is the order of
        their Euclidean distance too; "dot" takes the rows as they are.
    """

    cutoffs: tuple[int, ...] = (30,)
    gain: str = "exponential"
    include_self: bool = False
    similarity: str = "cosine"

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_choice("gain", self.gain, cumulative_gain.FORMS)
        check_choice("similarity", self.similarity, ("cosine", "dot"))
        if not self.cutoffs or len(set(self.cutoffs)) < len(self.cutoffs):
            raise ConfigurationError(f"cutoffs are {self.cutoffs}: at least one, each once")
        for cutoff in self.cutoffs:
            check_range("cutoffs", cutoff, 1, 1_000_000)


NDCG_30 = NdcgConfig()


@dataclasses.dataclass(frozen=True)
class NdcgScores:
    """nDCG@K of every query of one direction.

    Attributes:
      config: what was measured.
      values: float64 [items, cutoffs] in [0, 1], NaN where not measured.
      chance: float64 [items, cutoffs], expected values of a random ranking.
      unlabelled: items without a label.
      without_relevant: labelled items to which no candidate is relevant.
    """

    config: NdcgConfig
    values: np.ndarray
    chance: np.ndarray
    unlabelled: int
    without_relevant: int

    def measured(self) -> np.ndarray:
        """Whether an item counts as a query, bool [items]."""
        return ~np.isnan(self.chance[:, 0])

    def mean(self) -> dict[int, float]:
        """Mean over the measured queries by cutoff."""
        return dict(zip(self.config.cutoffs, self.values[self.measured()].mean(0), strict=True))

    def mean_chance(self) -> dict[int, float]:
        """Chance level of `mean` by cutoff."""
        return dict(zip(self.config.cutoffs, self.chance[self.measured()].mean(0), strict=True))

    def interval(self, cutoff: int, seed: int, **options) -> comparison.Interval:
        """Bootstrap interval of the mean over queries; options of `bootstrap_mean`."""
        column = self.values[:, self.config.cutoffs.index(cutoff)]
        return comparison.bootstrap_mean(column, self.measured(), seed, **options)


def paired_interval(
    system: NdcgScores, baseline: NdcgScores, cutoff: int, seed: int, **options
) -> comparison.Interval:
    """Interval of `system` minus `baseline` in nDCG@cutoff, query by query.

    Raises:
      UserError: the two were not measured with the same relevance and configuration.
    """
    same = system.config == baseline.config
    if not same or not np.array_equal(system.chance, baseline.chance, equal_nan=True):
        raise UserError("the two systems were not measured on the same items in the same way")
    column = system.config.cutoffs.index(cutoff)
    difference = system.values[:, column] - baseline.values[:, column]
    return comparison.bootstrap_mean(difference, system.measured(), seed, **options)


def evaluate(
    visual: np.ndarray,
    audio: np.ndarray,
    relevance: SetRelevance,
    config: NdcgConfig = NDCG_30,
    directions: Sequence[str] = DIRECTIONS,
) -> dict[str, NdcgScores]:
    """Measures several directions of retrieval among the same items.

    Args:
      visual: [items, size] embeddings.
      audio: [items, size], row i from the same video as visual's row i; their size may
        differ where no direction goes from one modality to the other.
      relevance: of the items.
      config: what is measured.
      directions: of DIRECTIONS.

    Returns:
      Scores for each of `directions`.

    Raises:
      UserError: embeddings that fit neither each other nor the labels, a row that is not
        finite, no query that can be measured, or gains that overflow.
      ConfigurationError: an unknown direction.
    """
    for direction in directions:
        check_choice("direction", direction, DIRECTIONS)
    # Queries of one set of labels share a row of relevance.
    order = relevance.labelled[np.argsort(relevance.kinds[relevance.labelled], kind="stable")]
    gains = cumulative_gain.gains(relevance.levels, config.gain)
    job = _Job(relevance, relevance.kinds[order], gains, config)
    pairs = {direction: direction.split("_to_") for direction in directions}
    sides = {
        name: _Side(name, {"visual": visual, "audio": audio}[name], order, len(relevance.kinds),
                    config.similarity)
        for name in dict.fromkeys(name for pair in pairs.values() for name in pair)
    }
    _check_sizes(sides, pairs)
    shape = len(relevance.kinds), len(config.cutoffs)
    chance = np.full(shape, np.nan)
    values = {direction: np.full(shape, np.nan) for direction in directions}
    step = max(BLOCK // max(len(order), 1), 1)
    for start in range(0, len(order), step):
        part = slice(start, start + step)
        codes, ideal, expected = job.prepare(part)
        chance[order[part]] = expected / ideal
        for direction, (query, database) in pairs.items():
            scores = sides[database].score(sides[query].rows[part])
            found = job.measure(scores, codes, part)
            values[direction][order[part]] = np.minimum(found / ideal, 1.0)
    lost = int(np.isnan(chance[order, 0]).sum())
    if lost == len(order):
        raise UserError("nDCG needs items that share labels: no item has a relevant one")
    unlabelled = len(relevance.kinds) - len(order)
    return {d: NdcgScores(config, values[d], chance, unlabelled, lost) for d in directions}


def _check_sizes(sides: Mapping[str, "_Side"], pairs: Mapping[str, Sequence[str]]) -> None:
    for query, database in pairs.values():
        sizes = sides[query].rows.shape[1], sides[database].rows.shape[1]
        if sizes[0] != sizes[1]:
            raise UserError(
                f"{query} embeddings of {sizes[0]} values cannot be compared with {database} "
                f"embeddings of {sizes[1]}"
            )


class _Side:
    """The embeddings of the labelled items in one modality, as queries and as candidates.

    Attributes:
      rows: float32 [labelled, size].
    """

    def __init__(self, name: str, array: np.ndarray, order: np.ndarray, items: int, kind: str):
        rows = embeddings.check_rows(name, array)
        if len(rows) != items:
            raise UserError(f"{len(rows)} {name} embeddings for labels of {items} items")
        rows = rows[order]
        self.rows = cca.normalise(rows.astype(np.float64)) if kind == "cosine" else rows
        self._first = embeddings.identical_rows(self.rows)
        self._repeats = np.flatnonzero(self._first != np.arange(len(rows)))

    def score(self, queries: np.ndarray) -> np.ndarray:
        """Scores [queries, labelled]; identical rows have identical scores."""
        scores = retrieval.multiply(queries, self.rows)
        scores[:, self._repeats] = scores[:, self._first[self._repeats]]
        return scores


@dataclasses.dataclass(frozen=True)
class _Job:
    """Relevance and gains of the labelled items, ordered by their sets of labels."""

    relevance: SetRelevance
    kinds: np.ndarray
    gains: np.ndarray
    config: NdcgConfig

    def prepare(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a block of queries has in all directions.

        Returns:
          Relevance to all candidates as indices of levels [queries, labelled]; DCG of the
          best order and expected DCG of a random one, [queries, cutoffs], NaN where no
          candidate is relevant.
        """
        kinds = self.kinds[part]
        first, last = kinds[0], kinds[-1] + 1
        rows = self.relevance.rows(first, last)
        sizes, levels = self.relevance.sizes, len(self.gains)
        counts = np.stack([np.bincount(row, sizes, levels) for row in rows])[kinds - first]
        if not self.config.include_self:
            own = rows[kinds - first, kinds]
            counts[np.arange(len(kinds)), own] -= 1
        ideal, expected = cumulative_gain.bounds(counts, self.gains, self.config.cutoffs)
        ideal = np.where(ideal > 0, ideal, np.nan)
        return rows[np.ix_(kinds - first, self.kinds)], ideal, expected

    def measure(self, scores: np.ndarray, codes: np.ndarray, part: slice) -> np.ndarray:
        """DCG of a block of queries, [queries, cutoffs]; changes the scores."""
        candidates = scores.shape[1]
        if not self.config.include_self:
            candidates -= 1
            rows = np.arange(len(scores))
            scores[rows, part.start + rows] = -np.inf
        k = min(max(self.config.cutoffs), candidates)
        if not k:
            return np.zeros((len(scores), len(self.config.cutoffs)))
        gains = ranking.expected_gains(scores, codes, self.gains, k)
        sums = np.cumsum(gains * cumulative_gain.discounts(k), axis=1)
        return sums[:, [min(cutoff, k) - 1 for cutoff in self.config.cutoffs]]
