"""A folder for one job at a time, also where a job was killed and its process lives on."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from typing import IO

from crossmodal.errors import UserError


@contextlib.contextmanager
def owned(folder: str) -> Iterator[IO]:
    """Holds the folder for this process; yields the file of a lock for its steps' processes.

    Raises:
      UserError: another process is at work in the folder.
    """
    with (
        open(os.path.join(folder, ".job.lock"), "a+") as job,
        open(os.path.join(folder, ".step.lock"), "a+") as lock,
    ):
        if not locked(job):
            raise UserError(f"{folder}: another process is at work in this folder")
        yield lock


def lock_steps(lock: IO, tell: Callable[[str], None]) -> None:
    """Takes the lock that processes of steps inherit.

    A step that a killed start left behind still holds it: it is ended first, since it writes
    where the step of this start would write.
    """
    if not locked(lock):
        lock.seek(0)
        process = int(lock.read() or 0)
        tell(f"ending a step that a killed start left behind (process {process})")
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_EX)


def locked(file: IO) -> bool:
    """Whether a lock could be had at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remember(lock: IO, process: int) -> None:
    """Writes into the lock which group of processes holds it, too; 0 for one that will."""
    lock.seek(0)
    lock.truncate()
    lock.write(str(process))
    lock.flush()
