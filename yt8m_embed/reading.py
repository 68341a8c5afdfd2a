"""Opening YouTube-8M shards of any kind: what they hold is read off their first record."""

from collections.abc import Callable

from crossmodal import files, opening
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
      index_path: file that keeps what was found; see crossmodal.opening.

    Returns:
      The kind of the records (a key of KINDS) and the records.

    Raises:
      UserError: no file matches, or a file or record is bad (its name and index are in
        the message).
    """
    kind = find_kind(files.expand_patterns(patterns, flag))
    schema = KINDS[kind](num_classes)
    return kind, opening.open_records(patterns, schema, flag, on_bad_record, progress, index_path)


def find_kind(paths: list[str]) -> str:
    """The kind whose schema one of the first readable records fits; `video` if none does.

    A record that fits none is reported later, by the check of all records.
    """
    kinds = {name: schema(ANY_CLASS) for name, schema in KINDS.items()}
    return opening.find_kind(paths, kinds) or "video"


def feature_level(kind: str) -> str:
    """`frame` for frame-level records, `video` for all the others."""
    return "frame" if kind == "frame" else "video"
