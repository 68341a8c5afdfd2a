"""Flags of the commands that train a joint embedding, and what they add up to."""

import ast

from absl import flags

from crossmodal import strategies, training
from crossmodal.configuration import override
from crossmodal.errors import ConfigurationError
from yt8m_embed import configuration
from yt8m_embed.configuration import EmbeddingConfig
from yt8m_embed.training import DataConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("train_pattern", None, "Shards to train on: glob patterns, by commas.")
flags.DEFINE_string(
    "eval_pattern",
    "",
    "Shards for the curve and the choice of the best checkpoint; if empty, "
    "--holdout_percent of the training records serve for that.",
)
flags.DEFINE_string("workdir", None, "Folder for checkpoints, logs and the configuration.")
flags.DEFINE_enum("recipe", "contrastive", list(configuration.RECIPES), "Set of choices.")
flags.DEFINE_list("set", [], "Fields of the configuration that differ: name=value,...")
flags.DEFINE_integer("seed", 0, "Of the weights, the order and every random draw.")
flags.DEFINE_integer("batch_size", 0, "Global batch; 0 for the recipe's.", lower_bound=0)
flags.DEFINE_integer("max_steps", 0, "Steps; 0 for the recipe's.", lower_bound=0)
flags.DEFINE_float("lambda_value", None, "Weight of the class loss; default: the recipe's.")
flags.DEFINE_integer("lambda_step", None, "Step from which it counts; default: the recipe's.")
flags.DEFINE_enum("strategy", "default", list(strategies.STRATEGIES), "Of tf.distribute.")
flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_float16", "mixed_bfloat16"], "Of the layers."
)
flags.DEFINE_integer("accumulation_steps", 1, "Micro-batches in a step.", lower_bound=1)
flags.DEFINE_integer("num_classes", 3862, "Labels lie below this number.", lower_bound=1)
flags.DEFINE_integer("holdout_percent", 10, "Share of the records held out, by id digest.")
flags.DEFINE_enum("cache", "none", ["none", "memory"], "Keep the features in memory (float16).")
flags.DEFINE_integer("shuffle_window", 20_000, "Records shuffled at a time without a cache.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.DEFINE_integer("steps_per_call", 20, "Steps in one call of the compiled loop.", lower_bound=1)
flags.DEFINE_integer("checkpoint_every_steps", 500, "Steps between checkpoints.", lower_bound=1)
flags.DEFINE_integer(
    "evaluate_every_steps", 0, "Steps between evaluations; 0: ten in a run.", lower_bound=0
)
flags.DEFINE_integer("keep_checkpoints", 3, "Last checkpoints that stay.", lower_bound=1)
flags.DEFINE_integer(
    "patience_evaluations", 0, "Stop after so many without a better one.", lower_bound=0
)
flags.DEFINE_integer(
    "gallery_size", 1024, "Videos of a gallery in these evaluations.", lower_bound=1
)
flags.mark_flags_as_required(["train_pattern", "workdir"])


def embedding_config() -> EmbeddingConfig:
    """The recipe with what the flags change of it.

    Raises:
      ConfigurationError: --set names no field or an impossible value.
    """
    changes = {"num_classes": FLAGS.num_classes}
    for flag, field in (("lambda_value", "class_weight"), ("lambda_step", "class_weight_step")):
        if FLAGS[flag].value is not None:
            changes[field] = FLAGS[flag].value
    for flag in ("batch_size", "max_steps"):
        if FLAGS[flag].value:
            changes[flag] = FLAGS[flag].value
    changes |= dict(assignment(item) for item in FLAGS.set)
    return override(configuration.recipe(FLAGS.recipe), changes)


def assignment(item: str) -> tuple[str, object]:
    """The field and the value that `name=value` says.

    Raises:
      ConfigurationError: it says none.
    """
    name, equals, text = item.partition("=")
    if not equals:
        raise ConfigurationError(f"{item!r}: write name=value")
    return name, literal(text)


def literal(text: str) -> object:
    """A number, a tuple written 512x256, or the text itself."""
    if "x" in text and all(part.isdigit() for part in text.split("x")):
        return tuple(int(part) for part in text.split("x"))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def run_config(config: EmbeddingConfig) -> training.TrainingConfig:
    """How the loop is to run."""
    return training.TrainingConfig(
        batch_size=config.batch_size,
        max_steps=config.max_steps,
        steps_per_call=FLAGS.steps_per_call,
        checkpoint_every_steps=FLAGS.checkpoint_every_steps,
        evaluate_every_steps=FLAGS.evaluate_every_steps or max(1, config.max_steps // 10),
        keep_checkpoints=FLAGS.keep_checkpoints,
        patience_evaluations=FLAGS.patience_evaluations,
        precision=FLAGS.precision,
        strategy=FLAGS.strategy,
        clip_by="variable" if config.clip_norm else "none",
        clip_norm=config.clip_norm or 1.0,
        accumulation_steps=FLAGS.accumulation_steps,
        ema_decay=config.ema_decay,
        seed=FLAGS.seed,
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
