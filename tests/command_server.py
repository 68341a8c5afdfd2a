"""Commands run without the seconds that a process takes to import TensorFlow and to warm up.

As a program it reads a line of JSON for each command and says how the command ended. One process
forked from it, the worker, runs one command after the other, so that what TensorFlow and its
AutoGraph once made of our functions stays made, a third to a half of a short command's time. A
command that sets up TensorFlow itself has a process of its own, forked from the same one: that
has imported TensorFlow, but made none of its devices and threads, which do not survive a fork.
"""

import gc
import importlib
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
           "TF_NUM_INTEROP_THREADS")
IMPORTS = (
    "tensorflow", "keras", "av", "apache_beam", "matplotlib.pyplot", "avc", "avc.training",
    "avc.evaluation", "avc.embedding", "yt8m_embed", "yt8m_embed.training", "launching",
)


class Server:
    """A warm process that runs commands, one at a time.

    Attributes:
      cpu_seconds: what all commands have taken.
    """

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **dict.fromkeys(THREADS, "1"), "CUDA_VISIBLE_DEVICES": "",
                 "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def run(self, module: str, arguments, folder, log, variables=(), alone=False) -> int:
        """The exit status of `python -m MODULE ARGUMENTS` in a folder.

        Args:
          module, arguments, folder: what runs, and where.
          log: the file that its output goes to.
          variables: of its environment.
          alone: whether it has a process of its own.
        """
        request = {"module": module, "arguments": list(arguments), "folder": str(folder),
                   "log": str(log), "variables": dict(variables), "alone": alone}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status, cpu_seconds = json.loads(self.process.stdout.readline())
        self.cpu_seconds += cpu_seconds
        return status

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Worker:
    """A forked process that runs commands until it is closed, or one of them kills it."""

    def __init__(self) -> None:
        (read, self.requests), (self.answers, write) = os.pipe(), os.pipe()
        self.process = os.fork()
        if not self.process:
            os.close(self.requests)
            os.close(self.answers)
            for line in os.fdopen(read):
                os.write(write, json.dumps(perform(json.loads(line))).encode() + b"\n")
            os._exit(0)
        os.close(read)
        os.close(write)

    def run(self, request: dict) -> list:
        """Status and seconds of a processor; a negative status where a signal ended it."""
        os.write(self.requests, json.dumps(request).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = os.read(self.answers, 1000)
            if not part:
                return [self.close(), 0.0]
            answer += part
        return json.loads(answer)

    def close(self) -> int:
        """Waits for its end and returns its status."""
        os.close(self.requests)
        os.close(self.answers)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def serve() -> None:
    """Answers each request."""
    for name in IMPORTS:
        importlib.import_module(name)
    assert threading.active_count() == 1
    answers = os.fdopen(os.dup(1), "w")
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        runner = Worker() if request["alone"] else worker or Worker()
        answer = runner.run(request)
        if request["alone"] and answer[0] >= 0:
            runner.close()
        elif not request["alone"]:
            worker = runner if answer[0] >= 0 else None
        print(json.dumps(answer), file=answers, flush=True)


def perform(request: dict) -> list:
    """Runs a command in this process, as `python -m` would."""
    from keras import backend
    from launching import fresh_flags

    signal.alarm(1200)  # which kills one that hangs, and this process
    before, argv, path, variables = time.process_time(), sys.argv, sys.path[:], dict(os.environ)
    shown = os.dup(1), os.dup(2)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["folder"])
    os.environ.update(request["variables"])
    sys.argv = [request["module"], *request["arguments"]]
    sys.path.insert(0, request["folder"])  # where the user is comes first
    status = 0
    try:
        with fresh_flags():
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        status = 1
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.argv, sys.path[:] = argv, path
        os.environ.clear()
        os.environ.update(variables)
        os.chdir("/")
        for number, old in enumerate(shown, 1):
            os.dup2(old, number)
        for file in (log, *shown):
            os.close(file)
        backend.clear_session()
        gc.collect()
        signal.alarm(0)
    return [abs(status), time.process_time() - before]


if __name__ == "__main__":
    serve()
