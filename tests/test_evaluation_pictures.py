"""What is drawn of embeddings: the right clips, the right pictures, planes that keep neighbours."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.manifold import trustworthiness
from test_avc_evaluation import write_clips

from avc import evaluation_classes, evaluation_pictures
from avc.evaluation import Evaluated
from avc.ontology import Ontology
from avc.reading import open_clips
from avc.retrieval_scores import System, normalised
from crossmodal import embedding_map
from crossmodal.errors import UserError


def clusters(number=3, each=25, seed=0):
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(number, 16))
    of = np.repeat(np.arange(number), each)
    return centres[of] + rng.normal(size=(len(of), 16)), of


def test_planes_keep_neighbours_and_the_seed_decides():
    vectors, of = clusters()
    plane = embedding_map.project(vectors, seed=1)
    assert plane.shape == (75, 2) and trustworthiness(vectors, plane, n_neighbors=5) > 0.9
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (of[distance.argmin(1)] == of).mean() > 0.95
    np.testing.assert_array_equal(plane, embedding_map.project(vectors, seed=1))
    assert np.abs(plane - embedding_map.project(vectors, seed=2)).max() > 1e-3
    assert np.isfinite(embedding_map.project(np.ones((5, 3)), seed=0)).all()
    with pytest.raises(UserError, match="3 items"):
        embedding_map.project(vectors[:3], seed=0)


def test_clips_of_a_plane_have_one_of_its_classes():
    rng = np.random.default_rng(0)
    names = [f"c{i:02}".encode() for i in range(16)]
    labels = [tuple(rng.choice(names, rng.integers(0, 3), replace=False)) for _ in range(400)]
    labels += [(b"rare",)] * 4 + [(b"often",)] * 300
    seen = set()
    for seed in range(6):
        chosen = evaluation_pictures.choose_classes(labels, seed)
        assert len(chosen) == 10 and b"rare" not in chosen
        for label, rows in chosen.items():
            exact = [i for i, own in enumerate(labels) if set(own) & set(chosen) == {label}]
            assert set(rows.tolist()) <= set(exact)
            assert len(rows) == min(len(exact), evaluation_pictures.MOST) == len(set(rows.tolist()))
        seen |= set(chosen)
    assert seen == {*names, b"often"}
    assert evaluation_pictures.choose_classes([(b"x",)] * 4, 0) == {}


def test_what_is_retrieved_is_nearest_in_all_directions():
    rng = np.random.default_rng(0)
    system = normalised(*rng.normal(size=(2, 30, 5)))
    queries = np.array([3, 17])
    found = evaluation_pictures.retrieve(system, queries, 4)
    assert set(found) == {"visual_to_visual", "visual_to_audio", "audio_to_visual",
                          "audio_to_audio"}
    for direction, rows in found.items():
        of, to = (getattr(system, side) for side in direction.split("_to_"))
        for query, own in zip(queries, rows.tolist(), strict=True):
            away = {i: float(np.linalg.norm(of[query] - to[i])) for i in range(30) if i != query}
            assert own == sorted(away, key=away.get)[:4]
    apart = normalised(system.visual, rng.normal(size=(30, 7)))
    within = evaluation_pictures.retrieve(apart, queries, 4)
    assert set(within) == {"visual_to_visual", "audio_to_audio"}
    silent = System(system.visual, np.zeros((30, 0), np.float32))
    assert set(evaluation_pictures.retrieve(silent, queries, 4)) == {"visual_to_visual"}


def test_pictures_are_those_of_their_time(tmp_path):
    path = write_clips(tmp_path / "clips.tfrecord", range(4))
    records = open_clips(path, "x", progress=False)[2]
    times = {b"v00_000000000": 0.0, b"v01_000000000": 0.4, b"v03_000000000": None}
    found = evaluation_pictures.read_pictures(records, times)
    assert set(found) == set(times)
    # Clip n shows 10 n + step from 0.04 step on, for steps 0, 10 and 20; its middle is 0.5.
    expected = {b"v00_000000000": 0, b"v01_000000000": 20, b"v03_000000000": 40}
    for name, level in expected.items():
        assert found[name].shape == (64, 64, 3) and abs(int(found[name].mean()) - level) <= 1


def test_sheets_are_drawn(tmp_path):
    path = write_clips(tmp_path / "clips.tfrecord", range(8))
    records = open_clips(path, "x", progress=False)[2]
    ids = np.array([f"v{n:02}_000000000".encode() for n in range(8)], object)
    labels, names = [(b"/m/x",) if n % 2 else () for n in range(8)], {b"/m/x": "Dog"}
    system = normalised(*np.random.default_rng(0).normal(size=(2, 8, 5)))
    target = str(tmp_path / "r.png")
    evaluation_pictures.draw_retrieval(target, system, records, ids, None, labels, names, 0)
    png = tf.io.decode_png((tmp_path / "r.png").read_bytes(), channels=3).numpy()
    # Two queries and four directions, five results: 8 rows of 6 panels, 2 inches wide each.
    assert png.shape[1] == 1200 and png.shape[0] > 8 * 200
    vectors, of = clusters(2, 10)
    plane = normalised(vectors, vectors)
    own = [(f"c{n}".encode(),) for n in of]
    drawn = evaluation_pictures.draw_plane(
        str(tmp_path / "p.png"), plane, own, {b"c0": "Dog", b"c1": "Drum"}, 0
    )
    assert drawn == 20 and (tmp_path / "p.png").stat().st_size > 5000


def test_a_clips_accuracy_is_that_of_its_pairs():
    yes, no = [0.0, 1.0], [1.0, 0.0]
    blank = np.zeros((4, 2))
    found = Evaluated(
        *(np.zeros(4),) * 4, blank, blank, np.array([yes, yes, no, no]),
        np.array([no, yes, no, yes]), np.array([True, True, True, False]), np.zeros(4, np.int64),
    )
    np.testing.assert_array_equal(evaluation_classes.accuracies(found), [1, 0.5, 0.5, 0])


def test_labels_are_named_by_the_ontology():
    labels = [(b"/m/1", b"hum"), (), (b"hum",)]
    assert evaluation_classes.class_names(labels, None) == {b"/m/1": "/m/1", b"hum": "hum"}
    known = Ontology({"/m/1": "Dog"}, {"/m/1": ()})
    assert evaluation_classes.class_names(labels, known) == {b"/m/1": "Dog", b"hum": "hum"}
