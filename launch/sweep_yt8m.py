r"""Trains a small grid of configurations, one after the other, and compares them.

Every combination has its own folder in --workdir. Killed and started again, the sweep
goes on where it was; combinations that are done are not trained again. The comparison is
made on held-out videos, printed as a table and written to sweep.json.

Example (about two minutes on 2 cores):

  python -m launch.sweep_yt8m --train_pattern='testdata/yt8m/train/*.tfrecord' \
      --workdir=/tmp/sweep --recipe=paper --max_steps=40 --cache=memory --gallery_size=256 \
      --grid='embedding_dim=64,250 margin=0.1,0.2'
"""

from absl import flags

from crossmodal.configuration import override
from crossmodal.errors import ConfigurationError
from launch import commands, sweeps, yt8m_flags
from yt8m_embed import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(yt8m_flags)
flags.adopt_module_key_flags(sweeps)
COLUMNS = {"recall@1": "R@1 %", "recall@10": "R@10 %"}


def main() -> None:
    """Trains every combination and compares them."""
    if not FLAGS.eval_pattern and not FLAGS.holdout_percent:
        raise ConfigurationError("a sweep compares on held-out videos: --holdout_percent is 0")
    base, data = yt8m_flags.embedding_config(), yt8m_flags.data_config()
    sweeps.sweep(
        lambda changes: override(base, changes),
        lambda config, workdir: training.train(
            config, data, yt8m_flags.run_config(config), workdir
        ),
        COLUMNS,
        "recall@10",
    )


if __name__ == "__main__":
    commands.run(main)
