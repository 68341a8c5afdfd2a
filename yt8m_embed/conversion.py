"""Conversions of YouTube-8M records, as Apache Beam jobs; see crossmodal.beam_conversion."""

import collections
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from crossmodal import beam_conversion, files, sharded_output
from crossmodal.beam_conversion import Execution, Made
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan
from yt8m_embed import shard_conversion, shard_planning
from yt8m_embed.shard_conversion import JOBS, Skipped


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
        shards = self.manifest["shards"]
        sources = [source for shard in shards for source in shard["sources"]]
        left_out = [Skipped(**record) for shard in shards for record in shard["skipped"]]
        state = "" if self.converted else "already there, nothing to do: "
        lines = [
            f"{state}{sum(bool(s['records']) for s in shards)} shards of {self.path}",
            f"files read       {len(sources):>15,}",
            f"bytes read       {sum(source['bytes'] for source in sources):>15,}",
            f"records read     {self.manifest['records'] + len(left_out):>15,}",
            f"records written  {self.manifest['records']:>15,}",
            f"bytes written    {self.manifest['bytes']:>15,}",
            f"records skipped  {len(left_out):>15,}",
        ]
        kinds = collections.Counter(record.kind for record in left_out)
        lines += [f"  {count:>6,} x {kind}" for kind, count in kinds.most_common()]
        return "\n".join(lines + [str(record) for record in left_out])


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
    plan = shard_planning.make_plan(
        conversion.output, settings, inputs, conversion.input_pattern, conversion.num_shards
    )

    def is_usable(note: dict) -> bool:
        return conversion.on_bad_record == "skip" or not note["skipped"]

    if sharded_output.is_complete(plan, is_usable):
        return Result(plan.manifest, sharded_output.read_manifest(plan), False)
    start = functools.partial(MakeShard, conversion.on_bad_record)
    beam_conversion.make_shards(plan, start, execution, is_usable)
    notes = sharded_output.notes(plan)
    if not any(note["records"] for note in notes):
        sharded_output.discard(plan)
        raise UserError(f"no record is usable in {inputs[0]} and the other inputs")
    skipped = {"skipped": sum(len(note["skipped"]) for note in notes)}
    manifest = sharded_output.finish(plan, {**skipped, **_description(conversion)})
    sharded_output.discard(plan)
    return Result(plan.manifest, manifest, True)


@dataclasses.dataclass(frozen=True)
class MakeShard:
    """Makes one shard of a plan; see `shard_conversion.convert_files`."""

    on_bad_record: str

    def __call__(self, plan: Plan, index: int) -> Made:
        """Writes the shard where it is staged."""
        written, skipped = shard_conversion.convert_files(
            JOBS[plan.settings["job"]],
            plan.settings["num_classes"],
            [source["path"] for source in plan.sources[index]],
            plan.staged(index),
            self.on_bad_record,
        )
        left_out = [dataclasses.asdict(record) for record in skipped]
        return Made(written, {"skipped": left_out}, {"records_skipped": len(skipped)})


def _description(conversion: Conversion) -> dict:
    target = JOBS[conversion.job].target(conversion.num_classes)
    return {
        "schema": [dataclasses.asdict(feature) for feature in target.features],
        "versions": {
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "apache_beam": beam_conversion.VERSION,
        },
    }
