"""Makes sounding scenes: clips in which it is known what sounds, when and where.

Example:

    python -m launch.make_scenes --output=/data/scenes --split=train --num_clips=2000
    python -m launch.make_scenes --output=/data/scenes --split=test --num_clips=500 \\
        --swap_pairs=100

writes /data/scenes/train-00000-of-00020.tfrecord and so on, test_swap-... for the swap
pairs, and beside them train.json and test.json with all that the scenes follow from. Run
again, it makes only what is missing. The same flags give the same bytes.

With the recordings of ESC-10 and the pictures of an emoji font (of Debian's package
fonts-noto-color-emoji; needs Pillow) in place of own ones:

    python -m launch.make_scenes --output=/data/esc10_scenes --num_clips=2000 \\
        --sounds=/data/esc10 --sprites=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf

Test sets with exactly two objects, of which one sounds all the time:

    python -m launch.make_scenes --output=/data/scenes --split=test --name=test_two \\
        --num_clips=500 --set=min_objects=2,max_objects=2,min_sounding_share=1,silent_share=0 \\
        --set=two_classes_share=0,same_class_share=0,switch_share=0,off_screen_share=0

Time: a few seconds to start, then about 40 clips a second of each core; 130 kB a clip.
Fields of --set, the record and what is in a scene: docs/scenes.md.
"""

from absl import flags

from launch import commands, fields

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "Folder for the shards.")
flags.DEFINE_string("split", "train", "train, validation or test: they share no sound.")
flags.DEFINE_string("name", "", "First part of the shards' names; the split if empty.")
flags.DEFINE_integer("num_clips", 1000, "Scenes to make.")
flags.DEFINE_integer("clips_per_shard", 100, "Scenes in a shard.")
flags.DEFINE_integer("swap_pairs", 0, "Pictures of two objects with four soundtracks each.")
flags.DEFINE_integer("mp4", 0, "How many of the first scenes to write as mp4 too.")
flags.DEFINE_integer("seed", 0, "Another seed gives other scenes.")
flags.DEFINE_multi_string("set", [], "Fields of the scenes that differ: name=value,...")
flags.DEFINE_string("sounds", "", "Folder with a folder of recordings for each class.")
flags.DEFINE_string("sprites", "", "Folder of PNG files, one or a folder a class; or a font.")
flags.DEFINE_string("classes", "", "CSV file: name,label,display_name,character.")
flags.DEFINE_list("only", [], "Names of the classes to use; all if empty.")
flags.DEFINE_integer("num_workers", 1, "Processes.", lower_bound=1)
flags.mark_flags_as_required(["output"])


def main() -> None:
    """Makes the scenes that the flags describe."""
    # PyAV is an extra of the package, and TensorFlow takes seconds: --help works without.
    try:
        from avc import scene_world
        from avc.scene_shards import SceneSet, make_scenes
        from avc.scenes import SceneConfig
    except ImportError as error:
        commands.fail(f"{error}: install the package with its media extra")

    world_files = scene_world.WorldFiles(
        FLAGS.sounds, FLAGS.sprites, FLAGS.classes, tuple(FLAGS.only)
    )
    names = tuple(entry.name for entry in scene_world.open_world(world_files).classes)
    fixed = {"split": FLAGS.split, "seed": FLAGS.seed, "classes": names}
    config = fields.configured(SceneConfig, fixed, FLAGS.set, "scenes")
    scenes = SceneSet(
        config,
        world_files,
        FLAGS.output,
        FLAGS.name or FLAGS.split,
        FLAGS.num_clips,
        FLAGS.clips_per_shard,
        FLAGS.swap_pairs,
        FLAGS.mp4,
    )
    print(make_scenes(scenes, FLAGS.num_workers))


if __name__ == "__main__":
    commands.run(main)
