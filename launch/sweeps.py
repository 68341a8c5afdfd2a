"""A grid of configurations, trained one after the other and compared; done ones are kept."""

import itertools
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
from absl import flags

from crossmodal import reports, training
from crossmodal.errors import ConfigurationError
from launch.fields import literal

FLAGS = flags.FLAGS
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
        fields.append([(name, literal(value)) for value in values.split(",")])
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


def table(results: Mapping[str, Mapping], columns: Mapping[str, str], best_by: str) -> str:
    """The combinations with their scores, the best first.

    Args:
      results: `best_step` and `best_metrics` by combination.
      columns: the heading of each metric that is shown, in percent.
      best_by: the metric that orders the rows.
    """
    best_first = sorted(results.items(), key=lambda item: -item[1]["best_metrics"][best_by])
    rows = [
        [name, str(result["best_step"])]
        + [f"{100 * result['best_metrics'][metric]:.1f}" for metric in columns]
        for name, result in best_first
    ]
    return reports.markdown(["configuration", "best step", *columns.values()], rows, 1)


def sweep(
    configure: Callable[[dict[str, object]], Any],
    train: Callable[[Any, str], training.Result],
    columns: Mapping[str, str],
    best_by: str,
) -> None:
    """Trains what --grid asks for in folders of --workdir, prints a table, writes sweep.json.

    Args:
      configure: from the fields that differ to a configuration.
      train: trains a configuration in a folder, or finds that this is done.
      columns, best_by: see `table`.

    Raises:
      ConfigurationError: a combination cannot be, said before any is trained; or there are
        several workers.
    """
    if FLAGS.strategy == "multi_worker":
        raise ConfigurationError("a sweep runs in one process: --strategy=default or mirrored")
    configs = [(changes, configure(changes)) for changes in combinations(FLAGS.grid)]
    results = {}
    for changes, config in configs:
        name = folder_name(changes)
        print(f"{name}:")
        result = train(config, os.path.join(FLAGS.workdir, name))
        # The next model shall not pay for this one's graphs.
        keras.backend.clear_session()
        results[name] = {
            "changes": changes,
            "step": result.step,
            "best_step": result.best_step,
            "best_metrics": result.best_metrics,
        }
    print(table(results, columns, best_by))
    report = os.path.join(FLAGS.workdir, "sweep.json")
    reports.write_json(report, results)
    print(f"report: {report}")
