"""Fields and values as flags write them: name=value."""

import ast

from crossmodal.errors import ConfigurationError


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
