"""Frozen dataclasses as JSON: saved beside every result, compared before a resume."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from crossmodal import files
from crossmodal.errors import ConfigurationError

FILE = "configuration.json"
"""In a work folder or an export: the whole configuration."""
C = TypeVar("C")


def to_dict(configuration: Any) -> dict[str, Any]:
    """The fields of a dataclass (nested ones too) as JSON-compatible values."""
    return json.loads(json.dumps(dataclasses.asdict(configuration)))


def from_dict(cls: type[C], values: Mapping[str, Any], source: str = "configuration") -> C:
    """Builds a dataclass, and those in its fields, from JSON values; lists become tuples.

    Raises:
      ConfigurationError: a field is unknown or missing.
    """
    types = field_types(cls)
    unknown = sorted(set(values) - set(types))
    if unknown:
        raise ConfigurationError(f"{source}: unknown field {unknown[0]} of {cls.__name__}")

    def value_of(name: str, value: Any) -> Any:
        if dataclasses.is_dataclass(types[name]) and isinstance(value, Mapping):
            return from_dict(types[name], value, source)
        return tuple(value) if isinstance(value, list) else value

    try:
        return cls(**{name: value_of(name, value) for name, value in values.items()})
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


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their paths, `part.field`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


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


def field_types(part: Any) -> dict[str, Any]:
    """The fields of a dataclass or of an instance, with their types."""
    return {field.name: field.type for field in dataclasses.fields(part)}


def override(config: C, changes: Mapping[str, Any]) -> C:
    """Replaces fields by their name, whichever part of a nested dataclass they belong to.

    Args:
      config: a dataclass, some of whose fields may be dataclasses in their turn.
      changes: by name, or by `part.name` where parts share a name.

    Raises:
      ConfigurationError: no part has a field of that name, or two have, or the value is not
        of its type.
    """
    return _replace(config, {_path(config, name): value for name, value in changes.items()})


def _path(config: Any, name: str) -> tuple[str, ...]:
    wanted = tuple(name.split("."))
    paths = [path for path in _leaves(config) if path[-len(wanted) :] == wanted]
    shortest = [path for path in paths if len(path) == min(map(len, paths))]
    if not paths:
        raise ConfigurationError(f"no configuration field is called {name}")
    if len(shortest) > 1:
        choices = " or ".join(".".join(path) for path in shortest)
        raise ConfigurationError(f"several configuration fields are called {name}: write {choices}")
    return shortest[0]


def _leaves(config: Any) -> list[tuple[str, ...]]:
    """The paths of all fields that are no dataclasses themselves."""
    paths = []
    for field in dataclasses.fields(config):
        part = getattr(config, field.name)
        inner = _leaves(part) if dataclasses.is_dataclass(part) else [()]
        paths += [(field.name, *path) for path in inner]
    return paths


def _replace(config: Any, changes: Mapping[tuple[str, ...], Any]) -> Any:
    # All at once: what is checked together may only fit together.
    parts: dict[str, dict] = {}
    values = {}
    for (name, *rest), value in changes.items():
        if rest:
            parts.setdefault(name, {})[tuple(rest)] = value
        else:
            values[name] = typed(config, name, value)
    inner = {name: _replace(getattr(config, name), part) for name, part in parts.items()}
    return dataclasses.replace(config, **values, **inner)


def typed(part: Any, name: str, value: Any) -> Any:
    """A value in the type of its field: text of flags says `true`, and 1024 for one width.

    Args:
      part: a dataclass whose fields are bool, int, float, str or tuple[int, ...].
      name: one of its fields.
      value: what somebody wrote for it.

    Raises:
      ConfigurationError: the value is not of that type.
    """
    kind = field_types(part)[name]
    if kind is bool and str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and float(value).is_integer()
    if (kind is float and number) or (kind is int and whole):
        return kind(value)
    if kind is str and isinstance(value, str):
        return value
    if kind not in (bool, int, float, str):
        values = (int(value),) if whole else value
        if isinstance(values, tuple) and all(type(v) is int for v in values):
            return values
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    raise ConfigurationError(
        f"{name} is {value!r}: it must be {wanted.get(kind, 'widths, written 512x256')}"
    )


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ConfigurationError unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}: it must be one of {', '.join(choices)}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ConfigurationError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value}: it must lie between {low} and {high}")
