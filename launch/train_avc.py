r"""Trains an audio-visual network on clips: L3-Net, AVE-Net or AVOL-Net.

Reads the records of convert_clips or make_scenes and writes checkpoints,
configuration.json, metrics.jsonl and a TensorBoard log to the work folder. The same
command started again goes on where the last one ended.

Example, on the bundled scenes (about a minute on 2 cores):

  python -m launch.train_avc --train_pattern='testdata/scenes/train*.tfrecord' \
      --eval_pattern='testdata/scenes/test-*.tfrecord' --workdir=/tmp/ave \
      --recipe=ave_small --batch_size=8 --max_steps=60

The recipes `l3`, `ave` and `avol` are the paper's networks at their full size and want an
accelerator; those with `_small` are sized for a CPU: 64 clips take about 0.4 s on 2 cores.
Any other number of the configuration is set by --set, for example
--set=learning_rate=3e-4,pooling=soft; docs/networks.md has the fields.
"""

from absl import flags

from avc import training
from crossmodal import strategies
from launch import avc_flags, commands

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(avc_flags)


def main() -> None:
    """Trains as the flags say and prints where the result is."""
    strategy = strategies.make_strategy(FLAGS.strategy)
    config = avc_flags.avc_config()
    result = training.train(
        config, avc_flags.data_config(), avc_flags.run_config(config), FLAGS.workdir, strategy
    )
    print(f"trained {result.step} steps; work folder: {FLAGS.workdir}")
    if result.best_step:
        scores = ", ".join(
            f"{name} {result.best_metrics[name]:.3f}"
            for name in ("accuracy", "recall@1", "recall@10")
        )
        print(f"best step {result.best_step} on --eval_pattern: {scores}")


if __name__ == "__main__":
    commands.run(main)
