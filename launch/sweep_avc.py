r"""Trains a grid of configurations of an audio-visual network, and compares them.

Finds the learning rate, which the papers leave to "a grid search", or any other field.
Every combination has its own folder in --workdir. Killed and started again, the sweep
goes on where it was; combinations that are done are not trained again. The comparison is
made on the clips of --eval_pattern, printed as a table and written to sweep.json.

Example (about two minutes on 2 cores):

  python -m launch.sweep_avc --train_pattern='testdata/scenes/train*.tfrecord' \
      --eval_pattern='testdata/scenes/test-*.tfrecord' --workdir=/tmp/sweep_avc \
      --recipe=ave_small --max_steps=20 --batch_size=8 --grid='learning_rate=1e-4,1e-3'
"""

from absl import flags

from avc import recipes, training
from crossmodal.errors import ConfigurationError
from launch import avc_flags, commands, sweeps

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(avc_flags)
flags.adopt_module_key_flags(sweeps)
COLUMNS = {"accuracy": "AVC %", "recall@1": "R@1 %", "recall@10": "R@10 %"}


def main() -> None:
    """Trains every combination and compares them."""
    if not FLAGS.eval_pattern:
        raise ConfigurationError(
            "a sweep compares on clips that are not trained on: name --eval_pattern"
        )
    base, data = avc_flags.avc_config(), avc_flags.data_config()
    sweeps.sweep(
        lambda changes: recipes.override(base, changes),
        lambda config, workdir: training.train(config, data, avc_flags.run_config(config), workdir),
        COLUMNS,
        training.best_metric(base),
    )


if __name__ == "__main__":
    commands.run(main)
