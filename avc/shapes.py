"""Plain shapes on a canvas, in NumPy: what sprites and backgrounds are drawn from.

A shape is a mask over a grid of points. Edges are hard; sprites are drawn larger than
they are shown, and shrinking them smooths their edges.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """The points of a canvas, x to the right and y down.

    Attributes:
      x: float32 [height, width].
      y: float32 [height, width].
    """

    x: np.ndarray
    y: np.ndarray

    def ellipse(
        self, centre: Point, radii: Point, angle: float = 0.0, inner: float = 0.0
    ) -> np.ndarray:
        """An ellipse turned by `angle` (radians), or a ring with `inner` times its radii."""
        across, down = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u = (cosine * across + sine * down) / np.float32(radii[0])
        v = (cosine * down - sine * across) / np.float32(radii[1])
        distance = u * u + v * v
        mask = distance <= 1
        return mask & (distance >= np.float32(inner * inner)) if inner else mask

    def box(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """An upright rectangle."""
        return (self.x >= left) & (self.x <= right) & (self.y >= top) & (self.y <= bottom)

    def polygon(self, points: Sequence[Point]) -> np.ndarray:
        """The inside of a closed line, by the number of crossings to the right."""
        inside = np.zeros(self.x.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
            if y0 == y1:
                continue
            slope = np.float32((x1 - x0) / (y1 - y0))
            crosses = (self.y > np.float32(y0)) != (self.y > np.float32(y1))
            inside ^= crosses & (self.x < np.float32(x0) + slope * (self.y - np.float32(y0)))
        return inside

    def line(self, points: Sequence[Point], width: float) -> np.ndarray:
        """A line of this width through the points, with round ends."""
        mask = np.zeros(self.x.shape, bool)
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            dx, dy = np.float32(x1 - x0), np.float32(y1 - y0)
            across, down = self.x - np.float32(x0), self.y - np.float32(y0)
            along = np.clip((across * dx + down * dy) / (dx * dx + dy * dy + 1e-12), 0, 1)
            gap = (across - along * dx) ** 2 + (down - along * dy) ** 2
            mask |= gap <= np.float32(width * width / 4)
        return mask


def pixel_grid(height: int, width: int) -> Grid:
    """Pixel centres of a picture whose longer side is 1."""
    longer = max(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return Grid((x + 0.5) / longer, (y + 0.5) / longer)


def posed_grid(size: int, angle: float, stretch: Point, flip: bool) -> Grid:
    """A square canvas of [-1.7, 1.7] on which upright shapes appear turned and stretched.

    Args:
      size: pixels a side.
      angle: radians, clockwise as seen.
      stretch: factors of width and height.
      flip: whether left and right change places.
    """
    axis = ((np.arange(size) + 0.5) / size * 3.4 - 1.7).astype(np.float32)
    x, y = axis[None, :], axis[:, None]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = cosine * x + sine * y, cosine * y - sine * x
    return Grid(u * np.float32((-1 if flip else 1) / stretch[0]), v * np.float32(1 / stretch[1]))


def draw_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour of any hue, float32 [3] in [0, 1]: sprites and backgrounds share them all."""
    return hsv(rng.random(), rng.uniform(0.15, 0.95), rng.uniform(0.35, 1.0))


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """A colour as red, green and blue, float32 [3]; all numbers lie in [0, 1]."""
    place = (np.array([5, 3, 1]) + 6 * hue) % 6
    dip = np.clip(np.minimum(place, 4 - place), 0, 1)
    return (value * (1 - saturation * dip)).astype(np.float32)


def draw_pattern(grid: Grid, scale: float, rng: np.random.Generator) -> np.ndarray:
    """A factor of brightness, float32 of the grid's shape: plain, stripes, dots or checks."""
    kind, angle, phase = rng.integers(4), rng.uniform(0, np.pi), rng.uniform(0, 6.28, 2)
    u = np.cos(angle) * grid.x + np.sin(angle) * grid.y
    v = np.cos(angle) * grid.y - np.sin(angle) * grid.x
    first = np.sin(np.float32(scale) * u.astype(np.float32) + np.float32(phase[0]))
    if kind == 0:
        return np.ones_like(first)
    depth = np.float32(rng.uniform(0.15, 0.45))
    if kind == 1:
        return 1 - depth * (first > 0)
    second = np.sin(np.float32(scale) * v.astype(np.float32) + np.float32(phase[1]))
    dark = first * second > 0 if kind == 2 else first + second > 0.8
    return 1 - depth * dark
