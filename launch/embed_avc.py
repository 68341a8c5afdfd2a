r"""Embeds a folder of videos, or shards of clips, with a trained network into one .npz file.

The file holds a row for each moment: `ids`, `file`, `video`, `seconds` (the middle of the
sound, which the frame is shown at, from the file's beginning), `visual` and `audio`
embeddings, `corresponds` (the probability), and of records their `labels`. Ended and started
again, it goes on with the files that are not finished.

With --num_shards it is a folder of so many such files, which several processes or machines make
with Apache Beam (extra `beam` of the package): the same rows in the same order.

Examples:

  python -m launch.embed_avc --workdir=/tmp/ave --input=/data/videos --output=/tmp/videos.npz
  python -m launch.embed_avc --workdir=/tmp/ave/export --moments=middle \
      --input_pattern='/data/clips/test-*.tfrecord' --output=/tmp/test.npz
  python -m launch.embed_avc --workdir=/tmp/ave --input=/data/videos --output=/data/embeddings \
      --num_shards=64
"""

import tqdm
from absl import flags

from avc import clip_embedding, clip_files, clip_sources, embedding, reading
from avc.clip_embedding import MODALITIES, MOMENTS, EmbeddingSettings
from avc.clip_sources import Unit
from crossmodal.errors import ConfigurationError
from crossmodal.opening import report_damage
from launch import commands, conversion_flags, embedding_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(embedding_flags)
flags.DEFINE_string("workdir", None, "Work folder of a trained network, or its export.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("input", "", "Folder of videos or sounds, or glob patterns, by commas.")
flags.DEFINE_string("input_pattern", "", "Records of clips, instead: glob patterns, by commas.")
flags.DEFINE_string("output", None, "The .npz file, or folder; appears only when complete.")
flags.DEFINE_enum("modality", "both", MODALITIES, "What to embed.")
flags.DEFINE_enum("moments", "hop", MOMENTS, "Every --hop_seconds, or the middle of each record.")
flags.DEFINE_float("hop_seconds", 1.0, "From one moment to the next.")
flags.DEFINE_integer("shorter_side", 256, "Pixels to which pictures of --input are scaled.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flags_as_required(["workdir", "output"])


def check_flags() -> EmbeddingSettings:
    """Raises UserError for flags that do not go together."""
    if bool(FLAGS.input) == bool(FLAGS.input_pattern):
        raise ConfigurationError("give either --input or --input_pattern")
    if FLAGS.input and FLAGS.moments == "middle":
        raise ConfigurationError("--moments=middle is for records, --input_pattern")
    settings = EmbeddingSettings(
        FLAGS.modality, FLAGS.moments, FLAGS.hop_seconds, FLAGS.shorter_side
    )
    if FLAGS.input:
        clip_files.check_output(FLAGS.input, FLAGS.output)
    return settings


def main() -> None:
    """Embeds as the flags say."""
    settings = check_flags()
    if embedding_flags.into_shards():
        embed_into_shards(settings)
    else:
        clip_embedding.check_output(FLAGS.output)
        embed_into_file(settings)


def embed_into_shards(settings: EmbeddingSettings) -> None:
    """Embeds with Beam."""
    target = embedding_flags.target()
    from avc import sharded_embedding

    job = sharded_embedding.Job(
        FLAGS.workdir, FLAGS.checkpoint, settings, target, FLAGS.input, FLAGS.input_pattern
    )
    print(sharded_embedding.embed(job, conversion_flags.execution(), FLAGS.threads_per_worker))


def embed_into_file(settings: EmbeddingSettings) -> None:
    """Embeds in this process."""
    records = None
    if FLAGS.input:
        units = clip_sources.file_units(clip_files.list_inputs(FLAGS.input))
    else:
        _, encoding, records = reading.open_clips(
            FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record
        )
        units = clip_sources.shard_units(records)
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint)
    config = clip_embedding.moments_for(settings, network.config)

    def read(unit: Unit):
        if records is None:
            return clip_sources.rows_of_file(unit, config)
        return clip_sources.rows_of_shard(unit, records, encoding, config)

    total = sum(unit.description.get("bytes", 0) for unit in units)
    with tqdm.tqdm(total=total, unit="B", unit_scale=True, desc="embed") as bar:
        moments = 0

        def tell(unit: Unit, rows: int, finished: bool) -> None:
            nonlocal moments
            moments += rows
            bar.set_postfix(moments=moments, file=unit.name[-30:], refresh=False)
            bar.update(unit.description.get("bytes", 0) if finished else 0)

        done = clip_embedding.embed_collection(
            network, units, read, settings, FLAGS.output, tell
        )
    for line in done.left_out:
        print(f"left out: {line}")
    if records is not None:
        report_damage(records)
    print(f"{done.rows} moments of {len(units)} files: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
