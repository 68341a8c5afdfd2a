"""Training of audio-visual correspondence: clips, a network and its loss in the shared loop."""

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from avc import davenet_trunks, fused_normalization, losses, networks, pairs
from avc.derangement import find_partners
from avc.evaluation import embed_pairs, score
from avc.reading import bytes_per_pair, open_clips
from avc.recipes import AvcConfig, OptimizerConfig
from avc.triplet import triplet
from crossmodal import configuration, shards, strategies, training
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.opening import report_damage
from crossmodal.pipeline import PipelineConfig, TrainingBatches, open_training
from crossmodal.reading import Records

if TYPE_CHECKING:
    from avc.initialization import Initialization

# What a loss that compares all pairs of a batch, over all replicas, asks of it.
COMPARED = {"infonce": ("key",), "triplet": ("key", "impostor_chance")}
IMPOSTORS = 2  # number of the random stream


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the clips come from; saved with the run.

    Attributes:
      train_pattern: clips to train on.
      eval_pattern: clips for the curve and the choice of the best checkpoint; empty for none.
      on_bad_record: `fail` or `skip`.
      gallery_size: clips of a gallery in these evaluations.
    """

    train_pattern: str
    eval_pattern: str = ""
    on_bad_record: str = "fail"
    gallery_size: int = 256

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        configuration.check_choice("on_bad_record", self.on_bad_record, ("fail", "skip"))
        configuration.check_range("gallery_size", self.gallery_size, 1, 1_000_000)


def train(
    config: AvcConfig,
    data: DataConfig,
    run: training.TrainingConfig,
    workdir: str,
    strategy: tf.distribute.Strategy | None = None,
    progress: bool = True,
    initial: "Initialization | None" = None,
) -> training.Result:
    """Trains a network in a work folder, or goes on with one.

    Args:
      config: what to train.
      data: on what.
      run: how; batch size, steps and clipping are those of `config`.
      workdir: the work folder.
      strategy: where TensorFlow was started for several workers; see `training.train`.
      progress: whether to show bars while reading.
      initial: gives the network other weights before the first step; None for random ones.

    Raises:
      UserError: the input is bad; the line names the file, record or flag.
    """

    def opened(pattern: str, flag: str) -> tuple[str, Records]:
        index = os.path.join(workdir, f"{flag}_index.json")
        return open_clips(pattern, flag, data.on_bad_record, progress, index)[1:]

    encoding, records = opened(data.train_pattern, "train_pattern")
    held_out = opened(data.eval_pattern, "eval_pattern") if data.eval_pattern else None
    strategy = strategy or strategies.make_strategy(run.strategy)
    check_group(config, run, strategy.num_replicas_in_sync)
    batches: dict[int, TrainingBatches] = {}

    def dataset(start_step: int, worker: int, workers: int) -> tf.data.Dataset:
        if worker not in batches:
            batches[worker] = open_training(
                records, pipeline_config(config, run), worker, workers
            )
        return draw_batches(batches[worker], config, encoding, start_step)

    made: list[networks.Network] = []

    def make_model() -> keras.Model:
        made.append(make_network(config))
        davenet_trunks.load_image_weights(made[-1].training, config.network)
        return made[-1].training

    def evaluate(trained: keras.Model) -> dict[str, float]:
        network = next(each for each in made if each.training is trained)
        return score(embed_pairs(network, held_out[1], held_out[0], config), data.gallery_size)

    def initialize(trained: keras.Model) -> None:
        if initial is not None:
            initial(next(each for each in made if each.training is trained), config)

    def explain(error: Exception) -> UserError | None:
        paths = [shard.path for shard in records.shards]
        return pairs.explain(error) or shards.diagnose(paths, records.schema)

    steps_per_epoch = max(1, records.count() // run.batch_size)
    size = bytes_per_pair(records, config.pairs.pairs_per_read)
    print(f"{records.count()} clips; {size / 1e6:.3g} MB are read for a pair")
    task = training.Task(
        make_model=make_model,
        make_optimizer=lambda: make_optimizer(config.optimizer, steps_per_epoch),
        losses=batch_losses(config),
        dataset=dataset,
        gather=config.loss.objective in COMPARED,
        loss_features=COMPARED.get(config.loss.objective),
        evaluate=evaluate if held_out else None,
        best_metric=best_metric(config),
        initialize=initialize,
        explain_input_error=explain,
    )
    saved = {"avc": configuration.to_dict(config), "data": configuration.to_dict(data)}
    # The rate's staircase has no end, so that a run may go on for longer.
    del saved["avc"]["max_steps"]
    if initial is not None and initial.sources():
        saved["initialization"] = configuration.to_dict(initial)
    result = training.train(task, run, workdir, saved, strategy)
    report_damage(records, *([held_out[1]] if held_out else []))
    return result


def make_network(config: AvcConfig) -> networks.Network:
    """The network to train, in the scope of its strategy."""
    made = networks.build(config.network, mismatches(config))
    fused_normalization.use(made.training)
    return made


def mismatches(config: AvcConfig) -> int:
    """How many mismatched pairs of the batch's own the network makes of each row."""
    own = config.pairs.negatives == "in_batch" and config.loss.objective != "infonce"
    return config.loss.negatives_per_clip if own else 0


def best_metric(config: AvcConfig) -> str:
    """What the best checkpoint is chosen by: that which is trained for."""
    return "accuracy" if config.loss.objective == "correspondence" else "recall@10"


def check_group(config: AvcConfig, run: training.TrainingConfig, replicas: int) -> None:
    """Raises ConfigurationError unless all rows that exchange sounds are on one replica."""
    parts = replicas * run.accumulation_steps
    rows, within = run.batch_size // parts, config.loss.negatives_within
    # A batch that stays whole may be smaller: it is then one group.
    if mismatches(config) and rows % within and (parts > 1 or rows > within):
        raise ConfigurationError(
            f"--batch_size={run.batch_size} gives each replica {rows} clips at a time: it must be"
            f" a multiple of negatives_within={within}"
        )


def pipeline_config(config: AvcConfig, run: training.TrainingConfig) -> PipelineConfig:
    """How clips are read."""
    draws = config.pairs.pairs_per_read
    return PipelineConfig(run.batch_size, run.seed, random_access=True, draws_per_read=draws)


def draw_batches(
    batches: TrainingBatches, config: AvcConfig, encoding: str, start_step: int = 0
) -> tf.data.Dataset:
    """Training batches from a step on; see `avc.pairs`.

    Args:
      batches: the clips of a worker.
      config: what pairs to draw.
      encoding: of the clips' sound.
      start_step: how many batches of a run from the beginning are left out.
    """

    def draw(example: dict, seed: tf.Tensor) -> dict:
        visual = config.network.visual
        return pairs.draw(example, config.pairs, config.frames, encoding, seed, visual)

    def sample(batch: dict, seed: tf.Tensor) -> dict:
        combined = pairs.combine(batch, config.pairs, seed)
        if number := mismatches(config):
            within = min(config.loss.negatives_within, batches.size)
            combined["partner_offset"] = partner_offsets(combined["key"], within, number)
        if config.loss.objective == "triplet":
            drawn = tf.random.fold_in(seed, IMPOSTORS)
            shape = [tf.size(combined["key"]), 2]
            combined["impostor_chance"] = tf.random.stateless_uniform(shape, drawn)
        return combined

    return batches.dataset(start_step, sample=sample, draw=draw)


def partner_offsets(keys: tf.Tensor, within: int, number: int = 1) -> tf.Tensor:
    """How many rows further the sounds of each row's mismatched pairs are.

    Args:
      keys: int64 [batch], equal for clips of one video.
      within: rows in a row among which partners are sought; a divisor of the batch.
      number: of mismatched pairs a row; below `within`, or some are sought in vain.

    Returns:
      int32 [batch, number], 0 where there is none.
    """

    def offsets(group: tf.Tensor) -> tf.Tensor:
        partner, valid = find_partners(group, number)
        return tf.where(valid, partner - tf.range(within)[:, None], 0)

    groups = tf.reshape(keys, [-1, within])
    found = tf.map_fn(offsets, groups, fn_output_signature=tf.int32)
    return tf.reshape(found, [-1, number])


def batch_losses(config: AvcConfig) -> Callable:
    """The losses of a batch as the loop calls them."""
    loss = config.loss

    def call(outputs: dict, batch: dict, step: tf.Tensor) -> dict:
        del step
        if loss.objective == "infonce":
            return losses.infonce(outputs, batch, loss.contrast_temperature)
        if loss.objective == "triplet":
            own = config.network.matchmap
            kind, temperature = own.similarity, own.instance_temperature
            return triplet(outputs, batch, loss.margin, kind, temperature)
        return losses.correspondence(outputs, batch)

    return call


def make_optimizer(config: OptimizerConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Adam or SGD with the staircase of the learning rate; weight decay is decoupled."""
    rate = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate,
        max(1, round(config.decay_epochs * steps_per_epoch)),
        config.decay_rate,
        staircase=True,
    )
    if config.optimizer == "sgd":
        decay = config.weight_decay or None
        optimizer = keras.optimizers.SGD(rate, momentum=config.momentum, weight_decay=decay)
    elif config.weight_decay:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
    else:
        optimizer = keras.optimizers.Adam(rate)
    if not config.weight_decay:
        return optimizer
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
