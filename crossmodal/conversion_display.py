"""What a conversion shows: a bar, a report, and nothing of what Beam's workers say."""

import collections
import contextlib
import dataclasses
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import TextIO

import tqdm

from yt8m_embed import sharded_output
from yt8m_embed.shard_conversion import Skipped
from yt8m_embed.sharded_output import Plan


@dataclasses.dataclass
class Log:
    """Where standard error goes.

    Attributes:
      path: the file.
      terminal: file descriptor of what standard error was.
      keep: whether the file stays.
    """

    path: str
    terminal: int
    keep: bool = False


@contextlib.contextmanager
def stderr_to_file() -> Iterator[Log]:
    """Sends the standard error of this process and of the workers it starts to a file.

    Workers write Beam's progress there and, when something breaks, long tracebacks.
    """
    handle, path = tempfile.mkstemp(prefix="conversion-", suffix=".log")
    log = Log(path, os.dup(2))
    os.dup2(handle, 2)
    try:
        yield log
    finally:
        os.dup2(log.terminal, 2)
        os.close(log.terminal)
        os.close(handle)
        if not log.keep:
            os.remove(path)


@contextlib.contextmanager
def progress_bar(plan: Plan, terminal: TextIO) -> Iterator[None]:
    """Shows how many shards are finished; Beam has no bar of its own."""
    done = threading.Event()
    bar = tqdm.tqdm(total=len(plan.sources), unit="shard", file=terminal, dynamic_ncols=True)

    def watch() -> None:
        while True:
            last = done.wait(0.5)
            finished = sharded_output.number_noted(plan)
            if finished > bar.n:
                bar.update(finished - bar.n)
            if last:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        bar.close()


def report(path: str, manifest: dict, converted: bool) -> str:
    """What a conversion did, as text: counts, then one line per record left out."""
    shards = manifest["shards"]
    sources = [source for shard in shards for source in shard["sources"]]
    left_out = [Skipped(**record) for shard in shards for record in shard["skipped"]]
    state = "" if converted else "already there, nothing to do: "
    lines = [
        f"{state}{sum(bool(s['records']) for s in shards)} shards of {path}",
        f"files read       {len(sources):>15,}",
        f"bytes read       {sum(source['bytes'] for source in sources):>15,}",
        f"records read     {manifest['records'] + len(left_out):>15,}",
        f"records written  {manifest['records']:>15,}",
        f"bytes written    {manifest['bytes']:>15,}",
        f"records skipped  {len(left_out):>15,}",
    ]
    kinds = collections.Counter(record.kind for record in left_out)
    lines += [f"  {count:>6,} x {kind}" for kind, count in kinds.most_common()]
    return "\n".join(lines + [str(record) for record in left_out])
