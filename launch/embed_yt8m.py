r"""Embeds whole sets of YouTube-8M shards into one .npz file, in a stream.

The file holds `ids` (bytes [n]), `visual` and `audio` (float32 [n, dim], unit vectors),
in the order of the shards. Memory does not grow with the number of videos. With --seconds,
of a frame-level model, also every second: `second_video` (int64 [m], the video's row above),
`second_start_seconds` (int64 [m]), `second_visual` and `second_audio` (float32 [m, dim]).

With --num_shards it is a folder of so many such files, which several processes or machines make
with Apache Beam (extra `beam` of the package): the same rows in the same order.

Example (a few seconds for 800 videos; about 20,000 videos a second on 2 cores):

  python -m launch.embed_yt8m --saved_model=/tmp/embedding/export \
      --input_pattern='testdata/yt8m/dev/*.tfrecord' --output=/tmp/embedding/dev.npz
"""

import tqdm
from absl import flags

from crossmodal import files, npz
from crossmodal.errors import ConfigurationError
from crossmodal.opening import report_damage
from launch import commands, conversion_flags, embedding_flags
from yt8m_embed import archives, embedding
from yt8m_embed.reading import open_records

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(embedding_flags)
flags.DEFINE_string("workdir", "", "Work folder of a training run; its best checkpoint is taken.")
flags.DEFINE_string("saved_model", "", "Exported model, instead of --workdir.")
flags.DEFINE_string("input_pattern", None, "Shards to embed: glob patterns, by commas.")
flags.DEFINE_string("output", None, "The .npz file, or folder; appears only when complete.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.DEFINE_bool("seconds", False, "Write the embeddings of all seconds too.")
flags.mark_flags_as_required(["input_pattern", "output"])


def main() -> None:
    """Embeds as the flags say."""
    if bool(FLAGS.workdir) == bool(FLAGS.saved_model):
        raise ConfigurationError("give either --workdir or --saved_model")
    if embedding_flags.into_shards():
        embed_into_shards()
    else:
        embed_into_file()


def embed_into_shards() -> None:
    """Embeds with Beam."""
    target = embedding_flags.target()
    from yt8m_embed import sharded_embedding

    job = sharded_embedding.Job(
        FLAGS.workdir or FLAGS.saved_model, FLAGS.input_pattern, target, FLAGS.seconds
    )
    print(sharded_embedding.embed(job, conversion_flags.execution(), FLAGS.threads_per_worker))


def embed_into_file() -> None:
    """Embeds in this process."""
    files.check_writable(FLAGS.output, "output")
    model = embedding.load(FLAGS.workdir or FLAGS.saved_model)
    classes = model.config.model.num_classes
    kind, records = open_records(
        FLAGS.input_pattern, classes, "input_pattern", FLAGS.on_bad_record
    )
    model.check_kind(kind)
    total = records.count()
    with npz.Writer(FLAGS.output) as output, tqdm.tqdm(total=total, unit="video") as bar:
        archives.append(model, records, FLAGS.seconds, output, bar.update)
    report_damage(records)
    print(f"{total} videos embedded: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
