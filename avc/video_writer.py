"""Pictures with time stamps and sound as an mp4 file: H.264 and AAC."""

from fractions import Fraction
from types import TracebackType

import av
import numpy as np

# All usual frame rates divide it.
CLOCK_HZ = 90_000
QUALITY = "18"  # x264's constant rate factor: hardly to be told from the original
LAYOUTS = {1: "mono", 2: "stereo"}


def audio_frame(
    samples: np.ndarray, layout: str, sample_rate_hz: int, first: int
) -> av.AudioFrame:
    """Samples int16 `[n]` or `[channels, n]` as a frame that begins with sample `first`."""
    planes = np.ascontiguousarray(np.atleast_2d(samples))
    frame = av.AudioFrame.from_ndarray(planes, format="s16p", layout=layout)
    frame.sample_rate, frame.pts = sample_rate_hz, first
    frame.time_base = Fraction(1, sample_rate_hz)
    return frame


class VideoWriter:
    """Writes a file; a context manager, which closes it."""

    def __init__(
        self, path: str, frames_per_second: float, sample_rate_hz: int, channels: int = 1
    ) -> None:
        """Opens the file.

        Args:
          path: on the local file system.
          frames_per_second: about how many pictures there will be.
          sample_rate_hz: of the sound.
          channels: of the sound, one or two.
        """
        self._rate = Fraction(frames_per_second).limit_denominator(1001)
        self._container = av.open(path, "w", format="mp4")
        self._video = self._container.add_stream(
            "libx264", rate=self._rate, options={"crf": QUALITY}
        )
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, CLOCK_HZ)
        self._layout = LAYOUTS[channels]
        self._audio = self._container.add_stream("aac", rate=sample_rate_hz, layout=self._layout)
        self._samples = 0
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> "VideoWriter":
        """Returns itself."""
        return self

    def add_picture(
        self, picture: np.ndarray, seconds: float, duration_seconds: float | None = None
    ) -> None:
        """Adds uint8 `[height, width, 3]`, even numbers; later ones are scaled to the first's."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        if self._size is None:
            self._size = frame.width, frame.height
            self._video.width, self._video.height = self._size
        if (frame.width, frame.height) != self._size:
            frame = frame.reformat(width=self._size[0], height=self._size[1])
        frame.pts, frame.time_base = round(seconds * CLOCK_HZ), Fraction(1, CLOCK_HZ)
        frame.duration = round((duration_seconds or 1 / self._rate) * CLOCK_HZ)
        self._container.mux(self._video.encode(frame))

    def add_sound(self, samples: np.ndarray) -> None:
        """Adds int16 `[n]`, or `[channels, n]`, after what was added before."""
        if not samples.size:
            return
        frame = audio_frame(samples, self._layout, self._audio.rate, self._samples)
        self._samples += samples.shape[-1]
        self._container.mux(self._audio.encode(frame))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the streams, unless an error ended the block, and closes the file."""
        try:
            if kind is None and self._size is not None:
                self._container.mux(self._video.encode(None))
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()
