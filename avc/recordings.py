"""Sounds of classes from recordings: a folder a class, as ESC-10 has them.

Recordings are split by a digest of what they were cut from, so no field recording is
heard in two splits. In ESC-10's names, `3-155312-A.ogg`, all but the take's letter at the
end names the source; the same rule is applied to every other name.
"""

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Mapping

import av
import numpy as np

from avc.synthesis import SAMPLE_RATE_HZ
from crossmodal.errors import UserError

ENDINGS = (".wav", ".ogg", ".flac", ".mp3", ".m4a", ".opus", ".aif", ".aiff")
_TEST, _VALIDATION = 0.2, 0.1  # shares of the sources
_STEP = SAMPLE_RATE_HZ // 100  # samples in which loudness is measured
_FLOOR = 10 ** (-60 / 20)  # root mean square that counts as silence
_DEPTH = 10 ** (-45 / 20)  # the same, in parts of the recording's loudest step
_PAUSE_STEPS = 30  # longer silences are shortened to this


def find_recordings(folder: str) -> dict[str, tuple[str, ...]]:
    """Lists the audio files in each folder below `folder`.

    Returns:
      By class, paths relative to `folder`, sorted; folders without audio are left out.

    Raises:
      UserError: the folder cannot be read or holds no recordings.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        found = {name: _audio_files(folder, name) for name in names}
    except OSError as error:
        raise UserError(f"--sounds={folder}: {error.strerror}") from error
    found = {name: files for name, files in found.items() if files}
    if not found:
        raise UserError(f"--sounds={folder}: holds no folders of recordings, one for each class")
    return found


def source_of(path: str) -> str:
    """What a recording was cut from: its name without ending and letter of the take."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return re.sub(r"-[A-Za-z]$", "", stem)


def split_of(path: str) -> str:
    """The split of a recording: about 20 % of the sources are test, 10 % validation."""
    digest = hashlib.sha256(source_of(path).encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if place < _TEST else "validation" if place < _TEST + _VALIDATION else "train"


@dataclasses.dataclass(frozen=True, eq=False)
class Recordings:
    """The recordings of all classes.

    Attributes:
      folder: where they lie.
      files: by class, paths relative to the folder.
    """

    folder: str
    files: Mapping[str, tuple[str, ...]]

    def of_split(self, name: str, split: str) -> tuple[str, ...]:
        """The recordings of a class that a split may use.

        Raises:
          UserError: there are none.
        """
        own = tuple(path for path in self.files[name] if split_of(path) == split)
        if not own:
            raise UserError(
                f"--sounds={self.folder}: none of the {len(self.files[name])} recordings of"
                f" {name} falls to the {split} split: add more, of other sources"
            )
        return own

    def draw_sound(
        self, name: str, num_samples: int, split: str, rng: np.random.Generator
    ) -> np.ndarray:
        """A stretch of one recording, repeated after a short pause where it is too short.

        Returns:
          float32 [num_samples], audible from its start.

        Raises:
          UserError: the split has no recording of the class, or it cannot be read.
        """
        choices = self.of_split(name, split)
        path = os.path.join(self.folder, choices[rng.integers(len(choices))])
        sound = read_audible(path)
        pause = np.zeros(int(rng.uniform(0.1, 0.3) * SAMPLE_RATE_HZ), np.float32)
        # A long recording begins anywhere, a short one at its start.
        start = int(rng.integers(max(0, len(sound) - num_samples) + 1))
        parts, length = [sound[start:]], len(sound) - start
        while length < num_samples:
            parts += [pause, sound]
            length += len(pause) + len(sound)
        return np.concatenate(parts)[:num_samples]


@functools.lru_cache(maxsize=512)
def read_audible(path: str) -> np.ndarray:
    """Reads a recording at 48 kHz in mono, without the silence around and long within it.

    ESC-10's recordings are filled up with silence to 5 s; scenes say when a thing is heard,
    so what is not heard must go. Pauses are kept up to 0.3 s.

    Returns:
      float32 [num_samples], not empty; do not change it.

    Raises:
      UserError: the file cannot be read or is silent all through.
    """
    sound = decode(path)
    steps = sound[: len(sound) // _STEP * _STEP].reshape(-1, _STEP)
    loudness = np.sqrt(np.mean(steps**2, axis=1))
    heard = loudness > max(_FLOOR, _DEPTH * loudness.max(initial=0))
    if not heard.any():
        raise UserError(f"{path}: nothing is to be heard in it")
    # The number of steps since something was heard.
    places = np.arange(len(heard))
    last = np.maximum.accumulate(np.where(heard, places, -1))
    keep = (last >= 0) & (places - last <= _PAUSE_STEPS) & (places <= places[heard][-1])
    return steps[keep].reshape(-1)


def _audio_files(folder: str, name: str) -> tuple[str, ...]:
    names = sorted(os.listdir(os.path.join(folder, name)))
    return tuple(os.path.join(name, file) for file in names if file.lower().endswith(ENDINGS))


def decode(path: str, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Reads all of a recording in mono, float32 [num_samples].

    Raises:
      UserError: the file cannot be read.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate_hz)
    parts = [np.zeros(0, np.float32)]
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise UserError(f"{path}: holds no sound")
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path}: cannot be read as sound ({error.strerror})") from error
    return np.concatenate(parts)
