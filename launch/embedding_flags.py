"""Flags of the commands that embed: whether into shards, and then how the Beam job runs."""

from typing import TYPE_CHECKING

from absl import flags

from crossmodal.errors import ConfigurationError
from launch import commands, conversion_flags

if TYPE_CHECKING:
    from crossmodal.sharded_embedding import Target

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(conversion_flags)
flags.DEFINE_integer(
    "num_shards",
    0,
    "0: --output is one .npz file, made in this process; else it is a folder of so many, made by "
    "Beam.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "threads_per_worker",
    0,
    "Of TensorFlow in a worker process; 0: the processes of the DirectRunner share the cores, "
    "those of another runner have 1.",
    lower_bound=0,
)
_OF_SHARDS = ("runner", "num_workers", "pipeline_options", "threads_per_worker")


def into_shards() -> bool:
    """Whether the output is shards.

    Raises:
      ConfigurationError: other flags contradict that.
    """
    if FLAGS.num_shards:
        if FLAGS.output.endswith(".npz"):
            raise ConfigurationError(
                f"--output={FLAGS.output}: with --num_shards it is a folder; leave out .npz"
            )
        return True
    for name in _OF_SHARDS:
        if FLAGS[name].present:
            raise ConfigurationError(
                f"--{name} is for embedding into shards: give --num_shards too"
            )
    return False


def target() -> "Target":
    """Where shards go; ends with one line if Beam is not installed."""
    try:
        from crossmodal.sharded_embedding import Target
    except ImportError as error:
        commands.fail(f"{error}: shards need the package's extra beam; without --num_shards a"
                      " single file does not")
    return Target(FLAGS.output, FLAGS.num_shards, FLAGS.on_bad_record)
