"""What every command does around its job: flags in, one line per user error out."""

import sys
from collections.abc import Callable

from absl import app, flags, logging

from crossmodal.errors import UserError


def run(main: Callable[[], None]) -> None:
    """Runs `main` under absl; a user's mistake ends as one line and exit status 1.

    Args:
      main: the job; it reads FLAGS and takes no argument.
    """

    def guarded(arguments: list[str]) -> None:
        if len(arguments) > 1:
            fail(f"unexpected argument {arguments[1]!r}: flags are written --name=value")
        logging.set_verbosity(logging.WARNING)
        try:
            main()
        except UserError as error:
            fail(str(error))
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded, flags_parser=parse_flags)


def parse_flags(arguments: list[str]) -> list[str]:
    """Parses the flags; one that is unknown or has a wrong value ends as one line."""
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        fail(str(error))


def fail(message: str) -> None:
    """Prints one line to standard error and exits with status 1."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)
