"""Clips that have the same sound as another one, in whichever shard."""

import tensorflow as tf

from avc import clip_shards, splits
from crossmodal import sharded_output
from crossmodal.shard_plan import Plan

# Where several clips have the same sound, the one of the first of these stays: a public
# test split keeps all of its clips.
_KEPT_FIRST = (splits.TEST, splits.VALIDATION, splits.TRAIN)


def drop(plan: Plan) -> None:
    """Leaves out all clips but the first of those that have the same samples.

    Broken off at any point and repeated it comes to the same end: every clip's digest is
    kept, and a shard whose file and note do not fit is made anew.

    Args:
      plan: the set, without pending shards, whose notes hold digests.

    Raises:
      UserError: a shard cannot be read or written.
    """
    notes = sharded_output.notes(plan)
    first: dict[str, tuple] = {}
    for note in notes:
        for row in filter(_has_digest, note["clips"]):
            key = _order(note, row)
            first[row["digest"]] = min(first.get(row["digest"], key), key)
    for index, note in enumerate(notes):
        doubles = {
            row["record"]: first[row["digest"]][-1]
            for row in filter(_has_digest, note["clips"])
            if row["status"] == "written" and first[row["digest"]] != _order(note, row)
        }
        if doubles:
            _remove(plan, index, note, doubles)


def _has_digest(row: dict) -> bool:
    return "digest" in row


def _order(note: dict, row: dict) -> tuple:
    split = note["file"].split("-")[0]
    return _KEPT_FIRST.index(split), row["file"], row["start_seconds"], row["id"]


def _remove(plan: Plan, index: int, note: dict, doubles: dict[int, str]) -> None:
    staged = plan.staged(index)
    path = staged if tf.io.gfile.exists(staged) else plan.final(index)
    left = clip_shards.remove_records(path, staged, set(doubles))
    record = 0
    for row in note["clips"]:
        if row["status"] != "written":
            continue
        if row["record"] in doubles:
            reason = f"has the sound of {doubles[row.pop('record')]}"
            row |= {"status": "duplicate_audio", "reason": reason}
        else:
            row["record"] = record
            record += 1
    sharded_output.note_shard(plan, index, left, {"clips": note["clips"]})
