"""Mel filter banks: what each frequency of a spectrum counts in each band."""

import numpy as np

SCALES = ("htk", "slaney")
# Slaney's scale is linear up to 1 kHz, 3 mels for 200 Hz, and 27 steps for a factor of 6.4
# above it.
_KNEE_HZ, _HZ_PER_MEL, _STEP = 1000.0, 200 / 3, np.log(6.4) / 27


def filter_bank(
    bins_hz: np.ndarray, bands: int, lowest_hz: float, highest_hz: float, scale: str
) -> np.ndarray:
    """What each bin counts in each band, float64 `[bins, bands]`.

    Band edges are equally far apart on the scale; a band is a triangle that falls to 0 at the
    middles of its neighbours.

    Args:
      bins_hz: of the spectrum, `[bins]`.
      bands: how many.
      lowest_hz, highest_hz: where the first begins and the last one ends.
      scale: `htk`: 2595 log10(1 + f / 700), triangles on this scale of height 1, as
        `tfio.audio.melscale` has them; `slaney`: linear below 1 kHz, triangles in Hz of area
        1, as `librosa.filters.mel` has them unless told otherwise.
    """
    to_mel = hertz_to_mel if scale == "htk" else hertz_to_slaney
    edges = np.linspace(*to_mel(np.array([lowest_hz, highest_hz])), bands + 2)
    if scale == "htk":
        step = edges[1] - edges[0]
        return np.maximum(0, 1 - np.abs(to_mel(bins_hz)[:, None] - edges[1:-1]) / step)
    edges = slaney_to_hertz(edges)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    frequency = bins_hz[:, None]
    rising, falling = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low)


def hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """The formula of HTK."""
    return 2595 * np.log10(1 + hertz / 700)


def hertz_to_slaney(hertz: np.ndarray) -> np.ndarray:
    """The scale of Slaney's Auditory Toolbox."""
    above = np.log(np.maximum(hertz, _KNEE_HZ) / _KNEE_HZ) / _STEP
    return np.minimum(hertz, _KNEE_HZ) / _HZ_PER_MEL + above


def slaney_to_hertz(mel: np.ndarray) -> np.ndarray:
    """Back from `hertz_to_slaney`."""
    knee = _KNEE_HZ / _HZ_PER_MEL
    return np.minimum(mel, knee) * _HZ_PER_MEL * np.exp(_STEP * np.maximum(mel - knee, 0))
