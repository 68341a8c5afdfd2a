"""Embeds the moments of a file as rows of an .npz file."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from avc import clip_moments
from avc.clip_sources import Row, Unit
from avc.embedding import TrainedNetwork
from avc.media_files import MediaError
from crossmodal import npz

# Rows that are decoded before they are embedded together.
ROWS = 64


def append_unit(
    network: TrainedNetwork,
    unit: Unit,
    read: Callable[[Unit], Iterator[Row]],
    modality: str,
    writer: npz.Writer,
    tell: Callable[[Unit, int, bool], None] = lambda unit, rows, finished: None,
) -> list[str]:
    """Embeds one file, in memory that does not grow with its length.

    Args:
      network: a trained one.
      unit: the file.
      read: its moments; it raises MediaError where it ends before its time.
      modality: `both`, `visual` or `audio`.
      writer: gets the rows.
      tell: called with the file, how many rows are new, and False: it is not finished.

    Returns:
      Why what is left out of it is left out.
    """
    left_out: list[str] = []
    rows = _readable(read, unit, left_out)
    while batch := list(itertools.islice(rows, ROWS)):
        # Pictures of one size go through the network at once.
        for _, alike in itertools.groupby(batch, lambda row: np.shape(row.frame)):
            writer.append(**embed_rows(network, list(alike), modality))
        tell(unit, len(batch), False)
    return left_out


def embed_rows(
    network: TrainedNetwork, rows: Sequence[Row], modality: str
) -> dict[str, np.ndarray]:
    """The arrays of some moments, whose pictures have one size."""
    found = {
        "ids": np.array([row.id for row in rows], "S"),
        "file": np.array([row.file for row in rows], "S"),
        "video": np.array([row.video for row in rows], "S"),
        "seconds": np.array([row.seconds for row in rows], np.float64),
    }
    if rows[0].labels is not None:
        found["labels"] = np.array([b";".join(row.labels) for row in rows], "S")
    frames = None if modality == "audio" else np.stack([row.frame for row in rows])
    waveforms, counts = np.stack([row.waveform for row in rows]), None
    if modality == "visual":
        return found | {"visual": network.embed_visual(frames)}
    if network.config.network.masks_sound:
        waveforms, counts = clip_moments.beginnings(waveforms, [row.inside for row in rows])
    if modality == "audio":
        return found | {"audio": network.embed_audio(waveforms, counts)}
    pair = network.compare(frames, waveforms, num_samples=counts)
    return found | {
        "visual": pair["visual_embedding"],
        "audio": pair["audio_embedding"],
        "corresponds": pair["corresponds"],
    }


def _readable(
    read: Callable[[Unit], Iterator[Row]], unit: Unit, left_out: list[str]
) -> Iterator[Row]:
    """What can be read; reasons for the rest go to `left_out`."""
    number = 0
    try:
        for row in read(unit):
            if row.problem:
                left_out.append(row.problem)
                continue
            number += 1
            yield row
    except MediaError as error:
        kept = "; what came before is embedded" if number else ""
        left_out.append(error.reason + kept)
        return
    if not number and not left_out:
        left_out.append("holds no moment")
