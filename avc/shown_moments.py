"""What a collection's items look and sound like: from media files, or from records by id."""

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from avc import clip_moments, pictures, source_pictures, source_sounds
from avc.clip_reader import first_of, pixel_aspect
from avc.clips import MediaConfig
from avc.encoding import decode_audio
from avc.media_files import MediaError, Track
from crossmodal.collection import Collection
from crossmodal.errors import UserError
from crossmodal.reading import Records, blocks, explained
from crossmodal.schema import Schema

_NAMES = ("id", "start_seconds", "frames", "frame_seconds", "audio", "sample_rate_hz",
          "num_samples")
# A file's picture is looked for on a grid this fine.
_FRAMES_PER_SECOND = 25


@dataclasses.dataclass(frozen=True)
class Shown:
    """A moment.

    Attributes:
      picture: uint8 `[height, width, 3]`, or None.
      sound: int16 `[n]`, mono; empty where there is none.
      middle: which sample is at the moment.
      sample_rate_hz: of the sound.
      problems: why picture or sound is missing.
    """

    picture: np.ndarray | None = None
    sound: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int16))
    middle: int = 0
    sample_rate_hz: int = 48_000
    problems: tuple[str, ...] = ()

    def segment(self, samples: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The sound around the moment, int16 `[samples]`, and which of these there are."""
        inside = clip_moments.inside_of(len(self.sound), self.middle, samples)
        return clip_moments.cut(self.sound, self.middle, samples), inside


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much of files is read.

    Attributes:
      seconds: of sound, around a moment; 0 for none.
      shorter_side: pixels to which pictures are scaled.
      sample_rate_hz: of the sound.
    """

    seconds: float
    shorter_side: int
    sample_rate_hz: int = 48_000


def from_files(
    collection: Collection, rows: Sequence[int], media: str, extent: Extent
) -> Iterator[tuple[int, Shown]]:
    """Rows and what their files show; what is missing is told by `problems`.

    Args:
      collection: with `file` and `seconds`.
      rows: which.
      media: the folder that `file` is relative to.
      extent: how much is read.
    """
    for row in rows:
        name, seconds = os.fsdecode(collection.file[row]), float(collection.seconds[row])
        if not name or math.isnan(seconds):
            yield row, Shown(problems=("the collection does not tell its file and time",))
        else:
            yield row, of_file(os.path.join(media, name), seconds, extent)


def of_file(path: str, seconds: float, extent: Extent) -> Shown:
    """A moment of a media file, which may have pictures only, or sound only.

    Of an extent of no seconds the sound is left out.
    """
    problems, picture = [], None
    try:
        picture = _picture(path, seconds, extent.shorter_side)
    except MediaError as error:
        problems.append(f"no picture: {error.reason}")
    if not extent.seconds:
        return Shown(picture, problems=tuple(problems))
    samples, first, rate = np.zeros(0, np.int16), 0, extent.sample_rate_hz
    try:
        half = extent.seconds / 2
        found = source_sounds.read_stretch(path, max(0.0, seconds - half), seconds + half, rate)
        samples = np.rint(found.samples.mean(0) * 32768).clip(-32768, 32767).astype(np.int16)
        first = found.first
    except MediaError as error:
        problems.append(f"no sound: {error.reason}")
    return Shown(picture, samples, round(seconds * rate) - first, rate, tuple(problems))


def _picture(path: str, seconds: float, shorter_side: int) -> np.ndarray:
    track = Track(path, "video", MediaConfig().max_pixels)
    try:
        first = first_of(track.frames(), path, "picture").frame
        width, height = pictures.shown_size(first, pixel_aspect(track))
    finally:
        track.close()
    side = 2 * round(shorter_side / 2)
    canvas = pictures.scaled_size(width, height, 1.0, side)[::-1]
    return next(source_pictures.read_pictures(path, seconds, 1, _FRAMES_PER_SECOND, canvas))


def from_records(
    collection: Collection,
    rows: Iterable[int],
    records: Records,
    encoding: str,
    heard: bool = True,
) -> Iterator[tuple[int, Shown]]:
    """Rows and what their records show, in the order of the records; once through them all.

    An item is the record of its id, or of its id without the moment (`ID@SECONDS`). Its
    moment is the collection's, or without one the middle of the clip. Items without a record
    come last.

    Args:
      collection: of what `launch.embed_avc` makes of records.
      rows: which.
      records: that hold them, beside others.
      encoding: of their sound.
      heard: whether the sound is wanted, too.

    Raises:
      UserError: a record is bad.
    """
    wanted: dict[bytes, list[int]] = {}
    for row in rows:
        for name in {bytes(collection.ids[row]), clip_of(bytes(collection.ids[row]))}:
            wanted.setdefault(name, []).append(row)
    left = dict.fromkeys(row for found in wanted.values() for row in found)
    for record in chosen_records(records, wanted):
        for row in wanted[record["id"]]:
            if row in left:
                del left[row]
                yield row, of_record(
                    record, encoding, float(collection.seconds[row]), heard
                )
    for row in left:
        yield row, Shown(problems=("no record has its id",))


def chosen_records(records: Records, wanted: Iterable[bytes]) -> Iterator[dict]:
    """The records of some ids, without padding; others are not parsed.

    Raises:
      UserError: a record is bad.
    """
    names = Schema(tuple(f for f in records.schema.features if f.name == "id"))
    few = shown_schema(records)
    ids = set(wanted)
    with explained(records):
        for block in blocks(records).as_numpy_iterator():
            held = names.parse(tf.constant(block))["id"].numpy()
            found = block[[name in ids for name in held]]
            if len(found):
                parsed = few.parse(tf.constant(found))
                yield from few.rows({name: value.numpy() for name, value in parsed.items()})


def shown_schema(records: Records) -> Schema:
    """The part of records that is shown."""
    return Schema(tuple(f for f in records.schema.features if f.name in _NAMES))


def of_record(
    record: dict, encoding: str, seconds: float = math.nan, heard: bool = True
) -> Shown:
    """A moment of a record.

    Args:
      record: of `Schema.rows`.
      encoding: of its sound.
      seconds: from the file's beginning; NaN for the middle of the clip.
      heard: whether the sound is wanted, too.
    """
    problems, rate = [], int(record["sample_rate_hz"][0])
    samples = np.zeros(0, np.int16)
    try:
        samples = decode_audio(record["audio"], encoding) if heard else samples
    except UserError as error:
        problems.append(f"no sound: {error}")
    if heard and not len(samples) and not problems:
        problems.append("no sound")
    inside = seconds - float(np.ravel(record["start_seconds"])[0])
    if math.isnan(inside):
        inside = int(record["num_samples"][0]) / rate / 2
    picture = None
    try:
        picture = shown_at(record, inside)
    except UserError as error:
        problems.append(str(error))
    return Shown(picture, samples, round(inside * rate), rate, tuple(problems))


def shown_at(record: dict, seconds: float) -> np.ndarray:
    """The picture uint8 `[height, width, 3]` of a record at a time since its beginning.

    Raises:
      UserError: it holds none, or one that is no JPEG.
    """
    if not len(record["frames"]):
        raise UserError("no picture")
    late = seconds + clip_moments.TOLERANCE_SECONDS
    place = int(np.searchsorted(record["frame_seconds"], late, side="right"))
    try:
        return tf.io.decode_jpeg(record["frames"][max(0, place - 1)], channels=3).numpy()
    except tf.errors.InvalidArgumentError:
        raise UserError("no picture: its frame is not a JPEG picture") from None


def clip_of(name: bytes) -> bytes:
    """The id of a clip of which an item, called `ID@SECONDS`, is a moment; else its own."""
    clip, mark, moment = name.rpartition(b"@")
    try:
        float(moment)
    except ValueError:
        return name
    return clip if mark else name
