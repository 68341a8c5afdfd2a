"""Flags of every command that trains: where, on what, for how long, on which devices."""

from absl import flags

from crossmodal import strategies, training
from launch import fields

FLAGS = flags.FLAGS
flags.DEFINE_string("train_pattern", None, "Shards to train on: glob patterns, by commas.")
flags.DEFINE_string(
    "eval_pattern", "", "Shards for the curve and the choice of the best checkpoint."
)
flags.DEFINE_string("workdir", None, "Folder for checkpoints, logs and the configuration.")
flags.DEFINE_list("set", [], "Fields of the configuration that differ: name=value,...")
flags.DEFINE_integer("seed", 0, "Of the weights, the order and every random draw.")
flags.DEFINE_integer("batch_size", 0, "Global batch; 0 for the recipe's.", lower_bound=0)
flags.DEFINE_integer("max_steps", 0, "Steps; 0 for the recipe's.", lower_bound=0)
flags.DEFINE_enum("strategy", "default", list(strategies.STRATEGIES), "Of tf.distribute.")
flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_float16", "mixed_bfloat16"], "Of the layers."
)
flags.DEFINE_integer("accumulation_steps", 1, "Micro-batches in a step.", lower_bound=1)
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
flags.mark_flags_as_required(["train_pattern", "workdir"])


def changes() -> dict[str, object]:
    """The fields of a configuration that --batch_size, --max_steps and --set change.

    Raises:
      ConfigurationError: a part of --set is not name=value.
    """
    sizes = {flag: FLAGS[flag].value for flag in ("batch_size", "max_steps") if FLAGS[flag].value}
    return sizes | dict(fields.assignment(item) for item in FLAGS.set)


def run_config(
    batch_size: int, max_steps: int, clip_by: str, clip_norm: float, ema_decay: float = 0.0
) -> training.TrainingConfig:
    """How the loop is to run, with the choices of a recipe; see TrainingConfig.

    Args:
      batch_size, max_steps, ema_decay: the recipe's.
      clip_by: whose norm is limited where there is a limit.
      clip_norm: the limit; 0 for none.
    """
    return training.TrainingConfig(
        batch_size=batch_size,
        max_steps=max_steps,
        steps_per_call=FLAGS.steps_per_call,
        checkpoint_every_steps=FLAGS.checkpoint_every_steps,
        evaluate_every_steps=FLAGS.evaluate_every_steps or max(1, max_steps // 10),
        keep_checkpoints=FLAGS.keep_checkpoints,
        patience_evaluations=FLAGS.patience_evaluations,
        precision=FLAGS.precision,
        strategy=FLAGS.strategy,
        clip_by=clip_by if clip_norm else "none",
        clip_norm=clip_norm or 1.0,
        accumulation_steps=FLAGS.accumulation_steps,
        ema_decay=ema_decay,
        seed=FLAGS.seed,
    )
