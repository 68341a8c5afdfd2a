"""Embeddings of large sets as Apache Beam jobs: an .npz file for each shard of the inputs.

The engine is crossmodal.beam_conversion. A worker process loads the network once and embeds
whole input files, which follow each other in the shards as in a single file.
"""

import contextlib
import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from crossmodal import beam_conversion, shard_plan, sharded_output, shards
from crossmodal.beam_conversion import LOCAL, Execution, Made, Start
from crossmodal.errors import UserError
from crossmodal.reading import Records
from crossmodal.schema import Schema
from crossmodal.shard_plan import Plan

STEM = "embeddings"
SUFFIX = ".npz"


@dataclasses.dataclass(frozen=True)
class Target:
    """Where shards go.

    Attributes:
      output: the folder to be made.
      num_shards: how many, at most as many as inputs.
      on_bad_record: `fail`, or `skip` to leave bad records out and list them.
    """

    output: str
    num_shards: int
    on_bad_record: str = "fail"


@dataclasses.dataclass(frozen=True)
class Result:
    """A complete set of shards.

    Attributes:
      path: its manifest.
      manifest: what is in it; see docs/networks.md.
      made: whether there was anything to do.
    """

    path: str
    manifest: dict
    made: bool

    def __str__(self) -> str:
        """A line for what is left out of each file, then the counts."""
        written = self.manifest["shards"]
        inputs = sum(len(shard["sources"]) for shard in written)
        state = "" if self.made else "already there, nothing to do: "
        with_rows = sum(bool(shard["records"]) for shard in written)
        lines = [f"left out: {line}" for line in left_out(written)]
        lines.append(
            f"{state}{self.manifest['records']} rows of {inputs} files in {with_rows} shards:"
            f" {os.path.join(os.path.dirname(self.path), STEM)}-*{SUFFIX}"
        )
        return "\n".join(lines)


def make_plan(target: Target, settings: dict, sources: Sequence[dict]) -> Plan:
    """Gives each shard as many consecutive inputs.

    Args:
      target: where they go.
      settings: what else decides the contents.
      sources: JSON values that tell the inputs from others, in order.

    Raises:
      UserError: there are fewer inputs than shards.
    """
    groups = shard_plan.divide(sources, target.num_shards)
    prefix = os.path.join(shard_plan.absolute(target.output), STEM)
    count = len(groups)
    names = tuple(shard_plan.shard_name(STEM, i, count, SUFFIX) for i in range(count))
    return Plan(prefix, settings, names, tuple(map(tuple, groups)), (STEM,), SUFFIX)


def run(plan: Plan, start: Start, execution: Execution, target: Target) -> Result:
    """Embeds, unless it is done already; broken off, it goes on where it was.

    Args:
      plan: the set.
      start: loads, in each process, what makes a shard.
      execution: where and how.
      target: of the plan.

    Raises:
      UserError: an input cannot be used (a record only with `on_bad_record="fail"`), none gives
        a row, or the runner failed.
    """

    def is_usable(note: dict) -> bool:
        return target.on_bad_record == "skip" or not note["skipped"]

    if sharded_output.is_complete(plan, is_usable):
        return Result(plan.manifest, sharded_output.read_manifest(plan), False)
    beam_conversion.make_shards(plan, start, execution, is_usable)
    notes = sharded_output.notes(plan)
    if not any(note["records"] for note in notes):
        lines = left_out(notes)
        sharded_output.discard(plan)
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise UserError(f"nothing can be embedded: {lines[0]}{more}")
    versions = {
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "apache_beam": beam_conversion.VERSION,
    }
    manifest = sharded_output.finish(plan, {"versions": versions})
    sharded_output.discard(plan)
    return Result(plan.manifest, manifest, True)


def left_out(notes: Sequence[dict]) -> list[str]:
    """A line for each file or record that is left out, or not read to its end."""
    return [
        f"{each['file']}: {each['reason']}"
        for note in notes
        for each in (*note["skipped"], *note["left_out"])
    ]


def made(
    rows: int, inputs: int, skipped: Sequence[dict], unread: Sequence[dict] = ()
) -> Made:
    """What was made of a shard.

    Args:
      rows: how many there are.
      inputs: how many were read.
      skipped: bad records, `file` and `reason`.
      unread: what else is left out, likewise.
    """
    counts = {"files_read": inputs, "records_skipped": len(skipped), "left_out": len(unread)}
    return Made(rows, {"skipped": list(skipped), "left_out": list(unread)}, counts)


def open_shard(path: str, schema: Schema, on_bad_record: str) -> tuple[Records, list[dict]]:
    """The usable records of one file, if it has any, and those that are skipped.

    Raises:
      BadRecordError: a record is bad, with `on_bad_record="fail"`.
      UserError: the file cannot be read.
    """
    found = shards.index_shard(path, schema, on_bad_record)
    skipped = [
        {"file": path, "reason": f"record {d.index} (byte {d.offset}): {d.reason}"}
        for d in found.damage
    ]
    return Records((found,) if found.num_records else (), schema), skipped


def fitting(execution: Execution) -> Execution:
    """The same with one process of the DirectRunner, if none is said, where there is a GPU.

    A process takes all of a GPU's memory.
    """
    own = execution.runner == LOCAL and not execution.num_workers
    if own and tf.config.list_physical_devices("GPU"):
        return dataclasses.replace(execution, num_workers=1)
    return execution


def shared_out(execution: Execution, threads: int, num_shards: int) -> tuple[Execution, int]:
    """Processes that fit the machine, and TensorFlow's threads in each.

    Args:
      execution: where and how.
      threads: that were asked for; 0 for `threads_per_process`.
      num_shards: of the plan.
    """
    execution = fitting(execution)
    return execution, threads or threads_per_process(execution, num_shards)


def threads_per_process(execution: Execution, num_shards: int) -> int:
    """How many threads TensorFlow may have in a process; 0 for as many as it likes.

    Several processes of this machine share its cores; other runners start one for each core.
    """
    if execution.runner != LOCAL:
        return 1
    processes = beam_conversion.num_processes(execution, num_shards)
    return max(1, (os.cpu_count() or 1) // processes) if processes > 1 else 0


def limit_threads(number: int) -> None:
    """Limits TensorFlow's threads in this process, unless it has started some; 0: does not."""
    if number:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(number)
            tf.config.threading.set_inter_op_parallelism_threads(number)
