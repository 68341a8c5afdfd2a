"""Nearest items against sorting in plain Python."""

import numpy as np
import pytest

from crossmodal import nearest
from crossmodal.errors import UserError


def whole_numbers(rows, seed):
    return np.random.default_rng(seed).integers(-2, 3, (rows, 3)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 200, 1 << 24])
def test_nearest_match_sorting(monkeypatch, block):
    monkeypatch.setattr(nearest, "BLOCK", block)
    queries, database = whole_numbers(23, 0), whole_numbers(61, 1)
    own = np.random.default_rng(2).integers(-1, 61, 23)
    indices, scores = nearest.nearest(queries, database, 7, exclude=own)
    for q, query in enumerate(queries.tolist()):
        plain = [sum(a * b for a, b in zip(query, item, strict=True))
                 for item in database.tolist()]
        order = sorted((i for i in range(61) if i != own[q]), key=lambda i: (-plain[i], i))
        assert indices[q].tolist() == order[:7]
        assert scores[q].tolist() == [plain[i] for i in order[:7]]


def test_a_video_is_second_to_itself_unless_excluded():
    rng = np.random.default_rng(0)
    items = rng.standard_normal((40, 16))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    alone, _ = nearest.nearest(items, items, 2)
    assert alone[:, 0].tolist() == list(range(40))
    others, _ = nearest.nearest(items, items, 1, exclude=np.arange(40))
    assert others[:, 0].tolist() == alone[:, 1].tolist()


def test_identical_items_come_in_order():
    rng = np.random.default_rng(0)
    database = rng.standard_normal((300, 33)).astype(np.float32)
    database[rng.permutation(300)[:200]] = database[0]
    twins = np.flatnonzero((database == database[0]).all(axis=1))
    indices, scores = nearest.nearest(database[:1], database, len(twins))
    assert indices[0].tolist() == twins.tolist()
    assert len(set(scores[0].tolist())) == 1


def test_impossible_requests_are_refused():
    items = whole_numbers(5, 0)
    with pytest.raises(UserError, match="6 nearest items asked for, the database offers 5"):
        nearest.nearest(items, items, 6)
    with pytest.raises(UserError, match="offers 4"):
        nearest.nearest(items, items, 5, exclude=np.arange(5))
    with pytest.raises(UserError, match="same model"):
        nearest.nearest(items[:, :2], items, 1)
    with pytest.raises(UserError, match="query embedding of row 0 has a NaN"):
        nearest.nearest(items * np.nan, items, 1)
