"""Pictures of scenes: objects of known boxes upon a cluttered background.

A box is exact: it ends where the object's last visible pixels do. Objects do not touch, so
none hides another.
"""

import numpy as np

from avc import scenes
from avc.backgrounds import draw_background
from avc.scene_world import World
from avc.scenes import Cast, SceneConfig

_BACKGROUND, _OBJECTS, _MOTION = 1, 2, 3  # numbers of random streams
_OPAQUE = 1 / 8  # fainter edges are left away, so that a box ends where something is seen


def draw_frames(
    config: SceneConfig, world: World, cast: Cast, series: int, index: int
) -> tuple[tuple[np.ndarray, ...], tuple[float, ...], np.ndarray]:
    """Draws the frames of a scene.

    Args:
      config: sizes, clutter, motion, seed and split.
      world: the pictures.
      cast: what is to be seen; what sounds counts only if it moves.
      series: 0 for scenes, 1 for swap pairs.
      index: of the scene.

    Returns:
      Frames, uint8 [height, width, 3] each, one that stays held once; when each begins to
      show, in seconds; and left, top, right, bottom of each object over all frames in parts
      of the picture, float64 [num_objects, 4].

    Raises:
      UserError: a picture cannot be read.
    """
    size = config.picture_size
    rng = scenes.random_stream(config, series, index, _BACKGROUND)
    hue, roughness = (scenes.draw_from_band(config.split, rng) for _ in range(2))
    ground = draw_background(size, config.clutter, hue, roughness, rng)
    seconds = np.arange(np.ceil(config.clip_seconds * config.frames_per_second - 1e-9))
    seconds /= config.frames_per_second
    offsets = _draw_motion(
        config, cast, seconds, scenes.random_stream(config, series, index, _MOTION)
    )
    rng = scenes.random_stream(config, series, index, _OBJECTS)
    names = cast.visible
    if config.looks == "any":
        names = rng.choice(config.classes, len(names))
    images = [_draw_object(config, world, str(name), rng) for name in names]
    images, corners = _arrange(images, size, _reach(config), rng)
    shown, times = [], []
    for frame, time in enumerate(seconds):
        if frame == 0 or (offsets[:, frame] != offsets[:, frame - 1]).any():
            shown.append(_compose(ground, images, corners + offsets[:, frame]))
            times.append(float(time))
    sizes = np.array([image.shape[:2] for image in images])
    starts, ends = corners + offsets.min(axis=1), corners + offsets.max(axis=1) + sizes
    boxes = np.concatenate([starts[:, ::-1], ends[:, ::-1]], axis=1) / size
    return tuple(shown), tuple(times), boxes


def _reach(config: SceneConfig) -> int:
    """How many pixels an object may move away from its place."""
    return round(config.motion_range * config.picture_size) if config.motion != "none" else 0


def _draw_motion(
    config: SceneConfig, cast: Cast, seconds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Where each object is in each frame, rows and columns from its place.

    Returns:
      int [num_objects, num_frames, 2].
    """
    reach = _reach(config)
    offsets = rng.integers(-reach, reach + 1, (len(cast.visible), len(seconds), 2))
    if config.motion == "by_class":
        swings = [_swing(config, name, seconds, rng) for name in cast.visible]
        offsets = np.rint(reach * np.stack(swings)).astype(int)
    if config.motion in ("sounding", "by_class"):
        moves = np.zeros(offsets.shape[:2], bool)
        for event in cast.events:
            if event.object >= 0:
                span = (seconds >= event.start_seconds) & (seconds < event.end_seconds)
                moves[event.object] |= span
        offsets *= moves[..., None]
    return offsets


def _swing(
    config: SceneConfig, name: str, seconds: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Places to and fro on a line, rows and columns in [-1, 1], float [num_frames, 2].

    Lines of the first class are level, those of the last upright, the others between; mirrored
    ones are alike, as networks see mirrored pictures.
    """
    steepness = config.classes.index(name) / max(1, len(config.classes) - 1)
    angle = np.pi / 2 * steepness * rng.choice((-1, 1))
    along = np.sin(2 * np.pi * (rng.uniform(1, 3) * seconds + rng.random()))
    return along[:, None] * np.array([np.sin(angle), np.cos(angle)])


def _draw_object(
    config: SceneConfig, world: World, name: str, rng: np.random.Generator
) -> np.ndarray:
    """An object in its size, colours times opacity and opacity, [height, width, 4]."""
    area = rng.uniform(config.min_object_area, config.max_object_area)
    image = world.draw_sprite(name, rng)
    opaque = image[..., 3] > 0.5
    rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
    image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = image.shape[:2]
    # The place that it takes with its motion is (scale h + 2 m)(scale w + 2 m) = area.
    size, margin = config.picture_size, 2 * _reach(config)
    half = margin * (height + width) / 2
    missing = max(area * size**2 - margin**2, 1)
    scale = (np.sqrt(half**2 + height * width * missing) - half) / (height * width)
    scale = min(scale, (0.9 * size - margin) / max(height, width))
    return resize(image, max(3, int(height * scale)), max(3, int(width * scale)))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Averages over areas; colours come out multiplied by opacity, edges cut where faint.

    Args:
      image: colours and opacity in [0, 1], float32 [rows, columns, 4].
      height, width: of the result, before its empty borders are cut.
    """
    image = image.copy()
    image[..., :3] *= image[..., 3:]
    rows, columns = _averages(image.shape[0], height), _averages(image.shape[1], width)
    image = np.einsum("ij,jkc->ikc", rows, image, optimize=True)
    image = np.einsum("ij,kjc->kic", columns, image, optimize=True)
    image[image[..., 3] < _OPAQUE] = 0
    opaque = image[..., 3] > 0
    top, left = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
    return image[top[0] : top[-1] + 1, left[0] : left[-1] + 1]


def _averages(old: int, new: int) -> np.ndarray:
    """What each new pixel takes of each old one, float32 [new, old]."""
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return (overlap.clip(0) * (new / old)).astype(np.float32)


def _arrange(
    images: list[np.ndarray], size: int, reach: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], np.ndarray]:
    """Finds places where objects, with their motion, lie in the picture and touch no other.

    Returns:
      The images, smaller where there was no room for them, and their upper left corners in
      rows and columns, int [num_objects, 2].
    """
    while True:
        for _ in range(50):
            room = np.array([image.shape[:2] for image in images]) + 2 * reach
            starts = rng.integers(0, size - room + 1)
            apart = [
                (starts[i] + room[i] <= starts[j]).any() or (starts[j] + room[j] <= starts[i]).any()
                for i in range(len(images))
                for j in range(i)
            ]
            if all(apart):
                return images, starts + reach
        images = [_shrink(image) if min(image.shape[:2]) > 4 else image for image in images]


def _shrink(image: np.ndarray) -> np.ndarray:
    straight = image.copy()
    straight[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return resize(straight, int(image.shape[0] * 0.93), int(image.shape[1] * 0.93))


def _compose(ground: np.ndarray, images: list[np.ndarray], corners: np.ndarray) -> np.ndarray:
    picture = ground.copy()
    for image, (top, left) in zip(images, corners, strict=True):
        part = picture[top : top + image.shape[0], left : left + image.shape[1]]
        part *= 1 - image[..., 3:]
        part += image[..., :3]
    return np.rint(picture * 255).clip(0, 255).astype(np.uint8)
