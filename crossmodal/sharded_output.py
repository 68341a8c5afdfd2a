"""A set of output shards that is there complete or not at all.

Shards are written into a hidden folder beside the output, each with a note of what
went into it; when all are there they are renamed, and `PREFIX.json`, the manifest, is
written last. A run that was killed is taken up by the next one: shards whose note
fits are kept, whatever else it left is removed. Nothing in the files depends on the
time, on the number of processes or on how often a run was broken off.
"""

import json
import os
import re
from collections.abc import Callable

import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan, write_json


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
    write_json(plan.note(index), {"settings": plan.settings, "shard": entry})
    return entry


def notes(plan: Plan) -> list[dict]:
    """The notes of all shards of a set without pending ones, in order."""
    known = _known(plan)
    return [known[name] for name in plan.names]


def finish(plan: Plan, description: dict) -> dict:
    """Puts all shards in place and writes the manifest; `discard` is left to be done.

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
    put(plan, plan.manifest, json.dumps(manifest, indent=1) + "\n")
    return read_manifest(plan)


def put(plan: Plan, path: str, text: str) -> None:
    """Writes a file of the set whole; a kill leaves its pieces in the staging folder.

    Raises:
      UserError: it cannot be written.
    """
    staged = os.path.join(plan.staging, os.path.basename(path))
    try:
        files.write_text(staged, text)
        tf.io.gfile.rename(staged, path, overwrite=True)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be written ({error.message})") from error


def is_complete(plan: Plan, is_usable: Callable[[dict], bool] = lambda note: True) -> bool:
    """Whether nothing at all is left to be done; the arguments are those of `pending`.

    Raises:
      UserError: files of something else are where the output should go.
    """
    there = tf.io.gfile.exists(plan.manifest) and not tf.io.gfile.exists(plan.staging)
    return not pending(plan, is_usable) and there


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


def take_failure(plan: Plan) -> str:
    """Why a process gave up, or ""; the next call knows of nothing."""
    if not tf.io.gfile.exists(plan.failure):
        return ""
    reason = files.read_text(plan.failure)
    tf.io.gfile.remove(plan.failure)
    return reason


def number_noted(plan: Plan) -> int:
    """How many shards wait in the staging folder."""
    return sum(name.endswith(f"{plan.suffix}.json") for name in _list(plan.staging))


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
                f"{plan.manifest} says that something else is there ({differences[0]}):"
                " choose another --output, or delete it and its shards"
            )
    folder = os.path.dirname(plan.prefix)
    stems = "|".join(re.escape(stem) for stem in plan.stems)
    shard = re.compile(rf"({stems})-\d{{5}}-of-\d{{5}}{re.escape(plan.suffix)}")
    for name in sorted(_list(folder)):
        if shard.fullmatch(name) and name not in known:
            raise UserError(
                f"{os.path.join(folder, name)} is in the way and not of this set:"
                " choose another --output, or delete it"
            )


def _holds(path: str, entry: dict) -> bool:
    if not entry["records"]:
        return True
    return tf.io.gfile.exists(path) and tf.io.gfile.stat(path).length == entry["bytes"]


def _list(folder: str) -> list[str]:
    return tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
