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
from collections.abc import Sequence

import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which files go into which shard.

    Attributes:
      prefix: shards are `PREFIX-00000-of-00004.tfrecord` and so on.
      settings: what else decides the contents, as JSON values.
      sources: of each shard, of each of its files: `path`, `bytes` and `modified` (ns).
    """

    prefix: str
    settings: dict
    sources: tuple[tuple[dict, ...], ...]

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

    def name(self, index: int) -> str:
        """File name of a shard."""
        return f"{os.path.basename(self.prefix)}-{index:05}-of-{len(self.sources):05}.tfrecord"

    def staged(self, index: int) -> str:
        """Where a shard is written."""
        return os.path.join(self.staging, self.name(index))

    def final(self, index: int) -> str:
        """Where a shard is in the end."""
        return os.path.join(os.path.dirname(self.prefix), self.name(index))

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
    sources = [_describe(path) for path in inputs]
    bounds = [i * len(inputs) // count for i in range(count + 1)]
    plan = Plan(
        _absolute(output),
        settings,
        tuple(tuple(sources[a:b]) for a, b in itertools.pairwise(bounds)),
    )
    for pattern in patterns.split(","):
        if _matches(_absolute(pattern), plan.final(0)):
            raise UserError(
                f"--input_pattern={pattern} names files of --output={output} too:"
                " choose another folder or prefix"
            )
    return plan


def pending(plan: Plan, allow_skipped: bool) -> list[int]:
    """The shards that are still to be made; none if the set can be, or is, complete.

    Args:
      plan: the set.
      allow_skipped: whether shards that left out bad records count as made.

    Raises:
      UserError: files of something else are where the output should go.
    """
    known = _known(plan)
    _check_free(plan, known)
    missing = []
    for index, sources in enumerate(plan.sources):
        entry = known.get(plan.name(index))
        if (
            entry is None
            or entry["sources"] != list(sources)
            or (entry["skipped"] and not allow_skipped)
            or not any(_holds(path, entry) for path in (plan.staged(index), plan.final(index)))
        ):
            missing.append(index)
    return missing


def note_shard(plan: Plan, index: int, records: int, skipped: list[dict]) -> dict:
    """Notes that a staged shard is complete; returns the note, see docs/records.md."""
    entry = {
        "file": plan.name(index),
        "records": records,
        "bytes": tf.io.gfile.stat(plan.staged(index)).length if records else 0,
        "skipped": skipped,
        "sources": list(plan.sources[index]),
    }
    _write_json(plan.note(index), {"settings": plan.settings, "shard": entry})
    return entry


def finish(plan: Plan, description: dict) -> dict:
    """Puts all shards in place and writes the manifest.

    Args:
      plan: the set, without pending shards.
      description: what the manifest says besides.

    Returns:
      The manifest.

    Raises:
      UserError: no shard holds a record, or the files cannot be written.
    """
    known = _known(plan)
    entries = [known[plan.name(index)] for index in range(len(plan.sources))]
    if not any(entry["records"] for entry in entries):
        tf.io.gfile.rmtree(plan.staging)
        first = entries[0]["sources"][0]["path"]
        raise UserError(f"no record is usable in {first} and the other inputs")
    manifest = {
        "settings": plan.settings,
        "records": sum(entry["records"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        "skipped": sum(len(entry["skipped"]) for entry in entries),
        **description,
        "shards": entries,
    }
    for index, entry in enumerate(entries):
        if entry["records"] and tf.io.gfile.exists(plan.staged(index)):
            tf.io.gfile.rename(plan.staged(index), plan.final(index), overwrite=True)
    _write_json(plan.manifest, manifest)
    tf.io.gfile.rmtree(plan.staging)
    return read_manifest(plan)


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
                known[plan.name(index)] = note["shard"]
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
    folder, prefix = os.path.split(plan.prefix)
    shard = re.compile(re.escape(prefix) + r"-\d{5}-of-\d{5}\.tfrecord")
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


def _describe(path: str) -> dict:
    try:
        status = tf.io.gfile.stat(path)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    return {"path": _absolute(path), "bytes": status.length, "modified": status.mtime_nsec}


def _absolute(path: str) -> str:
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
