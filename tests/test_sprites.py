"""Pictures of scenes: boxes to the pixel, classes told by shape, nothing told by the ground."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from avc import scene_pictures, scene_world, scenes, sprites
from avc.scenes import Cast, Event, SceneConfig

WORLD = scene_world.open_world(scene_world.WorldFiles())
CONFIG = SceneConfig(classes=sprites.NAMES)


def grey_square(name, rng):
    image = np.full((40, 40, 4), 0.5, np.float32)
    image[..., 3] = 1
    return image


def silhouettes(shade):
    """The same world with every object in one shade of grey."""

    def draw(name, rng):
        image = sprites.draw_sprite(name, rng)
        image[..., :3] = shade
        return image

    return dataclasses.replace(WORLD, draw_sprite=draw)


def seen_pixels(config, cast, index):
    """Where objects are: the pixels that differ when all objects are black, or white."""
    black, times, _ = scene_pictures.draw_frames(config, silhouettes(0), cast, 0, index)
    white, _, _ = scene_pictures.draw_frames(config, silhouettes(1), cast, 0, index)
    return [(a != b).any(axis=-1) for a, b in zip(black, white, strict=True)], times


@pytest.mark.parametrize("motion", ["none", "all"])
def test_a_box_ends_where_its_object_does(motion):
    config = dataclasses.replace(CONFIG, motion=motion, picture_size=100)
    for index, name in enumerate(sprites.NAMES):
        cast = Cast("silent", (name, sprites.NAMES[index - 1]), ())
        *_, boxes = scene_pictures.draw_frames(config, WORLD, cast, 0, index)
        seen = np.any(seen_pixels(config, cast, index)[0], axis=0)
        for left, top, right, bottom in np.rint(boxes * 100).astype(int):
            part = seen[top:bottom, left:right]
            assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
            seen[top:bottom, left:right] = False
        assert not seen.any(), name


def test_boxes_lie_apart_and_cover_what_is_configured():
    config = dataclasses.replace(CONFIG, motion="all", max_objects=3)
    areas = []
    for index in range(60):
        cast = scenes.draw_cast(config, index)
        *_, boxes = scene_pictures.draw_frames(config, WORLD, cast, 0, index)
        assert len(boxes) == len(cast.visible)
        assert boxes.min() >= 0 and boxes.max() <= 1
        areas += list((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                assert (a[:2] >= b[2:]).any() or (b[:2] >= a[2:]).any()
    assert max(areas) <= 0.15
    assert min(areas) > 0.02 and np.quantile(areas, 0.9) > 0.11


def test_objects_that_do_not_fit_are_made_smaller():
    config = dataclasses.replace(
        CONFIG, max_objects=6, min_object_area=0.1, max_object_area=0.1, picture_size=64
    )
    cast = Cast("silent", sprites.NAMES[:6], ())
    *_, boxes = scene_pictures.draw_frames(config, WORLD, cast, 0, 3)
    assert len(boxes) == 6 and (boxes[:, 2:] > boxes[:, :2]).all()


def test_only_what_sounds_moves_where_motion_tells():
    config = dataclasses.replace(CONFIG, motion="sounding", frames_per_second=10)
    cast = Cast("one", ("dog", "drum"), (Event("drum", 1, 1.0, 2.0),))
    moved = np.zeros(2, bool)
    frames, times, boxes = scene_pictures.draw_frames(config, WORLD, cast, 0, 5)
    for frame, time in zip(frames[1:], times[1:], strict=True):
        changed = (frame != frames[0]).any(axis=-1)
        for i, (left, top, right, bottom) in enumerate(np.rint(boxes * 128).astype(int)):
            moved[i] |= changed[top:bottom, left:right].any()
            changed[top:bottom, left:right] = False
        assert not changed.any()
        assert 1.0 <= time <= 2.0
    assert moved.tolist() == [False, True]


def test_pictures_that_stay_are_held_once_and_others_lie_on_the_grid():
    cast = Cast("silent", ("bell", "bird"), ())
    frames, times, _ = scene_pictures.draw_frames(CONFIG, WORLD, cast, 0, 0)
    assert len(frames) == 1 and times == (0.0,)
    moving = dataclasses.replace(CONFIG, motion="all", frames_per_second=4)
    frames, times, _ = scene_pictures.draw_frames(moving, WORLD, cast, 0, 0)
    assert 8 <= len(frames) == len(times) <= 12
    assert set(times) <= set(np.arange(12) / 4)


def test_a_sprite_is_drawn_anew_each_time():
    rng = np.random.default_rng(0)
    for name in sprites.NAMES:
        first, second = (sprites.draw_sprite(name, rng) for _ in range(2))
        assert first.shape == (sprites.CANVAS, sprites.CANVAS, 4)
        assert first.min() >= 0 and first.max() <= 1
        opaque = first[..., 3] > 0
        assert np.abs(first - second)[opaque].mean() > 0.05
        # Nothing is cut off at the edge of the canvas.
        assert not opaque[[0, -1]].any() and not opaque[:, [0, -1]].any()


def edge_orientations(pictures):
    """Shares of edge directions in 6 x 6 cells of grey pictures: shape, and no colour."""
    grey = np.asarray(pictures).mean(axis=-1)
    down, across = np.gradient(grey, axis=(1, 2))
    angle = (np.arctan2(down, across) % np.pi / np.pi * 6).astype(int) % 6
    planes = np.hypot(down, across)[..., None] * (angle[..., None] == np.arange(6))
    cells = planes.reshape(len(grey), 6, 8, 6, 8, 6).sum(axis=(2, 4)).reshape(len(grey), -1)
    return cells / np.linalg.norm(cells, axis=1, keepdims=True)


def accuracy(features, classes, regularisation=1.0):
    """On the second half, of a linear classifier of the first."""
    half = len(classes) // 2
    model = LogisticRegression(C=regularisation, max_iter=300)
    model.fit(features[:half], classes[:half])
    return model.score(features[half:], classes[half:])


def test_classes_are_told_by_shape_and_not_by_colour():
    config = dataclasses.replace(CONFIG, picture_size=64)
    patches, classes = [], []
    for index in range(700):
        cast = Cast("silent", (sprites.NAMES[index * 7 % 10],), ())
        (frame,), _, ((left, top, right, bottom),) = scene_pictures.draw_frames(
            config, WORLD, cast, 0, index
        )
        rows = np.linspace(top, bottom, 50)[1:-1] * 64
        columns = np.linspace(left, right, 50)[1:-1] * 64
        patches.append(frame[rows.astype(int)][:, columns.astype(int)] / 255)
        classes.append(cast.visible[0])
    assert accuracy(edge_orientations(patches), classes, 30) > 0.85
    colours = np.array([[*p.mean(axis=(0, 1)), *p.std(axis=(0, 1))] for p in patches])
    assert accuracy(colours, classes) < 0.25


def test_ground_place_and_number_of_objects_do_not_tell_what_sounds():
    """With every object replaced by one grey square, what is left is chance."""
    world = dataclasses.replace(WORLD, draw_sprite=grey_square)
    config = dataclasses.replace(CONFIG, picture_size=48, off_screen_share=0.0, silent_share=0.0)
    pictures, classes = [], []
    for index in range(800):
        cast = scenes.draw_cast(config, index)
        frames, *_ = scene_pictures.draw_frames(config, world, cast, 0, index)
        pictures.append(frames[0].reshape(12, 4, 12, 4, 3).mean(axis=(1, 3)).ravel() / 255)
        classes.append(cast.events[0].name)
    # 400 answers by chance: 0.1 with a deviation of 0.015.
    assert accuracy(np.array(pictures), classes, 0.1) < 0.16
