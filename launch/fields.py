"""Fields and values as flags write them: name=value."""

import ast

from crossmodal.configuration import typed
from crossmodal.errors import ConfigurationError
from launch import commands


def assignment(item: str) -> tuple[str, object]:
    """The field and the value that `name=value` says.

    Raises:
      ConfigurationError: it says none.
    """
    name, equals, text = item.partition("=")
    if not equals:
        raise ConfigurationError(f"{item!r}: write name=value")
    return name, literal(text)


def literal(text: str) -> object:
    """A number, a tuple written 512x256, or the text itself."""
    if "x" in text and all(part.isdigit() for part in text.split("x")):
        return tuple(int(part) for part in text.split("x"))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def changed_fields(items: str) -> list[tuple[str, str]]:
    """Names and values of `name=value,name=value`."""
    parts = [item.partition("=") for item in items.split(",") if item]
    for name, equals, _ in parts:
        if not equals:
            commands.fail(f"--set={name}: write name=value")
    return [(name, value) for name, _, value in parts]


def typed_fields(part: type, changes: dict[str, str]) -> dict[str, object]:
    """The values in the types of their fields.

    Raises:
      ConfigurationError: one is of another type.
    """
    return {name: typed(part, name, literal(text)) for name, text in changes.items()}
