import json

import numpy as np
import pytest

from avc import vggss
from crossmodal import localization
from crossmodal.errors import UserError

CELLO = {"file": "cello_id_00_000030", "class": "playing cello", "bbox": [[0.1, 0.2, 0.7, 1]]}


def write(tmp_path, content):
    path = tmp_path / "vggss.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_items_keep_their_boxes_and_drop_those_without_an_area(tmp_path):
    elk = {"file": "elk_id_0000_000032", "class": "elk bugling",
           "bbox": [[0.4, 0.5, 0.6, -2.9e16], [0.3, 0.3, 0.3, 0.3], [-0.1, 0, 0.5, 1.0]]}
    owl = {"file": "owl_id_0000_000032", "class": "owl hooting", "bbox": [[0, 1, 1, 1]]}
    items = vggss.read(write(tmp_path, [CELLO, elk, owl]))
    assert items == [
        vggss.Item("cello_id_00_000030", "playing cello", ((0.1, 0.2, 0.7, 1.0),), 0),
        vggss.Item("elk_id_0000_000032", "elk bugling", ((0.0, 0.0, 0.5, 1.0),), 2),
        vggss.Item("owl_id_0000_000032", "owl hooting", (), 1),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a JSON file"),
        ("{}", "is not a list"),
        ("[]", "is not a list"),
        ([CELLO, 3], "entry 1: is not an object"),
        ([CELLO, {"file": "a", "class": "b"}], "entry 1: is not an object"),
        ([CELLO | {"bbox": [0.1, 0.2, 0.7, 1]}], "entry 0: is not an object"),
        ([CELLO | {"bbox": [["a", 0.2, 0.7, 1]]}], "entry 0: is not an object"),
        ([CELLO | {"bbox": [[0.1, 0.2, 0.7]]}], r"cello_id_00_000030: \[0.1, 0.2, 0.7\] is not"),
        ([CELLO | {"bbox": [[0, 0, 640, 360]]}], "cello_id_00_000030: .* in fractions"),
        ([CELLO | {"file": 3}], "entry 0: is not an object"),
        ([CELLO, CELLO], "cello_id_00_000030 occurs twice"),
    ],
)
def test_other_files_are_one_line(tmp_path, content, message):
    with pytest.raises(UserError, match=rf"vggss\.json: .*{message}") as caught:
        vggss.read(write(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.real_data
def test_the_published_annotations(real_data):
    items = vggss.read(str(real_data / "metadata" / "vggss.json"))
    assert len(items) == 5158 and len({item.label for item in items}) == 221
    assert sum(item.dropped for item in items) == 18
    without = [item.clip for item in items if not item.boxes]
    assert len(without) == 2
    some = [item for item in items if len(item.boxes) == 1 or not item.boxes][:400]
    found = localization.baselines([item.boxes for item in some])["whole_image"]
    areas = [sum((b[2] - b[0]) * (b[3] - b[1]) for b in item.boxes) for item in some]
    np.testing.assert_allclose(found.adaptive_iou, areas, atol=0.01)
