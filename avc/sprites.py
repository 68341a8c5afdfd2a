"""Pictures of ten classes, drawn from plain shapes; no two of a class are alike.

Hue, pattern, pose and proportions are drawn at random and colours are the same for all
classes and for the clutter behind them: what tells the classes apart is shape.
"""

import numpy as np

from avc import shapes
from avc.shapes import Grid

CANVAS = 128  # pixels a side on which a sprite is drawn; three times what is usually shown
MAX_ANGLE = np.radians(20)


class Paint:
    """A canvas, and the colours of one sprite."""

    def __init__(self, grid: Grid, rng: np.random.Generator):
        """Chooses colours and pattern; the canvas is empty."""
        self.grid, self.rng = grid, rng
        self.body, self.second = shapes.draw_colour(rng), shapes.draw_colour(rng)
        # Details must show on the body, whatever its colour.
        light = self.body @ np.float32([0.3, 0.6, 0.1]) < 0.4
        shade = rng.uniform(0.85, 1.0) if light else rng.uniform(0.0, 0.15)
        self.ink = np.full(3, shade, np.float32)
        self.pattern = shapes.draw_pattern(grid, rng.uniform(9, 22), rng)
        self.light = 1 - np.float32(rng.uniform(0.05, 0.2)) * (grid.x + grid.y)
        self.colour = np.zeros((*grid.x.shape, 3), np.float32)
        self.mask = np.zeros(grid.x.shape, bool)

    def add(self, mask: np.ndarray, colour: np.ndarray, patterned: bool = False) -> None:
        """Paints over what is there."""
        factor = self.light[mask] * self.pattern[mask] if patterned else self.light[mask]
        self.colour[mask] = np.clip(colour * factor[:, None], 0, 1)
        self.mask |= mask

    def image(self) -> np.ndarray:
        """Colour and opacity, float32 [size, size, 4]."""
        return np.dstack([self.colour, self.mask.astype(np.float32)])


def draw_sprite(name: str, rng: np.random.Generator) -> np.ndarray:
    """Draws an object of a class.

    Args:
      name: one of `NAMES`.
      rng: decides everything else.

    Returns:
      Red, green, blue and opacity in [0, 1], float32 [CANVAS, CANVAS, 4]; colours are not
      multiplied by the opacity.
    """
    stretch = tuple(rng.uniform(0.88, 1.12, 2))
    flip = bool(rng.integers(2))
    grid = shapes.posed_grid(CANVAS, rng.uniform(-MAX_ANGLE, MAX_ANGLE), stretch, flip)
    paint = Paint(grid, rng)
    _PAINTERS[name](paint, grid, rng.uniform(-1, 1, 4))
    return paint.image()


# Each painter gets four numbers in [-1, 1] that vary its proportions.


def _bell(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    flare, waist = 0.85 + 0.1 * vary[0], 0.42 + 0.06 * vary[1]
    paint.add(grid.ellipse((0, 0.78), (0.2, 0.2)), paint.second)
    paint.add(grid.ellipse((0, -0.82), (0.16, 0.16), inner=0.45), paint.second)
    side = [(waist, -0.3), (waist + 0.08, 0.2), (flare, 0.62), (flare, 0.75)]
    dome = grid.ellipse((0, -0.3), (waist, 0.42)) & (grid.y < -0.25)
    paint.add(dome | grid.polygon(side + [(-x, y) for x, y in reversed(side)]), paint.body, True)
    paint.add(grid.line([(-flare, 0.7), (flare, 0.7)], 0.12), paint.ink)


def _bird(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    legs = [[(x, 0.4), (x + 0.02, 0.92), (x + 0.2, 0.92)] for x in (-0.12, 0.14)]
    for leg in legs:
        paint.add(grid.line(leg, 0.06), paint.second)
    tail = -1.05 - 0.08 * vary[0]
    tail_ends = [(-0.3, 0.0), (tail, -0.42), (tail + 0.1, 0.1), (-0.4, 0.4)]
    paint.add(grid.polygon(tail_ends), paint.body)
    paint.add(grid.ellipse((-0.02, 0.12), (0.62, 0.4 + 0.05 * vary[1]), 0.15), paint.body, True)
    paint.add(grid.ellipse((0.52, -0.36), (0.32, 0.3)), paint.body)
    beak = [(0.76, -0.5), (1.18 + 0.08 * vary[2], -0.32), (0.76, -0.2)]
    paint.add(grid.polygon(beak), paint.second)
    wing = grid.ellipse((-0.12, 0.06), (0.4, 0.2), 0.35 + 0.2 * vary[3])
    paint.add(wing, paint.second)
    paint.add(grid.ellipse((0.6, -0.42), (0.07, 0.07)), paint.ink)


def _clock(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    for side in (-1, 1):
        paint.add(grid.line([(side * 0.4, 0.6), (side * 0.66, 0.98)], 0.16), paint.second)
        if vary[0] > 0:
            paint.add(grid.ellipse((side * 0.55, -0.72), (0.3, 0.22), side * 0.7), paint.second)
    paint.add(grid.ellipse((0, 0), (0.86, 0.86)), paint.body, True)
    face = paint.second if np.abs(paint.second - paint.body).sum() > 0.6 else 1 - paint.ink
    paint.add(grid.ellipse((0, 0), (0.68, 0.68)), face)
    ink = np.float32([0.05] * 3) if face.mean() > 0.45 else np.float32([0.95] * 3)
    for hour in range(0, 12, 3 if vary[1] > 0.3 else 1):
        turn = hour * np.pi / 6
        ends = [(r * np.cos(turn), r * np.sin(turn)) for r in (0.52, 0.62)]
        paint.add(grid.line(ends, 0.07), ink)
    for length, share in ((0.36, vary[2]), (0.54, vary[3])):
        turn = share * np.pi
        paint.add(grid.line([(0, 0), (length * np.cos(turn), length * np.sin(turn))], 0.09), ink)


def _dog(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    paint.add(grid.ellipse((0, 0), (0.68 + 0.05 * vary[0], 0.74)), paint.body, True)
    paint.add(grid.ellipse((0, 0.42), (0.42, 0.36 + 0.04 * vary[1])), 0.5 * paint.body + 0.45)
    for side in (-1, 1):
        ear = grid.ellipse((side * 0.76, -0.12), (0.24, 0.6), side * (-0.25 + 0.15 * vary[2]))
        paint.add(ear, paint.second)
        paint.add(grid.ellipse((side * 0.28, -0.16), (0.12, 0.14)), paint.ink)
    dark = np.float32([0.08, 0.06, 0.06])
    paint.add(grid.ellipse((0, 0.24), (0.18, 0.13)), dark)
    paint.add(grid.line([(-0.24, 0.52), (0, 0.6), (0.24, 0.52)], 0.07), dark)
    if vary[3] > 0:
        paint.add(grid.ellipse((0.02, 0.74), (0.13, 0.2)), np.float32([0.9, 0.4, 0.5]))


def _drum(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    top, bottom = -0.4, 0.55 + 0.12 * vary[0]
    side = grid.box(-0.8, top, 0.8, bottom) | grid.ellipse((0, bottom), (0.8, 0.26))
    paint.add(side, paint.body, True)
    count = 4 if vary[1] > 0 else 3
    xs = np.linspace(-0.76, 0.76, 2 * count + 1)
    cords = [(x, top + 0.3 if i % 2 else bottom + 0.04) for i, x in enumerate(xs)]
    paint.add(grid.line(cords, 0.07) & side, paint.ink)
    paint.add(grid.ellipse((0, bottom), (0.8, 0.26), inner=0.8) & (grid.y > bottom), paint.second)
    paint.add(grid.ellipse((0, top), (0.84, 0.3)), paint.second)
    paint.add(grid.ellipse((0, top), (0.7, 0.21)), np.float32([0.93, 0.9, 0.84]))
    for side_of in (-1, 1):
        start = (side_of * (0.9 + 0.1 * vary[2]), -1.0)
        paint.add(grid.line([start, (side_of * 0.1, top + 0.04)], 0.09), paint.ink)


def _engine(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    teeth, turn = 8 + int(2 * vary[0]), vary[1] * np.pi
    angle = np.arctan2(grid.y, grid.x)
    radius = np.sqrt(grid.x**2 + grid.y**2)
    edge = 0.72 + 0.22 * (np.sin(teeth * angle + turn) > -0.1)
    hole = 0.26 + 0.06 * vary[2]
    paint.add((radius < edge) & (radius > hole), paint.body, True)
    paint.add((radius < hole + 0.14) & (radius > hole), paint.second)
    paint.add((radius < 0.66) & (radius > 0.58), paint.ink)


def _guitar(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    lower, upper = 0.54 + 0.05 * vary[0], 0.38 + 0.04 * vary[1]
    paint.add(grid.box(-0.1, -1.1, 0.1, 0.1), paint.second)
    paint.add(grid.box(-0.18, -1.3, 0.18, -1.02), paint.ink)
    body = grid.ellipse((0, 0.62), (lower, 0.46)) | grid.ellipse((0, 0.02), (upper, 0.36))
    paint.add(body, paint.body, True)
    paint.add(grid.box(-0.08, -1.05, 0.08, 0.1), paint.second)
    paint.add(grid.ellipse((0, 0.28), (0.2, 0.2)), np.float32([0.08, 0.05, 0.04]))
    paint.add(grid.box(-0.24, 0.74, 0.24, 0.84), paint.ink)
    for x in (-0.05, 0.05):
        paint.add(grid.line([(x, -1.0), (x, 0.78)], 0.025), np.float32([0.95, 0.95, 0.9]))


def _rain(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    cloud = grid.box(-0.6, -0.34, 0.6, 0.06) | grid.ellipse((-0.6, -0.18), (0.34, 0.26))
    cloud |= grid.ellipse((0.62, -0.16), (0.32, 0.24))
    cloud |= grid.ellipse((0.08 + 0.1 * vary[0], -0.46), (0.46, 0.42))
    cloud |= grid.ellipse((-0.34, -0.38), (0.34, 0.3))
    paint.add(cloud, paint.body, True)
    slant = 0.12 + 0.1 * vary[1]
    for row, y in enumerate((0.24, 0.62)):
        for x in np.linspace(-0.6, 0.6, 4 if row == 0 else 3) + 0.05 * vary[2]:
            paint.add(grid.line([(x, y), (x - slant, y + 0.26)], 0.11), paint.second)


def _siren(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    for turn in np.radians([-60, -30, 0, 30, 60]):
        reach = [(r * np.sin(turn), 0.3 - r * np.cos(turn)) for r in (1.05, 1.35 + 0.1 * vary[0])]
        paint.add(grid.line(reach, 0.1), paint.second)
    dome = (grid.ellipse((0, 0.1), (0.58, 0.7)) & (grid.y < 0.1)) | grid.box(-0.58, 0.08, 0.58, 0.5)
    paint.add(dome, paint.body, True)
    paint.add(grid.ellipse((0.1 * vary[1], 0.06), (0.2, 0.3)), paint.ink)
    paint.add(grid.box(-0.76, 0.48, 0.76, 0.84 + 0.06 * vary[2]), paint.second)


def _whistle(paint: Paint, grid: Grid, vary: np.ndarray) -> None:
    paint.add(grid.ellipse((-0.86, -0.34), (0.2, 0.2), inner=0.55), paint.second)
    mouth = 1.05 + 0.12 * vary[0]
    pipe = grid.polygon([(-0.3, -0.52), (mouth, -0.52), (mouth, -0.2), (0.2, -0.06)])
    body = grid.ellipse((-0.26, 0.1), (0.6, 0.62))
    paint.add(body | pipe, paint.body, True)
    paint.add(grid.box(0.12, -0.56, 0.4, -0.26), paint.ink)
    paint.add(grid.ellipse((-0.26, 0.1), (0.3 + 0.05 * vary[1], 0.32), inner=0.5), paint.second)


_PAINTERS = {
    "bell": _bell,
    "bird": _bird,
    "clock": _clock,
    "dog": _dog,
    "drum": _drum,
    "engine": _engine,
    "guitar": _guitar,
    "rain": _rain,
    "siren": _siren,
    "whistle": _whistle,
}
NAMES = tuple(_PAINTERS)
