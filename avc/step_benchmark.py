"""How fast a training step of AVE-Net is beside PyTorch's, on one batch in memory."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from avc import networks, recipes
from avc import training as avc_training
from avc.recipes import AvcConfig
from crossmodal import benchmark, strategies, training
from crossmodal.benchmark import Comparison
from crossmodal.errors import UserError
from crossmodal.steps import Steps

# What the losses of the first step may differ by, relatively.
TOLERANCE = 1e-4
# Name: recipe, what is changed of it, steps in one timed job. Of the paper's network a
# step of 8 clips takes seconds on a core.
SIZES = {
    "small": ("ave_small", {}, 2),
    "paper": ("ave", {"batch_size": 8}, 1),
}
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


class Ours:
    """The steps of training, as the loop takes them, on any batches."""

    def __init__(
        self,
        config: AvcConfig,
        dataset: tf.data.Dataset,
        precision: str = "float32",
        steps_per_epoch: int = 1_000_000,
    ) -> None:
        """Builds network, optimizer and compiled step as training does.

        Args:
          config: the recipe.
          dataset: of its batches, without end.
          precision: of `TrainingConfig`.
          steps_per_epoch: for the learning rate.
        """
        run = training.TrainingConfig(batch_size=config.batch_size, precision=precision)
        self.config, made = config, []

        def make_model():
            made.append(avc_training.make_network(config))
            return made[-1].training

        task = training.Task(
            make_model=make_model,
            make_optimizer=lambda: avc_training.make_optimizer(config.optimizer, steps_per_epoch),
            losses=avc_training.batch_losses(config),
            dataset=lambda *_: dataset,
        )
        strategy = strategies.make_strategy("default")
        self.state = training.make_state(task, run, strategy)
        self.network: networks.Network = made[-1]
        self.iterator, specs = strategies.distribute(strategy, task.dataset, config.batch_size)
        options = training.step_options(task, run)
        self.steps = Steps(self.state, task.losses, options, strategy, specs)

    def take(self, number: int) -> np.ndarray:
        """Takes so many steps; returns their losses [number] without weight decay."""
        history, _ = self.steps(self.iterator, number, False)
        loss = history[:, self.steps.names.index("loss")]
        if "regularization" in self.steps.names:
            loss = loss - history[:, self.steps.names.index("regularization")]
        return loss

    def num_parameters(self) -> int:
        """Trainable ones."""
        return sum(v.numpy().size for v in self.state.model.trainable_variables)


def random_batch(config: AvcConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """What `avc.training.draw_batches` gives, of noise; every clip is of another video."""
    generator, rows = np.random.default_rng(seed), config.batch_size
    size = config.network.image_size
    within = min(config.loss.negatives_within, rows)
    keys = tf.constant(generator.permutation(rows).astype(np.int64))
    return {
        "frame": generator.integers(0, 256, (rows, size, size, 3), np.uint8),
        "waveform": generator.integers(
            -8000, 8000, (rows, config.pairs.segment_samples), np.int16
        ),
        "brightness": generator.uniform(-0.1, 0.1, rows).astype(np.float32),
        "saturation": generator.uniform(0.5, 1.5, rows).astype(np.float32),
        "gain": generator.uniform(0.9, 1.1, rows).astype(np.float32),
        "partner_offset": avc_training.partner_offsets(keys, within).numpy(),
    }


def configure(size: str) -> AvcConfig:
    """The recipe of one of SIZES, with one mismatched pair a clip."""
    name, changes, _ = SIZES[size]
    return recipes.override(recipes.recipe(name), {**changes, "negatives_per_clip": 1})


def compare_step(
    sizes: Sequence[str], rounds: int, threads: int, clock: str = "wall"
) -> list[Comparison]:
    """Networks of some sizes in both precisions.

    Args:
      sizes: of SIZES.
      rounds: how many times each is timed.
      threads: of PyTorch; TensorFlow's are set when it starts.
      clock: of `benchmark.CLOCKS`.
    """
    return [
        compare_with_torch(configure(size), name, rounds, threads, SIZES[size][2], clock)
        for size in sizes
        for name in PRECISIONS
    ]


def compare_with_torch(
    config: AvcConfig, precision: str, rounds: int, threads: int, steps: int, clock: str = "wall"
) -> Comparison:
    """Steps beside PyTorch's, at whichever order of the axes that is faster.

    Args:
      config: a recipe of an `ave` network with one mismatched pair a clip.
      precision: of PRECISIONS.
      rounds: how many times each is timed.
      threads: of PyTorch.
      steps: in one job.
      clock: of `benchmark.CLOCKS`.

    Raises:
      UserError: the two are not the same network.
    """
    torch = benchmark.import_peer("torch")
    from avc import torch_benchmark  # needs torch

    torch.set_num_threads(threads)
    batch = random_batch(config)
    ours = Ours(config, tf.data.Dataset.from_tensors(batch).repeat(), PRECISIONS[precision])
    peers = {
        f"PyTorch, {order}": torch_benchmark.Step(
            ours.state.model, batch, config, precision == "bfloat16", order == "channels last"
        )
        for order in ("channels first", "channels last")
    }
    first = ours.take(1)[0]
    for peer in peers.values():
        number = sum(p.numel() for p in peer.network.parameters())
        check_same(ours.num_parameters(), number, first, peer(), precision)

    def repeat(step: Callable[[], object]) -> None:
        for _ in range(steps):
            step()

    name = f"AVE-Net, {config.network.image_size} px, {config.batch_size} clips, {precision}"
    jobs = {"TensorFlow": lambda: ours.take(steps)}
    jobs |= {title: lambda peer=peer: repeat(peer) for title, peer in peers.items()}
    times = benchmark.alternate(jobs, rounds, name, clock)
    times = {job: seconds / steps for job, seconds in times.items()}
    fastest = benchmark.fastest(times, *peers)
    return benchmark.compare_time(f"step of {name}", times, "TensorFlow", fastest, 1.2)


def check_same(
    parameters: int, peer_parameters: int, loss: float, peer_loss: float, precision: str
) -> None:
    """Raises UserError unless two networks are the same, by their size and first loss."""
    # Half precision rounds to 8 bits, in other places in either library.
    tolerance = TOLERANCE if precision == "float32" else 300 * TOLERANCE
    if parameters != peer_parameters or not abs(loss - peer_loss) <= tolerance * abs(loss):
        raise UserError(
            f"ours has {parameters:,} parameters and a first loss of {loss:.6f}, PyTorch's "
            f"{peer_parameters:,} and {peer_loss:.6f}: they are not the same network, so their "
            "times do not compare"
        )
