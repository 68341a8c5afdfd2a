"""Where moments to embed come from: media files, or shards of clip records."""

import dataclasses
import math
import os
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import tensorflow as tf

from avc import clip_moments, decoder
from avc.clip_files import InputFile
from avc.clip_moments import TimedPair
from avc.clip_shards import local_file
from avc.clips import Clip, MediaConfig, Source
from avc.encoding import decode_audio
from avc.media_files import MediaError
from crossmodal import shard_plan
from crossmodal.errors import UserError
from crossmodal.reading import Records, parsed_blocks

# Files are read in pieces of about so many seconds.
PIECE_SECONDS = 10
# The grid of the records, where moments are not on a coarser one.
MOST_FRAMES_PER_SECOND = 25


@dataclasses.dataclass(frozen=True)
class Unit:
    """A file whose work is kept as a whole.

    Attributes:
      name: of a file below the input folder, or the path of a shard.
      path: where it is.
      description: `path`, `bytes` and `modified`: another file has another one.
      problem: why it cannot be used, else "".
    """

    name: str
    path: str
    description: dict
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """A moment, or why there is none.

    Attributes:
      id: of the clip or file, and of the moment.
      file, video: names, UTF-8.
      labels: of the record; None of a file.
      seconds: from the file's beginning.
      frame: uint8 [height, width, 3]; None without pictures.
      waveform: int16 [samples].
      inside: which of these there are, see `avc.clip_moments`; None for all.
      problem: why this record is left out, else "".
    """

    id: bytes = b""
    file: bytes = b""
    video: bytes = b""
    labels: tuple[bytes, ...] | None = None
    seconds: float = 0.0
    frame: np.ndarray | None = None
    waveform: np.ndarray | None = None
    inside: tuple[int, int] | None = None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class MomentConfig:
    """What a network takes of a moment.

    Attributes:
      modality: `both`, `visual` or `audio`.
      middle: whether each record gives its middle alone.
      hop_seconds: from one moment to the next.
      shorter_side: pixels of the pictures of files.
      segment_samples, sample_rate_hz: of the sound.
    """

    modality: str
    middle: bool
    hop_seconds: float
    shorter_side: int
    segment_samples: int
    sample_rate_hz: int

    def media(self) -> MediaConfig:
        """How files are read: pictures as rarely as the moments need them."""
        hop = Fraction(self.hop_seconds).limit_denominator(10**6)
        half = Fraction(self.segment_samples, 2 * self.sample_rate_hz)
        step = Fraction(
            math.gcd(hop.numerator * half.denominator, half.numerator * hop.denominator),
            hop.denominator * half.denominator,
        )
        rate = min(1 / step, MOST_FRAMES_PER_SECOND) if step else MOST_FRAMES_PER_SECOND
        piece = 2 * half * math.ceil(PIECE_SECONDS / (2 * half))
        return MediaConfig(
            float(rate), self.shorter_side, sample_rate_hz=self.sample_rate_hz,
            clip_seconds=float(piece),
        )


def file_units(inputs: list[InputFile]) -> list[Unit]:
    """The units of media files."""
    return [Unit(f.name, f.path, f.description, f.problem) for f in inputs]


def shard_units(records: Records) -> list[Unit]:
    """The units of shards of records."""
    paths = [shard.path for shard in records.shards]
    return [Unit(path, path, shard_plan.describe(path)) for path in paths]


def rows_of_file(unit: Unit, config: MomentConfig) -> Iterator[Row]:
    """The moments of a media file; `id` is its name and the moment in seconds.

    Raises:
      MediaError: it cannot be read, or not to its end; what can be was yielded before.
    """
    if unit.problem:
        raise MediaError(unit.path, unit.problem)
    name = unit.name.encode()
    video = os.path.splitext(unit.name)[0].encode()
    with local_file(unit.path) as path, decoder.borrow() as reader:
        clips = _clips(reader, path, config)
        for pair in clip_moments.moments_of(clips, config.segment_samples, config.hop_seconds):
            frame = None if config.modality == "audio" else _decoded(pair.frame)
            yield Row(
                _id(name, pair), name, video, None, pair.seconds, frame, pair.waveform,
                pair.inside,
            )


def _clips(reader: decoder.Decoder, path: str, config: MomentConfig) -> Iterator[Clip]:
    media = config.media()
    if config.modality == "both":
        found = reader.read(path, media)
        return (each for each in found if not isinstance(each, Source))
    kind = {"visual": "pictures", "audio": "sound"}[config.modality]
    return reader.read_single(kind, path, media)


def rows_of_shard(
    unit: Unit, records: Records, encoding: str, config: MomentConfig
) -> Iterator[Row]:
    """The moments of the clips of a shard; `id` is the clip's, with the moment for a hop.

    Args:
      unit: of `shard_units`.
      records: which the shard is of.
      encoding: of their sound.
      config: what to take.

    Raises:
      UserError: a record is bad, or of another sample rate than the network.
    """
    own = tuple(shard for shard in records.shards if shard.path == unit.path)
    for block in parsed_blocks(dataclasses.replace(records, shards=own)):
        for record in records.schema.rows(block):
            yield from _rows_of_record(record, encoding, config)


def _rows_of_record(record: dict, encoding: str, config: MomentConfig) -> Iterator[Row]:
    shown = record["id"].decode(errors="replace")
    rate = int(record["sample_rate_hz"][0])
    if rate != config.sample_rate_hz:
        raise UserError(
            f"record {shown}: its sound has {rate} Hz, the network takes {config.sample_rate_hz}"
        )
    samples = decode_audio(record["audio"], encoding)
    frames = [] if config.modality == "audio" else list(record["frames"])
    if not len(samples) or (config.modality != "audio" and not frames):
        what = "frame" if len(samples) else "sound"
        yield Row(problem=f"record {shown} holds no {what}")
        return
    start = float(np.ravel(record["start_seconds"])[0])
    times = record["frame_seconds"][: len(frames)]
    clip = Clip(start, frames, np.asarray(times, np.float64), samples, rate)
    for pair in _pairs(clip, config):
        label = record["id"] if config.middle else _id(record["id"], pair)
        frame = None
        if config.modality != "audio":
            try:
                frame = _decoded(pair.frame)
            except tf.errors.InvalidArgumentError:
                yield Row(problem=f"record {shown}: its frame is not a JPEG picture")
                return
        yield Row(
            label, record["file"], record["video"], tuple(record["labels"].tolist()),
            pair.seconds, frame, pair.waveform, pair.inside,
        )


def _pairs(clip: Clip, config: MomentConfig) -> Iterator[TimedPair]:
    if config.middle:
        yield clip_moments.middle_of(clip, config.segment_samples)
    else:
        yield from clip_moments.moments_of([clip], config.segment_samples, config.hop_seconds)


def _id(name: bytes, pair: TimedPair) -> bytes:
    return name + f"@{round(pair.seconds, 6)}".encode()


def _decoded(jpeg: bytes) -> np.ndarray:
    return tf.io.decode_jpeg(jpeg, channels=3).numpy()
