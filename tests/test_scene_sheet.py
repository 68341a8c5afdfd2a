"""Sheets of scenes with known maps, read pixel by pixel; and the command that draws them."""

import numpy as np
import pytest
import tensorflow as tf
from avc_runs import SCENES, tiny
from launching import launch

from avc import networks, scene_sheet
from avc.scene_truth import Truth
from crossmodal import checkpoints, configuration

RED, WHITE = (255, 0, 0), (255, 255, 255)


def truth(visible, sounding):
    boxes = [np.array(each, np.float64).reshape(-1, 4) for each in (sounding, visible)]
    return Truth("on_screen", *boxes, frozenset(), frozenset(), frozenset())


def test_scenes_with_boxes_on_the_left_and_maps_on_the_right():
    pictures = np.full((3, 20, 20, 3), 100, np.uint8)
    maps = np.zeros((3, 2, 2))
    maps[1, 0, 1] = 1.0
    left_half, right_half = (0.0, 0.0, 0.4, 1.0), (0.5, 0.25, 1.0, 0.75)
    truths = [truth([], []), truth([left_half, right_half], [right_half]), truth([], [])]
    found = scene_sheet.sheet(pictures, maps, truths, columns=2, scale=2)
    # Two pairs of 40 pixels in a row, eight between them.
    assert found.shape == (40 + 8 + 40, 80 + 8 + 80, 3) and found.dtype == np.uint8
    assert (found[:, 80:88] == 255).all() and (found[40:48] == 255).all()
    assert (found[48:, 88:] == 255).all()  # there is no fourth scene
    scene, mapped = found[:40, 88:128], found[:40, 128:]
    for colour, (left, top, right, bottom) in ((WHITE, (0, 0, 16, 40)), (RED, (20, 10, 40, 30))):
        inside = (slice(top + 2, bottom - 2), slice(left + 2, right - 2))
        framed = scene[top:bottom, left:right]
        assert (framed[:2] == colour).all() and (framed[:, -2:] == colour).all()
        assert (scene[inside] == 100).all()
    assert (scene[:, 17:19] == 100).all()
    # The map is bright in its upper right corner, and there are no boxes on it.
    assert mapped[0, -1].astype(int).sum() > 450 > 300 > mapped[-1, 0].astype(int).sum()
    np.testing.assert_array_equal(found[:40, 40:80], found[48:, 40:80])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """Untrained networks on the work folder's place of trained ones."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("avol", "ave"):
        config = tiny(name)
        model = networks.build(config.network).training
        checkpoints.save_best(str(folder / name), model, 1, {"accuracy": 0.5})
        saved = {"avc": configuration.to_dict(config)}
        configuration.save(str(folder / name / "configuration.json"), saved)
    return folder


def test_the_command_draws_the_first_scenes(workdir, tmp_path):
    output = tmp_path / "maps.png"
    outcome = launch(
        "localize_scenes", workdir=workdir / "avol", output=output, number=3, columns=2, scale=2,
        input_pattern=f"{SCENES}/test-*.tfrecord",
    )
    assert outcome.status == 0, outcome.error
    assert f"3 scenes: {output}" in outcome.out and "highest probability 0." in outcome.out
    picture = tf.io.decode_png(output.read_bytes()).numpy()
    assert picture.shape == (64 + 8 + 64, 128 + 8 + 128, 3)
    assert (picture == RED).all(-1).any() and len(np.unique(picture)) > 50


@pytest.mark.parametrize(("changes", "message"), [
    ({"output": "/tmp/maps.jpg"}, "its name must end with .png"),
    ({"workdir": "ave"}, "its network has no heat map; avol and davenet have"),
    ({"input_pattern": "/nowhere/*"}, "--input_pattern=/nowhere/*: no file matches"),
])
def test_mistakes_are_one_line(workdir, tmp_path, changes, message):
    given = {"workdir": "avol", "input_pattern": f"{SCENES}/test-*.tfrecord",
             "output": tmp_path / "maps.png", **changes}
    outcome = launch("localize_scenes", **{**given, "workdir": workdir / given["workdir"]})
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not (tmp_path / "maps.png").exists()
