"""Exact ranks of true matches between two sets of embeddings.

Item i of `visual` and item i of `audio` come from the same video. A query of one
modality ranks every item of the other by the dot product, and what counts is where
its own video lands (Recall@K: Suris et al. 2018, section 5.2).

**One product, both directions.** Tile after tile of `visual @ audio.T` is counted along
its rows (visual to audio) and along its columns (audio to visual), so the whole matrix
never exists: memory does not grow with the square of the number of items.

**Ties have their expected value.** A query with `greater` rivals above its match and
`ties` rivals level with it has its match at ranks greater+1 ... greater+1+ties with
equal chances; every number here is the mean over those ranks. Silent videos have
identical audio, so such ties are real.

**Exactness.** A matrix product may round the same dot product differently at different
places of a tile. The match's score is therefore taken out of a tile, as its rivals'
scores are, and the score of a rival that is identical to the match is set to the match's
own: identical embeddings tie by construction, whatever the product's rounding.
"""

import concurrent.futures
import dataclasses
import hashlib
import os

import numpy as np
import tqdm

from crossmodal.errors import UserError

DIRECTIONS = ("visual_to_audio", "audio_to_visual")
TILE = 1024
# Counts within a slab are summed in bytes, so it has at most 255 rows; 128 rows of a
# tile also stay in a core's cache between the four comparisons.
SLAB = 128


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Where the match of each query stands.

    Attributes:
      greater: int64 [queries], rivals whose score is above the match's.
      ties: int64 [queries], rivals whose score equals the match's.
    """

    greater: np.ndarray
    ties: np.ndarray

    def hits(self, k: int) -> np.ndarray:
        """Chance that the match is among the first k, [queries] in [0, 1].

        Of the ties + 1 equally likely ranks, k - greater are at most k.
        """
        return np.clip((k - self.greater) / (self.ties + 1), 0.0, 1.0)

    def expected(self) -> np.ndarray:
        """Expected rank of the match, [queries], 1 is best."""
        return self.greater + 1 + self.ties / 2

    def reciprocal(self) -> np.ndarray:
        """Expected 1/rank of the match, [queries]: the mean of 1/r over its ranks r."""
        if not self.greater.size:
            return np.zeros(0)
        last = self.greater + self.ties + 1
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, last.max() + 1))])
        tied = (harmonic[last] - harmonic[self.greater]) / (self.ties + 1)
        return np.where(self.ties == 0, 1.0 / last, tied)


def rank_pairs(
    visual: np.ndarray, audio: np.ndarray, tile: int = TILE, progress: bool = False
) -> dict[str, Ranks]:
    """Ranks every true match among all items of the other modality.

    Args:
      visual: [items, size] embeddings, normalised; computed in float32.
      audio: [items, size], row i from the same video as visual's row i.
      tile: rows and columns of one tile of the score matrix.
      progress: shows a bar; 100 k items take about a minute.

    Returns:
      Ranks for each of DIRECTIONS.

    Raises:
      UserError: the arrays do not pair up, or a row is not finite.
    """
    visual, audio = check_pairs(visual, audio)
    return rank_checked(
        visual, audio, identical_rows(visual), identical_rows(audio), tile, progress
    )


def check_pairs(visual: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contiguous float32 versions of paired embeddings.

    Raises:
      UserError: the arrays do not pair up, or a row is not finite.
    """
    checked = []
    for name, array in (("visual", visual), ("audio", audio)):
        array = np.ascontiguousarray(array, np.float32)
        if array.ndim != 2:
            raise UserError(f"{name} embeddings have shape {array.shape}, expected [items, size]")
        # A sum is finite only if all its terms are; it costs no array of flags.
        finite = np.isfinite(array.sum(axis=1, dtype=np.float64))
        if not finite.all():
            row = int(np.argmin(finite))
            raise UserError(f"{name} embedding of row {row} has a NaN or Inf")
        checked.append(array)
    if checked[0].shape != checked[1].shape:
        raise UserError(
            f"visual embeddings {checked[0].shape} and audio embeddings {checked[1].shape} "
            "do not pair up: both must be [items, size]"
        )
    return checked[0], checked[1]


def identical_rows(array: np.ndarray) -> np.ndarray:
    """For each row of a float32 array, the index of the first row that equals it, [rows]."""
    array = np.ascontiguousarray(array, np.float32) + np.float32(0)  # -0 becomes 0
    first = np.arange(len(array))
    # Modular sums are exact, so equal rows have equal sums; only repeats are looked into.
    sums = array.view(np.uint32).sum(axis=1, dtype=np.uint64)
    _, inverse, counts = np.unique(sums, return_inverse=True, return_counts=True)
    seen: dict[bytes, int] = {}
    for row in np.flatnonzero(counts[inverse] > 1):
        digest = hashlib.blake2b(array[row].data, digest_size=16).digest()
        first[row] = seen.setdefault(digest, row)
    return first


def rank_checked(
    visual: np.ndarray,
    audio: np.ndarray,
    same_visual: np.ndarray,
    same_audio: np.ndarray,
    tile: int = TILE,
    progress: bool = False,
) -> dict[str, Ranks]:
    """`rank_pairs` for arrays that passed `check_pairs`, with `identical_rows` of each."""
    job = _Job(visual, audio, _Twins(same_visual), _Twins(same_audio), tile)
    starts = range(0, len(visual), tile)
    workers = min(len(os.sched_getaffinity(0)), len(starts)) or 1
    rows = np.zeros((2, len(visual)), np.int64)
    columns = np.zeros((2, len(visual)), np.int64)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        thresholds = np.concatenate([*pool.map(job.diagonal, starts), np.zeros(0, np.float32)])
        thresholds = _share_thresholds(thresholds, same_visual, same_audio)
        done = pool.map(lambda start: job.count_stripe(start, thresholds), starts)
        bar = tqdm.tqdm(done, "ranks", len(starts), disable=not progress, unit="stripe")
        for start, (stripe_rows, stripe_columns) in zip(starts, bar, strict=True):
            rows[:, start : start + tile] = stripe_rows
            columns += stripe_columns
    # Each match is counted once as not below itself.
    return {
        direction: Ranks(above, level - above - 1)
        for direction, (above, level) in zip(DIRECTIONS, (rows, columns), strict=True)
    }


class _Twins:
    """Which rows of one modality are identical: `first` [rows], `repeated` bool [rows]."""

    def __init__(self, first: np.ndarray):
        _, self.first, counts = np.unique(first, return_inverse=True, return_counts=True)
        self.repeated = counts[self.first] > 1


def _share_thresholds(thresholds, same_visual, same_audio):
    """Pairs that are identical in both modalities have one match score, bit for bit."""
    pairs = same_visual.astype(np.int64) * max(len(thresholds), 1) + same_audio
    _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
    return thresholds[first[inverse]]


@dataclasses.dataclass(frozen=True)
class _Job:
    """The arrays of one ranking and what is done with a tile of their scores."""

    visual: np.ndarray
    audio: np.ndarray
    same_visual: _Twins
    same_audio: _Twins
    tile: int

    def diagonal(self, start: int) -> np.ndarray:
        """Scores of the matches start ... start + tile, from the tile that holds them."""
        part = slice(start, start + self.tile)
        return np.diagonal(multiply(self.visual[part], self.audio[part])).copy()

    def count_stripe(self, start: int, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts scores above and not below the matches' in one stripe of rows.

        Returns:
          int64 [2, rows of the stripe] and [2, items]: scores above the row's (column's)
          match, and scores not below it.
        """
        rows = slice(start, min(start + self.tile, len(self.visual)))
        of_rows = np.zeros((2, rows.stop - rows.start), np.int64)
        of_columns = np.zeros((2, len(self.audio)), np.int64)
        for left in range(0, len(self.audio), self.tile):
            columns = slice(left, min(left + self.tile, len(self.audio)))
            scores = multiply(self.visual[rows], self.audio[columns])
            self._settle_twins(scores, rows, columns, thresholds)
            _count_tile(
                scores, thresholds[rows], thresholds[columns], of_rows, of_columns[:, columns]
            )
        return of_rows, of_columns

    def _settle_twins(self, scores, rows, columns, thresholds):
        """Gives rivals that are identical to a match the match's own score."""
        if rows == columns:
            np.fill_diagonal(scores, thresholds[rows])
        for twins, values in ((self.same_audio, thresholds[rows, None]),
                              (self.same_visual, thresholds[None, columns])):
            r = np.flatnonzero(twins.repeated[rows])
            c = np.flatnonzero(twins.repeated[columns])
            if r.size and c.size:
                equal = twins.first[rows][r][:, None] == twins.first[columns][c]
                place = np.ix_(r, c)
                own = np.broadcast_to(values, scores.shape)[place]
                scores[place] = np.where(equal, own, scores[place])


def multiply(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Scores [queries, items]: the matrix product that everything here is made of."""
    return queries @ items.T


def _count_tile(scores, row_matches, column_matches, of_rows, of_columns):
    """Adds to the counts of rows and columns, slab by slab while it is in cache."""
    width = scores.shape[1]
    # Rows of whole 8-byte words: eight counters are added at once.
    mask = np.zeros((SLAB, -(-width // 8) * 8), bool)
    for top in range(0, len(scores), SLAB):
        part = scores[top : top + SLAB]
        slab = mask[: len(part)]
        rivals = row_matches[top : top + SLAB, None]
        for index, compare in enumerate((np.greater, np.greater_equal)):
            compare(part, rivals, out=slab[:, :width])
            of_rows[index, top : top + SLAB] += _sum_rows(slab)
            compare(part, column_matches, out=slab[:, :width])
            bytes_ = slab[:, :width].view(np.uint8)
            of_columns[index] += np.add.reduce(bytes_, axis=0, dtype=np.uint8)


def _sum_rows(mask: np.ndarray) -> np.ndarray:
    """Number of true values in each row of a bool array of whole 8-byte words."""
    # A byte holds up to 255, so a run of 255 words is added before its bytes are.
    words = mask.view(np.uint64)
    runs = [words[:, i : i + 255].sum(axis=1) for i in range(0, words.shape[1], 255)]
    return sum(run.view(np.uint8).reshape(len(mask), 8).sum(axis=1, dtype=np.int64) for run in runs)
