"""Opening media files and decoding one stream, whatever the file turns out to be.

FFmpeg, through PyAV, reads every container. What it cannot use is a `MediaError` with a
reason; what is damaged is decoded as far as it goes. Times are exact fractions of a second.
"""

import math
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av

from crossmodal.errors import UserError

# Without playlists, which would make a file named .mp4 read other files.
CONTAINERS = (
    "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,nut,rm,dv,wtv,m4v,h264,hevc,"
    "ivf,y4m,mjpeg,gif,mp3,wav,w64,flac,aac,ac3,aiff,au,caf,amr"
)
# A file may claim more than it holds by this much before it counts as cut off.
_SHORTFALL = Fraction(1)
# A time stamp that leaps further than this is wrong: no hours of nothing are made from it.
_LONGEST_PAUSE = Fraction(600)
_BEGINNINGS = (b"\x1aE\xdf\xa3", b"RIFF", b"\x00\x00\x01\xba", b"OggS", b"FLV", b"0&\xb2u")


class MediaError(UserError):
    """A file cannot be used, or not to its end.

    Attributes:
      path: the file.
      reason: why, as a short clause.
    """

    def __init__(self, path: str, reason: str) -> None:
        """Keeps both; the message is `path: reason`."""
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        """The file and the reason, in one line."""
        return f"{self.path}: {self.reason}"


class TimedFrame(NamedTuple):
    """A decoded frame and when it begins and ends, in seconds of the file's clock."""

    begin: Fraction
    end: Fraction
    frame: av.VideoFrame | av.AudioFrame


class Track:
    """One stream of an open file, decoded by one thread.

    Attributes:
      path: the file.
      container, stream: PyAV's.
      damaged_at: when the first loss was, in seconds of the file's clock; None so far.
    """

    def __init__(self, path: str, kind: str, max_pixels: int) -> None:
        """Opens a file of its own, so that each stream is read at its own pace.

        Args:
          path: a file on a local disk.
          kind: `video` or `audio`.
          max_pixels: largest picture, checked before anything is decoded.

        Raises:
          MediaError: there is no such stream, or it cannot be decoded.
        """
        self.path = path
        self.container = _open(path, max_pixels)
        try:
            self.stream = self._choose(kind, max_pixels)
        except BaseException:
            self.container.close()
            raise
        self.damaged_at: Fraction | None = None

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def _choose(self, kind: str, max_pixels: int) -> av.stream.Stream:
        """Picks the stream a player would, and sets its decoder up."""
        pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
        streams = [s for s in self.container.streams if s.type == kind]
        streams = [s for s in streams if not s.disposition & pictures]
        if not streams:
            raise MediaError(self.path, f"no {kind} stream")
        best = self.container.streams.best(kind)
        stream = best if best in streams else streams[0]
        if stream.codec_context is None:
            raise MediaError(self.path, f"no decoder for its {kind} stream")
        if kind == "video":
            width, height = stream.codec_context.width, stream.codec_context.height
            if not width * height:
                width, height = _claimed_size(self.path, max_pixels)
            if width * height > max_pixels:
                size = f"{width} x {height}"
                raise MediaError(self.path, f"picture of {size} is larger than {max_pixels} pixels")
            stream.codec_context.options = {"max_pixels": str(max_pixels)}
        stream.thread_count = 1
        for other in self.container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        return stream

    def seek(self, time: Fraction) -> bool:
        """Goes to a place before `time`, in seconds of the file's clock, if it can."""
        try:
            self.container.seek(math.floor(time * av.time_base))
        except (av.FFmpegError, OverflowError):
            return False
        return True

    def frames(self) -> Iterator[TimedFrame]:
        """What can be decoded, from where the file stands to its end.

        Packets that cannot be decoded and pictures that are known to be wrong are left out.
        A frame without time stamp follows its predecessor.
        """
        end = None
        for frame in self._decoded():
            if frame is None:
                # Before the first frame nothing is missing: there the track begins.
                if self.damaged_at is None:
                    self.damaged_at = end
                continue
            begin = (end or Fraction(0)) if frame.pts is None else frame.pts * frame.time_base
            if end is not None and begin - end > _LONGEST_PAUSE:
                self.damaged_at = end if self.damaged_at is None else self.damaged_at
                return
            if isinstance(frame, av.AudioFrame):
                end = begin + Fraction(frame.samples, frame.sample_rate)
            else:
                rate = self.stream.average_rate or self.stream.guessed_rate
                seconds = frame.duration * frame.time_base if frame.duration else 1 / (rate or 25)
                end = begin + seconds
            yield TimedFrame(begin, end, frame)

    def _decoded(self) -> Iterator[av.frame.Frame | None]:
        """Yields frames, and None for each loss."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                # What the decoder still holds can be had.
                yield None
                packet, packets = av.Packet(), iter(())
                packet.stream = self.stream
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except av.error.EOFError:
                return
            except (av.FFmpegError, MemoryError):
                decoded = [None]
            for frame in decoded:
                yield None if frame is None or frame.is_corrupt else frame

    def duration(self) -> Fraction | None:
        """Length in seconds as the file says; None where it does not."""
        if self.stream.duration:
            return self.stream.duration * self.stream.time_base
        kinds = {stream.type for stream in self.container.streams}
        if self.container.duration and self.container.duration > 0 and kinds <= {"audio", "video"}:
            return Fraction(self.container.duration, av.time_base)
        return None

    def ends_early(self, length: Fraction) -> bool:
        """Whether `length` seconds are less than the file promised."""
        promised = self.duration()
        return promised is not None and length + _SHORTFALL < promised


def _open(path: str, max_pixels: int) -> av.container.InputContainer:
    if os.path.isdir(path):
        raise MediaError(path, "a folder, not a file")
    if not os.path.exists(path):
        raise MediaError(path, "no such file")
    if not os.path.isfile(path):
        raise MediaError(path, "not a regular file")
    if not os.path.getsize(path):
        raise MediaError(path, "empty file")
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        # With its protocol, a name such as `12:30.mp4` is still a file.
        name = f"file:{os.path.abspath(path)}"
        return av.open(
            name,
            options={"max_pixels": str(max_pixels)},
            container_options=limits,
            metadata_errors="replace",
        )
    except (PermissionError, IsADirectoryError) as error:
        raise MediaError(path, error.strerror.lower()) from error
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise MediaError(path, _why_unreadable(path)) from error


def _claimed_size(path: str, max_pixels: int) -> tuple[int, int]:
    """Width and height that FFmpeg will not hear of: it tells them in its log alone."""
    level, once = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as lines:
            _open(path, max_pixels).close()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(once)
    sizes = [re.search(r"Picture size (\d+)x(\d+)", line) for _, _, line in lines]
    return max(((int(size[1]), int(size[2])) for size in sizes if size), default=(0, 0))


def _why_unreadable(path: str) -> str:
    with open(path, "rb") as file:
        start = file.read(12)
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide") or start.startswith(_BEGINNINGS):
        return "cut off or damaged: it has no readable index"
    return "not a video file"
