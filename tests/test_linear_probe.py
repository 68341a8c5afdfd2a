"""The linear classifier against scikit-learn's own steps, and nothing of a test fold in it."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from avc import linear_probe
from avc.linear_probe import SvmConfig
from crossmodal.errors import ConfigurationError, UserError


def made_up(classes=3, folds=3, sources=4, windows=5, width=6, noise=1.5, seed=0):
    """Clips of two takes a recording: features, labels, folds, sources."""
    rng = np.random.default_rng(seed)
    rows = [
        (label, fold, f"{label}.{fold}.{source}")
        for fold in range(1, folds + 1)
        for label in range(classes)
        for source in range(sources)
        for _ in range(2)
    ]
    labels, numbers, names = (np.array(column) for column in zip(*rows, strict=True))
    centres = 3 * rng.standard_normal((classes, width))
    features = centres[labels][:, None] + noise * rng.standard_normal((len(rows), windows, width))
    # Neither of one scale nor around zero.
    return features * np.geomspace(0.01, 100, width) + 50, labels, numbers, names


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_the_steps_one_by_one(classes):
    features, labels, folds, sources = made_up(classes, noise=4)
    config = SvmConfig(penalties=(2.0,), seed=5)
    found = linear_probe.probe(features, labels, folds, sources, config)
    for fold in (1, 2, 3):
        train, test = folds != fold, folds == fold
        windows = np.concatenate(list(features[train]))
        scaler = StandardScaler().fit(windows)
        machine = LinearSVC(C=2 / 6, random_state=5)
        machine.fit(scaler.transform(windows), np.repeat(labels[train], 5))
        expected = []
        for clip in features[test]:
            scores = machine.decision_function(scaler.transform(clip))
            expected.append(
                scores.mean(0) if classes > 2 else [-scores.mean(), scores.mean()]
            )
        np.testing.assert_allclose(found.scores[test], expected, rtol=1e-6, atol=1e-8)
    assert found.penalties == {1: 2.0, 2: 2.0, 3: 2.0} and found.converged
    assert 0.4 < (found.scores.argmax(1) == labels).mean() < 1


def test_a_clip_says_nothing_of_the_others_in_its_fold():
    features, labels, folds, sources = made_up(noise=4)
    config = SvmConfig(inner_folds=2)
    before = linear_probe.probe(features, labels, folds, sources, config)
    changed, other = features.copy(), labels.copy()
    tested = np.flatnonzero(folds == 2)
    changed[tested[0]] = 1e4
    other[tested] = 0
    after = linear_probe.probe(changed, other, folds, sources, config)
    np.testing.assert_array_equal(after.scores[tested[1:]], before.scores[tested[1:]])
    assert after.penalties[2] == before.penalties[2]
    assert np.abs(after.scores[folds == 1] - before.scores[folds == 1]).max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_recordings_are_on_one_side_of_the_inner_division(seed):
    _, labels, _, sources = made_up(seed=seed)
    parts = linear_probe.inner_parts(labels, sources, SvmConfig(seed=seed))
    assert len(parts) == 3
    for train, test in parts:
        assert not set(sources[train]) & set(sources[test])
        assert sorted([*train, *test]) == list(range(len(labels)))
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(len(labels)))


def test_the_penalty_is_the_best_of_the_inner_folds():
    # One feature tells a class, 300 more are noise on few clips: small penalties forget it.
    rng = np.random.default_rng(0)
    features, labels, _, sources = made_up(2, 1, 12, windows=1, width=300)
    features = rng.standard_normal(features.shape)
    features[..., 0] += 6 * labels[:, None] - 3
    config = SvmConfig(penalties=(1e-6, 0.1, 10.0, 1000.0), inner_folds=3)
    right = {}
    for penalty in config.penalties:
        right[penalty] = 0
        for train, test in linear_probe.inner_parts(labels, sources, config):
            scaler = StandardScaler().fit(features[train, 0])
            machine = LinearSVC(C=penalty / 300, random_state=0)
            machine.fit(scaler.transform(features[train, 0]), labels[train])
            right[penalty] += (
                machine.predict(scaler.transform(features[test, 0])) == labels[test]
            ).sum()
    best = max(right.values())
    assert len(set(right.values())) > 1
    chosen = linear_probe.choose_penalty(features, labels, sources, config)
    assert chosen == min(penalty for penalty, number in right.items() if number == best)


def test_features_that_never_change_and_classes_that_are_not_learnt():
    features, labels, folds, sources = made_up(noise=0.1)
    features[..., 2] = 7
    # Fold 3 alone has class 2.
    labels = np.where((folds < 3) & (labels == 2), 0, labels)
    config = SvmConfig(penalties=(1.0,))
    found = linear_probe.probe(features, labels, folds, sources, config)
    assert (found.scores[folds == 3, 2] == -np.inf).all()
    assert np.isfinite(found.scores[folds != 3]).all()
    changed = features.copy()
    changed[folds == 3, :, 2] = 1e6
    again = linear_probe.probe(changed, labels, folds, sources, config)
    np.testing.assert_array_equal(again.scores[folds == 3], found.scores[folds == 3])


def test_a_solver_that_does_not_come_to_its_end_is_told():
    features, labels, folds, sources = made_up(noise=4)
    config = SvmConfig(penalties=(1e6,), max_iterations=1)
    assert not linear_probe.probe(features, labels, folds, sources, config).converged


def test_mistakes():
    features, labels, folds, sources = made_up()
    with pytest.raises(ConfigurationError, match="inner_folds is 1"):
        SvmConfig(inner_folds=1)
    with pytest.raises(ConfigurationError, match="penalties is 0"):
        SvmConfig(penalties=(0,))
    with pytest.raises(ConfigurationError, match="penalties is empty"):
        SvmConfig(penalties=())
    with pytest.raises(UserError, match="24 recordings, cannot be divided into inner_folds=30"):
        linear_probe.probe(features, labels, folds, sources, SvmConfig(inner_folds=30))
