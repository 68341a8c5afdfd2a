"""What a conversion shows: a bar, and nothing of what Beam's workers say."""

import contextlib
import dataclasses
import math
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

import tensorflow as tf
import tqdm

from crossmodal import files
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan

PROGRESS = ".progress"


@dataclasses.dataclass
class Log:
    """Where standard error goes.

    Attributes:
      path: the file.
      terminal: file descriptor of what standard error was.
      keep: whether the file stays.
    """

    path: str
    terminal: int
    keep: bool = False


@contextlib.contextmanager
def stderr_to_file() -> Iterator[Log]:
    """Sends the standard error of this process and of the workers it starts to a file.

    Workers write Beam's progress there and, when something breaks, long tracebacks.
    """
    handle, path = tempfile.mkstemp(prefix="conversion-", suffix=".log")
    log = Log(path, os.dup(2))
    os.dup2(handle, 2)
    try:
        yield log
    finally:
        os.dup2(log.terminal, 2)
        os.close(log.terminal)
        os.close(handle)
        if not log.keep:
            # Something else may have cleared the folder of temporary files meanwhile.
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)


class Progress:
    """Lets the bar know how many inputs of an unfinished shard are done."""

    def __init__(self, plan: Plan, index: int) -> None:
        """Starts with none, whatever an earlier run has told."""
        self._path = plan.staged(index) + PROGRESS
        self._last = -math.inf
        self.tell(0)

    def tell(self, done: int) -> None:
        """Tells a number, at most once a second."""
        if time.monotonic() - self._last >= 1:
            files.write_text(self._path, str(done))
            self._last = time.monotonic()


def inputs_done(plan: Plan, shards: Sequence[int]) -> int:
    """How many inputs of these shards are done."""
    there = set(tf.io.gfile.listdir(plan.staging)) if tf.io.gfile.isdir(plan.staging) else set()
    done = 0
    for index in shards:
        name = plan.names[index]
        if name + ".json" in there:
            done += len(plan.sources[index])
        elif name + PROGRESS in there:
            # The shard may be finished, and the file removed, between the two.
            with contextlib.suppress(UserError, ValueError):
                done += int(files.read_text(plan.staged(index) + PROGRESS))
    return done


@contextlib.contextmanager
def progress_bar(plan: Plan, shards: Sequence[int], terminal: TextIO) -> Iterator[None]:
    """Shows how many inputs of the shards being made are done; Beam has no bar of its own."""
    done = threading.Event()
    total = sum(len(plan.sources[index]) for index in shards)
    bar = tqdm.tqdm(total=total, unit="file", file=terminal, dynamic_ncols=True)

    def watch() -> None:
        while True:
            last = done.wait(0.5)
            finished = inputs_done(plan, shards)
            if finished > bar.n:
                bar.update(finished - bar.n)
            if last:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        bar.close()
