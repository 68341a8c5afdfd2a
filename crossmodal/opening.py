"""Opening record files: which kind they are, and which of their records are usable.

The kind is read off a first record, so that no flag is needed; what was found by
reading every file once can be kept for the next run.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from crossmodal import configuration, files, shards
from crossmodal.errors import UserError
from crossmodal.reading import Records
from crossmodal.schema import Schema

# So many records are looked at, since the first ones may be bad.
FIRST = 16


def find_kind(paths: Sequence[str], kinds: Mapping[str, Schema]) -> str | None:
    """The first kind whose schema fits one of the first readable records; None if none does."""
    for path in paths:
        for record in first_records(path):
            for kind, schema in kinds.items():
                if schema.problem(record) is None:
                    return kind
    return None


def first_records(path: str) -> Iterator[bytes]:
    """Some first records of a file; where it is damaged, those that can be read."""
    try:
        yield from tf.data.TFRecordDataset(path).take(FIRST).as_numpy_iterator()
    except tf.errors.OpError:
        yield from itertools.islice(shards.read_good_records(path, None), FIRST)


def open_records(
    patterns: str,
    schema: Schema,
    flag: str,
    on_bad_record: str = "fail",
    progress: bool = True,
    index_path: str = "",
    offsets: bool = False,
) -> Records:
    """Finds, checks and counts the records that patterns name.

    Args:
      patterns: glob patterns, separated by commas.
      schema: what the records hold.
      flag: the flag that named the patterns, for errors.
      on_bad_record: `fail` or `skip`.
      progress: whether to show a bar.
      index_path: file that keeps what was found, so that unchanged shards are not read
        through again the next time.
      offsets: whether records are to be read singly later.

    Raises:
      UserError: no file matches, or a file or record is bad (its name and index are in
        the message).
    """
    paths = files.expand_patterns(patterns, flag)
    known = ()
    if index_path and tf.io.gfile.exists(index_path):
        known = shards.from_dict(configuration.load(index_path))
    found = shards.index_shards(paths, schema, on_bad_record, progress, known, offsets)
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
    return opened


def report_damage(*opened: Records) -> None:
    """Prints, at the end of a job, which bad records were left out."""
    for each in opened:
        if damage := each.describe_damage():
            print(damage)
