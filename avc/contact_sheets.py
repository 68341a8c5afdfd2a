"""Contact sheets of clips, scenes and training pairs: data to look at before it is trained on."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from avc.augmentation import adjust_colours, adjust_loudness
from avc.spectrogram import LogSpectrogram
from crossmodal.pictures import Box, Panel
from crossmodal.reading import Records, parsed_blocks

MATCH, MISMATCH, SOUNDS, SILENT = "darkgreen", "firebrick", "red", "white"


def clip_panels(records: Records, number: int) -> list[Panel]:
    """For each of the first clips the picture that is shown at its middle.

    Objects of scenes are boxed, red while they sound and white while they do not.
    """
    panels = []
    for row in first_rows(records, number):
        seconds = float(row["num_samples"][0] / row["sample_rate_hz"][0] / 2)
        shown = max(0, int(np.searchsorted(row["frame_seconds"], seconds, side="right")) - 1)
        picture = tf.io.decode_jpeg(row["frames"][shown], channels=3).numpy()
        caption = f"{short(row['id'])}\nat {seconds:.2f} s: {heard(row, seconds)}"
        panels.append(Panel(picture, caption, scene_boxes(row, seconds)))
    return panels


def short(name: bytes, most: int = 28) -> str:
    """A name that fits over a panel: the end tells clips of a video apart."""
    text = name.decode()
    return text if len(text) <= most else "…" + text[1 - most :]


def first_rows(records: Records, number: int) -> Iterator[dict[str, Any]]:
    """The first records in file order, without padding."""
    left = number
    for block in parsed_blocks(records):
        for row in records.schema.rows(block):
            if not left:
                return
            yield row
            left -= 1


def sounding(row: Mapping[str, Any], seconds: float) -> list[int]:
    """Which events of a scene are heard at a time."""
    if "event_labels" not in row:
        return []
    spans = zip(row["event_start_seconds"], row["event_end_seconds"], strict=True)
    return [i for i, (start, end) in enumerate(spans) if start <= seconds < end]


def heard(row: Mapping[str, Any], seconds: float) -> str:
    """What a scene sounds like at a time; of other clips the labels."""
    if "event_labels" not in row:
        return ", ".join(label.decode() for label in row["labels"]) or "no labels"
    labels = [row["event_labels"][i].decode() for i in sounding(row, seconds)]
    return " + ".join(labels) or "silence"


def scene_boxes(row: Mapping[str, Any], seconds: float) -> tuple[Box, ...]:
    """The boxes of a scene's objects."""
    if "object_labels" not in row:
        return ()
    loud = {int(row["event_objects"][i]) for i in sounding(row, seconds)}
    sides = [row[f"object_{side}"] for side in ("left", "top", "right", "bottom")]
    return tuple(
        Box(*(float(side[i]) for side in sides), label.decode(), SOUNDS if i in loud else SILENT)
        for i, label in enumerate(row["object_labels"])
    )


def pair_panels(batch: Mapping[str, np.ndarray]) -> list[Panel]:
    """Two panels a pair of a training batch: the frame as the network sees it, and its sound.

    Args:
      batch: as `avc.pairs.combine` gives it, as arrays.
    """
    frames = adjust_colours(batch["frame"], batch["brightness"], batch["saturation"])
    spectra = LogSpectrogram()(adjust_loudness(batch["waveform"], batch["gain"]))
    panels = []
    for i, (frame, spectrum) in enumerate(zip(np.array(frames), np.array(spectra), strict=True)):
        match = "label" not in batch or bool(batch["label"][i])
        color = MATCH if match else MISMATCH
        source = batch["id"][int(batch["audio_row"][i])] if "audio_row" in batch else batch["id"][i]
        seen = f"{short(batch['id'][i])}\nframe at {batch['frame_seconds'][i]:.2f} s"
        start = float(batch["audio_start_seconds"][i])
        sound = f"{'match' if match else 'MISMATCH'}: {short(source)}\nsound from {start:.2f} s"
        panels += [Panel(frame, seen, color=color), Panel(spectrum[::-1, :, 0], sound, color=color)]
    return panels
