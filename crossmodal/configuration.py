"""Frozen dataclasses as JSON: saved beside every result, compared before a resume."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from crossmodal import files
from crossmodal.errors import ConfigurationError

C = TypeVar("C")


def to_dict(configuration: Any) -> dict[str, Any]:
    """The fields of a dataclass (nested ones too) as JSON-compatible values."""
    return json.loads(json.dumps(dataclasses.asdict(configuration)))


def from_dict(cls: type[C], values: Mapping[str, Any], source: str = "configuration") -> C:
    """Builds a flat dataclass from JSON values; lists become tuples.

    Raises:
      ConfigurationError: a field is unknown or missing.
    """
    names = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - names)
    if unknown:
        raise ConfigurationError(f"{source}: unknown field {unknown[0]} of {cls.__name__}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigurationError(f"{source}: {error}") from error


def save(path: str, values: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all, with keys in a stable order."""
    files.write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


def load(path: str) -> dict[str, Any]:
    """Reads a JSON file.

    Raises:
      UserError: the file cannot be read.
      ConfigurationError: the file is not JSON.
    """
    text = files.read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}: not a JSON file ({error})") from error


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines `field: old value -> new value` for every field that is not the same."""
    lines = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return lines


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigurationError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}: it must be one of {', '.join(choices)}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ConfigurationError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}: it must lie between {low} and {high}")
