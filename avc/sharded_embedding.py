"""Embeds a collection as an Apache Beam job; see crossmodal.sharded_embedding."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from avc import (
    clip_embedding,
    clip_files,
    clip_sources,
    embedding,
    embedding_rows,
    reading,
)
from avc.clip_embedding import EmbeddingSettings
from avc.clip_sources import Row, Unit
from avc.embedding import TrainedNetwork
from avc.reading import KINDS
from crossmodal import (
    conversion_display,
    files,
    network_files,
    npz,
    shard_plan,
    sharded_embedding,
)
from crossmodal.beam_conversion import Execution, Made
from crossmodal.configuration import to_dict
from crossmodal.network_files import NetworkFiles
from crossmodal.shard_plan import Plan
from crossmodal.sharded_embedding import Result, Target


@dataclasses.dataclass(frozen=True)
class Job:
    """What to embed; see the flags of launch/embed_avc.py.

    Attributes:
      workdir: work folder or export of the network.
      checkpoint: `best` or `last`, of a work folder.
      settings: what is embedded of a file.
      target: where it goes.
      input: a folder of media files, or glob patterns; else empty.
      input_pattern: glob patterns of records; else empty.
    """

    workdir: str
    checkpoint: str
    settings: EmbeddingSettings
    target: Target
    input: str = ""
    input_pattern: str = ""


def embed(job: Job, execution: Execution, threads: int = 0) -> Result:
    """Embeds, unless it is done already; broken off, it goes on where it was.

    Args:
      job: what to embed.
      execution: where and how.
      threads: of TensorFlow in each process; 0 for `sharded_embedding.threads_per_process`.

    Raises:
      UserError: no such input, a wrong network or output, a bad record (with
        `on_bad_record="fail"`), or the runner failed.
    """
    clip_embedding.check_network(embedding.read_config(job.workdir), job.workdir)
    network = network_files.describe(job.workdir, job.checkpoint)
    kind, sources = _inputs(job)
    settings = {**to_dict(job.settings), "records": " ".join(kind), "network": network.digest}
    plan = sharded_embedding.make_plan(job.target, settings, sources)
    if job.input_pattern:
        shard_plan.check_apart(plan, job.input_pattern, "input_pattern", job.target.output)
    execution, threads = sharded_embedding.shared_out(execution, threads, len(plan.names))
    start = StartShards(network, job.settings, kind, job.target.on_bad_record, threads)
    return sharded_embedding.run(plan, start, execution, job.target)


def _inputs(job: Job) -> tuple[tuple[str, ...], list[dict]]:
    """The key of KINDS, or nothing of media files; and the sources of the plan."""
    if job.input:
        clip_files.check_output(job.input, job.target.output)
        found = clip_files.list_inputs(job.input)
        return (), [
            {"path": shard_plan.absolute(f.path), **f.description, "file": f.name,
             "problem": f.problem}
            for f in found
        ]
    paths = files.expand_patterns(job.input_pattern, "input_pattern")
    kind = reading.find_kind(paths, job.input_pattern, "input_pattern")
    return kind, [{**shard_plan.describe(path), "file": path} for path in paths]


@dataclasses.dataclass(frozen=True)
class StartShards:
    """Loads the network in a process.

    Attributes:
      network: its files.
      settings: what is embedded of a file.
      kind: the key of KINDS, or nothing of media files.
      on_bad_record: `fail` or `skip`.
      threads: of TensorFlow; 0 for as many as it likes.
    """

    network: NetworkFiles
    settings: EmbeddingSettings
    kind: tuple[str, ...]
    on_bad_record: str
    threads: int

    def __call__(self) -> "MakeShard":
        """Gives what makes a shard; raises UserError if the network is not the same here."""
        sharded_embedding.limit_threads(self.threads)
        self.network.check()
        network = embedding.load(self.network.path, self.network.checkpoint)
        return MakeShard(network, self.settings, self.kind, self.on_bad_record)


@dataclasses.dataclass(frozen=True)
class MakeShard:
    """Makes one shard of a plan; attributes as those of `StartShards`."""

    network: TrainedNetwork
    settings: EmbeddingSettings
    kind: tuple[str, ...]
    on_bad_record: str

    def __call__(self, plan: Plan, index: int) -> Made:
        """Writes the shard where it is staged."""
        sources, rows = plan.sources[index], 0
        skipped: list[dict] = []
        unread: list[dict] = []
        progress = conversion_display.Progress(plan, index)

        def count(unit: Unit, number: int, finished: bool) -> None:
            nonlocal rows
            rows += number

        path = plan.staged(index)
        with npz.Writer(path) as writer:
            for done, source in enumerate(sources):
                unit = Unit(source["file"], source["path"], {}, source.get("problem", ""))
                read, bad = self._open(unit)
                skipped += bad
                reasons = read and embedding_rows.append_unit(
                    self.network, unit, read, self.settings.modality, writer, count
                )
                unread += [{"file": unit.name, "reason": reason} for reason in reasons or ()]
                progress.tell(done + 1)
        if not rows:
            tf.io.gfile.remove(path)
        return sharded_embedding.made(rows, len(sources), skipped, unread)

    def _open(self, unit: Unit) -> tuple[Callable[[Unit], Iterator[Row]] | None, list[dict]]:
        """What reads a file, unless nothing can, and its bad records."""
        config = clip_embedding.moments_for(self.settings, self.network.config)
        if not self.kind:
            return functools.partial(clip_sources.rows_of_file, config=config), []
        records, bad = sharded_embedding.open_shard(
            unit.path, KINDS[self.kind], self.on_bad_record
        )
        read = functools.partial(
            clip_sources.rows_of_shard, records=records, encoding=self.kind[1], config=config
        )
        return read if records.shards else None, bad
