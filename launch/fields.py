"""Fields of a configuration as flags write them: --set=name=value,name=value."""

import ast

from launch import commands


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
    from crossmodal.configuration import typed

    values = {}
    for name, text in changes.items():
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        values[name] = typed(part, name, value)
    return values
