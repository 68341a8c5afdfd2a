"""Commands in processes of their own that begin warm: forked from one that has imported much.

As a program it reads a line of JSON for each command, forks, and says how the child ended. What
is imported before the fork is only imported: TensorFlow makes its devices and threads in the
child, when the command first uses them.
"""

import importlib
import json
import os
import pathlib
import resource
import runpy
import signal
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
           "TF_NUM_INTEROP_THREADS")
IMPORTS = (
    "tensorflow", "keras", "av", "apache_beam", "matplotlib.pyplot", "avc", "avc.training",
    "avc.evaluation", "avc.embedding", "yt8m_embed", "yt8m_embed.training",
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

    def run(self, module: str, arguments, folder, log, variables=(), seconds=120) -> int:
        """The exit status of `python -m MODULE ARGUMENTS` in a folder.

        Args:
          module, arguments, folder: what runs, and where.
          log: the file that its output goes to.
          variables: of its environment.
          seconds: after so many of a processor it is killed, and its status is negative.
        """
        request = {"module": module, "arguments": list(arguments), "folder": str(folder),
                   "log": str(log), "variables": dict(variables), "seconds": seconds}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status, cpu_seconds = json.loads(self.process.stdout.readline())
        self.cpu_seconds += cpu_seconds
        return status

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve() -> None:
    """Answers each request with the status of its child."""
    for name in IMPORTS:
        importlib.import_module(name)
    assert threading.active_count() == 1
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            sys.stdin.close()
            become(request)
        _, status, used = os.wait4(child, 0)
        answer = [os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]
        print(json.dumps(answer), file=answers, flush=True)


def become(request: dict) -> None:
    """Runs the command in this process, which ends with it."""
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
    signal.alarm(10 * request["seconds"])  # one that waits uses no processor
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(request["folder"])
    os.environ.update(request["variables"])
    sys.argv = [request["module"], *request["arguments"]]
    # As `python -m` has it: where the user is comes first.
    sys.path[0] = request["folder"]
    status = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
