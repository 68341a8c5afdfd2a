"""SIGTERM and SIGINT as a wish to stop: training saves first, then ends."""

import contextlib
import signal
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT in a list while inside; a second one acts at once.

    Outside the main thread, where Python takes no handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        received.append(number)
        restore()

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield received
    finally:
        restore()


def stop(received: list[int]) -> None:
    """Ends the process as the signal would have: 130 after SIGINT, 143 after SIGTERM.

    Raises:
      KeyboardInterrupt: after SIGINT, for notebooks and `launch.commands.run`.
      SystemExit: status 143 after SIGTERM, and where another worker was signalled.
    """
    if received and received[0] == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + signal.SIGTERM)
