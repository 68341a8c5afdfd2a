"""Flags of the commands that train a joint embedding, and what they add up to."""

from absl import flags

from crossmodal import training
from crossmodal.configuration import override
from launch import loop_flags
from yt8m_embed import configuration
from yt8m_embed.configuration import EmbeddingConfig
from yt8m_embed.training import DataConfig

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(loop_flags)
flags.DEFINE_enum("recipe", "contrastive", list(configuration.RECIPES), "Set of choices.")
flags.DEFINE_float("lambda_value", None, "Weight of the class loss; default: the recipe's.")
flags.DEFINE_integer("lambda_step", None, "Step from which it counts; default: the recipe's.")
flags.DEFINE_integer("num_classes", 3862, "Labels lie below this number.", lower_bound=1)
flags.DEFINE_integer(
    "holdout_percent",
    10,
    "Share of the training records, by id digest, that serve for evaluations if there is no "
    "--eval_pattern.",
)
flags.DEFINE_enum("cache", "none", ["none", "memory"], "Keep the features in memory (float16).")
flags.DEFINE_integer("shuffle_window", 20_000, "Records shuffled at a time without a cache.")
flags.DEFINE_integer(
    "gallery_size", 1024, "Videos of a gallery in these evaluations.", lower_bound=1
)


def embedding_config() -> EmbeddingConfig:
    """The recipe with what the flags change of it.

    Raises:
      ConfigurationError: --set names no field or an impossible value.
    """
    changes = {"num_classes": FLAGS.num_classes}
    for flag, field in (("lambda_value", "class_weight"), ("lambda_step", "class_weight_step")):
        if FLAGS[flag].value is not None:
            changes[field] = FLAGS[flag].value
    return override(configuration.recipe(FLAGS.recipe), changes | loop_flags.changes())


def run_config(config: EmbeddingConfig) -> training.TrainingConfig:
    """How the loop is to run."""
    return loop_flags.run_config(
        config.batch_size, config.max_steps, "variable", config.clip_norm, config.ema_decay
    )


def data_config() -> DataConfig:
    """Where the examples come from."""
    return DataConfig(
        train_pattern=FLAGS.train_pattern,
        eval_pattern=FLAGS.eval_pattern,
        holdout_percent=FLAGS.holdout_percent,
        cache=FLAGS.cache,
        shuffle_window=FLAGS.shuffle_window,
        on_bad_record=FLAGS.on_bad_record,
        gallery_size=FLAGS.gallery_size,
    )
