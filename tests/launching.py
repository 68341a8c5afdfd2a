"""The commands in the test's own process: as from a shell, without seconds of imports."""

import contextlib
import copy
import dataclasses
import importlib
import io
import sys

from absl import app, flags, logging
from tensorflow.python.framework import config as tensorflow_config

app.define_help_flags()  # done once in a process, so before flags are set aside


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
      status: of the process it would have been.
      out: what it wrote to standard output.
      error: to standard error; progress bars among it.
      module: the command's module.
    """

    status: int
    out: str
    error: str
    module: object

    def error_lines(self) -> list[str]:
        lines = self.error.replace("\r", "\n").splitlines()
        return [line for line in lines if line.startswith("error: ")]


def launch(command: str, *arguments: str, **values: object) -> Outcome:
    """Runs `python -m launch.COMMAND --NAME=VALUE ...`; UserErrors and all."""
    given = [f"--{name}={value}" for name, value in values.items()]
    out, error, status = io.StringIO(), io.StringIO(), 0
    with fresh_flags():
        module = importlib.import_module(f"launch.{command}")
        commands = importlib.import_module("launch.commands")
        argv, main = sys.argv, sys.modules["__main__"]
        # absl tells by these two whose flags and docstring --help shows.
        sys.argv = [f"launch.{command}", *given, *map(str, arguments)]
        sys.modules["__main__"] = module
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
                commands.run(module.main)
        except SystemExit as end:
            status = end.code or 0
        finally:
            sys.argv, sys.modules["__main__"] = argv, main
    return Outcome(status, out.getvalue(), error.getvalue(), module)


@contextlib.contextmanager
def fresh_flags():
    """Commands define flags of the same names: each gets flags of its own for a while."""
    state = flags.FLAGS.__dict__
    saved = {name: copy_two_levels(value) for name, value in state.items()}
    modules = {name: module for name, module in sys.modules.items() if name.startswith("launch")}
    for name in modules:
        del sys.modules[name]
    own = [f.name for n, fs in flags.FLAGS.flags_by_module_dict().items()
           if n.startswith("launch") for f in fs]
    for name in own:
        delattr(flags.FLAGS, name)
    verbosity = logging.get_verbosity()
    deterministic = tensorflow_config.is_op_determinism_enabled()
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.startswith("launch")]:
            del sys.modules[name]
        sys.modules.update(modules)
        state.clear()
        state.update(saved)
        logging.set_verbosity(verbosity)
        if not deterministic:
            tensorflow_config.disable_op_determinism()


def copy_two_levels(value):
    if isinstance(value, dict):
        return {k: copy.copy(v) if isinstance(v, list) else v for k, v in value.items()}
    return value
