"""Label pairs from both forms."""

import numpy as np
import pytest

from crossmodal import labels
from crossmodal.errors import UserError


@pytest.mark.parametrize("form", [
    np.array([[5, 1, -1], [-1, -1, -1], [2, 2, 0]]),
    [[5, 1], [], np.array([2, 2, 0])],
])
def test_every_pair_once_in_order(form):
    rows, classes = labels.label_pairs(form, num_classes=6)
    assert rows.tolist() == [0, 0, 2, 2]
    assert classes.tolist() == [1, 5, 0, 2]


def test_no_labels_at_all():
    for form in (np.full((3, 2), -1), [[], []], np.zeros((4, 0), np.int64), []):
        rows, classes = labels.label_pairs(form)
        assert rows.shape == classes.shape == (0,)


def test_a_class_out_of_range_is_named():
    with pytest.raises(UserError, match=r"label 6 of row 1 is outside \[0, 6\)"):
        labels.label_pairs([[5], [6]], num_classes=6)
    with pytest.raises(UserError, match="label -2 of row 0"):
        labels.label_pairs([[-2]])
