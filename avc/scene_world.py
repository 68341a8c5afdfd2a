"""What the classes of scenes look and sound like: drawn and computed, or from files."""

import dataclasses
import hashlib
import os
from collections.abc import Callable

import numpy as np

from avc import recordings, scene_classes, sprite_files, sprites, synthesis
from avc.scene_classes import SceneClass
from avc.scenes import draw_from_band
from crossmodal.errors import UserError

SpriteSource = Callable[[str, np.random.Generator], np.ndarray]
SoundSource = Callable[[str, int, str, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class World:
    """The classes and where their pictures and sounds come from.

    Attributes:
      classes: in the order of their names.
      draw_sprite: (name, rng) -> float32 [height, width, 4]: red, green, blue and opacity
        in [0, 1], of one object of the class in some pose.
      draw_sound: (name, num_samples, split, rng) -> float32 [num_samples] at 48 kHz.
      digests: of the files used, `sounds` and `sprites`; empty for none.
    """

    classes: tuple[SceneClass, ...]
    draw_sprite: SpriteSource
    draw_sound: SoundSource
    digests: dict[str, str]

    def label(self, name: str) -> str:
        """The AudioSet id of a class."""
        return next(entry.label for entry in self.classes if entry.name == name)


@dataclasses.dataclass(frozen=True)
class WorldFiles:
    """The files a world is made of; an empty name stands for what this package makes.

    Attributes:
      sounds: a folder of folders of recordings, one a class.
      sprites: a folder of PNG files or of folders of them, or an emoji font.
      classes: a table of classes, beside those known.
      only: names of the classes to use; all if empty.
    """

    sounds: str = ""
    sprites: str = ""
    classes: str = ""
    only: tuple[str, ...] = ()


def open_world(files: WorldFiles) -> World:
    """Finds the pictures and sounds of all classes.

    Raises:
      UserError: a class is unknown, or lacks a picture or a recording.
    """
    # Sounds of files bring their own classes; else they are those that have own sounds.
    known = scene_classes.ESC10 if files.sounds else scene_classes.OWN
    known = {entry.name: entry for entry in known}
    if files.classes:
        known |= {entry.name: entry for entry in scene_classes.read_classes(files.classes)}
    found = recordings.find_recordings(files.sounds) if files.sounds else {}
    names = files.only or tuple(sorted(found or synthesis.NAMES))
    where = f"--sounds={files.sounds}" if files.sounds else "--only"
    for name in names:
        if name not in (found or synthesis.NAMES):
            raise UserError(f"{where}: there are no sounds of class {name}")
    chosen = scene_classes.select_classes(tuple(known.values()), names, where)
    digests = {}
    draw_sound: SoundSource = synthesize_voice
    if found:
        found = {name: found[name] for name in names}
        draw_sound = recordings.Recordings(files.sounds, found).draw_sound
        digests["sounds"] = _digest(files.sounds, [f for name in names for f in found[name]])
    draw_sprite: SpriteSource = sprites.draw_sprite
    if files.sprites:
        pictures = sprite_files.find_pictures(files.sprites, chosen)
        draw_sprite = pictures.draw_sprite
        digests["sprites"] = _digest("", pictures.files)
    elif missing := [name for name in names if name not in sprites.NAMES]:
        raise UserError(f"there is no picture of class {missing[0]}: give --sprites")
    return World(chosen, draw_sprite, draw_sound, digests)


def synthesize_voice(
    name: str, num_samples: int, split: str, rng: np.random.Generator
) -> np.ndarray:
    """A computed sound whose voice belongs to the split; see `avc.synthesis`."""
    pitch, timbre = draw_from_band(split, rng), draw_from_band(split, rng)
    return synthesis.synthesize(name, num_samples, pitch, timbre, rng)


def _digest(folder: str, names: list[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        with open(os.path.join(folder, name), "rb") as file:
            digest.update(name.encode() if folder else os.path.basename(name).encode())
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:16]
