"""Conversions and embeddings as Apache Beam jobs: one element is one output shard.

A worker makes a whole shard of the inputs that the plan assigns to it. So no record is
shuffled, any runner will do, and the bytes do not depend on it. What is in a shard, the
packages say; here is how the job runs, stops and is taken up again.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from crossmodal import conversion_display, conversion_workers, files, shard_plan, sharded_output
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan

# Beam warns about missing cloud extras; a runner that needs them says so itself.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.metrics import Metrics  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.utils.shared import Shared  # noqa: E402

logging.disable(logging.NOTSET)

LOCAL = "DirectRunner"
VERSION = beam.__version__


@dataclasses.dataclass(frozen=True)
class Execution:
    """Where and how the job runs.

    Attributes:
      runner: name of a Beam runner.
      num_workers: processes of the DirectRunner; 0 for one a core.
      options: further options of the pipeline, `--name=value` each.
      progress: whether to show a bar.
    """

    runner: str = LOCAL
    num_workers: int = 0
    options: tuple[str, ...] = ()
    progress: bool = True


@dataclasses.dataclass(frozen=True)
class Made:
    """What a worker made of one shard.

    Attributes:
      records: how many it wrote; without any it wrote no file.
      details: what the shard's note says besides, as JSON values.
      counts: what Beam's metrics count, by name.
    """

    records: int
    details: dict
    counts: dict[str, int]


# Makes the staged file of the shard of that index. A UserError from it ends the job.
MakeShard = Callable[[Plan, int], Made]
# Called once in a process before its first shard, to load what all need; must be picklable.
Start = Callable[[], MakeShard]


def make_shards(
    plan: Plan,
    start: Start,
    execution: Execution,
    is_usable: Callable[[dict], bool] = lambda note: True,
) -> None:
    """Makes all pending shards; finished ones wait in the staging folder.

    Args:
      plan: the set.
      start: gives, in each process, what makes a shard.
      execution: where and how.
      is_usable: see `sharded_output.pending`.

    Raises:
      UserError: a shard cannot be made, or the runner failed. Finished shards stay for the
        next run.
    """
    shards = sharded_output.pending(plan, is_usable)
    pipeline = _make_pipeline(execution, len(shards))
    shard_plan.save(plan)
    if shards:
        _run(pipeline, plan, shards, start, execution)
        _raise_failure(plan)
    missing = sharded_output.pending(plan, is_usable)
    if missing:
        raise UserError(f"{len(missing)} shards are missing: start the same command again")


def num_processes(execution: Execution, num_shards: int) -> int:
    """How many processes the DirectRunner has for so many shards."""
    return max(1, min(execution.num_workers or os.cpu_count() or 1, num_shards))


class _MakeShard(beam.DoFn):
    """Makes the shard whose index it gets; counts what it did in Beam's metrics."""

    def __init__(self, saved: str, start: Start) -> None:
        # The plan itself names every input, which is more than some runners take in a job.
        self.saved = saved
        self.start = start
        # A runner may have several of these in a process, or make new ones between shards.
        self.shared = Shared()

    def setup(self) -> None:
        self.plan = shard_plan.load(self.saved)
        try:
            self.make = self.shared.acquire(self.start)
        except UserError as error:
            files.write_text(self.plan.failure, str(error))

    def process(self, index: int) -> Iterator[int]:
        """Yields the index when the shard and its note are written."""
        if tf.io.gfile.exists(self.plan.failure):
            return
        try:
            made = self.make(self.plan, index)
            entry = sharded_output.note_shard(self.plan, index, made.records, made.details)
        except UserError as error:
            # An exception would come back as the traceback of a worker, and be tried again.
            files.write_text(self.plan.failure, str(error))
            return
        counts = {
            "records_written": made.records,
            "bytes_read": sum(source.get("bytes", 0) for source in entry["sources"]),
            "bytes_written": entry["bytes"],
            **made.counts,
        }
        for name, count in counts.items():
            Metrics.counter("conversion", name).inc(count)
        yield index


def _raise_failure(plan: Plan) -> None:
    reason = sharded_output.take_failure(plan)
    if not reason:
        return
    done = sharded_output.number_noted(plan)
    if done:
        reason += f" ({done} finished shards wait in {plan.staging} for the next run)"
    else:
        sharded_output.discard(plan)
    raise UserError(reason)


def _run(
    pipeline: beam.Pipeline,
    plan: Plan,
    shards: Sequence[int],
    start: Start,
    execution: Execution,
) -> None:
    """Runs the pipeline to its end."""
    local = execution.runner == LOCAL
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(conversion_display.stderr_to_file()) if local else None
        terminal = stack.enter_context(os.fdopen(os.dup(log.terminal if log else 2), "w"))
        if execution.progress:
            stack.enter_context(conversion_display.progress_bar(plan, shards, terminal))
        try:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | beam.ParDo(_MakeShard(plan.saved, start))
            )
            conversion_workers.wait_for(lambda: pipeline.run().wait_until_finish())
        except Exception as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
            if log:
                log.keep = True
                cause += f" (log: {log.path})"
            raise UserError(f"--runner={execution.runner} broke down: {cause}") from error


def _make_pipeline(execution: Execution, num_shards: int) -> beam.Pipeline:
    options = [f"--runner={execution.runner}", *execution.options]
    if execution.runner == LOCAL:
        workers = num_processes(execution, num_shards)
        mode = "multi_processing" if workers > 1 else "in_memory"
        options += [
            f"--direct_num_workers={workers}",
            f"--direct_running_mode={mode}",
            # Without this the DirectRunner first looks for Prism, a program it would download.
            "--allow_unsafe_triggers",
        ]
    try:
        return beam.Pipeline(options=PipelineOptions(options))
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--runner={execution.runner}: {error}") from error
