"""Training of the joint embedding: records, model and losses joined to the shared loop."""

import dataclasses
import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from crossmodal import cca, configuration, galleries, shards, training
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.opening import report_damage
from crossmodal.pipeline import PipelineConfig, TrainingBatches, open_training
from crossmodal.reading import Holdout, Records, blocks, explained
from yt8m_embed import embedding, model, objectives, second_retrieval
from yt8m_embed.configuration import EmbeddingConfig, ModelConfig, OptimizerConfig
from yt8m_embed.moments import gather_moments
from yt8m_embed.reading import feature_level, open_records


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the examples come from; saved with the run.

    Attributes:
      train_pattern: shards to train on.
      eval_pattern: shards for the curve and the choice of the best checkpoint; if empty,
        `holdout_percent` of the training records serve for that and are not trained on.
      holdout_percent: share of the training records held out by a digest of their id.
      cache: `none` or `memory`.
      shuffle_window: records among which the next one is drawn when there is no cache.
      on_bad_record: `fail` or `skip`.
      gallery_size: videos of a gallery in the evaluations during training.
      num_galleries: such galleries.
    """

    train_pattern: str
    eval_pattern: str = ""
    holdout_percent: int = 10
    cache: str = "none"
    shuffle_window: int = 20_000
    on_bad_record: str = "fail"
    gallery_size: int = 1024
    num_galleries: int = 10

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its choices or range.
        """
        configuration.check_choice("cache", self.cache, ("none", "memory"))
        configuration.check_choice("on_bad_record", self.on_bad_record, ("fail", "skip"))
        configuration.check_range("holdout_percent", self.holdout_percent, 0, 90)
        configuration.check_range("shuffle_window", self.shuffle_window, 0, 1e9)


def train(
    config: EmbeddingConfig,
    data: DataConfig,
    run: training.TrainingConfig,
    workdir: str,
    strategy: tf.distribute.Strategy | None = None,
    progress: bool = True,
) -> training.Result:
    """Trains a joint embedding in a work folder, or goes on with one.

    Args:
      config: what to train; its feature level is set to that of the records.
      data: on what.
      run: how; batch size, steps, clipping and averaging are those of `config`.
      workdir: the work folder.
      strategy: where TensorFlow was started for several workers; see `training.train`.
      progress: whether to show bars while reading.

    Raises:
      UserError: the input is bad; the line names the file, record or flag.
    """
    train_records, eval_records, config = open_data(config, data, workdir, progress)
    batches: dict[int, TrainingBatches] = {}
    pipeline = PipelineConfig(run.batch_size, run.seed, data.shuffle_window, data.cache)

    def dataset(start_step: int, worker: int, workers: int) -> tf.data.Dataset:
        # The records are counted (and cached) once, also where the loop asks again.
        if worker not in batches:
            batches[worker] = open_training(train_records, pipeline, worker, workers)
        return batches[worker].dataset(start_step, objectives.sampler(config))

    def explain(error: Exception) -> UserError | None:
        del error
        paths = [shard.path for shard in train_records.shards]
        return shards.diagnose(paths, train_records.schema)

    made: list[keras.Model] = []

    def make() -> keras.Model:
        made.append(make_model(config, train_records))
        return made[-1]

    task = training.Task(
        make_model=make,
        make_optimizer=lambda: make_optimizer(config.optimizer, run),
        losses=objectives.batch_losses(config, lambda: made[-1]),
        dataset=dataset,
        gather=config.loss.embedding_loss == "contrastive",
        loss_features=objectives.loss_features(config),
        select=objectives.select(config),
        evaluate=evaluator(eval_records, config, data) if eval_records else None,
        best_metric=best_metric(config),
        explain_input_error=explain,
    )
    saved = {"embedding": configuration.to_dict(config), "data": configuration.to_dict(data)}
    if config.optimizer.schedule == "staircase":
        # A cosine depends on where it ends; such a run may go on for longer.
        del saved["embedding"]["max_steps"]
    result = training.train(task, run, workdir, saved, strategy)
    report_damage(train_records, *([eval_records] if data.eval_pattern else []))
    return result


def open_data(
    config: EmbeddingConfig, data: DataConfig, workdir: str, progress: bool
) -> tuple[Records, Records | None, EmbeddingConfig]:
    """Opens the records to train on and those to evaluate on.

    Raises:
      UserError: a pattern matches nothing or a record is bad.
      ConfigurationError: the two are of different levels, or the model cannot take them.
    """
    num_classes = config.model.num_classes

    def opened(pattern: str, flag: str) -> tuple[str, Records]:
        index = os.path.join(workdir, f"{flag}_index.json")
        return open_records(pattern, num_classes, flag, data.on_bad_record, progress, index)

    held_out = not data.eval_pattern and data.holdout_percent > 0
    kind, train_records = opened(data.train_pattern, "train_pattern")
    eval_records, eval_kind = None, kind
    if data.eval_pattern:
        eval_kind, eval_records = opened(data.eval_pattern, "eval_pattern")
    elif held_out:
        eval_records = train_records.within(Holdout(data.holdout_percent, held_out=True))
        train_records = train_records.within(Holdout(data.holdout_percent))
        with explained(eval_records):
            first = next(blocks(eval_records).unbatch().as_numpy_iterator(), None)
        if first is None:
            raise UserError(
                f"--holdout_percent={data.holdout_percent} holds out no video of "
                f"--train_pattern={data.train_pattern}: raise it, name --eval_pattern, or do "
                "without evaluations by 0"
            )
    level, eval_level = feature_level(kind), feature_level(eval_kind)
    if level == "video" and config.model.feature_level == "frame":
        raise ConfigurationError(
            f"recipe {config.recipe} needs frame-level records (rgb, audio); --train_pattern="
            f"{data.train_pattern} holds video-level ones"
        )
    if eval_level != level:
        raise ConfigurationError(
            f"--train_pattern holds {level}-level records, --eval_pattern {eval_level}-level ones"
        )
    changed = dataclasses.replace(config.model, feature_level=level)
    return train_records, eval_records, dataclasses.replace(config, model=changed)


def make_model(config: EmbeddingConfig, records: Records) -> keras.Model:
    """The model with its initial weights; parts that start at a CCA are fitted on `records`."""
    made = model.build_model(config.model)
    if config.model.standardize:
        model.start_from(made, fit_starts(records, config.model), config.model)
    return made


def fit_starts(records: Records, config: ModelConfig) -> dict[str, model.Start]:
    """Means, deviations and a weighted CCA of the normalised features, in one pass."""
    moments = gather_moments(records, config.normalization)
    fitted = cca.fit(
        moments, config.linear_dim, config.cca_visual_ridge, config.cca_audio_ridge
    )
    weights = fitted.correlations**config.cca_power
    weights = weights / np.linalg.norm(weights)  # rows of length about 1 after the projection
    variances = np.diag(moments.covariance())
    split = moments.visual_size
    return {
        "visual": model.Start(
            fitted.visual_mean,
            float(np.sqrt(variances[:split].mean())),
            fitted.visual_projection * weights,
        ),
        "audio": model.Start(
            fitted.audio_mean,
            float(np.sqrt(variances[split:].mean())),
            fitted.audio_projection * weights,
        ),
    }


def make_optimizer(
    config: OptimizerConfig, run: training.TrainingConfig
) -> keras.optimizers.Optimizer:
    """Adam with the configuration's schedule; AdamW where it has weight decay."""
    rate = config.learning_rate
    schedules = keras.optimizers.schedules
    if config.schedule == "staircase":
        steps = max(1, config.decay_examples // run.batch_size)
        rate = schedules.ExponentialDecay(rate, steps, config.decay_rate, staircase=True)
    else:
        steps = max(1, run.max_steps - config.warmup_steps)
        rate = schedules.CosineDecay(
            0.0 if config.warmup_steps else rate,
            steps,
            warmup_target=rate if config.warmup_steps else None,
            warmup_steps=config.warmup_steps,
        )
    moments = {"beta_2": config.beta_2, "epsilon": config.adam_epsilon}
    if not config.weight_decay:
        return keras.optimizers.Adam(rate, **moments)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, **moments)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "gate", "stored"])
    return optimizer


def evaluator(
    records: Records, config: EmbeddingConfig, data: DataConfig
) -> Callable[[keras.Model], dict[str, float]]:
    """A function from the model to retrieval scores on galleries of held-out videos."""
    known: dict[int, embedding.JointEmbedding] = {}

    def evaluate(trained: keras.Model) -> dict[str, float]:
        # One embedding for all evaluations: its graph is traced once.
        made = known.setdefault(id(trained), embedding.of_model(trained, config))
        found = made.embed_records(records)
        size = min(data.gallery_size, len(found.ids))
        scores = galleries.evaluate(found.visual, found.audio, [size], data.num_galleries, seed=0)
        metrics = {k: v["mean"] for k, v in galleries.summarise(scores).items()}
        for cutoff in ("recall@1", "recall@10"):
            metrics[cutoff] = float(
                np.mean([v for k, v in metrics.items() if k.endswith(f"/{cutoff}")])
            )
        if config.synchronous.synchronous_weight:
            metrics |= second_retrieval.brief(made.embed_seconds(records))
        return metrics

    return evaluate


def best_metric(config: EmbeddingConfig) -> str:
    """What chooses the checkpoint: recall of seconds where they are trained for, or of videos."""
    return second_retrieval.BRIEF if config.synchronous.synchronous_weight else "recall@10"


def find_workdir_data(workdir: str) -> DataConfig:
    """The data configuration that a work folder was trained with."""
    path = os.path.join(workdir, configuration.FILE)
    return configuration.from_dict(DataConfig, configuration.load(path)["data"], path)
