"""Embeds sets of YouTube-8M records as an Apache Beam job; see crossmodal.sharded_embedding."""

import dataclasses

from crossmodal import files, network_files, npz, shard_plan, sharded_embedding
from crossmodal.beam_conversion import Execution, Made
from crossmodal.network_files import NetworkFiles
from crossmodal.reading import Records
from crossmodal.shard_plan import Plan
from crossmodal.sharded_embedding import Result, Target
from yt8m_embed import archives, embedding, model_source, reading
from yt8m_embed.embedding import JointEmbedding
from yt8m_embed.reading import KINDS


@dataclasses.dataclass(frozen=True)
class Job:
    """What to embed; see the flags of launch/embed_yt8m.py.

    Attributes:
      source: work folder or export of the model.
      input_pattern: glob patterns of records.
      target: where it goes.
      seconds: whether to embed every second too.
    """

    source: str
    input_pattern: str
    target: Target
    seconds: bool = False


def embed(job: Job, execution: Execution, threads: int = 0) -> Result:
    """Embeds, unless it is done already; broken off, it goes on where it was.

    Args:
      job: what to embed.
      execution: where and how.
      threads: of TensorFlow in each process; 0 for `sharded_embedding.threads_per_process`.

    Raises:
      UserError: no such input, a wrong model or output, a bad record (with
        `on_bad_record="fail"`), or the runner failed.
    """
    config = model_source.read_config(job.source)
    network = network_files.describe(job.source, "best")
    paths = files.expand_patterns(job.input_pattern, "input_pattern")
    kind = reading.find_kind(paths)
    model_source.check_kind(config, kind, job.source)
    if job.seconds:
        model_source.check_seconds(config, job.source)
    settings = {"records": kind, "seconds": job.seconds, "network": network.digest}
    sources = [shard_plan.describe(path) for path in paths]
    plan = sharded_embedding.make_plan(job.target, settings, sources)
    shard_plan.check_apart(plan, job.input_pattern, "input_pattern", job.target.output)
    execution, threads = sharded_embedding.shared_out(execution, threads, len(plan.names))
    start = StartShards(network, job.target.on_bad_record, threads)
    return sharded_embedding.run(plan, start, execution, job.target)


@dataclasses.dataclass(frozen=True)
class StartShards:
    """Loads the model in a process.

    Attributes:
      network: its files.
      on_bad_record: `fail` or `skip`.
      threads: of TensorFlow; 0 for as many as it likes.
    """

    network: NetworkFiles
    on_bad_record: str
    threads: int

    def __call__(self) -> "MakeShard":
        """Gives what makes a shard; raises UserError if the model is not the same here."""
        sharded_embedding.limit_threads(self.threads)
        self.network.check()
        return MakeShard(embedding.load(self.network.path), self.on_bad_record)


@dataclasses.dataclass(frozen=True)
class MakeShard:
    """Makes one shard of a plan; attributes as those of `StartShards`."""

    model: JointEmbedding
    on_bad_record: str

    def __call__(self, plan: Plan, index: int) -> Made:
        """Writes the shard where it is staged."""
        schema = KINDS[plan.settings["records"]](self.model.config.model.num_classes)
        opened = [
            sharded_embedding.open_shard(source["path"], schema, self.on_bad_record)
            for source in plan.sources[index]
        ]
        skipped = [record for _, bad in opened for record in bad]
        usable = tuple(shard for records, _ in opened for shard in records.shards)
        rows = 0
        if usable:
            with npz.Writer(plan.staged(index)) as writer:
                records = Records(usable, schema)
                rows = archives.append(self.model, records, plan.settings["seconds"], writer)
        return sharded_embedding.made(rows, len(opened), skipped)
