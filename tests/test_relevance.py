"""Relevance against loops over pairs of labels, and the numbers of the paper."""

import json
import math

import numpy as np
import pytest
from scipy.sparse import csgraph

from avc import label_tables, ontology, relevance
from crossmodal import label_sets, ndcg
from crossmodal.errors import ConfigurationError, UserError


@pytest.fixture
def small(tmp_path):
    #  a -> b -> d, a -> c; x -> y: two top classes
    tree = {"a": "bc", "b": "d", "c": "", "d": "", "x": "y", "y": ""}
    path = tmp_path / "ontology.json"
    path.write_text(json.dumps([
        {"id": f"/{name}", "name": name, "child_ids": [f"/{child}" for child in children]}
        for name, children in tree.items()
    ]))
    return ontology.read(str(path))


def test_distances_by_hand(small):
    distances = relevance.class_distances(small, ["d", "c", "/y"])
    np.testing.assert_array_equal(distances, [[0, 3, np.inf], [3, 0, np.inf], [np.inf, np.inf, 0]])
    # d b a root x y
    distances = relevance.class_distances(small, ["d", "c", "/y"], common_root=True)
    np.testing.assert_array_equal(distances, [[0, 3, 5], [3, 0, 4], [5, 4, 0]])


def test_relevance_of_videos_is_the_largest_among_pairs(small):
    videos = [["d", "c"], ["/c"], ["y", "y"], [], ["b", "x"]]
    found = relevance.between_videos(small, videos)
    #          d,c  c   y   b,x
    expected = [[20, 20, 0, 19], [20, 20, 0, 18], [0, 0, 20, 19], [19, 18, 19, 20]]
    np.testing.assert_array_equal(found.matrix(), expected)
    assert found.kinds.tolist() == [0, 1, 2, -1, 3] and found.labelled.tolist() == [0, 1, 2, 4]
    # What is farther away than the offset is not relevant at all.
    near = relevance.between_videos(small, videos, relevance.RelevanceConfig(1.0, True))
    np.testing.assert_array_equal(
        near.matrix(), [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    )


def test_labels_that_are_no_class_are_one_line(small):
    with pytest.raises(UserError, match="label 'dog' of video 1 is neither"):
        relevance.between_videos(small, [["a"], ["b", "dog"]])
    with pytest.raises(ConfigurationError):
        relevance.RelevanceConfig(offset=-1)


@pytest.mark.parametrize("symmetric", [True, False])
def test_sets_of_labels_match_loops(symmetric):
    rng = np.random.default_rng(0)
    between = rng.random((9, 9)).round(2)
    between = between + between.T if symmetric else between
    labels = [rng.choice(9, rng.integers(0, 4), replace=False).tolist() for _ in range(80)]
    found = label_sets.SetRelevance(labels, between)
    labelled = [own for own in labels if own]
    expected = [[max(between[a, b] for a in one for b in other) for other in labelled]
                for one in labelled]
    np.testing.assert_array_equal(found.matrix(), expected)
    sets = {tuple(sorted(own)) for own in labelled}
    assert len(found.sizes) == len(sets) and found.sizes.sum() == len(labelled)
    whole = found.rows(0, len(sets))
    np.testing.assert_array_equal(found.rows(3, 7), whole[3:7])
    assert found.rows(4, 4).shape == (0, len(sets))


def test_more_levels_than_a_byte_counts():
    between = np.arange(400.0).reshape(20, 20)
    found = label_sets.SetRelevance(np.arange(20)[:, None], between)
    np.testing.assert_array_equal(found.matrix(), between)


def test_bad_relevances_are_one_line():
    for between, message in (([[-1.0]], "0 or more"), ([[np.inf]], "finite"), ([1.0], "shape")):
        with pytest.raises(UserError, match=message):
            label_sets.SetRelevance([[0]], np.array(between))
    with pytest.raises(UserError, match="label 1 of row 0"):
        label_sets.SetRelevance([[1]], np.eye(1))


def instruments(real_data):
    """The ontology, and all labels of the videos of the train list with an instrument."""
    audioset = ontology.read(str(real_data / "metadata" / "ontology.json"))
    wanted = audioset.descendants(ontology.INSTRUMENT_ROOTS)
    rows = label_tables.read(str(real_data / "metadata" / "balanced_train_segments.csv"))
    return audioset, [row.labels for row in rows if wanted & set(row.labels)]


@pytest.mark.real_data
def test_class_relevances_of_the_paper(real_data):
    audioset = ontology.read(str(real_data / "metadata" / "ontology.json"))
    names = ["Acoustic guitar", "Electric guitar", "Drum"]
    found = relevance.between_videos(audioset, [[name] for name in names])
    np.testing.assert_array_equal(found.matrix()[0], [20, 18, 15])


@pytest.mark.real_data
def test_a_common_root_is_one_more_class_of_a_graph_library(real_data):
    audioset = ontology.read(str(real_data / "metadata" / "ontology.json"))
    ids = list(audioset.names)
    edges = np.zeros((len(ids) + 1, len(ids) + 1))
    for parent, children in audioset.children.items():
        edges[ids.index(parent), [ids.index(child) for child in children]] = 1
    edges[-1, :-1] = edges[:, :-1].sum(axis=0) == 0
    for root, longest in ((True, 11), (False, 21)):
        size = len(ids) + root
        expected = csgraph.shortest_path(edges[:size, :size], directed=False)
        found = relevance.class_distances(audioset, ids, root)
        np.testing.assert_array_equal(found, expected[: len(ids), : len(ids)])
        assert found.max() == longest


@pytest.mark.real_data
def test_chance_level_of_the_balanced_train_list(real_data):
    audioset, labels = instruments(real_data)
    assert len(labels) == 4654
    found = relevance.between_videos(audioset, labels, relevance.RelevanceConfig(common_root=True))
    rows = np.random.default_rng(0).standard_normal((4654, 4))
    chance = {
        gain: ndcg.evaluate(rows, rows, found, ndcg.NdcgConfig(gain=gain, include_self=True),
                            ["visual_to_audio"])["visual_to_audio"].mean_chance()[30]
        for gain in ("linear", "exponential")
    }
    # Figures of another program; draws of 4,300 of the videos spread by .0015 in the second.
    assert chance["linear"] == pytest.approx(0.887, abs=0.001)
    assert chance["exponential"] == pytest.approx(0.353, abs=0.003)
    # Every 50th query by hand.
    discounts = [1 / math.log2(rank + 1) for rank in range(1, 31)]
    matrix = found.matrix()[::50].tolist()
    expected = np.mean([
        (sum(2**r - 1 for r in row) / len(row)) * sum(discounts)
        / sum((2**r - 1) * d for r, d in zip(sorted(row)[::-1], discounts, strict=False))
        for row in matrix
    ])
    scores = ndcg.evaluate(rows, rows, found, ndcg.NdcgConfig(include_self=True),
                           ["visual_to_audio"])["visual_to_audio"]
    assert scores.chance[::50].mean() == pytest.approx(expected, rel=1e-12)
