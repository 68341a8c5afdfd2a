"""Search in a collection against sorting in plain Python, and FAISS against exact search."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from crossmodal import collection, faiss_index, index
from crossmodal.errors import UserError
from crossmodal.faiss_index import FaissConfig
from crossmodal.index import SearchConfig
from crossmodal.ndcg import DIRECTIONS


def made(rows=60, videos=13, size=4, seed=0):
    """Small whole numbers: many items are alike, and many tie."""
    rng = np.random.default_rng(seed)
    arrays = {m: rng.integers(-1, 3, (rows, size)).astype(np.float32) for m in ("visual", "audio")}
    for values in arrays.values():
        values[np.abs(values).sum(1) == 0] = 1
    return {
        "ids": np.array([f"item{i}" for i in range(rows)], "S"),
        "video": np.array([f"v{i}" for i in np.sort(rng.integers(0, videos, rows))], "S"),
        "seconds": np.arange(rows) + 0.5,
        **arrays,
    }


def similarity(a, b, kind):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    if kind == "dot":
        return product
    if kind == "euclidean":
        return -math.dist(a, b)
    return product / (math.hypot(*a) * math.hypot(*b))


@pytest.fixture
def database(tmp_path):
    arrays = made()
    first = {name: array[:25] for name, array in arrays.items()}
    second = {name: array[25:] for name, array in arrays.items()}
    paths = [str(tmp_path / "one.npz"), str(tmp_path / "two.npz")]
    for path, part in zip(paths, (first, second), strict=True):
        np.savez(path, **part)
    return collection.read(paths), arrays


@pytest.mark.parametrize("kind", index.SIMILARITIES)
@pytest.mark.parametrize(("direction", "moments"), itertools.product(DIRECTIONS, (False, True)))
def test_search_is_sorting(database, direction, moments, kind):
    held, arrays = database
    config = SearchConfig(direction, 5, kind, moments)
    finder = index.exact(held, config)
    for row in (0, 24, 25, 59):
        query = arrays[config.query_modality][row]
        own = held.video == held.video[row]
        scores = [similarity(query.tolist(), item, kind)
                  for item in arrays[config.database_modality].tolist()]
        # Scores of unlike items that tie may differ by rounding: which one is first is then open.
        ranked = sorted((i for i in range(60) if not own[i]),
                        key=lambda i: (-round(scores[i], 5), i))
        if not moments:
            best = {}
            for i in ranked:
                best.setdefault(arrays["video"][i], i)
            ranked = list(best.values())
        found = index.search(held, query, config, finder, own)
        assert len(found) == 5
        np.testing.assert_allclose([f.score for f in found], [scores[i] for i in ranked[:5]],
                                   atol=2e-3 if kind == "euclidean" else 1e-5)
        np.testing.assert_allclose([scores[f.row] for f in found],
                                   [scores[i] for i in ranked[:5]], atol=1e-5)
        if kind == "dot":  # without rounding
            assert [f.row for f in found] == ranked[:5]
        assert not own[[f.row for f in found]].any()
        if not moments:
            assert len({held.video[f.row] for f in found}) == 5
    everything = index.search(held, query, dataclasses.replace(config, results=99), finder)
    assert len(everything) == (60 if moments else len(np.unique(held.video)))


def test_one_query_of_many_moments_is_the_mean_of_unit_vectors():
    rows = np.array([[3, 4], [0, 0.5]], np.float32)
    np.testing.assert_allclose(index.mean_embedding(rows), [0.3, 0.9], atol=1e-6)
    np.testing.assert_allclose(index.mean_embedding(rows, "dot"), [1.5, 2.25])


def test_names_find_items_and_videos(database):
    held, arrays = database
    assert held.find("item30").tolist() == [30]
    video = arrays["video"][40]
    assert held.find(video.decode()).tolist() == np.flatnonzero(arrays["video"] == video).tolist()
    with pytest.raises(UserError, match=r"has no id item3O; spelt alike: item3\d?, item\d+, item"):
        held.find("item3O")
    named = dataclasses.replace(held, file=np.array([b"a/x.mp4"] * 30 + [b"y.mp4"] * 30))
    assert named.of_file("/data/a/x.mp4").tolist() == [True] * 30 + [False] * 30
    assert not named.of_file("/data/b/x.mp4").any() and not named.of_file("/data/b/xy.mp4").any()


def bad(**changes):
    arrays = {**made(rows=4, videos=4), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(("arrays", "message"), [
    (bad(audio=None), r"x.npz: has no array `audio`, .* sounds needs \(it has `visual`\)"),
    (bad(ids=None), "has no array `ids`"),
    (bad(audio=np.full((4, 4), np.nan)), "x.npz: audio embedding of row 0 has a NaN or Inf"),
    (bad(audio=np.ones((3, 4))), r"audio has shape \(3, 4\) beside 4 ids"),
    (bad(audio=np.ones(4)), r"audio embeddings have shape \(4,\)"),
    (bad(video=np.array([b"v"])), r"video has shape \(1,\) beside 4 ids"),
    ({n: a[:0] for n, a in bad().items()}, "x.npz: holds no item"),
    (bad(audio=np.ones((4, 7))), "x.npz: its audio embeddings have 7 values, those of .*good"),
])
def test_unusable_databases_are_one_line(tmp_path, arrays, message):
    np.savez(tmp_path / "good.npz", **bad())
    np.savez(tmp_path / "x.npz", **arrays)
    paths = [str(tmp_path / "good.npz"), str(tmp_path / "x.npz")]
    with pytest.raises(UserError, match=message):
        collection.read(paths, ("audio",))


def test_other_files_are_one_line(tmp_path):
    (tmp_path / "x.npz").write_text("text")
    with pytest.raises(UserError, match=r"x\.npz: is not an \.npz file of embeddings"):
        collection.read([str(tmp_path / "x.npz")])
    np.savez(tmp_path / "y.npz", **bad())
    with pytest.raises(UserError, match="has no row 4; its rows are 0 to 3"):
        collection.read_row(str(tmp_path / "y.npz"), 4, "audio")


# FAISS


def clustered(rows=3000, size=16):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, size))
    return (centres[rng.integers(0, 40, rows)] + 0.4 * rng.standard_normal((rows, size))).astype(
        np.float32
    )


@pytest.mark.parametrize("kind", index.SIMILARITIES)
def test_faiss_flat_finds_all_and_an_inverted_file_most(kind):
    pytest.importorskip("faiss")
    rows = clustered()
    finder = index.Exact(index.database_rows(rows, kind))
    queries = index.query_rows(rows[:50] + np.float32(0.01), kind)
    flat = faiss_index.build(finder.database, FaissConfig("flat"))
    assert index.recall(flat, finder, queries, 10) == 1.0
    all_cells = faiss_index.build(finder.database, FaissConfig("ivf", 30, 30))
    assert index.recall(all_cells, finder, queries, 10) == 1.0
    found = {n: index.recall(faiss_index.build(finder.database, FaissConfig("ivf", 30, n)), finder,
                             queries, 10) for n in (1, 4)}
    print(kind, found)
    assert 0 < found[1] < 1 and found[1] < found[4] < 1.0001


def test_faiss_searches_like_exact_search():
    pytest.importorskip("faiss")
    rows = clustered(300)
    names = np.array([f"{i // 4}" for i in range(300)], "S")
    empty = np.full(300, b"", "S1")
    held = collection.Collection((("x", 300),), names, names, empty, empty, np.arange(300.0),
                                 rows, rows)
    config = SearchConfig("visual_to_audio", 8)
    finder = index.exact(held, config)
    other = faiss_index.build(finder.database, FaissConfig("ivf", 10, 10))
    own = held.video == held.video[5]
    one, two = (index.search(held, rows[5], config, f, own) for f in (finder, other))
    assert [f.row for f in one] == [f.row for f in two]
    # Few cells hold few items: what there is is found, and nothing else.
    poor = faiss_index.build(finder.database, FaissConfig("ivf", 100, 1))
    wide = dataclasses.replace(config, results=70)
    assert 0 < len(index.search(held, rows[5], wide, poor, own)) < 70


def test_impossible_cells_are_one_line():
    pytest.importorskip("faiss")
    with pytest.raises(UserError, match="nlist is 40: there are only 30 items"):
        faiss_index.build(clustered(30), FaissConfig("ivf", 40))


def test_faiss_missing_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(UserError, match="its extra `search`"):
        faiss_index.build(clustered(30), FaissConfig())
