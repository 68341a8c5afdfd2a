"""Opening YouTube-8M shards of any kind: what they hold is read off their first record."""

from collections.abc import Callable

import tensorflow as tf

from crossmodal import files, shards
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


def open_records(
    patterns: str,
    num_classes: int,
    flag: str,
    on_bad_record: str = "fail",
    progress: bool = True,
) -> tuple[str, Records]:
    """Finds, checks and counts the records that patterns name.

    Args:
      patterns: glob patterns, separated by commas.
      num_classes: labels must lie below it.
      flag: the flag that named the patterns, for errors.
      on_bad_record: `fail` or `skip`.
      progress: whether to show a bar.

    Returns:
      The kind of the records (a key of KINDS) and the records.

    Raises:
      UserError: no file matches, or a file or record is bad (its name and index are in
        the message).
    """
    paths = files.expand_patterns(patterns, flag)
    kind = find_kind(paths, num_classes)
    schema = KINDS[kind](num_classes)
    found = shards.index_shards(paths, schema, on_bad_record, progress)
    usable = tuple(shard for shard in found if shard.num_records)
    if not usable:
        raise UserError(f"--{flag}={patterns}: no usable record\n{shards.describe_damage(found)}")
    if any(shard.damage for shard in found):
        print(shards.describe_damage(found))
    return kind, Records(usable, schema)


def find_kind(paths: list[str], num_classes: int) -> str:
    """The kind whose schema the first readable record fits; `video` if none does.

    A record that fits none is reported later, by the check of all records.
    """
    for path in paths:
        try:
            first = next(iter(tf.data.TFRecordDataset(path).take(1).as_numpy_iterator()), None)
        except tf.errors.OpError:
            continue
        for kind, schema in KINDS.items():
            if first is not None and schema(num_classes).problem(first) is None:
                return kind
    return "video"


def feature_level(kind: str) -> str:
    """`frame` for frame-level records, `video` for all the others."""
    return "frame" if kind == "frame" else "video"
