"""Recordings of a sound data set in the folds that their names give: ESC-50, ESC-10.

ESC-50 names a clip `FOLD-ID-TAKE-CLASS.wav` and has all in one folder; ESC-10's old layout
has a folder a class with `FOLD-ID-TAKE.ogg` in it. ID is of the Freesound recording that the
clip was cut from, TAKE a letter. All clips of a recording are in one fold.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Sequence

from avc import recordings
from crossmodal.errors import UserError

_NAME = re.compile(r"(?P<fold>\d+)-(?P<source>.+)-(?P<take>[A-Za-z])(?:-(?P<label>\d+))?")


@dataclasses.dataclass(frozen=True)
class Sound:
    """A clip of a sound data set.

    Attributes:
      path: of the file.
      label: the class: the number in its name or, without one, the name of its folder.
      fold: the number that its name begins with.
      source: the recording that it was cut from.
    """

    path: str
    label: str
    fold: int
    source: str

    def heard_in_training(self) -> bool:
        """Whether scenes of the training split may use it (`avc.recordings.split_of`)."""
        # Scenes name the recording by the file; the same one may be there in the other layout.
        names = (self.path, f"{self.fold}-{self.source}-A")
        return any(recordings.split_of(name) == "train" for name in names)


def find_sounds(folder: str) -> list[Sound]:
    """Lists the clips in a folder and in the folders right below it, in the order of paths.

    Raises:
      UserError: the folder cannot be read or holds no sounds; a name has not the form that it
        must have; or the folds cannot be used (see `check_folds`).
    """
    try:
        names = sorted(os.listdir(folder))
        below = {name: os.path.join(folder, name) for name in names}
        nested = [
            os.path.join(path, name)
            for path in below.values()
            if os.path.isdir(path)
            for name in sorted(os.listdir(path))
        ]
    except OSError as error:
        raise UserError(f"--sounds={folder}: {error.strerror}") from error
    paths = [path for path in (*below.values(), *nested) if path.endswith(recordings.ENDINGS)]
    if not paths:
        raise UserError(f"--sounds={folder}: holds no sounds, nor do the folders in it")
    sounds = [parse(path, folder) for path in sorted(paths)]
    check_folds(sounds, folder)
    return sounds


def parse(path: str, folder: str) -> Sound:
    """What the name of a clip says.

    Raises:
      UserError: it has another form, or no class.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    found = _NAME.fullmatch(stem)
    inside = os.path.relpath(os.path.dirname(path), folder)
    if not found or (found["label"] is None and inside == "."):
        raise UserError(
            f"{path}: is not named FOLD-ID-TAKE-CLASS, or FOLD-ID-TAKE in a folder of its class"
        )
    return Sound(path, found["label"] or inside, int(found["fold"]), found["source"])


def check_folds(sounds: Sequence[Sound], folder: str) -> None:
    """Checks that each fold can be tested on what is learnt from the others.

    Raises:
      UserError: there is one fold or one class only; a recording is in two folds; or a class
        is in one fold only.
    """
    folds_of_source, folds_of_label = (collections.defaultdict(set) for _ in range(2))
    for sound in sounds:
        folds_of_source[sound.source].add(sound.fold)
        folds_of_label[sound.label].add(sound.fold)
    if len({sound.fold for sound in sounds}) < 2 or len(folds_of_label) < 2:
        raise UserError(f"--sounds={folder}: two folds and two classes are needed at least")
    for source, folds in folds_of_source.items():
        if len(folds) > 1:
            raise UserError(
                f"--sounds={folder}: recording {source} is in folds"
                f" {' and '.join(map(str, sorted(folds)))}: it must be in one"
            )
    for label, folds in folds_of_label.items():
        if len(folds) < 2:
            raise UserError(
                f"--sounds={folder}: class {label} is in fold {min(folds)} only: nothing of it is"
                " left to learn from when that fold is tested"
            )
