r"""Trains a joint audio-visual embedding on YouTube-8M shards.

Reads video-level, frame-level or compact records (what they are is read off the first
one) and writes checkpoints, configuration.json, metrics.jsonl and a TensorBoard log to
the work folder. The same command started again goes on where the last one ended.

Example, on the bundled data (about half a minute on 2 cores):

  python -m launch.train_yt8m --train_pattern='testdata/yt8m/train/*.tfrecord' \
      --workdir=/tmp/embedding --recipe=contrastive --cache=memory

The recipe `contrastive` takes a few minutes on 27,000 videos and 2 cores; `paper` and
`authors` take about a quarter of a second a step, of which they want 10,000 and more.
`temporal` needs frame-level records and sees their seconds (docs/temporal.md).
Any other number of the configuration is set by --set, for example
--set=margin=0.1,p_negative=0.5,class_weight_step=2000.
"""

from absl import flags

from crossmodal import strategies
from launch import commands, yt8m_flags
from yt8m_embed import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(yt8m_flags)


def main() -> None:
    """Trains as the flags say and prints where the result is."""
    strategy = strategies.make_strategy(FLAGS.strategy)
    config = yt8m_flags.embedding_config()
    result = training.train(
        config,
        yt8m_flags.data_config(),
        yt8m_flags.run_config(config),
        FLAGS.workdir,
        strategy,
    )
    print(f"trained {result.step} steps; work folder: {FLAGS.workdir}")
    if result.best_step:
        names = ("recall@1", "recall@10", "second_recall@1")
        scores = ", ".join(
            f"{name} {result.best_metrics[name]:.3f}"
            for name in names
            if name in result.best_metrics
        )
        print(f"best step {result.best_step} on held-out videos: {scores}")


if __name__ == "__main__":
    commands.run(main)
