"""Flags of the commands that train audio-visual networks, and what they add up to."""

from absl import flags

from avc import recipes
from avc.recipes import AvcConfig
from avc.training import DataConfig
from crossmodal import training
from launch import loop_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(loop_flags)
flags.DEFINE_enum("recipe", "ave", list(recipes.RECIPES), "Network and set of choices.")
flags.DEFINE_integer(
    "gallery_size", 256, "Clips of a gallery in the evaluations.", lower_bound=1
)
flags.DEFINE_integer(
    "pairs_per_read", 0, "Pairs drawn from a clip once it is read; 0 for the recipe's.",
    lower_bound=0,
)


def avc_config() -> AvcConfig:
    """The recipe with what the flags change of it.

    Raises:
      ConfigurationError: --set names no field or an impossible value.
    """
    draws = {"pairs_per_read": FLAGS.pairs_per_read} if FLAGS.pairs_per_read else {}
    return recipes.override(recipes.recipe(FLAGS.recipe), {**draws, **loop_flags.changes()})


def run_config(config: AvcConfig) -> training.TrainingConfig:
    """How the loop is to run."""
    return loop_flags.run_config(
        config.batch_size, config.max_steps, "global", config.optimizer.clip_norm
    )


def data_config() -> DataConfig:
    """Where the clips come from."""
    return DataConfig(
        train_pattern=FLAGS.train_pattern,
        eval_pattern=FLAGS.eval_pattern,
        on_bad_record=FLAGS.on_bad_record,
        gallery_size=FLAGS.gallery_size,
    )
