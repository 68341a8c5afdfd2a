"""Opening clip records, with or without the truth of scenes, in either audio encoding."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from avc import pairs, records
from crossmodal import files, opening, reading
from crossmodal.errors import UserError
from crossmodal.reading import Records

# Scenes first: a scene has all that a clip has.
KINDS = {
    (name, encoding): schema(encoding)
    for name, schema in (("scene", records.scene), ("clip", records.clip))
    for encoding in records.AUDIO_ENCODINGS
}


def open_clips(
    patterns: str,
    flag: str,
    on_bad_record: str = "fail",
    progress: bool = True,
    index_path: str = "",
) -> tuple[str, str, Records]:
    """Finds, checks and counts the clips that patterns name; they can be read singly.

    Args:
      patterns: glob patterns, separated by commas.
      flag: the flag that named the patterns, for errors.
      on_bad_record: `fail` or `skip`.
      progress: whether to show a bar.
      index_path: file that keeps what was found; see crossmodal.opening.

    Returns:
      `clip` or `scene`, the encoding of the sound (`flac` or `pcm16`), and the records.

    Raises:
      UserError: no file matches, the records hold no clips, or a file or record is bad.
    """
    paths = files.expand_patterns(patterns, flag)
    kind = opening.find_kind(paths, KINDS)
    # Where no record can be read at all, the check of all records says why.
    schema = KINDS[kind or ("clip", "flac")]
    opened = opening.open_records(
        patterns, schema, flag, on_bad_record, progress, index_path, offsets=True
    )
    if kind is None:
        raise _no_clips(patterns, flag)
    return *kind, opened


def find_kind(paths: list[str], patterns: str, flag: str) -> tuple[str, str]:
    """The key of KINDS whose schema fits one of the first readable records.

    Raises:
      UserError: none does; `--flag=patterns` named the files.
    """
    kind = opening.find_kind(paths, KINDS)
    if kind is None:
        raise _no_clips(patterns, flag)
    return kind


def _no_clips(patterns: str, flag: str) -> UserError:
    return UserError(f"--{flag}={patterns}: holds no clips; make some with launch.convert_clips")


@contextlib.contextmanager
def explained(opened: Records) -> Iterator[None]:
    """Turns errors of bad clips, and of clips that do not fit a network, into a line.

    Raises:
      UserError: a record is bad, has no frame or another sample rate.
    """
    try:
        with reading.explained(opened):
            yield
    except tf.errors.OpError as error:
        found = pairs.explain(error)
        if found is None:
            raise
        raise found from error


def bytes_per_pair(records: Records, pairs_per_read: int) -> float:
    """How many bytes are read for one pair: a record's, by the pairs drawn from it."""
    size = sum(shard.size for shard in records.shards)
    number = sum(shard.num_records for shard in records.shards)
    return size / number / pairs_per_read
