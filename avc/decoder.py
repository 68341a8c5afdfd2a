"""Decodes media files in a process of its own, which a broken file may crash.

FFmpeg and the codecs behind it are native code: what ends them by a signal must cost one
file, not the job. The process takes requests on its standard input and answers on its
standard output, both pickled, until the input closes.
"""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

from avc import media, single_track
from avc.media import Clip, Cut, MediaConfig, MediaError, Source
from crossmodal.conversion_workers import describe_end

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_IDLE: "queue.SimpleQueue[Decoder]" = queue.SimpleQueue()
# A crash may be the fault of the moment, such as full memory, and not of the file.
_ATTEMPTS = 2


class Decoder:
    """A process that decodes, started when it is first needed."""

    def __init__(self) -> None:
        """Starts nothing yet."""
        self._process: subprocess.Popen | None = None
        self._folder = ""

    def start(self) -> None:
        """Starts the process ahead of its first file, which then does not wait for it."""
        if self._folder != os.getcwd():
            self.close()  # relative paths would begin where it was started
        if not self._process:
            self._process, self._folder = _start(), os.getcwd()

    def read(
        self, path: str, config: MediaConfig, starts: Sequence[float | Cut] | None = None
    ) -> Iterator[Source | Clip]:
        """What `media.probe` says of a file, then the clips of `media.read_clips`.

        Raises:
          MediaError: as theirs, or the decoder crashed: then what it had decoded has been
            yielded before.
        """
        return self._insist("clips", path, config, starts)

    def read_single(self, kind: str, path: str, config: MediaConfig) -> Iterator[Clip]:
        """The clips of `avc.single_track`, of `pictures` or of `sound`; else as `read`."""
        return self._insist(kind, path, config)

    def _insist(self, kind: str, path: str, *rest: object) -> Iterator[Source | Clip]:
        """Asks again after a crash, for what is still to come."""
        yielded = 0
        for attempt in range(_ATTEMPTS):
            answers = self._ask((kind, path, *rest))
            try:
                for number, answer in enumerate(answers):
                    if number >= yielded:
                        yielded += 1
                        yield answer
                return
            except EOFError:
                end = describe_end(self._process.wait())
                self.close()
                if attempt + 1 == _ATTEMPTS:
                    raise MediaError(path, f"its decoder {end}") from None

    def close(self) -> None:
        """Ends the process, whatever it does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            self._process = None

    def _ask(self, request: tuple) -> Iterator[Source | Clip]:
        self.start()
        complete = False
        try:
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            while True:
                answer = pickle.load(self._process.stdout)
                if answer is None or isinstance(answer, MediaError):
                    complete = True
                    break
                yield answer
        except (BrokenPipeError, pickle.UnpicklingError):
            raise EOFError from None
        except EOFError:
            raise
        except BaseException:
            # Somebody stopped in the middle: what is still to come is not for the next file.
            self.close()
            raise
        if complete and answer is not None:
            raise answer


@contextlib.contextmanager
def borrow() -> Iterator[Decoder]:
    """A decoder for as long as it is needed; it waits for the next one to need it."""
    try:
        decoder = _IDLE.get_nowait()
    except queue.Empty:
        decoder = Decoder()
    try:
        yield decoder
    finally:
        _IDLE.put(decoder)


def _start() -> subprocess.Popen:
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "avc.decoder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            # The parent keeps the GPU; here pictures are encoded.
            "CUDA_VISIBLE_DEVICES": "-1",
        },
    )


def _read_clips(
    path: str, config: MediaConfig, starts: Sequence[float | Cut] | None
) -> Iterator[Source | Clip]:
    yield media.probe(path, config)
    yield from media.read_clips(path, config, starts)


_READERS = {
    "clips": _read_clips,
    "pictures": single_track.read_pictures,
    "sound": single_track.read_sound,
}


def _answer_requests() -> None:
    """What the process does."""
    # Ctrl-C is for the parent, which then closes the pipes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    # What native code prints must not get among the answers.
    os.dup2(2, 1)

    def send(answer: Source | Clip | MediaError | None) -> None:
        pickle.dump(answer, output, pickle.HIGHEST_PROTOCOL)
        output.flush()

    while True:
        try:
            kind, path, *rest = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            for answer in _READERS[kind](path, *rest):
                send(answer)
        except MediaError as error:
            send(error)
        except BrokenPipeError:
            return
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            send(MediaError(path, f"cannot be decoded ({reason})"))
        else:
            send(None)


if __name__ == "__main__":
    _answer_requests()
