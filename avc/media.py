"""Videos as clips: JPEG frames on a regular grid and the sound of the same seconds.

A file's time zero is its first picture; sound that begins later is preceded by zeros, and
sound from before is left out. A file lasts as long as both its picture and its sound: where
one ends first, the rest of the other is left out, so every frame of a clip has its sound.
"""

from collections.abc import Iterator, Sequence

from avc import pictures
from avc.clip_reader import ClipReader, first_of, open_tracks, pixel_aspect
from avc.clips import Clip, Cut, MediaConfig, Source
from avc.media_files import MediaError

__all__ = ["Clip", "Cut", "MediaConfig", "MediaError", "Source", "probe", "read_clips"]


def probe(path: str, config: MediaConfig | None = None) -> Source:
    """Looks at a file's headers and its first picture and sound.

    Raises:
      MediaError: clips cannot be made of it.
    """
    config = config or MediaConfig()
    video, audio = open_tracks(path, config)
    try:
        picture = first_of(video.frames(), path, "picture")
        sound = first_of(audio.frames(), path, "sound")
        durations = [d for d in (video.duration(), audio.duration()) if d is not None]
        width, height = pictures.shown_size(picture.frame, pixel_aspect(video))
        return Source(
            path=path,
            duration_seconds=float(min(durations)) if durations else None,
            frames_per_second=float(video.stream.average_rate or 0),
            width=width,
            height=height,
            sample_rate_hz=sound.frame.sample_rate,
            channels=sound.frame.layout.nb_channels,
        )
    finally:
        video.close()
        audio.close()


def read_clips(
    path: str, config: MediaConfig, starts: Sequence[float | Cut] | None = None
) -> Iterator[Clip]:
    """Cuts a file into clips; memory is bounded by one of them.

    Args:
      path: a file on a local disk, of any container and codec that FFmpeg decodes.
      config: how.
      starts: seconds at which clips begin, or clips of which more is said; None cuts the
        whole file into consecutive clips.

    Yields:
      Clips in order, or one for each of `starts`, in their order. The last of a file is as
      short as it turns out; one that begins after the end is empty.

    Raises:
      MediaError: nothing can be read, or not all: then all clips that could be read, the
        incomplete last one too, have been yielded before.
    """
    reader = ClipReader(path, config)
    try:
        if starts is None:
            yield from reader.consecutive()
        else:
            yield from reader.beginning_at(starts)
    finally:
        reader.close()
    if reader.damaged_at is not None:
        raise MediaError(path, f"cut off or damaged after {float(reader.damaged_at):.1f} s")
