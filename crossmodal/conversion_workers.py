"""Waits for a local Beam job whose worker processes may die.

Beam's DirectRunner starts its workers from threads of its own. When a worker dies of a
crash in native code, or because the system ran out of memory, only that thread ends with
an exception: the job would wait for ever.
"""

import contextlib
import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Callable

from crossmodal.errors import UserError

_WORKER_THREAD = "run_worker"  # as Beam calls them


def wait_for(job: Callable[[], object]) -> None:
    """Runs a job that starts workers; ends it when one of them dies.

    Raises:
      UserError: a worker died. The other workers are ended too.
      Exception: whatever the job raises.
    """
    outcome: queue.Queue[BaseException | None] = queue.Queue()
    before = _descendants()

    def run() -> None:
        try:
            job()
        except BaseException as error:
            outcome.put(error)
        else:
            outcome.put(None)

    def notice(arguments: threading.ExceptHookArgs) -> None:
        if arguments.thread and arguments.thread.name == _WORKER_THREAD:
            outcome.put(UserError(_describe(str(arguments.exc_value))))
        else:
            previous(arguments)

    previous, threading.excepthook = threading.excepthook, notice
    try:
        threading.Thread(target=run, daemon=True).start()
        error = outcome.get()
        if isinstance(error, UserError):
            for process in _descendants() - before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        if error:
            raise error
    finally:
        threading.excepthook = previous


def describe_end(code: int) -> str:
    """How a process ended, from its exit status as subprocess or a shell tells it."""
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        name = signal.Signals(number).name
        hint = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"was ended by {name}{hint}"
    return f"ended with status {code}"


def _describe(message: str) -> str:
    code = re.search(r"-?\d+$", message)
    return f"a worker process {describe_end(int(code[0])) if code else message}"


def _descendants() -> set[int]:
    """Ids of all processes below this one."""
    pairs = _processes()
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in pairs if parent in found} - found
        if not more:
            return found - {os.getpid()}
        found |= more


def _processes() -> list[tuple[int, int]]:
    """Ids of all processes and of their parents."""
    if not os.path.isdir("/proc/self"):
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, check=False)
        return [tuple(map(int, line.split())) for line in listing.stdout.splitlines()]
    pairs = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            # The name of the program, in parentheses, may hold anything.
            pairs.append((int(name), int(file.read().rpartition(")")[2].split()[1])))
    return pairs
