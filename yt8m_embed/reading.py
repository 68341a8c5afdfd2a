"""Opening YouTube-8M shards of any kind: what they hold is read off their first record."""

import itertools
from collections.abc import Callable, Iterator

import tensorflow as tf

from crossmodal import configuration, files, shards
from crossmodal.errors import UserError
from crossmodal.reading import Records
from crossmodal.schema import Schema
from yt8m_embed import records

# Tried in this order on a first record; the names are what users call the kinds.
KINDS: dict[str, Callable[[int], Schema]] = {
    "video": records.video_level,
    "compact_float16": records.compact_float16,
    "compact_uint8": records.compact_uint8,
    "frame": records.frame_level,
}

# So many records are looked at, since the first ones may be bad.
FIRST = 16
# A label out of range is the fault of a record, not of its kind.
ANY_CLASS = 1 << 62


def open_records(
    patterns: str,
    num_classes: int,
    flag: str,
    on_bad_record: str = "fail",
    progress: bool = True,
    index_path: str = "",
) -> tuple[str, Records]:
    """Finds, checks and counts the records that patterns name.

    Args:
      patterns: glob patterns, separated by commas.
      num_classes: labels must lie below it.
      flag: the flag that named the patterns, for errors.
      on_bad_record: `fail` or `skip`.
      progress: whether to show a bar.
      index_path: file that keeps what was found, so that unchanged shards are not read
        through again the next time.

    Returns:
      The kind of the records (a key of KINDS) and the records.

    Raises:
      UserError: no file matches, or a file or record is bad (its name and index are in
        the message).
    """
    paths = files.expand_patterns(patterns, flag)
    kind = find_kind(paths)
    schema = KINDS[kind](num_classes)
    known = ()
    if index_path and tf.io.gfile.exists(index_path):
        known = shards.from_dict(configuration.load(index_path))
    found = shards.index_shards(paths, schema, on_bad_record, progress, known)
    if index_path and found != known:
        try:
            configuration.save(index_path, shards.to_dict(found))
        except tf.errors.OpError as error:
            raise UserError(f"{index_path}: cannot be written ({error.message})") from error
    usable = tuple(shard for shard in found if shard.num_records)
    unusable = tuple(shard for shard in found if not shard.num_records)
    if not usable:
        raise UserError(f"--{flag}={patterns}: no file has a record")
    opened = Records(usable, schema, unusable=unusable)
    if opened.describe_damage():
        print(opened.describe_damage().splitlines()[0])
    return kind, opened


def find_kind(paths: list[str]) -> str:
    """The kind whose schema one of the first readable records fits; `video` if none does.

    A record that fits none is reported later, by the check of all records.
    """
    for path in paths:
        for record in first_records(path):
            for kind, schema in KINDS.items():
                if schema(ANY_CLASS).problem(record) is None:
                    return kind
    return "video"


def first_records(path: str) -> Iterator[bytes]:
    """Some first records of a file; where it is damaged, those that can be read."""
    try:
        yield from tf.data.TFRecordDataset(path).take(FIRST).as_numpy_iterator()
    except tf.errors.OpError:
        yield from itertools.islice(shards.read_good_records(path, None), FIRST)


def feature_level(kind: str) -> str:
    """`frame` for frame-level records, `video` for all the others."""
    return "frame" if kind == "frame" else "video"


def report_damage(*opened: Records) -> None:
    """Prints, at the end of a job, which bad records were left out."""
    for each in opened:
        if damage := each.describe_damage():
            print(damage)
