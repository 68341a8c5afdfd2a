r"""Trains a small grid of configurations, one after the other, and compares them.

Every combination has its own folder in --workdir. Killed and started again, the sweep
goes on where it was; combinations that are done are not trained again. The comparison is
made on held-out videos, printed as a table and written to sweep.json.

Example (about two minutes on 2 cores):

  python -m launch.sweep_yt8m --train_pattern='testdata/yt8m/train/*.tfrecord' \
      --workdir=/tmp/sweep --recipe=paper --max_steps=40 --cache=memory --gallery_size=256 \
      --grid='embedding_dim=64,250 margin=0.1,0.2'
"""

import itertools
import os

import keras
from absl import flags

from crossmodal import reports
from crossmodal.configuration import override
from crossmodal.errors import ConfigurationError
from launch import commands, training_flags
from yt8m_embed import training

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(training_flags)
flags.DEFINE_string(
    "grid", None, "Fields and their values: 'name=value,value name=value,...'; widths as 512x256."
)
flags.mark_flag_as_required("grid")


def combinations(grid: str) -> list[dict[str, object]]:
    """Every choice of one value a field.

    Raises:
      ConfigurationError: the grid is empty or a part of it is not name=value,value.
    """
    fields = []
    for part in grid.split():
        name, equals, values = part.partition("=")
        if not equals or not values:
            raise ConfigurationError(f"--grid: {part!r} is not name=value,value")
        fields.append([(name, training_flags.literal(value)) for value in values.split(",")])
    if not fields:
        raise ConfigurationError("--grid is empty: write name=value,value")
    return [dict(choice) for choice in itertools.product(*fields)]


def folder_name(changes: dict[str, object]) -> str:
    """A folder name that says what differs."""
    parts = []
    for name, value in changes.items():
        text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
        parts.append(f"{name}={text}")
    return ",".join(parts)


def table(results: dict[str, dict]) -> str:
    """The combinations with their scores, the best first."""
    best_first = sorted(results.items(), key=lambda item: -item[1]["best_metrics"]["recall@10"])
    rows = [
        [name, str(result["best_step"])]
        + [f"{100 * result['best_metrics'][m]:.1f}" for m in ("recall@1", "recall@10")]
        for name, result in best_first
    ]
    return reports.markdown(["configuration", "best step", "R@1 %", "R@10 %"], rows, 1)


def main() -> None:
    """Trains every combination and compares them."""
    if FLAGS.strategy == "multi_worker":
        raise ConfigurationError("a sweep runs in one process: --strategy=default or mirrored")
    if not FLAGS.eval_pattern and not FLAGS.holdout_percent:
        raise ConfigurationError("a sweep compares on held-out videos: --holdout_percent is 0")
    base = training_flags.embedding_config()
    # All are checked before the first is trained.
    configs = [(c, override(base, c)) for c in combinations(FLAGS.grid)]
    results = {}
    for changes, config in configs:
        name = folder_name(changes)
        print(f"{name}:")
        result = training.train(
            config,
            training_flags.data_config(),
            training_flags.run_config(config),
            os.path.join(FLAGS.workdir, name),
        )
        # The next model shall not pay for this one's graphs.
        keras.backend.clear_session()
        results[name] = {
            "changes": changes,
            "step": result.step,
            "best_step": result.best_step,
            "best_metrics": result.best_metrics,
        }
    print(table(results))
    reports.write_json(os.path.join(FLAGS.workdir, "sweep.json"), results)
    print(f"report: {os.path.join(FLAGS.workdir, 'sweep.json')}")


if __name__ == "__main__":
    commands.run(main)
