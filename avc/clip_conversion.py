"""Converts a folder of videos to clip records, as an Apache Beam job.

The engine is crossmodal.beam_conversion; here is what one shard holds, how clips with the
same sound are found among all shards, and the manifest.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence

import av
import numpy as np
import tensorflow as tf

from avc import (
    clip_duplicates,
    clip_files,
    clip_manifest,
    clip_planning,
    clip_shards,
    decoder,
    label_tables,
    ontology,
    records,
    splits,
)
from avc.clip_planning import Video
from avc.clip_shards import ClipConfig
from avc.splits import SplitConfig
from crossmodal import beam_conversion, conversion_display, files, shard_plan, sharded_output
from crossmodal.beam_conversion import Execution, Made
from crossmodal.configuration import to_dict
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert; see the flags of launch/convert_clips.py.

    Attributes:
      input: a folder, or glob patterns separated by commas.
      output: the folder to be made.
      label_tables: files with the clips and their labels; none to take every file.
      test_tables: the same, all of whose clips are for the test split.
      ontology: `ontology.json`, for `keep_descendants_of`.
      keep_descendants_of: names or ids of classes, separated by commas; only rows with a
        label that is one of them or below are kept. Empty keeps all.
      num_shards: of each split; 0 for a number that fits the number of files.
    """

    input: str
    output: str
    label_tables: tuple[str, ...] = ()
    test_tables: tuple[str, ...] = ()
    ontology: str = ""
    keep_descendants_of: str = ""
    num_shards: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """A complete set of clips.

    Attributes:
      output: the folder.
      counts: rows of the manifest by status.
      manifest: what is in the shards; see docs/clips.md.
      converted: whether there was anything to do.
      twice: ids of videos that tables put into the test split and elsewhere.
    """

    output: str
    counts: dict[str, int]
    manifest: dict
    converted: bool
    twice: tuple[str, ...]

    def __str__(self) -> str:
        """Counts by split and by status."""
        state = "" if self.converted else "already there, nothing to do: "
        lines = [f"{state}{os.path.join(self.output, 'manifest.csv')}"]
        sources = [source for shard in self.manifest["shards"] for source in shard["sources"]]
        amounts = {
            "files read": len(sources),
            "bytes read": sum(source["bytes"] for source in sources),
            "clips written": self.manifest["records"],
            "bytes written": self.manifest["bytes"],
        }
        lines += [f"{name:<24}{number:>18,}" for name, number in amounts.items()]
        lines += [f"  {name:<22}{number:>18,}" for name, number in sorted(self.counts.items())]
        if self.twice:
            lines.append(f"{len(self.twice)} videos are in public test and training splits: test")
        return "\n".join(lines)


def convert(
    conversion: Conversion, config: ClipConfig, split: SplitConfig, execution: Execution
) -> Result:
    """Converts, unless it is done already; broken off, it goes on where it was.

    Raises:
      UserError: no such input, a wrong table or output, or the runner failed. What is wrong
        with single files is in the manifest only.
    """
    if not conversion.output:
        raise UserError("--output is empty: name a folder")
    clip_files.check_output(conversion.input, conversion.output)
    rows, keep, digests = _read_tables(conversion)
    inputs = clip_files.list_inputs(conversion.input)
    assignment = clip_planning.assign(inputs, rows, keep, split)
    settings = {**config.settings(), **to_dict(split), **digests}
    plan = make_plan(conversion.output, settings, assignment.videos, conversion.num_shards)
    table = os.path.join(os.path.dirname(plan.prefix), "manifest.csv")
    done = sharded_output.is_complete(plan) and tf.io.gfile.exists(table)
    if not done:
        beam_conversion.make_shards(plan, functools.partial(MakeShard, config), execution)
        if config.drop_duplicate_audio:
            clip_duplicates.drop(plan)
        sharded_output.finish(plan, _description(config))
    manifest = sharded_output.read_manifest(plan)
    rows = clip_manifest.merge(manifest["shards"], assignment.left_out)
    if not done:
        sharded_output.put(plan, table, clip_manifest.to_csv(rows))
        sharded_output.discard(plan)
    if not manifest["records"]:
        raise UserError(f"no clip could be written; {table} says why, file by file")
    counts, twice = clip_manifest.count(rows), tuple(sorted(assignment.twice))
    return Result(conversion.output, counts, manifest, not done, twice)


@dataclasses.dataclass(frozen=True)
class MakeShard:
    """Makes one shard of a plan; see `clip_shards.write_shard`."""

    config: ClipConfig

    def __call__(self, plan: Plan, index: int) -> Made:
        """Writes the shard where it is staged."""
        with decoder.borrow() as process:
            written, rows = clip_shards.write_shard(
                plan.sources[index],
                self.config,
                plan.staged(index),
                process.read,
                conversion_display.Progress(plan, index).tell,
            )
        counts = {f"clips_{row['status']}": 0 for row in rows}
        for row in rows:
            counts[f"clips_{row['status']}"] += 1
        return Made(written, {"clips": rows}, {"files_read": len(plan.sources[index]), **counts})


def make_plan(output: str, settings: dict, videos: Sequence[Video], num_shards: int) -> Plan:
    """Deals the files of each split out to its shards, one after the other.

    Args:
      output: the folder.
      settings: what else decides the contents.
      videos: sorted.
      num_shards: of each split, at most its number of files; 0 for one of 32 files, but 16
        at least and 1024 at most.
    """
    names, sources = [], []
    for split in splits.SPLITS:
        chosen = [video.source() for video in videos if video.split == split]
        count = num_shards or max(16, min(1024, -(-len(chosen) // 32)))
        count = min(count, len(chosen))
        names += [shard_plan.shard_name(split, i, count) for i in range(count)]
        sources += [tuple(chosen[i::count]) for i in range(count)]
    prefix = os.path.join(shard_plan.absolute(output), "manifest")
    return Plan(prefix, settings, tuple(names), tuple(sources), splits.SPLITS)


def _read_tables(
    conversion: Conversion,
) -> tuple[list[label_tables.Row] | None, set[str] | None, dict]:
    """Rows of all tables, labels to keep, and what tells these files from others."""
    rows, digests = [], {}
    for flag, split in (("label_tables", None), ("test_tables", splits.TEST)):
        paths = getattr(conversion, flag)
        for path in paths:
            rows += label_tables.read(path, split)
        digests[flag] = [_digest(path) for path in paths]
    if not conversion.keep_descendants_of:
        return rows or None, None, {**digests, "keep_descendants_of": ""}
    if not rows:
        raise UserError("--keep_descendants_of needs the labels of a --label_table")
    if not conversion.ontology:
        raise UserError("--keep_descendants_of needs --ontology, the file ontology.json")
    classes = ontology.read(conversion.ontology)
    try:
        roots = classes.parse_roots(conversion.keep_descendants_of)
    except UserError as error:
        raise UserError(f"--keep_descendants_of: {error}") from error
    ids = classes.descendants(roots)
    keep = ids | {classes.names[identifier] for identifier in ids}
    if not any(classes.find(label) for row in rows for label in row.labels):
        raise UserError(
            f"--keep_descendants_of: no label of the tables is a class of {conversion.ontology}"
        )
    return (
        rows,
        keep,
        {
            **digests,
            "keep_descendants_of": conversion.keep_descendants_of,
            "ontology": _digest(conversion.ontology),
        },
    )


def _digest(path: str) -> str:
    return hashlib.sha256(files.read_text(path).encode()).hexdigest()[:16]


def _description(config: ClipConfig) -> dict:
    return {
        "schema": [dataclasses.asdict(f) for f in records.clip(config.audio_encoding).features],
        "versions": {
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "av": av.__version__,
            "ffmpeg": av.ffmpeg_version_info,
            "apache_beam": beam_conversion.VERSION,
        },
    }
