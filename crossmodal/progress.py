"""What a training shows and notes down: progress bar, TensorBoard, `metrics.jsonl`.

`metrics.jsonl` has one JSON object a line: `{"step", "loss", "learning_rate", ...}` for
the steps since the line before, `{"step", "evaluation": {...}}` for an evaluation. A
resumed run cuts off what lies beyond its checkpoint, and so repeats nothing.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator

import tensorflow as tf
import tqdm

from crossmodal import checkpoints, files
from crossmodal.task import TrainingConfig

METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"


class Journal:
    """Notes the course of a training."""

    def __init__(self, workdir: str, step: int, config: TrainingConfig, write: bool) -> None:
        """Opens the files and the bar at `step`; see `open_journal`."""
        self.path = os.path.join(workdir, METRICS)
        self.workdir = workdir
        self.batch_size = config.batch_size
        self.write = write
        self.writer = (
            tf.summary.create_file_writer(os.path.join(workdir, TENSORBOARD))
            if write else tf.summary.create_noop_writer()
        )
        self.bar = tqdm.tqdm(
            initial=step, total=config.max_steps, unit="step", dynamic_ncols=True,
            disable=not write,
        )
        self.started: float | None = None

    def start_clock(self) -> None:
        """Starts measuring the rate: what lies between two calls of training is left out."""
        self.started = time.perf_counter()

    def note_steps(self, step: int, steps: int, values: dict[str, float], timed: bool) -> None:
        """Notes the means of the last steps.

        Args:
          step: the last of them.
          steps: how many.
          values: by name, `loss` among them.
          timed: whether their rate means anything (the first call compiles).
        """
        if timed:
            elapsed = time.perf_counter() - self.started
            values = {**values, "examples_per_second": steps * self.batch_size / elapsed}
        self.bar.update(steps)
        self.bar.set_postfix(loss=f"{values['loss']:.4g}", refresh=False)
        self._append({"step": step, **values} | {"step": step})
        self._scalars("train", step, values)

    def note_evaluation(self, step: int, metrics: dict[str, float]) -> None:
        """Notes an evaluation after `step`."""
        self._append({"step": step, "evaluation": metrics})
        self._scalars("evaluation", step, metrics)

    def close(self) -> None:
        """Closes bar and files."""
        self.bar.close()
        with contextlib.suppress(tf.errors.OpError):
            self.writer.close()

    def _append(self, row: dict) -> None:
        if not self.write:
            return
        with checkpoints.writing(self.workdir, self.path), tf.io.gfile.GFile(self.path, "a") as f:
            f.write(json.dumps(row) + "\n")

    def _scalars(self, prefix: str, step: int, values: dict[str, float]) -> None:
        folder = os.path.join(self.workdir, TENSORBOARD)
        with checkpoints.writing(self.workdir, folder), self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"{prefix}/{name}", value)


@contextlib.contextmanager
def open_journal(
    workdir: str, record: checkpoints.Record, config: TrainingConfig, write: bool
) -> Iterator[Journal]:
    """A journal that goes on from a checkpoint; without `write` it notes nothing."""
    if write:
        path = os.path.join(workdir, METRICS)
        with checkpoints.writing(workdir, path):
            trim(path, record.step, record.evaluated_step)
    with checkpoints.writing(workdir, os.path.join(workdir, TENSORBOARD)):
        journal = Journal(workdir, record.step, config, write)
    try:
        yield journal
    finally:
        journal.close()


def trim(path: str, step: int, evaluated_step: int) -> None:
    """Cuts off the lines beyond a checkpoint, and a line that a killed run left unfinished."""
    if not tf.io.gfile.exists(path):
        return
    kept = []
    for line in files.read_text(path).splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if row["step"] <= (evaluated_step if "evaluation" in row else step):
            kept.append(line + "\n")
    files.write_text(path, "".join(kept))
