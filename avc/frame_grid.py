"""Which picture of a video is shown at each time of a regular grid."""

import math
from collections.abc import Iterator
from fractions import Fraction

import av

from avc.media_files import TimedFrame


class FrameGrid:
    """Goes through a video once and picks what is shown at the times of a grid.

    At time t that is the latest picture that begins at or before t; a picture that begins
    at most `tolerance` after t counts, for time stamps are rounded. The last one is shown
    until it ends.
    """

    def __init__(self, frames: Iterator[TimedFrame], step: Fraction, tolerance: Fraction) -> None:
        """Starts before the first frame.

        Args:
          frames: pictures in order, times in seconds; one that does not begin after its
            predecessor is left out.
          step: seconds between two times of the grid.
          tolerance: seconds.
        """
        self.step = step
        self.tolerance = tolerance
        self._frames = frames
        self._shown: TimedFrame | None = None
        self._next = next(frames, None)

    @property
    def end(self) -> Fraction | None:
        """When the last picture ends; None until it is known to be the last."""
        if self._next is not None:
            return None
        return self._shown.end if self._shown else Fraction(0)

    @property
    def shown(self) -> TimedFrame | None:
        """What is shown at the last time that was asked for."""
        return self._shown

    def read(self, start: Fraction, stop: Fraction) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yields each picture once, with the first step at which it is shown.

        Args:
          start: time of step 0, not before what was read already.
          stop: only steps before this time count.
        """
        given = None
        for step in range(max(0, math.ceil((stop - start) / self.step))):
            time = start + step * self.step
            while self._next is not None and self._next.begin <= time + self.tolerance:
                self._advance()
            if self.end is not None and self.end <= time:
                return
            if self._shown is not None and self._shown is not given:
                given = self._shown
                yield step, given.frame

    def _advance(self) -> None:
        self._shown = self._next
        for frame in self._frames:
            if frame.begin > self._shown.begin:
                self._next = frame
                return
        self._next = None
