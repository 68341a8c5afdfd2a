"""What clips are called, and features of them that come from elsewhere."""

import dataclasses
import zipfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from crossmodal.embeddings import check_rows
from crossmodal.errors import UserError
from crossmodal.reading import Records, parsed_blocks
from crossmodal.schema import Schema


@dataclasses.dataclass(frozen=True)
class Clips:
    """Names and labels of clips, in file order.

    Attributes:
      id, video: bytes `[n]`.
      labels: of each clip.
    """

    id: np.ndarray
    video: np.ndarray
    labels: tuple[tuple[bytes, ...], ...]


def read_names(records: Records) -> Clips:
    """Names and labels of all clips.

    Raises:
      UserError: a record is bad.
    """
    few = Schema(tuple(f for f in records.schema.features if f.name in ("id", "video", "labels")))
    rows = [
        row
        for block in parsed_blocks(dataclasses.replace(records, schema=few))
        for row in few.rows(block)
    ]
    return Clips(
        np.array([row["id"] for row in rows], object),
        np.array([row["video"] for row in rows], object),
        tuple(tuple(row["labels"].tolist()) for row in rows),
    )


def read_features(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads an .npz file of features.

    Returns:
      `ids` `[n]` bytes, `visual` `[n, d]` and `audio` `[n, e]` float32; e is 0 where the file
      has no array `audio`, as of a network of pictures.

    Raises:
      UserError: the file is something else, or its arrays do not fit each other.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as arrays:
            ids, visual = arrays["ids"], arrays["visual"]
            audio = arrays["audio"] if "audio" in arrays else np.zeros((len(ids), 0))
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    except (KeyError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        raise UserError(f"{path}: is not an .npz file with the arrays ids, visual, audio") from None
    try:
        visual, audio = check_rows("visual", visual), check_rows("audio", audio)
        ids = ids.astype("S")
    except (UserError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    if ids.ndim != 1 or not len(ids) == len(visual) == len(audio):
        raise UserError(
            f"{path}: ids, visual and audio have shapes {ids.shape}, {visual.shape} and"
            f" {audio.shape}: a row for each clip is needed"
        )
    return ids, visual, audio


def align_features(
    path: str, ids: Sequence[bytes]
) -> tuple[np.ndarray, np.ndarray]:
    """Features from a file, in the order of some clips.

    Args:
      path: see `read_features`; it may hold more clips.
      ids: of the clips that are wanted.

    Returns:
      `visual` and `audio`, a row for each of `ids`.

    Raises:
      UserError: the file lacks a clip, or has one twice.
    """
    held, visual, audio = read_features(path)
    places = {name: row for row, name in enumerate(held.tolist())}
    if len(places) < len(held):
        raise UserError(f"{path}: an id occurs twice; one row a clip is needed")
    lost = [name for name in ids if name not in places]
    if lost:
        raise UserError(
            f"{path}: has no features of clip {lost[0].decode()} and {len(lost) - 1} others of"
            f" {len(ids)}"
        )
    rows = [places[name] for name in ids]
    return visual[rows], audio[rows]
