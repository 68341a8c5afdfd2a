"""Makes the clip records of one output shard, and a manifest row for each clip.

Whatever is wrong with a file becomes a row; only what concerns all files, such as a full
disk, is an error.
"""

import contextlib
import dataclasses
import itertools
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from avc import clip_filters, encoding, flow, records
from avc.flow import FlowConfig
from avc.media import Clip, Cut, MediaConfig, MediaError, Source
from crossmodal import tfrecord
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import UserError

Read = Callable[[str, MediaConfig, Sequence[float | Cut] | None], Iterator[Source | Clip]]

# How the reasons of avc.media begin, and what the manifest calls them.
_STATUSES = {
    "empty file": "empty",
    "no audio": "no_audio",
    "no sound": "no_audio",
    "no video": "no_video",
    "no picture": "no_video",
    "picture of": "too_large",
    "cut off or damaged": "damaged",
    "its decoder": "crashed",
}


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """What clips are made of a file, and which are left out; saved with the data.

    Attributes:
      media: pictures, sound and length.
      audio_encoding: `flac` or `pcm16`.
      min_seconds: a shorter clip, or rest of a file, is left out.
      silence_dbfs: a clip is left out if its loudest tenth of a second is not louder; minus
        infinity keeps all.
      still_change: a clip is left out if its pictures do not differ more, in levels of 0 to
        255; -1 keeps all.
      drop_duplicate_audio: of clips with the same samples only the first is kept.
      flow: how optical flow between their pictures is computed and stored; None for none.

    Raises:
      ConfigurationError: a value is out of range.
    """

    media: MediaConfig = dataclasses.field(default_factory=MediaConfig)
    audio_encoding: str = "flac"
    min_seconds: float = 0.95
    silence_dbfs: float = -math.inf
    still_change: float = -1.0
    drop_duplicate_audio: bool = False
    flow: FlowConfig | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        check_choice("audio_encoding", self.audio_encoding, records.AUDIO_ENCODINGS)
        check_range("min_seconds", self.min_seconds, 0, self.media.clip_seconds)
        check_range("silence_dbfs", self.silence_dbfs, -math.inf, 0)
        check_range("still_change", self.still_change, -1, 255)

    def settings(self) -> dict:
        """The same as JSON values, on one level."""
        values = dataclasses.asdict(self)
        if math.isinf(self.silence_dbfs):
            values["silence_dbfs"] = None
        # Clips without flow are what they were before there was any.
        about_flow = self.flow.settings() if self.flow else {}
        del values["flow"]
        return {**values.pop("media"), **values, **about_flow}


def write_shard(
    sources: Sequence[dict],
    config: ClipConfig,
    output: str,
    read: Read,
    tell: Callable[[int], None] = lambda done: None,
) -> tuple[int, list[dict]]:
    """Writes the clips of some files into one shard, whole or not at all.

    Args:
      sources: the files, in this order; see `clip_planning.Video.source`.
      config: how.
      output: the shard. If no clip is written there is none: an empty file would be a bad
        one to every reader.
      read: decodes a file: gives its `Source`, then its clips.
      tell: is told how many files are done.

    Returns:
      The number of records, and rows of the manifest for all clips.

    Raises:
      UserError: the shard cannot be written.
    """
    rows: list[dict] = []

    def payloads() -> Iterator[bytes]:
        written = 0
        for done, source in enumerate(sources):
            for row, payload in _convert_file(source, config, read):
                if payload is not None:
                    row["record"] = written
                    written += 1
                rows.append(row)
                if payload is not None:
                    yield payload
            tell(done + 1)

    made = payloads()
    first = next(made, None)
    if first is None:
        return 0, rows
    return tfrecord.write_records(output, itertools.chain([first], made)), rows


def _convert_file(
    source: dict, config: ClipConfig, read: Read
) -> Iterator[tuple[dict, bytes | None]]:
    """Yields a manifest row and, if it is to be written, a record for each clip."""
    about = {"file": source["file"], "video": source["video"]}
    wanted = source["starts"]
    number = 0
    try:
        with local_file(source["path"]) as path:
            starts = None if wanted is None else [_cut(*each) for each in wanted]
            answers = read(path, config.media, starts)
            found = next(answers)
            about |= {
                "width": found.width,
                "height": found.height,
                "frames_per_second": found.frames_per_second,
                "sample_rate_hz": found.sample_rate_hz,
                "channels": found.channels,
            }
            for clip in answers:
                labels = source["labels"] if wanted is None else wanted[number][1]
                name = _clip_name(clip, starts and starts[number], source)
                number += 1
                yield _convert_clip(clip, {**about, "id": name}, labels, config)
    except MediaError as error:
        row = {**about, "status": _status(error.reason), "reason": error.reason}
        for start, labels, *_ in [] if wanted is None else wanted[number:]:
            yield {**row, "start_seconds": start, "labels": labels}, None
        if wanted is None or number == len(wanted):
            yield row, None
    else:
        if not number:
            yield {**about, "status": "too_short", "reason": "holds no clip"}, None


def _cut(start: float, labels: list[str], *rest: float | None) -> float | Cut:
    del labels
    return Cut(start, *rest) if rest else start


def _clip_name(clip: Clip, cut: float | Cut | None, source: dict) -> str:
    """The clip's id; several may begin at one time and differ in length or picture."""
    start = round(1000 * (source["offset_seconds"] + clip.start_seconds))
    name = f"{source['video']}_{start:09}"
    if isinstance(cut, Cut):
        for mark, value in (("s", cut.seconds), ("f", cut.frame_seconds)):
            name += "" if value is None else f"_{mark}{round(1000 * value):06}"
    return name


def _convert_clip(
    clip: Clip, about: dict, labels: list[str], config: ClipConfig
) -> tuple[dict, bytes | None]:
    seconds = len(clip.samples) / clip.sample_rate_hz
    row = {
        **about,
        "start_seconds": clip.start_seconds,
        "seconds": seconds,
        "labels": labels,
    }
    status, reason = _judge(clip, seconds, config)
    row |= {"status": status, "reason": reason}
    if status != "written":
        return row, None
    if config.drop_duplicate_audio:
        row["digest"] = clip_filters.digest(clip.samples)
    flac = config.audio_encoding == "flac"
    audio = (
        encoding.encode_flac(clip.samples, clip.sample_rate_hz)
        if flac
        else clip.samples.astype("<i2").tobytes()
    )
    values = {
        "id": row["id"],
        "video": row["video"],
        "file": row["file"],
        "labels": labels,
        "start_seconds": [clip.start_seconds],
        "frames": clip.frames,
        "frame_seconds": clip.frame_seconds,
        "audio": audio,
        "sample_rate_hz": [clip.sample_rate_hz],
        "num_samples": [len(clip.samples)],
    }
    if config.flow:
        values["flow"] = flow.encode_flows(clip.frames, config.flow)
        values["flow_reach"] = [config.flow.reach]
    return row, records.clip(config.audio_encoding).serialize(values)


def _judge(clip: Clip, seconds: float, config: ClipConfig) -> tuple[str, str]:
    """Status and reason of a clip."""
    if not len(clip.samples) or not clip.frames:
        return "too_short", "begins after the end of the file"
    if seconds < config.min_seconds:
        return "too_short", f"{seconds:.3f} s, less than {config.min_seconds:g} s"
    if config.silence_dbfs > -math.inf:
        level = clip_filters.loudest_dbfs(clip.samples, clip.sample_rate_hz)
        if level <= config.silence_dbfs:
            return "silent", f"{level:.1f} dBFS at its loudest"
    if config.still_change >= 0:
        change = clip_filters.largest_change(clip.frames)
        if change <= config.still_change:
            return "still", f"its pictures differ by {change:.2f} levels at most"
    return "written", ""


def _status(reason: str) -> str:
    known = (status for start, status in _STATUSES.items() if reason.startswith(start))
    return next(known, "unreadable")


@contextlib.contextmanager
def local_file(path: str) -> Iterator[str]:
    """A name under which native code can open a file; a copy if it is on another system.

    Raises:
      MediaError: the file cannot be copied.
    """
    if "://" not in path:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, path.rpartition("/")[2])
        try:
            tf.io.gfile.copy(path, copy)
        except tf.errors.OpError as error:
            raise MediaError(path, error.message) from error
        yield copy


def remove_records(path: str, output: str, indices: set[int]) -> int:
    """Writes a shard anew without some of its records; returns how many are left.

    Raises:
      UserError: it cannot be read or written.
    """
    try:
        payloads = tf.data.TFRecordDataset(path).as_numpy_iterator()
        kept = (payload for index, payload in enumerate(payloads) if index not in indices)
        first = next(kept, None)
        if first is None:
            return 0
        return tfrecord.write_records(output, itertools.chain([first], kept))
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
