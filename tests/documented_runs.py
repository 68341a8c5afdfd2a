"""Runs the commands of a page, one after the other, in one sandbox."""

import glob
import importlib.util
import os
import pathlib
import re
import shutil

import documented_commands as table
import page_commands
from command_materials import Kitchen, folder_for
from command_server import Server
from page_commands import Command

OUTPUTS = ("output", "figures", "outdir", "workdir")


class Runner:
    """A server, and the folders that its commands run in.

    Attributes:
      cpu_seconds: what each command took, by its page and line.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.server, self.folder = Server(), folder
        self.log = folder / "log"
        (folder / "shared").mkdir()
        self.kitchen = Kitchen(self.run, folder / "shared")
        self.cpu_seconds: dict[str, float] = {}

    def run(self, module: str, arguments: list[str], folder: pathlib.Path, variables=()) -> str:
        """What went wrong with a command: the last lines of its output; or nothing."""
        alone = bool(re.search(table.ALONE, " ".join([module, *arguments])))
        status = self.server.run(module, arguments, folder, self.log, variables, alone)
        if not status:
            return ""
        lines = self.log.read_text(errors="replace").replace("\r", "\n").splitlines()
        return f"status {status}: {' / '.join(lines[-6:])}"

    def run_page(self, page: pathlib.Path) -> tuple[list[str], list[str]]:
        """All commands of a page that can run.

        Returns:
          What went wrong, and the places of the commands that were run.
        """
        sandbox = self.folder / page.name.replace(".", "_")
        wrong, ran = [], []
        for command in once_a_line(page_commands.commands(page)):
            if table.exception(command.words) or not installed(command.words):
                continue
            before = self.server.cpu_seconds
            problem = self.run_command(command, sandbox)
            self.cpu_seconds[" ".join([command.where, *command.words[1:4]])] = (
                self.server.cpu_seconds - before
            )
            ran.append(command.where)
            wrong += [f"{command.where}: {' '.join(command.words)}\n    {problem}"] * bool(problem)
        shutil.rmtree(sandbox, ignore_errors=True)
        return wrong, ran

    def run_command(self, command: Command, sandbox: pathlib.Path) -> str:
        """What went wrong with a command that was made small."""
        module = command.module
        if command.words[:2] == ("saved_model_cli", "run"):
            module = "tensorflow.python.tools.saved_model_cli"
            arguments = [table.moved(word, sandbox) for word in command.arguments]
            needed = [word for word in arguments if word.startswith("frame=")]
            needed = [f"--inputs={word}" for word in needed]
        elif module:
            arguments = needed = table.shrink(module, command.arguments, sandbox)
        else:
            return "no rule can run this program: see tests/documented_commands.py"
        folder_for(sandbox, arguments)
        self.kitchen.provide(command.module or command.words[0], needed, sandbox)
        problem = self.run(module, arguments, sandbox, command.variables)
        return problem or missing(arguments, sandbox)


def missing(arguments: list[str], sandbox: pathlib.Path) -> str:
    """Of what a command was to write, what is not there."""
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name in OUTPUTS and value and "," not in value and not glob.glob(f"{sandbox / value}*"):
            return f"wrote no {value}"
    return ""


def once_a_line(commands: list[Command]) -> list[Command]:
    """The commands without those of their line that differ from another in digits only."""
    chosen = {}
    for command in commands:
        chosen.setdefault((command.line, re.sub(r"\d+", "0", " ".join(command.words))), command)
    return list(chosen.values())


def installed(words: tuple[str, ...]) -> bool:
    """Whether this machine has the packages that a command needs."""
    return all(importlib.util.find_spec(name) for name in table.packages(words))


def shown(cpu_seconds: dict[str, float]) -> str:
    """The commands that took longest."""
    slowest = sorted(cpu_seconds.items(), key=lambda item: -item[1])
    total = f"{sum(cpu_seconds.values()):.0f} s in {len(cpu_seconds)} commands"
    return os.linesep.join([total, *(f"{seconds:6.1f} {name}" for name, seconds in slowest)])
