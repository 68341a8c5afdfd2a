"""Conversions of YouTube-8M records, as Apache Beam jobs.

One element is one output shard: a worker reads its input files, converts them a block
at a time and writes the shard. So no record is shuffled, any runner will do, and the
bytes do not depend on it. The only module that imports Beam.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError
from yt8m_embed import conversion_display, shard_conversion, sharded_output
from yt8m_embed.shard_conversion import JOBS
from yt8m_embed.sharded_output import Plan

# Beam warns about missing cloud extras; a runner that needs them says so itself.
logging.disable(logging.WARNING)
import apache_beam as beam  # noqa: E402
from apache_beam.metrics import Metrics  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

logging.disable(logging.NOTSET)

LOCAL = "DirectRunner"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert; see the flags of launch/convert_yt8m.py.

    Attributes:
      job: a key of JOBS.
      input_pattern: glob patterns, separated by commas.
      output: prefix of the shards, or a folder.
      num_shards: 0 for as many as input files.
      num_classes: labels must be in [0, num_classes).
      on_bad_record: "fail" or "skip".
    """

    job: str
    input_pattern: str
    output: str
    num_shards: int = 0
    num_classes: int = 3862
    on_bad_record: str = "fail"


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
class Result:
    """A complete set of shards.

    Attributes:
      path: its manifest.
      manifest: what is in it; see docs/records.md.
      converted: whether there was anything to do.
    """

    path: str
    manifest: dict
    converted: bool

    def __str__(self) -> str:
        """Counts, then one line for each record left out."""
        return conversion_display.report(self.path, self.manifest, self.converted)


def convert(conversion: Conversion, execution: Execution) -> Result:
    """Converts, unless it is done already; broken off, it goes on where it was.

    Raises:
      UserError: no such input, a wrong output, a bad record (with `on_bad_record="fail"`),
        or the runner failed.
    """
    if conversion.job not in JOBS:
        raise UserError(f"--job={conversion.job}: is none of {', '.join(JOBS)}")
    inputs = files.expand_patterns(conversion.input_pattern, "input_pattern")
    settings = {"job": conversion.job, "num_classes": conversion.num_classes}
    plan = sharded_output.make_plan(
        conversion.output, settings, inputs, conversion.input_pattern, conversion.num_shards
    )
    shards = sharded_output.pending(plan, conversion.on_bad_record == "skip")
    manifest = sharded_output.read_manifest(plan)
    if manifest and not shards:
        return Result(plan.manifest, manifest, False)
    pipeline = _make_pipeline(execution, len(shards))
    _prepare(plan)
    if shards:
        _run(pipeline, plan, shards, conversion.on_bad_record, execution)
        _raise_failure(plan)
    missing = sharded_output.pending(plan, conversion.on_bad_record == "skip")
    if missing:
        raise UserError(f"{len(missing)} shards are missing: start the same command again")
    manifest = sharded_output.finish(plan, _description(conversion))
    return Result(plan.manifest, manifest, True)


class ConvertShard(beam.DoFn):
    """Makes the shard whose index it gets; counts what it did in Beam's metrics."""

    def __init__(self, plan: Plan, on_bad_record: str) -> None:
        """See Plan and `shard_conversion.convert_files`."""
        self.plan = plan
        self.on_bad_record = on_bad_record

    def process(self, index: int) -> Iterator[int]:
        """Yields the index when the shard and its note are written."""
        plan = self.plan
        if tf.io.gfile.exists(plan.failure):
            return
        try:
            written, skipped = shard_conversion.convert_files(
                JOBS[plan.settings["job"]],
                plan.settings["num_classes"],
                [source["path"] for source in plan.sources[index]],
                plan.staged(index),
                self.on_bad_record,
            )
            left_out = [dataclasses.asdict(record) for record in skipped]
            entry = sharded_output.note_shard(plan, index, written, left_out)
        except UserError as error:
            # An exception would come back as the traceback of a worker, and be tried again.
            files.write_text(plan.failure, str(error))
            return
        read = sum(source["bytes"] for source in entry["sources"])
        counts = {"records_written": written, "records_skipped": len(skipped)}
        for name, count in {**counts, "bytes_read": read, "bytes_written": entry["bytes"]}.items():
            Metrics.counter("conversion", name).inc(count)
        yield index


def _prepare(plan: Plan) -> None:
    try:
        tf.io.gfile.makedirs(plan.staging)
        if tf.io.gfile.exists(plan.failure):
            tf.io.gfile.remove(plan.failure)
    except tf.errors.OpError as error:
        raise UserError(f"{plan.staging}: cannot be written ({error.message})") from error


def _raise_failure(plan: Plan) -> None:
    if not tf.io.gfile.exists(plan.failure):
        return
    reason = files.read_text(plan.failure)
    tf.io.gfile.remove(plan.failure)
    done = sharded_output.number_noted(plan)
    if done:
        reason += f" ({done} finished shards wait in {plan.staging} for the next run)"
    else:
        tf.io.gfile.rmtree(plan.staging)
    raise UserError(reason)


def _run(
    pipeline: beam.Pipeline,
    plan: Plan,
    shards: list[int],
    on_bad_record: str,
    execution: Execution,
) -> None:
    """Runs the pipeline to its end."""
    local = execution.runner == LOCAL
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(conversion_display.stderr_to_file()) if local else None
        terminal = stack.enter_context(os.fdopen(os.dup(log.terminal if log else 2), "w"))
        if execution.progress:
            stack.enter_context(conversion_display.progress_bar(plan, terminal))
        try:
            _ = (
                pipeline
                | beam.Create(shards)
                | beam.Reshuffle()
                | beam.ParDo(ConvertShard(plan, on_bad_record))
            )
            pipeline.run().wait_until_finish()
        except Exception as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
            if log:
                log.keep = True
                cause += f" (log: {log.path})"
            raise UserError(f"--runner={execution.runner} broke down: {cause}") from error


def _make_pipeline(execution: Execution, num_shards: int) -> beam.Pipeline:
    options = [f"--runner={execution.runner}", *execution.options]
    if execution.runner == LOCAL:
        workers = max(1, min(execution.num_workers or os.cpu_count() or 1, num_shards))
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


def _description(conversion: Conversion) -> dict:
    target = JOBS[conversion.job].target(conversion.num_classes)
    return {
        "schema": [dataclasses.asdict(feature) for feature in target.features],
        "versions": {
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "apache_beam": beam.__version__,
        },
    }
