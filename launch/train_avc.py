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

--audio_init and --visual_init give a tower the weights of another training, once, before the
first step:

  python -m launch.train_avc --train_pattern='testdata/scenes/train*.tfrecord' \
      --workdir=/tmp/ave_again --recipe=ave_small --batch_size=8 --max_steps=60 \
      --audio_init=/tmp/ave --visual_init=/tmp/ave

Any other number of the configuration is set by --set, for example
--set=learning_rate=3e-4,pooling=soft; docs/networks.md has the fields.
"""

from absl import flags

from avc import initialization, training
from avc.initialization import IMAGENET, RANDOM, Initialization
from crossmodal import strategies
from launch import avc_flags, commands

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(avc_flags)
flags.DEFINE_string(
    "audio_init", RANDOM, "Where the audio tower's weights begin: a work folder, or random."
)
flags.DEFINE_string(
    "visual_init", RANDOM, "The same for the visual tower; imagenet where the recipe is davenet."
)


def main() -> None:
    """Trains as the flags say and prints where the result is."""
    strategy = strategies.make_strategy(FLAGS.strategy)
    config, visual = avc_flags.avc_config(), FLAGS.visual_init
    if visual == IMAGENET:
        # Its weights are the recipe's business: the pictures are scaled to fit them.
        config, visual = initialization.with_imagenet(config), RANDOM
    result = training.train(
        config,
        avc_flags.data_config(),
        avc_flags.run_config(config),
        FLAGS.workdir,
        strategy,
        initial=Initialization(FLAGS.audio_init, visual),
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
