"""Makes narrated videos: long, loosely synchronous, in a world whose words are known.

Example, for the recipe `davenet_small`:

    python -m launch.make_narrations --output=/data/narrations --split=train --num_videos=300
    python -m launch.make_narrations --output=/data/narrations --split=validation --num_videos=40
    python -m launch.make_narrations --output=/data/narrations --split=test --num_videos=170

writes /data/narrations/train-00000-of-00015.tfrecord and so on, records of clips of 10 s, and
beside them train.json with all that the videos follow from. Run again, it makes only what is
missing. The same flags give the same bytes. With --mp4=3 the first three videos are written as
mp4, too.

Time: about 3 videos of a minute each second of a core; 2.1 MB a video. Fields of --set, and what
is shown and said: docs/scenes.md.
"""

from absl import flags

from launch import commands, fields

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "Folder for the shards.")
flags.DEFINE_string("split", "train", "train, validation or test: they share no voice.")
flags.DEFINE_string("name", "", "First part of the shards' names; the split if empty.")
flags.DEFINE_integer("num_videos", 100, "Videos to make.")
flags.DEFINE_integer("videos_per_shard", 20, "Videos in a shard.")
flags.DEFINE_integer("mp4", 0, "How many of the first videos to write as mp4 too.")
flags.DEFINE_integer("seed", 0, "Another seed gives other videos.")
flags.DEFINE_multi_string("set", [], "Fields of the videos that differ: name=value,...")
flags.mark_flags_as_required(["output"])


def main() -> None:
    """Makes the videos that the flags describe."""
    try:
        from avc.narration_shards import NarrationSet, make_narrations
        from avc.narrations import NarrationConfig
    except ImportError as error:
        commands.fail(f"{error}: install the package with its media extra")

    fixed = {"split": FLAGS.split, "seed": FLAGS.seed}
    config = fields.configured(NarrationConfig, fixed, FLAGS.set, "narrated videos")
    name = FLAGS.name or FLAGS.split
    print(
        make_narrations(
            NarrationSet(
                config, FLAGS.output, name, FLAGS.num_videos, FLAGS.videos_per_shard, FLAGS.mp4
            )
        )
    )


if __name__ == "__main__":
    commands.run(main)
