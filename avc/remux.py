"""A video's pictures as they are, with another sound, as an mp4 file.

The coded pictures are copied where mp4 and its players take them; where not, they are coded
anew as H.264. Sound becomes AAC. Both begin at the file's first picture.
"""

import dataclasses
import itertools
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

from avc import pictures
from avc.clip_reader import first_of, pixel_aspect
from avc.clips import MediaConfig
from avc.media_files import MediaError, Track
from avc.video_writer import LAYOUTS, VideoWriter, audio_frame

COPIED_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
_COPIED_CONTAINERS = ("mov", "matroska", "mp4", "webm")
_BIT_RATE = 96_000  # of a channel
_USUAL_RATE = 25
# Sound is written so far ahead of the pictures, that both lie side by side in the file.
_AHEAD = Fraction(1, 2)
Tell = Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What a file's pictures are.

    Attributes:
      path: the file.
      seconds: from the first picture to the end of the last.
      codec: its name.
      recoded_because: why they cannot be copied; empty if they can.
      first_stamp: the first picture's time stamp, in units of the stream.
      decoding_stamps: when pictures are decoded, in the order of the file, where the file does
        not say; else empty.
    """

    path: str
    seconds: Fraction
    codec: str
    recoded_because: str = ""
    first_stamp: int = 0
    decoding_stamps: tuple[int, ...] = ()


def look(path: str) -> Pictures:
    """Goes through a file's pictures, decoding them only where they cannot be copied.

    Raises:
      MediaError: it has none, or is damaged.
    """
    track = Track(path, "video", MediaConfig().max_pixels)
    try:
        codec = track.stream.codec_context.name
        reason = _why_not(track)
        if not reason:
            first, end, stamps, reason = _extent(track)
            if not reason:
                seconds = (end - first) * track.stream.time_base
                return Pictures(path, seconds, codec, "", first, stamps)
    finally:
        track.close()
    track = Track(path, "video", MediaConfig().max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, path, "picture")
        end = first.end
        for timed in frames:
            end = max(end, timed.end)
        if track.damaged_at is not None:
            at = float(max(track.damaged_at - first.begin, 0))
            raise MediaError(path, f"cut off or damaged after {at:.1f} s")
        return Pictures(path, end - first.begin, codec, reason)
    finally:
        track.close()


def write(
    shown: Pictures, output: str, sound: np.ndarray, sample_rate_hz: int,
    tell: Tell = lambda seconds: None,
) -> None:
    """Writes the pictures with a sound.

    Args:
      shown: what `look` found.
      output: the mp4 file, on a local disk.
      sound: float32 [channels, n] in [-1, 1], one channel or two.
      sample_rate_hz: of the sound.
      tell: called with the seconds done.
    """
    samples = as_int16(sound)
    if shown.recoded_because:
        _recode(shown, output, samples, sample_rate_hz, tell)
    else:
        _copy(shown, output, samples, sample_rate_hz, tell)


def as_int16(sound: np.ndarray) -> np.ndarray:
    """Samples of [-1, 1] as int16."""
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)


def _copy(
    shown: Pictures, output: str, samples: np.ndarray, sample_rate_hz: int, tell: Tell
) -> None:
    track = Track(shown.path, "video", MediaConfig().max_pixels)
    origin = shown.first_stamp
    layout = LAYOUTS[len(samples)]
    try:
        with av.open(output, "w", format="mp4") as container:
            video = container.add_stream_from_template(track.stream)
            audio = container.add_stream("aac", rate=sample_rate_hz, layout=layout)
            audio.bit_rate = _BIT_RATE * len(samples)
            done = 0
            packets = (p for p in track.container.demux(track.stream) if p.size)
            for number, packet in enumerate(packets):
                if shown.decoding_stamps:
                    packet.dts = shown.decoding_stamps[number]
                seconds = (packet.pts - origin) * packet.time_base
                due = min(round((seconds + _AHEAD) * sample_rate_hz), samples.shape[1])
                if due > done:
                    frame = audio_frame(samples[:, done:due], layout, sample_rate_hz, done)
                    container.mux(audio.encode(frame))
                    done = due
                packet.pts -= origin
                packet.dts -= origin
                packet.stream = video
                container.mux(packet)
                tell(float(seconds))
            if done < samples.shape[1]:
                frame = audio_frame(samples[:, done:], layout, sample_rate_hz, done)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    finally:
        track.close()


def _recode(
    shown: Pictures, output: str, samples: np.ndarray, sample_rate_hz: int, tell: Tell
) -> None:
    track = Track(shown.path, "video", MediaConfig().max_pixels)
    try:
        frames = track.frames()
        first = first_of(frames, shown.path, "picture")
        aspect = pixel_aspect(track)
        side = min(pictures.shown_size(first.frame, aspect))
        encoder = pictures.PictureEncoder(max(2, side // 2 * 2), 90)
        rate = float(track.stream.average_rate or _USUAL_RATE)
        done = 0
        with VideoWriter(output, rate, sample_rate_hz, len(samples)) as writer:
            for timed in itertools.chain([first], frames):
                seconds = timed.begin - first.begin
                rgb = encoder.rgb(timed.frame, aspect)
                upright = pictures.upright(rgb, pictures.display_matrix(timed.frame))
                writer.add_picture(upright, float(seconds), float(timed.end - timed.begin))
                due = min(round((seconds + _AHEAD) * sample_rate_hz), samples.shape[1])
                writer.add_sound(samples[:, done : max(due, done)])
                done = max(due, done)
                tell(float(seconds))
            writer.add_sound(samples[:, done:])
    finally:
        track.close()


def _why_not(track: Track) -> str:
    codec = track.stream.codec_context.name
    if codec not in COPIED_CODECS:
        return f"an mp4 file with {codec} is played by few"
    held = track.container.format.name.split(",")
    if not set(held) & set(_COPIED_CONTAINERS):
        return f"the time stamps of {held[0]} files cannot be relied on"
    return ""


def _extent(track: Track) -> tuple[int, int, tuple[int, ...], str]:
    """Where the pictures lie, and why they cannot be copied.

    Returns:
      The first time stamp, the end of the last, `Pictures.decoding_stamps`, and the reason.
    """
    begin, end, decoded = [], [], []
    rate = track.stream.average_rate or track.stream.guessed_rate or _USUAL_RATE
    usual = round(1 / (rate * track.stream.time_base))
    try:
        for packet in track.container.demux(track.stream):
            if not packet.size:
                continue
            if packet.pts is None:
                return 0, 0, (), "some pictures have no time stamp"
            if packet.is_corrupt or packet.is_discard:
                return 0, 0, (), "some pictures are damaged or not to be shown"
            begin.append(packet.pts)
            end.append(packet.pts + (packet.duration or usual))
            decoded.append(packet.dts)
    except (av.FFmpegError, OSError):
        return 0, 0, (), "the file is damaged"
    if not begin:
        return 0, 0, (), "nothing is in it"
    stamps: tuple[int, ...] = ()
    if None in decoded:
        # In the order in which they are shown, so early that none is shown before it is decoded.
        order = sorted(begin)
        late = max(sort - shown for sort, shown in zip(order, begin, strict=True))
        decoded = [stamp - late for stamp in order]
        stamps = tuple(decoded)
    if any(two <= one for one, two in itertools.pairwise(decoded)):
        return 0, 0, (), "its time stamps go back"
    return min(begin), max(end), stamps, ""
