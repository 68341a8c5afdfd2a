"""Stretches of sound put one after the other, with cross-fades of equal power.

Where two stretches overlap, the first is weighted by the cosine and the second by the sine of
the same rising angle: the sum of their squares is 1, as suits sounds that have nothing to do
with each other. Nothing begins or ends abruptly, so nothing clicks.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

# A sound that begins or ends without another one is faded over so long.
EDGE_SECONDS = 0.01


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of sound in its place.

    Attributes:
      samples: float32 [channels, n], with what is needed for the fades.
      begin: where its first sample stands in the result; may be negative.
      seam: where it takes over from its predecessor.
    """

    samples: np.ndarray
    begin: int
    seam: int

    @property
    def end(self) -> int:
        """The place after its last sample."""
        return self.begin + self.samples.shape[1]


def mix(
    pieces: Sequence[Piece], num_samples: int, fade_samples: int, edge_samples: int
) -> np.ndarray:
    """Puts pieces together.

    Two pieces are cross-faded where they overlap, which should be `fade_samples` around the
    seam. Where they hardly do, since a source has no more sound, the one fades out before the
    seam and the other in after it.

    Args:
      pieces: in order, of one number of channels or mono among stereo.
      num_samples: of the result.
      fade_samples: length of a cross-fade.
      edge_samples: of the fades at the beginning and the end.

    Returns:
      float32 [channels, num_samples] in [-1, 1]: scaled down as a whole if the sum would clip.
    """
    channels = max(piece.samples.shape[0] for piece in pieces)
    result = np.zeros((channels, num_samples), np.float32)
    rises, falls = _fades(pieces, num_samples, fade_samples, edge_samples)
    for piece, rise, fall in zip(pieces, rises, falls, strict=True):
        first, last = max(rise[0], piece.begin, 0), min(fall[1], piece.end, num_samples)
        if first >= last:
            continue
        places = np.arange(first, last)
        gain = np.sin(_angle(places, rise)) * np.cos(_angle(places, fall))
        samples = piece.samples[:, first - piece.begin : last - piece.begin]
        result[:, first:last] += samples * gain.astype(np.float32)
    return result / max(1.0, float(np.abs(result).max(initial=0)))


def loop(samples: np.ndarray, num_samples: int, fade_samples: int) -> list[Piece]:
    """Repeats a stretch with cross-fades until it is long enough.

    Args:
      samples: float32 [channels, n].
      num_samples: to be filled; where no more than a fade is missing, nothing is repeated.
      fade_samples: by which the repetitions overlap; at most half of the stretch.
    """
    if num_samples - samples.shape[1] <= fade_samples:
        return [Piece(samples, 0, 0)]
    fade = min(fade_samples, samples.shape[1] // 2)
    period = samples.shape[1] - fade
    number = max(1, math.ceil((num_samples - fade) / period))
    return [Piece(samples, i * period, i * period + (fade // 2 if i else 0))
            for i in range(number)]


def _fades(
    pieces: Sequence[Piece], num_samples: int, fade: int, edge: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where each piece fades in and where it fades out, from and to."""
    first, last = pieces[0], min(pieces[-1].end, num_samples)
    begin = max(first.begin, 0)
    rises, falls = [(begin, begin + edge)], []
    for piece, following in itertools.pairwise(pieces):
        if piece.end - following.begin >= max(1, min(edge, fade)):
            falls.append((following.begin, piece.end))
            rises.append((following.begin, piece.end))
        else:
            end, start = min(piece.end, following.seam), max(following.begin, following.seam)
            falls.append((end - fade // 2, end))
            rises.append((start, start + fade // 2))
    return rises, [*falls, (last - edge, last)]


def _angle(places: np.ndarray, fade: tuple[int, int]) -> np.ndarray:
    """From 0 before a fade to a right angle after it."""
    share = (places + 0.5 - fade[0]) / max(fade[1] - fade[0], 1)
    return np.clip(share, 0, 1) * (np.pi / 2)
