"""Normalised features of records as arrays and moments: what CCA is fitted on."""

from collections.abc import Iterable, Iterator

import numpy as np

from crossmodal.cca import Moments
from crossmodal.reading import Records, parsed_blocks
from yt8m_embed.records import dequantize_array


def normalized_blocks(
    records: Records, normalization: str = "per_modality"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Visual `[n, 1024]` and audio `[n, 128]` features block by block, float32.

    Frame-level records are pooled by the mean of their dequantised frames.

    Args:
      records: what to read.
      normalization: `per_modality` (each row divided by its norm) or `none`.
    """
    for block in parsed_blocks(records):
        if "rgb" in block:
            pair = [pool(block[name], block["num_frames"]) for name in ("rgb", "audio")]
        else:
            pair = [block["mean_rgb"], block["mean_audio"]]
        if normalization == "per_modality":
            pair = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6) for x in pair]
        yield tuple(pair)


def pool(quantized: np.ndarray, num_frames: np.ndarray) -> np.ndarray:
    """Mean of the dequantised frames of each video: `[n, time, size]` to `[n, size]`."""
    inside = np.arange(quantized.shape[1])[None, :] < num_frames[:, None]
    values = dequantize_array(quantized) * inside[..., None]
    return (values.sum(axis=1) / np.maximum(num_frames, 1)[:, None]).astype(np.float32)


def stack(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Joins blocks to two arrays."""
    visual, audio = zip(*parts, strict=True)
    return np.concatenate(visual), np.concatenate(audio)


def gather_moments(records: Records, normalization: str = "per_modality") -> Moments:
    """First and second moments of the normalised features, in one pass."""
    moments = Moments()
    for visual, audio in normalized_blocks(records, normalization):
        moments.add(visual, audio)
    return moments
