"""Trainings in processes of their own: to be killed, to be signalled, to have two devices.

The processes are forked from a server that has imported TensorFlow once.
"""

import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import tensorflow as tf
from two_towers import make_task

from crossmodal import checkpoints, loop, progress, training
from crossmodal.errors import UserError

# The server finds modules by PYTHONPATH alone.
HERE = os.path.dirname(os.path.abspath(__file__))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [HERE, os.path.dirname(HERE), os.environ.get("PYTHONPATH", "")]
)
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["training_runs"])

SMALL = {"batch_size": 16, "steps_per_call": 5, "checkpoint_every_steps": 10,
         "evaluate_every_steps": 15, "max_steps": 60}


def set_up(devices: int = 2) -> None:
    """Before TensorFlow runs anything in a new process."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * devices
    )


def two_devices() -> ProcessPoolExecutor:
    """An executor whose one process has two logical CPUs."""
    return ProcessPoolExecutor(1, context, set_up)


def train(workdir, task: dict, config: dict) -> training.Result:
    return training.train(make_task(**task), training.TrainingConfig(**{**SMALL, **config}),
                          str(workdir))


def variables(workdir, folder: str = checkpoints.LATEST) -> dict[str, np.ndarray]:
    """All that the newest checkpoint holds, by name."""
    folder = os.path.join(workdir, folder)
    step = checkpoints.complete_steps(folder)[-1]
    reader = tf.train.load_checkpoint(f"{folder}/step-{step}/{checkpoints.VARIABLES}")
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {"saved step": np.array(step), **{name: reader.get_tensor(name) for name in names}}


def curve(workdir) -> list[dict]:
    """The lines of metrics.jsonl without what the clock says."""
    with open(os.path.join(workdir, "metrics.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        row.pop("examples_per_second", None)
    return rows


def start(workdir, task: dict, config: dict, hook=None, cluster=None) -> multiprocessing.Process:
    """Starts `train` in a process of its own; its standard error goes to WORKDIR.log.

    Args:
      hook: (function, argument) to be called first, in the process.
      cluster: (index, addresses) of a worker.
    """
    process = context.Process(target=_main, args=(str(workdir), task, config, hook, cluster))
    process.start()
    return process


def _main(workdir, task, config, hook, cluster) -> None:
    index, addresses = cluster or (0, [])
    log = os.open(f"{workdir}.{index}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 2)
    set_up(1 if cluster else 2)
    if cluster:
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        )
    if hook:
        hook[0](hook[1])
    try:
        train(workdir, task, config)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def free_addresses(number: int) -> list[str]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def kill_after(moment: tuple[int, float]) -> None:
    """SIGKILL some calls after the start and some seconds more, wherever the run is then."""
    calls, seconds = moment
    original, noted = progress.Journal.note_steps, []

    def note_steps(self, *arguments, **values):
        noted.append(1)
        if len(noted) == calls:
            timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
        original(self, *arguments, **values)

    progress.Journal.note_steps = note_steps


def kill_in_write(place: str) -> None:
    """SIGKILL while the third checkpoint is written: `torn`, `unfinished` or `unlisted`."""
    writes, original = [], checkpoints.write_variables

    def write(values, prefix):
        writes.append(prefix)
        if checkpoints.LATEST in prefix and len(writes) >= 3:
            if place == "torn":
                with open(f"{prefix}.data-00000-of-00001", "wb") as file:
                    file.write(b"half of it")
            else:
                original(values, prefix)
            if place == "unfinished":
                os.truncate(f"{prefix}.data-00000-of-00001", 100)
            os.kill(os.getpid(), signal.SIGKILL)
        original(values, prefix)

    checkpoints.write_variables = write


def kill_in_removal(path: str) -> None:
    """SIGKILL between two files of an old checkpoint that is removed."""
    original = tf.io.gfile.rmtree

    def rmtree(path):
        os.remove(os.path.join(path, f"{checkpoints.VARIABLES}.index"))
        os.kill(os.getpid(), signal.SIGKILL)
        original(path)

    tf.io.gfile.rmtree = rmtree


def fill_disk(size: int) -> None:
    """From the third checkpoint on, no file can grow beyond `size` bytes."""
    writes, original = [], checkpoints.write_variables

    def write(values, prefix):
        writes.append(prefix)
        if len(writes) == 3:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        original(values, prefix)

    checkpoints.write_variables = write


def keep_weights(path: str) -> None:
    """Saves what this very process has ended with."""
    original = loop.Loop.run

    def run(self, iterator):
        result = original(self, iterator)
        state = self.state
        values = [*state.model.weights, *state.optimizer.variables, *state.averages]
        np.savez(path, *[value.numpy() for value in values])
        return result

    loop.Loop.run = run
