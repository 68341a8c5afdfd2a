"""Embeddings of a set of videos, and of the seconds of one."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings of a set of videos, row by row.

    Attributes:
      ids: bytes `[n]`.
      labels: class indices padded with -1, `[n, m]`.
      visual: unit vectors `[n, dim]`.
      audio: unit vectors `[n, dim]`.
    """

    ids: np.ndarray
    labels: np.ndarray
    visual: np.ndarray
    audio: np.ndarray


@dataclasses.dataclass(frozen=True)
class VideoSeconds:
    """Embeddings of the seconds of a video; row i is of the second that starts at i.

    Attributes:
      id: of the video, bytes.
      visual: unit vectors `[seconds, dim]`.
      audio: unit vectors `[seconds, dim]`.
    """

    id: bytes
    visual: np.ndarray
    audio: np.ndarray


def join(parts: list[Embedded]) -> Embedded:
    """One set out of several; label rows are padded to the longest."""
    width = max((part.labels.shape[1] for part in parts), default=0)
    labels = [
        np.pad(p.labels, [(0, 0), (0, width - p.labels.shape[1])], constant_values=-1)
        for p in parts
    ]
    columns = {name: [getattr(p, name) for p in parts] for name in ("ids", "visual", "audio")}
    return Embedded(
        labels=np.concatenate(labels),
        **{name: np.concatenate(values) for name, values in columns.items()},
    )
