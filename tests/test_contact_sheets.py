"""Contact sheets: what is sounding is boxed red, and the PNG shows what it was given."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from avc import contact_sheets, reading
from crossmodal import pictures
from crossmodal.errors import UserError
from crossmodal.pictures import Box, Panel

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def scenes(testdata):
    pattern = str(testdata / "scenes" / "train*.tfrecord")
    return reading.open_clips(pattern, "pattern", progress=False)[2]


def test_scenes_are_boxed_by_what_sounds_at_their_middle(scenes):
    panels = contact_sheets.clip_panels(scenes, 6)
    rows = list(contact_sheets.first_rows(scenes, 6))
    assert len(panels) == len(rows) == 6
    seen = set()
    for panel, row in zip(panels, rows, strict=True):
        middle = row["num_samples"][0] / 48_000 / 2
        events = zip(
            row["event_objects"], row["event_start_seconds"], row["event_end_seconds"], strict=True
        )
        loud = {int(o) for o, start, end in events if start <= middle < end}
        colors = [box.color for box in panel.boxes]
        assert colors == ["red" if i in loud else "white" for i in range(len(colors))]
        seen |= set(colors)
        assert panel.image.shape == (96, 96, 3) and panel.image.dtype == np.uint8
    assert seen == {"red", "white"}


def test_a_sheet_shows_its_pictures_in_order(tmp_path):
    red, blue = (np.zeros((20, 20, 3), np.uint8) for _ in range(2))
    red[..., 0] = blue[..., 2] = 255
    path = str(tmp_path / "sheet.png")
    pictures.contact_sheet(path, [Panel(red, "a"), Panel(blue, "b", (Box(0, 0, 1, 1),))], 2, "t")
    sheet = tf.io.decode_png(open(path, "rb").read(), channels=3).numpy()  # noqa: SIM115
    height, width, _ = sheet.shape
    left, right = sheet[height // 2, width // 4], sheet[height // 2, 3 * width // 4]
    assert left.tolist() == [255, 0, 0] and right.tolist() == [0, 0, 255]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="extra `pictures`"):
        pictures.contact_sheet(str(tmp_path / "x.png"), [Panel(np.zeros((2, 2)))], 1)
