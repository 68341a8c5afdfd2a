"""Fields and values as flags write them: name=value."""

import ast
from collections.abc import Iterable

from crossmodal.configuration import field_types, typed
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


def configured(part: type, fixed: dict[str, object], items: Iterable[str], of: str):
    """A configuration with fields that flags fix, and those that --set changes.

    Args:
      part: the dataclass.
      fixed: values of fields that --set cannot change.
      items: of --set, each `name=value,name=value`.
      of: what has these fields, for the error.

    Raises:
      ConfigurationError: a value is of another type.
    """
    texts = {}
    for item in (item for text in items for item in text.split(",") if item):
        name, equals, texts[name] = item.partition("=")
        if not equals:
            commands.fail(f"--set={name}: write name=value")
    for name in texts:
        if name not in field_types(part).keys() - fixed:
            commands.fail(f"--set={name}: {of} have no field of this name to set")
    return part(**fixed, **{name: typed(part, name, literal(text)) for name, text in texts.items()})
