"""A progress bar of the seconds of a video or sound that are written."""

import contextlib
from collections.abc import Callable, Iterator

import tqdm


@contextlib.contextmanager
def seconds_bar(what: str, seconds: float | None) -> Iterator[Callable[[float], None]]:
    """Hands out what moves the bar to a second; it goes neither back nor beyond its end.

    Args:
      what: is done.
      seconds: in all, where known.
    """
    form = "{l_bar}{bar}| {n:.1f}/{total:.1f} s [{elapsed}<{remaining}]" if seconds else None
    with tqdm.tqdm(total=seconds, desc=what, bar_format=form) as bar:

        def tell(done: float) -> None:
            # A sum of floats may pass the end by its rounding, and a last frame does so by more.
            end = done if not seconds else seconds * (1 - 1e-9)
            bar.update(max(0.0, min(done, end) - bar.n))

        yield tell
