"""Pictures of classes from files: PNG with a transparent ground, or an emoji font.

A folder holds for each class a file `NAME.png` or a folder `NAME` of PNG files. A picture
is turned, stretched, mirrored and tinted anew each time it is drawn, a little: its colours
stay recognisable, as those of real things are.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence

import av
import numpy as np

from avc import shapes
from avc.scene_classes import SceneClass
from crossmodal.errors import UserError

_FONT_SIZE = 109  # the one size of the bitmaps in Noto Color Emoji
_LARGEST = 256  # pixels a side that a picture is brought down to
_MAX_ANGLE = np.radians(20)


@dataclasses.dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of all classes.

    Attributes:
      by_class: (file, character) of each picture; the character is empty unless the file is
        a font.
    """

    by_class: Mapping[str, tuple[tuple[str, str], ...]]

    @property
    def files(self) -> list[str]:
        """All files in use."""
        return sorted({path for pictures in self.by_class.values() for path, _ in pictures})

    def draw_sprite(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """One picture of a class in a new pose and tint.

        Returns:
          Red, green, blue and opacity in [0, 1], float32 [height, width, 4].

        Raises:
          UserError: the file cannot be read.
        """
        choices = self.by_class[name]
        path, character = choices[rng.integers(len(choices))]
        image = read_glyph(path, character) if character else read_picture(path)
        stretch = tuple(rng.uniform(0.88, 1.12, 2))
        flip, angle = bool(rng.integers(2)), rng.uniform(-_MAX_ANGLE, _MAX_ANGLE)
        posed = _pose(image, shapes.posed_grid(max(image.shape), angle, stretch, flip))
        tint = rng.uniform(0.8, 1.2) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
        posed[..., :3] = np.clip(posed[..., :3] * tint, 0, 1)
        return posed


def find_pictures(path: str, classes: Sequence[SceneClass]) -> Pictures:
    """Finds a picture for every class.

    Args:
      path: a folder of PNG files or of folders of them, or a font (.ttf, .otf).
      classes: those that need one.

    Raises:
      UserError: there is no such folder or font, or a class has no picture in it.
    """
    if not os.path.exists(path):
        raise UserError(f"--sprites={path}: no such file or folder")
    found = {}
    for entry in classes:
        if os.path.isdir(path):
            found[entry.name] = _pictures_of(path, entry)
        else:
            if not entry.character:
                raise UserError(f"class {entry.name} has no character: add one by --classes")
            read_glyph(path, entry.character)
            found[entry.name] = ((path, entry.character),)
    return Pictures(found)


@functools.lru_cache(maxsize=512)
def read_picture(path: str) -> np.ndarray:
    """Reads a PNG file whose ground is transparent, cut to what is opaque.

    Returns:
      float32 [height, width, 4] in [0, 1]; do not change it.

    Raises:
      UserError: the file is no picture, or nothing or all of it is opaque.
    """
    try:
        with av.open(path) as container:
            frame = next(container.decode(video=0))
            image = frame.to_ndarray(format="rgba")
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise UserError(f"{path}: cannot be read as a picture") from error
    return _cut(image, path)


@functools.lru_cache(maxsize=512)
def read_glyph(path: str, character: str) -> np.ndarray:
    """Draws a character of a colour emoji font, cut to what is opaque.

    Returns:
      float32 [height, width, 4] in [0, 1]; do not change it.

    Raises:
      UserError: Pillow is not installed, the file is no such font or lacks the character.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise UserError(f"--sprites={path}: fonts need Pillow: pip install pillow") from error
    canvas = Image.new("RGBA", (3 * _FONT_SIZE, 3 * _FONT_SIZE))
    try:
        font = ImageFont.truetype(path, _FONT_SIZE)
        ImageDraw.Draw(canvas).text((40, 40), character, font=font, embedded_color=True)
    except (OSError, ValueError) as error:
        raise UserError(f"--sprites={path}: not a colour emoji font ({error})") from error
    return _cut(np.asarray(canvas), f"{path}: character {character!r}")


def _cut(image: np.ndarray, source: str) -> np.ndarray:
    opaque = image[..., 3] > 127
    if not opaque.any():
        raise UserError(f"{source}: nothing of it is opaque")
    if opaque.all():
        raise UserError(f"{source}: all of it is opaque: its ground must be transparent")
    (top, bottom), (left, right) = ((i.min(), i.max()) for i in np.nonzero(opaque))
    image = image[top : bottom + 1, left : right + 1].astype(np.float32) / 255
    step = -(-max(image.shape) // _LARGEST)
    return image[::step, ::step]


def _pose(image: np.ndarray, grid: shapes.Grid) -> np.ndarray:
    """Samples a picture, whose longer side is [-1, 1], at the points of a grid."""
    half = max(image.shape[:2]) / 2
    x = grid.x * half + image.shape[1] / 2 - 0.5
    y = grid.y * half + image.shape[0] / 2 - 0.5
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    x, y = x.clip(-1, image.shape[1]) + 1, y.clip(-1, image.shape[0]) + 1
    left, top = x.astype(int), y.astype(int)
    right, below = (np.minimum(v + 1, n - 1) for v, n in ((left, padded.shape[1]),
                                                          (top, padded.shape[0])))
    across, down = (x - left)[..., None], (y - top)[..., None]
    # Colours are weighted by opacity, else the ground's would bleed in at the edges.
    padded = padded * np.where(np.arange(4) < 3, padded[..., 3:], 1)
    upper = padded[top, left] * (1 - across) + padded[top, right] * across
    lower = padded[below, left] * (1 - across) + padded[below, right] * across
    posed = upper * (1 - down) + lower * down
    posed[..., :3] /= np.maximum(posed[..., 3:], 1e-6)
    return posed.astype(np.float32)


def _pictures_of(folder: str, entry: SceneClass) -> tuple[tuple[str, str], ...]:
    own = os.path.join(folder, entry.name)
    if os.path.isfile(f"{own}.png"):
        return ((f"{own}.png", ""),)
    names = sorted(os.listdir(own)) if os.path.isdir(own) else []
    pictures = tuple((os.path.join(own, n), "") for n in names if n.lower().endswith(".png"))
    if not pictures:
        raise UserError(
            f"--sprites={folder}: holds no {entry.name}.png and no folder {entry.name} of PNG files"
        )
    return pictures
