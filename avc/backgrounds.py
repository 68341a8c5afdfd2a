"""Cluttered backgrounds: a gradient, a rough texture, and shapes and lines upon it.

Nothing here depends on what sounds. The colours and patterns are those of the sprites,
so neither tells an object from its surroundings.
"""

from collections.abc import Sequence

import numpy as np

from avc import shapes


def draw_background(
    size: int, clutter: int, hue: float, roughness: float, rng: np.random.Generator
) -> np.ndarray:
    """Draws a square background.

    Args:
      size: pixels a side.
      clutter: number of shapes and lines.
      hue: of the ground, in [0, 1). Splits draw it from disjoint bands.
      roughness: in [0, 1): from large to small grain. Splits draw it from disjoint bands.
      rng: decides everything else.

    Returns:
      float32 [size, size, 3] in [0, 1].
    """
    # Drawn at twice the size, so that edges are as smooth as those of objects.
    grid = shapes.pixel_grid(2 * size, 2 * size)
    ground = shapes.hsv(hue, rng.uniform(0.1, 0.8), rng.uniform(0.35, 0.9))
    picture = ground + _gradient(grid, rng)[..., None] * (shapes.draw_colour(rng) - ground)
    cells = round(4 * 8**roughness)  # 4 to 32 cells a side
    picture *= 1 + rng.uniform(0.1, 0.5) * _texture(2 * size, cells, rng)[..., None]
    for _ in range(clutter):
        _add_shape(picture, grid, rng)
    rows = picture[::2] + picture[1::2]
    return np.clip((rows[:, ::2] + rows[:, 1::2]) / 4, 0, 1, dtype=np.float32)


def _gradient(grid: shapes.Grid, rng: np.random.Generator) -> np.ndarray:
    """From 0 to about 1: along a line, or outwards from a point."""
    if rng.integers(2):
        angle = rng.uniform(0, 2 * np.pi)
        along = np.cos(angle) * (grid.x - 0.5) + np.sin(angle) * (grid.y - 0.5)
        return (0.5 + 0.7 * along).clip(0, 1).astype(np.float32)
    x, y = rng.random(2)
    return np.hypot(grid.x - np.float32(x), grid.y - np.float32(y)).clip(0, 1)


def _texture(size: int, cells: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of a given number of cells a side, float32 [size, size] in [-1, 1]."""
    knots = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    place = (np.arange(size) + 0.5) / size * cells
    left = place.astype(int)
    weights = np.zeros((size, cells + 1), np.float32)
    part = place - left
    part = part * part * (3 - 2 * part)
    weights[np.arange(size), left] = 1 - part
    weights[np.arange(size), left + 1] = part
    return weights @ knots @ weights.T


def _add_shape(picture: np.ndarray, grid: shapes.Grid, rng: np.random.Generator) -> None:
    centre, reach, kind = rng.uniform(-0.05, 1.05, 2), rng.uniform(0.03, 0.22), rng.integers(5)
    if kind == 0:
        radii = reach * rng.uniform(0.3, 1, 2)
        near = _window(picture.shape[0], [centre - radii.max(), centre + radii.max()])
        turn, inner = rng.uniform(0, np.pi), rng.choice([0, 0.7])
        mask = _part(grid, near).ellipse(centre, radii, turn, inner)
    elif kind < 3:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        spokes = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        points = centre + reach * rng.uniform(0.4, 1.2, (len(turns), 1)) * spokes
        near = _window(picture.shape[0], points)
        mask = _part(grid, near).polygon([tuple(point) for point in points])
    else:
        # A scribble, or one long line.
        points = centre + reach * rng.uniform(-1, 1, (4, 2))
        points = points if kind == 3 else rng.uniform(-0.1, 1.1, (2, 2))
        width = rng.uniform(0.005, 0.03)
        near = _window(picture.shape[0], [points.min(axis=0) - width, points.max(axis=0) + width])
        mask = _part(grid, near).line([tuple(point) for point in points], width)
    colour, cover = shapes.draw_colour(rng), np.float32(rng.uniform(0.5, 1))
    pattern = shapes.draw_pattern(_part(_part(grid, near), mask), rng.uniform(40, 130), rng)
    picture = picture[near]
    picture[mask] += cover * (colour * pattern[:, None] - picture[mask])


def _part(grid: shapes.Grid, where: object) -> shapes.Grid:
    return shapes.Grid(grid.x[where], grid.y[where])


def _window(size: int, points: Sequence[np.ndarray]) -> tuple[slice, slice]:
    """The rows and columns around points: what lies farther off need not be looked at."""
    low = np.clip(np.min(points, axis=0) * size - 1, 0, size - 1).astype(int)
    high = np.clip(np.max(points, axis=0) * size + 2, 1, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])
