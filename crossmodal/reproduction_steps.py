"""Steps in processes of their own: seen, logged, timed, and not run again once they are done.

In the folder of a job: `job.json`, what makes it up, and for each step `steps/NAME.json`
(its command, whether it has finished, seconds over all starts) and `steps/NAME.log`.
"""

import dataclasses
import datetime
import glob
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from crossmodal import configuration, environment, files, interruption, job_lock
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.reproduction import Step

JOB = "job.json"
FOLDER = "steps"
POLL_SECONDS = 0.2
# How often the record of a running step is written, so that a kill loses no more.
RECORD_SECONDS = 5.0
TAIL_BYTES = 4096


def run(
    folder: str,
    settings: Mapping[str, Any],
    steps: Sequence[Step],
    tell: Callable[[str], None] = print,
) -> dict[str, dict[str, Any]]:
    """Runs what is left of the steps, one after the other.

    A step that finished is not run again while its product is there. SIGTERM and SIGINT end
    the step that runs, and then this process; SIGKILL leaves it, and the next start ends it.

    Args:
      folder: of the job, on a local disk.
      settings: what makes up the job besides its commands.
      steps: to run.
      tell: shows a line.

    Returns:
      The records of all steps by name: `command`, `seconds`, `starts`, `began`, `ended`,
      `environment`, `finished`.

    Raises:
      UserError: a step failed, which the line names with its log; or another process is at
        work in the folder.
      ConfigurationError: the folder holds a job of another configuration.
    """
    files.check_writable(os.path.join(folder, FOLDER, "x"), "output")
    with job_lock.owned(os.path.join(folder, FOLDER)) as lock:
        check_job(folder, settings, steps)
        job_lock.lock_steps(lock, tell)
        found = {}
        for number, step in enumerate(steps, 1):
            title = f"[{number}/{len(steps)}] {step.name}"
            record = load_record(folder, step)
            if record["finished"] and glob.glob(step.product):
                tell(f"{title}: done before, {clock(record['seconds'])}")
            else:
                tell(f"{title}: {step}")
                record = execute(folder, step, record, title, lock)
                tell(f"{title}: done, {clock(record['seconds'])}")
            found[step.name] = record
    return found


def check_job(folder: str, settings: Mapping[str, Any], steps: Sequence[Step]) -> None:
    """Writes what makes up the job, unless another one is in the folder.

    Raises:
      ConfigurationError: naming what differs.
    """
    path = os.path.join(folder, JOB)
    values = {"settings": dict(settings), "commands": {step.name: str(step) for step in steps}}
    if os.path.exists(path):
        before = configuration.load(path)
        differing = []
        for part, new in values.items():
            # Commands follow from settings: where these differ, they say it more shortly.
            differing = differing or configuration.differences(before.get(part, {}), new)
        if differing:
            raise ConfigurationError(
                f"{folder} holds a job of another configuration ({'; '.join(differing[:3])}): "
                "take these values again, or another folder"
            )
    configuration.save(path, values)


def record_path(folder: str, step: Step, suffix: str = "json") -> str:
    """Where a step's record is, or with another suffix its log."""
    return os.path.join(folder, FOLDER, f"{step.name}.{suffix}")


def load_record(folder: str, step: Step) -> dict[str, Any]:
    """The record of a step; of one that was never started where there is none of this command."""
    path = record_path(folder, step)
    record = configuration.load(path) if os.path.exists(path) else {}
    if record.get("command") == str(step):
        return record
    return {"command": str(step), "finished": False, "seconds": 0.0, "starts": 0, "began": now()}


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def clock(seconds: float) -> str:
    """A time as people read it, as `1:02:03`."""
    return str(datetime.timedelta(seconds=round(seconds)))


@dataclasses.dataclass
class Run:
    """A start of a step: its record with the time until now, and what is to be seen of it."""

    folder: str
    step: Step
    record: dict[str, Any]
    title: str
    started: float = dataclasses.field(default_factory=time.monotonic)

    def save(self, finished: bool = False) -> dict[str, Any]:
        """Writes the record, with the seconds of earlier starts and of this one."""
        seconds = round(self.record["seconds"] + time.monotonic() - self.started, 1)
        values = {**self.record, "seconds": seconds, "ended": now(), "finished": finished}
        configuration.save(record_path(self.folder, self.step), values)
        return values

    def fail(self, reason: str) -> UserError:
        """The one line that a failed step ends with."""
        self.save()
        log = record_path(self.folder, self.step, "log")
        return UserError(f"step {self.step.name} {reason}; its log: {log}")

    def show(self) -> None:
        """The time and the last line of the log, in place on a terminal."""
        line = last_line(record_path(self.folder, self.step, "log"))
        text = f"{self.title} {clock(time.monotonic() - self.started)} {line}"
        if sys.stderr.isatty():
            text = f"\r\x1b[K{text[: os.get_terminal_size(sys.stderr.fileno()).columns - 1]}"
        print(text, end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def execute(
    folder: str, step: Step, record: Mapping[str, Any], title: str, lock: IO
) -> dict[str, Any]:
    """One step in a process; its record when it is done.

    Raises:
      UserError: it failed, or left no product.
      SystemExit, KeyboardInterrupt: after a signal that ended it.
    """
    started = {"starts": record["starts"] + 1, "environment": environment.describe()}
    run = Run(folder, step, {**record, **started}, title)
    with interruption.deferred_signals() as received:
        with open(record_path(folder, step, "log"), "ab") as log:
            log.write(f"\n{now()} {step}\n".encode())
            log.flush()
            begin = log.tell()
            job_lock.remember(lock, 0)
            # A group of its own: a signal is passed on once, to all of the step's processes.
            process = subprocess.Popen(
                [sys.executable, *step.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                pass_fds=[lock.fileno()],
                process_group=0,
            )
        job_lock.remember(lock, process.pid)
        status = watch(run, process, received)
    if received:
        run.save()
        interruption.stop(received)
    if status:
        said = error_line(record_path(folder, step, "log"), begin)
        ended = f"ended by signal {-status}" if status < 0 else f"failed with status {status}"
        raise run.fail(f"{ended} ({said})" if said else ended)
    if not glob.glob(step.product):
        raise run.fail(f"ended without writing {step.product}")
    return run.save(finished=True)


def watch(run: Run, process: subprocess.Popen, received: Sequence[int]) -> int:
    """Waits for a step's process; ends it where a signal came. Its exit status."""
    saved = shown = 0.0
    every = 1.0 if sys.stderr.isatty() else 60.0
    signalled = False
    while True:
        try:
            status = process.wait(POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            passed = time.monotonic() - run.started
        if received and not signalled:
            os.killpg(process.pid, signal.SIGTERM)
            signalled = True
        if passed > saved + RECORD_SECONDS or not saved:
            run.save()
            saved = passed
        if passed > shown + every:
            run.show()
            shown = passed
    if sys.stderr.isatty() and shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return status


def last_line(path: str) -> str:
    """What a log, in which progress bars write over themselves, says last."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def error_line(path: str, begin: int) -> str:
    """The error with which one of our commands ended, of the log from some place on."""
    with open(path, "rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").replace("\r", "\n").split("\n")
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else ""
