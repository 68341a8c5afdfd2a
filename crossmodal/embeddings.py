"""Arrays of embeddings: are they sound, and which of their rows are identical?"""

import hashlib

import numpy as np

from crossmodal.errors import UserError


def check_pairs(visual: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contiguous float32 versions of paired embeddings.

    Raises:
      UserError: the arrays do not pair up, or a row is not finite.
    """
    checked = [check_rows("visual", visual), check_rows("audio", audio)]
    if checked[0].shape != checked[1].shape:
        raise UserError(
            f"visual embeddings {checked[0].shape} and audio embeddings {checked[1].shape} "
            "do not pair up: both must be [items, size]"
        )
    return checked[0], checked[1]


def check_rows(name: str, array: np.ndarray) -> np.ndarray:
    """A contiguous float32 version of embeddings [rows, size].

    Raises:
      UserError: another shape, or a row is not finite.
    """
    array = np.ascontiguousarray(array, np.float32)
    if array.ndim != 2:
        raise UserError(f"{name} embeddings have shape {array.shape}, expected [rows, size]")
    # A sum is finite only if all its terms are; it costs no array of flags.
    finite = np.isfinite(array.sum(axis=1, dtype=np.float64))
    if not finite.all():
        raise UserError(f"{name} embedding of row {np.argmin(finite)} has a NaN or Inf")
    return array


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
