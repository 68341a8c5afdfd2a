"""Which inputs of a conversion go into which shard, and where the shards are made."""

import dataclasses
import fnmatch
import itertools
import json
import os
from collections.abc import Sequence
from typing import TypeVar

import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError

TFRECORD = ".tfrecord"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which inputs go into which shard.

    Attributes:
      prefix: the manifest is `PREFIX.json`.
      settings: what else decides the contents, as JSON values.
      names: file names of the shards, `STEM-00000-of-00004.tfrecord` and so on.
      sources: of each shard, of each of its inputs, JSON values that tell one from another.
      stems: files of these names belong to the set, whatever their numbers.
      suffix: how the names of the shards end.
    """

    prefix: str
    settings: dict
    names: tuple[str, ...]
    sources: tuple[tuple[dict, ...], ...]
    stems: tuple[str, ...]
    suffix: str = TFRECORD

    @property
    def manifest(self) -> str:
        """The file that says that the set is complete, and what it is."""
        return f"{self.prefix}.json"

    @property
    def staging(self) -> str:
        """The hidden folder in which the shards wait until all are there."""
        folder, name = os.path.split(self.prefix)
        return os.path.join(folder, f".{name}.converting")

    @property
    def failure(self) -> str:
        """The file that tells all processes to stop."""
        return os.path.join(self.staging, "failure.json")

    @property
    def saved(self) -> str:
        """The file in which the processes find the plan."""
        return os.path.join(self.staging, "plan.json")

    def staged(self, index: int) -> str:
        """Where a shard is written."""
        return os.path.join(self.staging, self.names[index])

    def final(self, index: int) -> str:
        """Where a shard is in the end."""
        return os.path.join(os.path.dirname(self.prefix), self.names[index])

    def note(self, index: int) -> str:
        """The file that says that a shard is complete, and what it is."""
        return self.staged(index) + ".json"


def shard_name(stem: str, index: int, count: int, suffix: str = TFRECORD) -> str:
    """The file name of a shard."""
    return f"{stem}-{index:05}-of-{count:05}{suffix}"


def divide(inputs: Sequence[T], num_shards: int) -> list[Sequence[T]]:
    """Divides input files among shards: consecutive ones, as even as can be.

    Args:
      inputs: of all shards.
      num_shards: 0 for as many as inputs.

    Raises:
      UserError: there are fewer inputs than shards.
    """
    count = num_shards or len(inputs)
    if not 0 < count <= len(inputs):
        raise UserError(
            f"--num_shards={num_shards} does not fit {len(inputs)} input files: a shard holds"
            f" whole files, so 1 to {len(inputs)} are possible"
        )
    bounds = [i * len(inputs) // count for i in range(count + 1)]
    return [inputs[a:b] for a, b in itertools.pairwise(bounds)]


def check_apart(plan: Plan, patterns: str, flag: str, output: str) -> None:
    """Checks that the shards will not be inputs of the next run.

    Args:
      plan: of the shards.
      patterns: glob patterns of the inputs, separated by commas.
      flag: the flag that gave them.
      output: what --output said.

    Raises:
      UserError: a pattern names them.
    """
    for pattern in patterns.split(","):
        if matches(absolute(pattern), plan.final(0)):
            raise UserError(
                f"--{flag}={pattern} names files of --output={output} too:"
                " choose another folder or prefix"
            )


def save(plan: Plan) -> None:
    """Writes the plan where the processes find it; makes the staging folder.

    Raises:
      UserError: the folder cannot be written.
    """
    try:
        tf.io.gfile.makedirs(plan.staging)
        if tf.io.gfile.exists(plan.failure):
            tf.io.gfile.remove(plan.failure)
    except tf.errors.OpError as error:
        raise UserError(f"{plan.staging}: cannot be written ({error.message})") from error
    write_json(plan.saved, dataclasses.asdict(plan))


def load(path: str) -> Plan:
    """Reads the plan that `save` wrote."""
    values = json.loads(files.read_text(path))
    sources = tuple(tuple(shard) for shard in values["sources"])
    lists = {"names": tuple(values["names"]), "stems": tuple(values["stems"]), "sources": sources}
    return Plan(**{**values, **lists})


def describe(path: str) -> dict:
    """A file as it is now: `path`, `bytes` and `modified` (ns).

    Raises:
      UserError: there is no such file.
    """
    try:
        status = tf.io.gfile.stat(path)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    return {"path": absolute(path), "bytes": status.length, "modified": status.mtime_nsec}


def absolute(path: str) -> str:
    """An absolute path; one of another file system stays as it is."""
    return path if "://" in path else os.path.abspath(path)


def write_json(path: str, value: dict) -> None:
    """Writes a JSON file whole or not at all.

    Raises:
      UserError: it cannot be written.
    """
    try:
        files.write_text(path, json.dumps(value, indent=1) + "\n")
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be written ({error.message})") from error


def matches(pattern: str, path: str) -> bool:
    """Whether a glob pattern, whose wildcards stop at a slash, names a path."""
    parts, names = pattern.split("/"), path.split("/")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))
