"""A set of output shards that is there complete or not at all.

Shards are written into a hidden folder beside the output, each with a note of what
went into it; when all are there they are renamed, and `PREFIX.json`, the manifest, is
written last. A run that was killed is taken up by the next one: shards whose note
fits are kept, whatever else it left is removed. Nothing in the files depends on the
time, on the number of processes or on how often a run was broken off.
"""

import dataclasses
import fnmatch
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which inputs go into which shard.

    Attributes:
      prefix: the manifest is `PREFIX.json`.
      settings: what else decides the contents, as JSON values.
      names: file names of the shards, `STEM-00000-of-00004.tfrecord` and so on.
      sources: of each shard, of each of its inputs, JSON values that tell one from another.
      stems: files of these names belong to the set, whatever their numbers.
    """

    prefix: str
    settings: dict
    names: tuple[str, ...]
    sources: tuple[tuple[dict, ...], ...]
    stems: tuple[str, ...]

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


def make_plan(
    output: str, settings: dict, inputs: Sequence[str], patterns: str, num_shards: int
) -> Plan:
    """Assigns input files to shards: consecutive files, as even as can be.

    Args:
      output: the prefix, or a folder if it ends in "/" or is one (then the prefix is
        `records` inside it).
      settings: see Plan.
      inputs: the files, sorted.
      patterns: the patterns that named them, separated by commas.
      num_shards: 0 for as many as inputs.

    Raises:
      UserError: there are fewer inputs than shards, the patterns name the output too,
        or a file cannot be read.
    """
    if not output:
        raise UserError("--output is empty: name the prefix of the shards, or a folder")
    if output.endswith("/") or tf.io.gfile.isdir(output):
        output = os.path.join(output, "records")
    count = num_shards or len(inputs)
    if not 0 < count <= len(inputs):
        raise UserError(
            f"--num_shards={num_shards} does not fit {len(inputs)} input files: a shard holds"
            " whole files, so 0 (one each) to that many are possible"
        )
    sources = [describe(path) for path in inputs]
    bounds = [i * len(inputs) // count for i in range(count + 1)]
    prefix = absolute(output)
    stem = os.path.basename(prefix)
    plan = Plan(
        prefix,
        settings,
        tuple(shard_name(stem, i, count) for i in range(count)),
        tuple(tuple(sources[a:b]) for a, b in itertools.pairwise(bounds)),
        (stem,),
    )
    for pattern in patterns.split(","):
        if _matches(absolute(pattern), plan.final(0)):
            raise UserError(
                f"--input_pattern={pattern} names files of --output={output} too:"
                " choose another folder or prefix"
            )
    return plan


def shard_name(stem: str, index: int, count: int) -> str:
    """The file name of a shard."""
    return f"{stem}-{index:05}-of-{count:05}.tfrecord"


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
    _write_json(plan.saved, dataclasses.asdict(plan))


def load(path: str) -> Plan:
    """Reads the plan that `save` wrote."""
    values = json.loads(files.read_text(path))
    sources = tuple(tuple(shard) for shard in values["sources"])
    lists = {"names": tuple(values["names"]), "stems": tuple(values["stems"]), "sources": sources}
    return Plan(**{**values, **lists})


def pending(plan: Plan, is_usable: Callable[[dict], bool] = lambda note: True) -> list[int]:
    """The shards that are still to be made; none if the set can be, or is, complete.

    Args:
      plan: the set.
      is_usable: whether a shard with this note counts as made.

    Raises:
      UserError: files of something else are where the output should go.
    """
    known = _known(plan)
    _check_free(plan, known)
    missing = []
    for index, sources in enumerate(plan.sources):
        entry = known.get(plan.names[index])
        if (
            entry is None
            or entry["sources"] != list(sources)
            or not is_usable(entry)
            or not any(_holds(path, entry) for path in (plan.staged(index), plan.final(index)))
        ):
            missing.append(index)
    return missing


def note_shard(plan: Plan, index: int, records: int, details: dict) -> dict:
    """Notes that a staged shard is complete.

    Args:
      plan: the set.
      index: which shard.
      records: how many it holds; a shard without records has no file.
      details: what the note says besides, as JSON values.

    Returns:
      The note: `file`, `records`, `bytes`, `sources` and the details.
    """
    entry = {
        "file": plan.names[index],
        "records": records,
        "bytes": tf.io.gfile.stat(plan.staged(index)).length if records else 0,
        "sources": list(plan.sources[index]),
        **details,
    }
    _write_json(plan.note(index), {"settings": plan.settings, "shard": entry})
    return entry


def notes(plan: Plan) -> list[dict]:
    """The notes of all shards of a set without pending ones, in order."""
    known = _known(plan)
    return [known[name] for name in plan.names]


def finish(plan: Plan, description: dict) -> dict:
    """Puts all shards in place and writes the manifest.

    Args:
      plan: the set, without pending shards.
      description: what the manifest says besides.

    Returns:
      The manifest.

    Raises:
      UserError: the files cannot be written.
    """
    entries = notes(plan)
    manifest = {
        "settings": plan.settings,
        "records": sum(entry["records"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        **description,
        "shards": entries,
    }
    for index, entry in enumerate(entries):
        if entry["records"] and tf.io.gfile.exists(plan.staged(index)):
            tf.io.gfile.rename(plan.staged(index), plan.final(index), overwrite=True)
    _write_json(plan.manifest, manifest)
    discard(plan)
    return read_manifest(plan)


def discard(plan: Plan) -> None:
    """Removes the staging folder and all that waits in it."""
    if tf.io.gfile.exists(plan.staging):
        tf.io.gfile.rmtree(plan.staging)


def read_manifest(plan: Plan) -> dict | None:
    """The manifest, if the set was ever complete."""
    if not tf.io.gfile.exists(plan.manifest):
        return None
    try:
        manifest = json.loads(files.read_text(plan.manifest))
        return manifest if {"settings", "shards"} <= manifest.keys() else None
    except (json.JSONDecodeError, AttributeError) as error:
        raise UserError(
            f"{plan.manifest}: is not a manifest of shards; choose another --output"
        ) from error


def number_noted(plan: Plan) -> int:
    """How many shards wait in the staging folder."""
    return sum(name.endswith(".tfrecord.json") for name in _list(plan.staging))


def _known(plan: Plan) -> dict[str, dict]:
    """Notes by file name: those of a finished set, and those of a run that was broken off."""
    manifest = read_manifest(plan)
    known = {entry["file"]: entry for entry in manifest["shards"]} if manifest else {}
    for index in range(len(plan.sources)):
        if tf.io.gfile.exists(plan.note(index)):
            note = json.loads(files.read_text(plan.note(index)))
            if note["settings"] == plan.settings:
                known[plan.names[index]] = note["shard"]
    return known


def _check_free(plan: Plan, known: dict[str, dict]) -> None:
    manifest = read_manifest(plan)
    if manifest:
        there = {**manifest["settings"], "shards": len(manifest["shards"])}
        here = {**plan.settings, "shards": len(plan.sources)}
        differences = [
            f"{name} {there.get(name)}, not {value}"
            for name, value in here.items()
            if there.get(name) != value
        ]
        sources = [tuple(entry["sources"]) for entry in manifest["shards"]]
        if not differences and sources != list(plan.sources):
            differences = ["other input files, or older ones of the same name"]
        if differences:
            raise UserError(
                f"{plan.manifest} says that another conversion is there ({differences[0]}):"
                " choose another --output, or delete it and its shards"
            )
    folder = os.path.dirname(plan.prefix)
    stems = "|".join(re.escape(stem) for stem in plan.stems)
    shard = re.compile(rf"({stems})-\d{{5}}-of-\d{{5}}\.tfrecord")
    for name in sorted(_list(folder)):
        if shard.fullmatch(name) and name not in known:
            raise UserError(
                f"{os.path.join(folder, name)} is in the way and not from this conversion:"
                " choose another --output, or delete it"
            )


def _holds(path: str, entry: dict) -> bool:
    if not entry["records"]:
        return True
    return tf.io.gfile.exists(path) and tf.io.gfile.stat(path).length == entry["bytes"]


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


def _matches(pattern: str, path: str) -> bool:
    """Whether a glob pattern, whose wildcards stop at a slash, names a path."""
    parts, names = pattern.split("/"), path.split("/")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


def _list(folder: str) -> list[str]:
    return tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []


def _write_json(path: str, value: dict) -> None:
    try:
        files.write_text(path, json.dumps(value, indent=1) + "\n")
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be written ({error.message})") from error
