"""Which records of which files are usable, known before a run begins.

TensorFlow's reader ends a run at the first damaged record, without the file's
name, and a header that declares an absurd length can end the process. So each
file is read once beforehand: framing and checksums always, the contents too
where bad records are to be skipped. What is wrong is told in one line each.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from crossmodal.errors import BadRecordError, UserError
from crossmodal.examination import examine
from crossmodal.schema import Schema
from crossmodal.tfrecord import HEADER, Damage

WORKERS = min(os.cpu_count() or 1, 8)
HINT = "mend the file, or leave bad records out with --on_bad_record=skip"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A file and what of it is usable.

    Attributes:
      path: the file.
      num_records: number of usable records.
      damage: what is left out, in file order.
      size: bytes of the file when it was read.
      mtime_ns: its time of change then, in ns.
      checked: digest of the schema by which the contents were checked, "" when only
        framing and checksums were.
      offsets: the first byte of each usable record, where asked for.
    """

    path: str
    num_records: int
    damage: tuple[Damage, ...] = ()
    size: int = 0
    mtime_ns: int = 0
    checked: str = ""
    offsets: tuple[int, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether TensorFlow can read the file from end to end."""
        return not self.damage


def index_shards(
    files: Sequence[str],
    schema: Schema,
    on_bad_record: str = "fail",
    progress: bool = True,
    known: Iterable[Shard] = (),
    offsets: bool = False,
) -> tuple[Shard, ...]:
    """Reads every file once, to count its records and to find what is damaged.

    Args:
      files: paths, on any file system of tf.io.gfile.
      schema: what the records should hold; used with "skip" only, because the graph
        that trains on them checks the same.
      on_bad_record: "fail" or "skip".
      progress: whether to show a bar on standard error.
      known: shards of an earlier index; a file of the same size and time of change is
        not read again.
      offsets: whether to note where each record begins, for reading them singly.

    Returns:
      One shard for each file, in order; with "skip" also those without a usable record.

    Raises:
      BadRecordError: "fail" and a record is damaged, or no file has a usable one.
      UserError: a file cannot be read.
    """
    if on_bad_record not in ("fail", "skip"):
        raise UserError(f"--on_bad_record={on_bad_record}: must be fail or skip")
    skip = on_bad_record == "skip"
    digest = _digest(schema) if skip else ""
    usable = {
        s.path: s
        for s in known
        if (s.checked == digest if skip else s.clean)
        and (not offsets or len(s.offsets) == s.num_records)
    }

    def index(path: str) -> Shard:
        shard = usable.get(path)
        if shard and (shard.size, shard.mtime_ns) == _stat(path):
            return shard
        return index_shard(path, schema, on_bad_record, offsets)

    with ThreadPoolExecutor(WORKERS) as pool:
        bar = tqdm(total=len(files), desc="checking", unit="file", disable=not progress)
        try:
            shards = []
            for shard in pool.map(index, files):
                shards.append(shard)
                bar.update()
        finally:
            bar.close()
            pool.shutdown(cancel_futures=True)
    if shards and not any(shard.num_records for shard in shards):
        first = shards[0]
        raise _error(first.path, first.damage[0], f"no usable record in {len(shards)} files; ")
    return tuple(shards)


def index_shard(
    path: str, schema: Schema, on_bad_record: str = "fail", offsets: bool = False
) -> Shard:
    """Reads one file, which may turn out to have no usable record; else as `index_shards`."""
    skip = on_bad_record == "skip"
    size, mtime_ns = _stat(path)
    found = examine(path, schema if skip else None)
    if found.damage and not skip:
        raise _error(path, found.damage[0])
    begin = tuple(start - HEADER for start, _ in found.good) if offsets else ()
    digest = _digest(schema) if skip else ""
    return Shard(path, len(found.good), tuple(found.damage), size, mtime_ns, digest, begin)


def diagnose(files: Sequence[str], schema: Schema) -> BadRecordError | None:
    """The first bad record of some files, for when the graph met one it cannot name.

    Raises:
      UserError: a file cannot be read.
    """
    for path in files:
        damage = examine(path, schema).damage
        if damage:
            return _error(path, damage[0])
    return None


def read_good_records(path: str, schema: Schema | None) -> Iterator[bytes]:
    """The usable records of a file that may be damaged, in order.

    Args:
      path: the file.
      schema: what the records must hold; None for all whose checksums verify.

    Raises:
      UserError: the file cannot be read.
    """
    found = examine(path, schema)
    for offset, length in found.good:
        yield found.data[offset : offset + length]


def describe_damage(shards: Iterable[Shard]) -> str:
    """The closing report: a count, then a line for each stretch that was left out."""
    shards = tuple(shards)
    damaged = [shard for shard in shards if shard.damage]
    lines = [
        f"{shard.path}: record {d.index} (byte {d.offset}, {d.length} bytes left out): {d.reason}"
        for shard in damaged
        for d in shard.damage
    ]
    kept = sum(shard.num_records for shard in shards)
    head = f"left out {len(lines)} bad records of {len(damaged)} files, {kept} records kept"
    return "\n".join([head, *lines])


def to_dict(shards: Iterable[Shard]) -> dict[str, Any]:
    """An index as JSON values, to be kept and passed on as `known`."""
    return {"shards": [dataclasses.asdict(shard) for shard in shards]}


def from_dict(values: Mapping[str, Any]) -> tuple[Shard, ...]:
    """The index that `to_dict` wrote.

    Raises:
      UserError: the values are not an index.
    """
    try:
        return tuple(
            Shard(
                **{
                    **shard,
                    "damage": tuple(Damage(**d) for d in shard["damage"]),
                    "offsets": tuple(shard.get("offsets", ())),
                }
            )
            for shard in values["shards"]
        )
    except (KeyError, TypeError) as error:
        raise UserError(
            f"not an index of shards ({error}): delete it to read the files anew"
        ) from error


def _error(path: str, damage: Damage, prefix: str = "") -> BadRecordError:
    place = f"{path}: record {damage.index} (byte {damage.offset})"
    return BadRecordError(f"{prefix}{place}: {damage.reason}; {HINT}")


def _digest(schema: Schema) -> str:
    return hashlib.sha256(repr(schema).encode()).hexdigest()[:16]


def _stat(path: str) -> tuple[int, int]:
    try:
        status = tf.io.gfile.stat(path)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    return status.length, status.mtime_nsec
