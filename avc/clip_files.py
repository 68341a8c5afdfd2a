"""The files below a folder, or of a glob pattern, that a conversion takes as its input."""

import dataclasses
import glob
import itertools
import os
import re
import stat
from collections.abc import Iterator, Sequence

import tensorflow as tf

from crossmodal import files, shard_plan
from crossmodal.errors import UserError


@dataclasses.dataclass(frozen=True)
class InputFile:
    """A file of the input.

    Attributes:
      path: where it is.
      name: the same below the input folder, with "/" between folders.
      description: `path`, `bytes`, `modified`; empty if it cannot be used.
      problem: why it cannot be used, else "".
    """

    path: str
    name: str
    description: dict
    problem: str = ""


def list_inputs(where: str, flag: str = "input") -> list[InputFile]:
    """Lists the input, sorted by name.

    Args:
      where: a folder, which is searched with all its folders, or glob patterns separated
        by commas. Hidden files and folders are left out of a search. Files of patterns
        (where "**" stands for any folders) are named from the last folder that all patterns
        share before their first wildcards.
      flag: the flag that named it, for the errors.

    Raises:
      UserError: there is no such folder or file, or no file in it.
    """
    if not where:
        raise UserError(f"--{flag} is empty: name a folder or a glob pattern")
    if tf.io.gfile.isdir(where):
        found = {_name(path, where): path for path in _search(where)}
        if not found:
            raise UserError(f"--{flag}={where}: holds no file")
    elif not re.search(r"[*?\[,]", where) and not tf.io.gfile.exists(where):
        raise UserError(f"--{flag}={where}: there is no such folder or file")
    else:
        patterns = where.split(",")
        paths = {shard_plan.absolute(path) for each in patterns for path in _expand(each, flag)}
        folder = _common_folder(patterns)
        found = {_name(path, folder): path for path in paths}
    described = (_describe(path, name) for name, path in found.items())
    return sorted(described, key=lambda file: file.name)


def check_output(where: str, output: str) -> None:
    """Checks that what will be written is not an input of the next run.

    Raises:
      UserError: it is.
    """
    target = shard_plan.absolute(output)
    folder = tf.io.gfile.isdir(where)
    for pattern in [where] if folder else where.split(","):
        source = shard_plan.absolute(pattern)
        inside = folder and f"{target}/".startswith(f"{source.rstrip('/')}/")
        if inside or shard_plan.matches(source, os.path.join(target, "manifest.csv")):
            raise UserError(
                f"--output={output} is inside --input={where}: choose a folder outside it"
            )


def _common_folder(patterns: Sequence[str]) -> str:
    fixed = [os.path.dirname(re.split(r"[*?\[]", shard_plan.absolute(p))[0]) for p in patterns]
    levels = zip(*(folder.split("/") for folder in fixed), strict=False)
    shared = itertools.takewhile(lambda level: len(set(level)) == 1, levels)
    return "/".join(level[0] for level in shared)


def _expand(pattern: str, flag: str) -> list[str]:
    if "://" in pattern:
        return files.expand_patterns(pattern, flag)
    # TensorFlow's own cannot stand names that are not UTF-8.
    found = [path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path)]
    if not found:
        raise UserError(f"--{flag}={pattern}: no file matches this pattern")
    return found


def _search(folder: str) -> Iterator[str]:
    found = tf.io.gfile.walk(folder) if "://" in folder else _walk(folder)
    for parent, folders, names in found:
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not any(part.startswith(".") for part in _name(parent, folder).split("/")):
            yield from (os.path.join(parent, name) for name in names if not name.startswith("."))


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Follows links to folders, each folder once: links may go round in circles."""
    seen = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
        else:
            seen.add(real)
            yield parent, folders, names


def _name(path: str, folder: str) -> str:
    if not folder:
        return path
    name = path.removeprefix(folder.rstrip("/"))
    return name.strip("/")


def _describe(path: str, name: str) -> InputFile:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = name.encode("utf-8", "backslashreplace").decode()
        return InputFile(path, shown, {}, "its name is not UTF-8: rename it")
    try:
        # Whoever opens a pipe waits until somebody writes to it.
        if "://" not in path and not stat.S_ISREG(os.stat(path).st_mode):
            return InputFile(path, name, {}, "is not a regular file")
        return InputFile(path, name, shard_plan.describe(path))
    except (OSError, UserError) as error:
        return InputFile(path, name, {}, getattr(error, "strerror", None) or str(error))
