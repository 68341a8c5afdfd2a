"""Files on any file system of tf.io.gfile: patterns in, whole files out."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from crossmodal.errors import UserError


def expand_patterns(patterns: str | Sequence[str], flag: str = "pattern") -> list[str]:
    """Lists the files that glob patterns name, sorted and without repeats.

    Args:
      patterns: one pattern, several separated by commas, or a sequence of them;
        local paths, `gs://`, `s3://` and whatever else tf.io.gfile knows.
      flag: the name by which the error speaks of the patterns.

    Raises:
      UserError: a pattern matches no file, or its file system cannot be read.
    """
    if isinstance(patterns, str):
        patterns = [p for p in patterns.split(",") if p]
    if not patterns:
        raise UserError(f"--{flag} is empty: name at least one file or glob pattern")
    files = set()
    for pattern in patterns:
        try:
            matched = tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise UserError(f"--{flag}={pattern}: {error.message}") from error
        matched = [path for path in matched if not tf.io.gfile.isdir(path)]
        if not matched:
            raise UserError(f"--{flag}={pattern}: no file matches this pattern")
        files.update(matched)
    return sorted(files)


def temporary_name(path: str) -> str:
    """A name beside `path` that no finished file ever has."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.tmp")


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """Yields a temporary name to write to; the file appears as `path` only when complete."""
    path = os.fspath(path)
    folder = os.path.dirname(path)
    if folder:
        tf.io.gfile.makedirs(folder)
    temporary = temporary_name(path)
    try:
        yield temporary
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(temporary)
        raise


@contextlib.contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """Like `whole_file`, for a folder; an older folder of that name is replaced."""
    path = os.fspath(path).rstrip("/")
    tf.io.gfile.makedirs(os.path.dirname(path) or ".")
    temporary, older = temporary_name(path), temporary_name(path)
    tf.io.gfile.makedirs(temporary)
    try:
        yield temporary
        # Moved aside and not removed first: there is a moment without a folder, but none
        # without its contents.
        if tf.io.gfile.exists(path):
            tf.io.gfile.rename(path, older)
        tf.io.gfile.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            if tf.io.gfile.exists(older) and not tf.io.gfile.exists(path):
                tf.io.gfile.rename(older, path)
            tf.io.gfile.rmtree(temporary)
        raise
    if tf.io.gfile.exists(older):
        tf.io.gfile.rmtree(older)


def check_writable(path: str, flag: str) -> None:
    """Tries whether a file or folder can be made at `path`, before hours of work for it.

    Args:
      path: what is to be made.
      flag: the flag that named it, for the error.

    Raises:
      UserError: it cannot be made.
    """
    probe = temporary_name(path)
    try:
        tf.io.gfile.makedirs(os.path.dirname(path) or ".")
        with tf.io.gfile.GFile(probe, "w") as file:
            file.write("")
        tf.io.gfile.remove(probe)
    except tf.errors.OpError as error:
        raise UserError(f"--{flag}={path}: cannot be written ({error.message})") from error


def write_text(path: str, text: str) -> None:
    """Writes a text file whole or not at all."""
    with whole_file(path) as temporary, tf.io.gfile.GFile(temporary, "w") as file:
        file.write(text)


def write_png(path: str, picture: np.ndarray) -> None:
    """Writes uint8 `[height, width, 3]` as a PNG, whole or not at all."""
    with whole_file(path) as temporary:
        tf.io.write_file(temporary, tf.io.encode_png(picture))


def read_text(path: str) -> str:
    """Reads a text file.

    Raises:
      UserError: the file is missing or cannot be read.
    """
    try:
        with tf.io.gfile.GFile(os.fspath(path), "r") as file:
            return file.read()
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a text file") from error
