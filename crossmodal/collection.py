"""Embedded items that are searched in: the .npz files of `launch.embed_avc` and `embed_yt8m`.

A file has `ids` [n] and `visual` [n, d], `audio` [n, d] or both. Where it has them, `video`
names what an item is a moment of, `file` and `seconds` where it is found, and `labels`,
separated by ";", what it shows. An item without `video` is a video of its own.
"""

import dataclasses
import difflib
import zipfile
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from crossmodal.embeddings import check_rows
from crossmodal.errors import UserError

MODALITIES = ("visual", "audio")
_NAMES = ("video", "file", "labels")
SPELLINGS = 3
# Of more names than these, only so many are compared letter by letter.
_MOST_COMPARED = 50_000


@dataclasses.dataclass(frozen=True)
class Collection:
    """Items of one or several files, in their order.

    Attributes:
      sources: the files, and the place after the last item of each.
      ids, video, file, labels: bytes `[n]`; empty where a file does not have them, but for
        `video`, which then is the id.
      seconds: float64 `[n]`, the moment from the file's beginning; NaN where there is none.
      visual, audio: float32 `[n, d]`, as stored; None where it was not asked for.
    """

    sources: tuple[tuple[str, int], ...]
    ids: np.ndarray
    video: np.ndarray
    file: np.ndarray
    labels: np.ndarray
    seconds: np.ndarray
    visual: np.ndarray | None = None
    audio: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of items."""
        return len(self.ids)

    def rows(self, modality: str) -> np.ndarray:
        """The embeddings of one modality, which must have been read."""
        found = getattr(self, modality)
        if found is None:
            raise ValueError(f"the collection was read without {modality}")
        return found

    def find(self, name: str) -> np.ndarray:
        """Which items a name means: an item by its id, or all of a video or file, in time.

        Raises:
          UserError: no item is called that, with names that are spelt alike; or several have
            that id.
        """
        wanted = name.encode()
        found = np.flatnonzero(self.ids == wanted)
        if len(found) > 1:
            raise UserError(
                f"the id {name} occurs {len(found)} times in the database: name the row by"
                " --query_npz and --query_row"
            )
        if not len(found):
            found = np.flatnonzero((self.video == wanted) | (self.file == wanted))
        if not len(found):
            near = self._spelt_alike(name)
            raise UserError(f"the database has no id {name}; spelt alike: {', '.join(near)}")
        return found[np.argsort(self.seconds[found], kind="stable")]

    def of_file(self, path: str) -> np.ndarray:
        """Which items are of a file somewhere else, by its name and as many folders as known.

        Args:
          path: of a file; `a/b/c.mp4` is the file `c.mp4` or `b/c.mp4` of the collection.

        Returns:
          bool `[n]`.
        """
        parts = path.encode().replace(b"\\", b"/").split(b"/")
        names = [b"/".join(parts[i:]) for i in range(len(parts))]
        return np.isin(self.file, [name for name in names if name])

    def with_labels_named(self, name_of: Callable[[str], str]) -> "Collection":
        """The same with other names of its labels, such as those of an ontology's ids."""
        own, inverse = np.unique(self.labels, return_inverse=True)
        named = [
            ";".join(name_of(label) for label in text.decode(errors="replace").split(";")).encode()
            for text in own
        ]
        return dataclasses.replace(self, labels=np.array(named, bytes)[inverse])

    def _spelt_alike(self, name: str) -> list[str]:
        names = np.unique(np.concatenate([self.ids, self.video]))[:_MOST_COMPARED]
        known = [each.decode(errors="replace") for each in names]
        for cutoff in (0.6, 0.0):
            found = difflib.get_close_matches(name, known, SPELLINGS, cutoff)
            if len(found) == min(SPELLINGS, len(known)):
                break
        return found


def read(paths: Sequence[str], modalities: Sequence[str] = MODALITIES) -> Collection:
    """Reads files, one after the other.

    Args:
      paths: .npz files, on any file system of tf.io.gfile.
      modalities: which embeddings are needed; others stay on the disk.

    Raises:
      UserError: a file is something else, lacks one of the modalities, holds nothing, has a
        row that is not finite, or is of another model than the first.
    """
    parts = [_read(path, modalities) for path in paths]
    for modality in modalities:
        sizes = [part[modality].shape[1] for part in parts]
        for path, size in zip(paths, sizes, strict=True):
            if size != sizes[0]:
                raise UserError(
                    f"{path}: its {modality} embeddings have {size} values, those of"
                    f" {paths[0]} {sizes[0]}: they are of different models"
                )
    ends = np.cumsum([len(part["ids"]) for part in parts]).tolist()
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Collection(tuple(zip(paths, ends, strict=True)), **joined)


def holds(path: str, modality: str) -> bool:
    """Whether a file has embeddings of a modality; False, too, where it cannot be read."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as arrays:
            return modality in arrays
    except (tf.errors.OpError, ValueError, EOFError, TypeError, AttributeError,
            zipfile.BadZipFile):
        return False


def read_row(path: str, row: int, modality: str) -> tuple[bytes, np.ndarray]:
    """One row of a file: its id and its embedding `[d]`.

    Raises:
      UserError: as `read`; or there is no such row.
    """
    part = _read(path, (modality,))
    if not 0 <= row < len(part["ids"]):
        raise UserError(f"{path}: has no row {row}; its rows are 0 to {len(part['ids']) - 1}")
    return part["ids"][row], part[modality][row]


def _read(path: str, modalities: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as arrays:
            lost = [name for name in ("ids", *modalities) if name not in arrays]
            if lost:
                raise UserError(f"{path}: {_what_lacks(lost[0], arrays)}")
            part = {name: arrays[name] for name in ("ids", *modalities)}
            more = {name: arrays[name] for name in (*_NAMES, "seconds") if name in arrays}
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    except (KeyError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        raise UserError(f"{path}: is not an .npz file of embeddings") from None
    try:
        part["ids"] = part["ids"].astype("S")
        for modality in modalities:
            part[modality] = check_rows(modality, part[modality])
        more = {name: a.astype(float if name == "seconds" else "S") for name, a in more.items()}
    except (UserError, ValueError, UnicodeEncodeError) as error:
        raise UserError(f"{path}: {error}") from None
    number = len(part["ids"])
    if not number:
        raise UserError(f"{path}: holds no item")
    for name, array in (part | more).items():
        if array.ndim != 1 + (name in modalities) or len(array) != number:
            raise UserError(
                f"{path}: {name} has shape {array.shape} beside {number} ids: a row for each is"
                " needed"
            )
    missing = {name: np.full(number, b"", "S1") for name in _NAMES}
    missing |= {"video": part["ids"], "seconds": np.full(number, np.nan)}
    return missing | part | more


def _what_lacks(name: str, arrays: np.lib.npyio.NpzFile) -> str:
    if name == "ids":
        return "has no array `ids`: it is not a file of embeddings"
    held = " and ".join(f"`{m}`" for m in MODALITIES if m in arrays)
    what = {"visual": "pictures", "audio": "sounds"}[name]
    return (
        f"has no array `{name}`, which a search by or for {what} needs"
        f" (it has {held or 'no embeddings'}): choose another --direction, or embed both"
    )
