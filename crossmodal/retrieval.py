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
import os

import numpy as np
import tensorflow as tf
import tqdm

from crossmodal import embeddings
from crossmodal.errors import UserError

DIRECTIONS = ("visual_to_audio", "audio_to_visual")
TILE = 1024
# Counts within a slab are summed in bytes, so it has at most 255 rows; 128 rows of a
# tile also stay in a core's cache between the four comparisons.
SLAB = 128
# Each worker holds a tile and counts for all columns; the product has threads of its own.
MAX_WORKERS = 8
# Tiles on the diagonal are needed twice; up to so many (64 MB) are kept, beyond that
# they are a small part of all tiles and are computed again.
MAX_KEPT = 16


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
    visual, audio = embeddings.check_pairs(visual, audio)
    same = embeddings.identical_rows(visual), embeddings.identical_rows(audio)
    return rank_checked(visual, audio, *same, tile, progress)


def rank_scores(scores: np.ndarray) -> dict[str, Ranks]:
    """Ranks every true match by scores that are no products of embeddings.

    Args:
      scores: [items, items], row i of a visual item, column j of an audio one; the matches
        are on the diagonal.

    Returns:
      Ranks for each of DIRECTIONS.

    Raises:
      UserError: the matrix is not square, or not finite.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise UserError(f"scores have shape {scores.shape}: they must be [items, items]")
    if not np.isfinite(scores).all():
        raise UserError("scores hold a NaN or Inf")
    match = np.diagonal(scores)
    found = {}
    for direction, own, axis in zip(DIRECTIONS, (match[:, None], match[None]), (1, 0), strict=True):
        greater = (scores > own).sum(axis, dtype=np.int64)
        found[direction] = Ranks(greater, (scores == own).sum(axis, dtype=np.int64) - 1)
    return found


def rank_checked(
    visual: np.ndarray,
    audio: np.ndarray,
    same_visual: np.ndarray,
    same_audio: np.ndarray,
    tile: int = TILE,
    progress: bool = False,
) -> dict[str, Ranks]:
    """`rank_pairs` of checked arrays, with a number for each row that identical rows share."""
    job = _Job(visual, audio, _Twins(same_visual), _Twins(same_audio), tile)
    starts = range(0, len(visual), tile)
    workers = max(1, min(os.cpu_count() or 1, MAX_WORKERS, len(starts)))
    rows = np.zeros((2, len(visual)), np.int64)
    columns = np.zeros((2, len(visual)), np.int64)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        thresholds = np.concatenate([*pool.map(job.diagonal, starts), np.zeros(0, np.float32)])
        thresholds = job.share(thresholds)
        done = pool.map(lambda start: job.count_stripe(start, thresholds), starts)
        bar = tqdm.tqdm(done, "ranks", len(starts), disable=not progress, unit="stripe")
        try:
            for start, (stripe_rows, stripe_columns) in zip(starts, bar, strict=True):
                rows[:, start : start + tile] = stripe_rows
                columns += stripe_columns
        finally:  # An interrupt must not wait for the stripes still in the queue.
            pool.shutdown(wait=False, cancel_futures=True)
    # Each match is counted once as not below itself.
    return {
        direction: Ranks(above, level - above - 1)
        for direction, (above, level) in zip(DIRECTIONS, (rows, columns), strict=True)
    }


class _Twins:
    """Which rows of one modality are identical.

    Attributes:
      group: int64 [rows] below rows, equal for identical rows.
      repeated: bool [rows], whether another row is identical.
    """

    def __init__(self, same: np.ndarray):
        _, self.group, counts = np.unique(same, return_inverse=True, return_counts=True)
        self.repeated = counts[self.group] > 1


@dataclasses.dataclass(frozen=True)
class _Job:
    """The arrays of one ranking and what is done with a tile of their scores."""

    visual: np.ndarray
    audio: np.ndarray
    same_visual: _Twins
    same_audio: _Twins
    tile: int
    kept: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def diagonal(self, start: int) -> np.ndarray:
        """Scores of the matches start ... start + tile, from the tile that holds them."""
        part = slice(start, start + self.tile)
        scores = multiply(self.visual[part], self.audio[part])
        if len(self.visual) <= MAX_KEPT * self.tile:
            self.kept[start] = scores
        return np.diagonal(scores).copy()

    def share(self, thresholds: np.ndarray) -> np.ndarray:
        """Gives pairs that are identical in both modalities one match score, bit for bit."""
        pairs = self.same_visual.group * len(thresholds) + self.same_audio.group
        _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
        return thresholds[first[inverse]]

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
            scores = self.kept.pop(start, None) if left == start else None
            if scores is None:
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
                equal = twins.group[rows][r][:, None] == twins.group[columns][c]
                place = np.ix_(r, c)
                own = np.broadcast_to(values, scores.shape)[place]
                scores[place] = np.where(equal, own, scores[place])


def multiply(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Scores [queries, items]: the matrix product that everything here is made of.

    TensorFlow's product, because NumPy's wheel falls back to old kernels on processors it
    does not know and takes twice as long there; on the CPU, because accelerators round
    the factors of a float32 product.
    """
    with tf.device("/CPU:0"):
        return tf.matmul(queries, items, transpose_b=True).numpy()


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
