"""Localisation against SciPy, scikit-learn, TensorFlow and cases by hand."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from sklearn import metrics

from crossmodal import boxes, comparison, localization, sound_dependence
from crossmodal.errors import ConfigurationError, UserError


def random_set(items=70, height=5, width=7, seed=0):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((items, 2, 2, 2)), axis=1)  # [items, low/high, box, x/y]
    own = [list(np.concatenate(item, axis=1)) for item in corners]
    return rng.standard_normal((items, height, width)), [b[: 1 + i % 2] for i, b in enumerate(own)]


def test_masks_cut_edges_as_vggss_does():
    found = boxes.masks(boxes.check([[[0.1, 0, 0.55, 0.5], [0.5, 0.5, 1, 1]], []]), 4)
    #            columns 0 to 1, rows 0 to 1; columns 2 to 3, rows 2 to 3
    expected = np.kron(np.eye(2), np.ones((2, 2)))
    np.testing.assert_array_equal(found, [expected, np.zeros((4, 4))])


@pytest.mark.parametrize("high", [3, 1 << 40])
def test_mode_in_box_matches_plain_python(high):
    _, own = random_set()
    maps = np.random.default_rng(1).integers(0, high, (70, 5, 7))
    found = localization.evaluate(maps, own).mode_in_box
    for map_, item, hit in zip(maps.tolist(), own, found, strict=True):
        top = max(map(max, map_))
        cells = [(i, j) for i in range(5) for j in range(7) if map_[i][j] == top]
        inside = [
            any(left <= (j + 0.5) / 7 <= right and upper <= (i + 0.5) / 5 <= lower
                for left, upper, right, lower in item)
            for i, j in cells
        ]
        assert hit == pytest.approx(sum(inside) / len(cells))
    assert 0.05 < found.mean() < 0.95


@pytest.mark.parametrize("shape", [(14, 14), (5, 7), (1, 3), (300, 225)])
def test_resizing_is_that_of_tensorflow_and_scipy(shape):
    maps = np.random.default_rng(0).standard_normal((3, *shape))
    found = localization.resize(maps, 224)
    expected = tf.image.resize(maps[..., None], (224, 224), antialias=False)[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    grid = [(np.arange(224) + 0.5) * cells / 224 - 0.5 for cells in shape]
    for one, resized in zip(maps, found, strict=True):
        expected = ndimage.map_coordinates(
            one, np.meshgrid(*grid, indexing="ij"), order=1, mode="nearest"
        )
        np.testing.assert_allclose(resized, expected, atol=1e-12)
    plateau = localization.resize(np.full((1, *shape), 0.1), 224)
    assert (plateau == 0.1).all()


def plain_iou(map_, item, threshold):
    """The protocol on one map: SciPy's resizing, pixels sorted and compared."""
    grid = [(np.arange(224) + 0.5) * cells / 224 - 0.5 for cells in map_.shape]
    pixels = ndimage.map_coordinates(map_, np.meshgrid(*grid, indexing="ij"), order=1,
                                     mode="nearest")
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    if threshold is None:
        predicted = pixels > np.sort(pixels.ravel())[224 * 224 // 2]
    else:
        predicted = pixels >= threshold
    truth = np.zeros((224, 224))
    for left, top, right, bottom in item:
        truth[int(224 * top) : int(224 * bottom), int(224 * left) : int(224 * right)] = 1
    return (predicted * truth).sum() / (truth.sum() + (predicted * (truth == 0)).sum())


def test_iou_under_both_thresholds():
    maps, own = random_set()
    config = localization.LocalizationConfig(fixed_threshold=0.7)
    found = localization.evaluate(maps, own, config)
    pixel = 2 / 224**2  # one may fall on either side of a threshold by rounding
    for i in range(0, 70, 3):
        assert found.adaptive_iou[i] == pytest.approx(plain_iou(maps[i], own[i], None), abs=pixel)
        assert found.fixed_iou[i] == pytest.approx(plain_iou(maps[i], own[i], 0.7), abs=pixel)
    assert abs(found.adaptive_iou - found.fixed_iou).max() > 0.1
    # Scale and offset of the map do not matter.
    again = localization.evaluate(3 * maps + 100, own, config)
    np.testing.assert_allclose(again.adaptive_iou, found.adaptive_iou, atol=pixel)
    np.testing.assert_allclose(again.fixed_iou, found.fixed_iou, atol=pixel)


def test_ciou_and_auc_count_items():
    iou = np.array([0.0, 0.15, 0.49, 0.5, 0.85, 1.0])
    scores = localization.LocalizationScores(
        localization.DEFAULT, np.ones(6), iou, iou[::-1] / 2, 0
    )
    found = scores.summarise()
    assert tuple(found) == localization.METRICS
    assert found["ciou_adaptive"] == 3 / 6 and found["ciou_fixed"] == 1 / 6
    thresholds = [n / 20 for n in range(21)]
    for name, values in (("adaptive", iou), ("fixed", iou / 2)):
        shares = [np.mean([value >= t for value in values]) for t in thresholds]
        assert found[f"auc_{name}"] == pytest.approx(metrics.auc(thresholds, shares))


def test_a_plateau_predicts_its_highest_value():
    left_half = [[[0, 0, 0.5, 1]]]
    wide, narrow = np.zeros((2, 1, 8, 8))
    wide[:, :, :6] = 0.1  # more than half of the picture
    narrow[:, :, 0] = 0.1
    assert localization.evaluate(wide, left_half).mode_in_box == pytest.approx(32 / 48)
    # Bilinear flanks: columns 0 to 5.5 cells are 0.1.
    assert localization.evaluate(wide, left_half).adaptive_iou == pytest.approx(4 / 5.5, abs=0.005)
    # All that is above the median, 0: columns 0 to 1.5 cells.
    found = localization.evaluate(narrow, left_half)
    assert found.adaptive_iou == pytest.approx(1.5 / 4, abs=0.005)
    assert found.fixed_iou == pytest.approx(1 / 4, abs=0.005)
    constant = localization.evaluate(np.full((1, 3, 4), 0.1), left_half)
    np.testing.assert_allclose(
        [constant.adaptive_iou, constant.fixed_iou, constant.mode_in_box], 0.5
    )


def test_baselines_are_geometry():
    own = [[[0.25, 0.25, 0.75, 0.75]], [[0, 0, 0.25, 1]], [[0, 0, 1, 1]], []]
    found = localization.baselines(own)
    np.testing.assert_allclose(found["whole_image"].mode_in_box, [0.25, 0.25, 1, 0], atol=1e-12)
    np.testing.assert_allclose(found["whole_image"].adaptive_iou, [0.25, 0.25, 1, 0])
    np.testing.assert_allclose(found["centre"].mode_in_box, [1, 0, 1, 0])
    # The half of the picture nearest to its middle is a disc of radius sqrt(1 / 2 pi).
    disc = found["centre"].adaptive_iou
    np.testing.assert_allclose(disc[[0, 2]], [0.25 / 0.5, 0.5], atol=0.005)
    # exp(-d^2 / 2 sigma^2) is half-way between that of the corners and 1.
    radius = 0.25 * np.sqrt(2 * np.log(2 / (1 + np.exp(-4))))
    assert found["centre"].fixed_iou[2] == pytest.approx(np.pi * radius**2, abs=0.005)
    assert found["centre"].without_box == 1


def test_intervals_resample_items_or_groups():
    maps, own = random_set()
    good = np.array([
        ndimage.zoom(boxes.masks(boxes.check([item]), 21)[0].astype(float), 1 / 3, order=1)
        for item in own
    ])
    noisy = [localization.evaluate(good + s * np.random.default_rng(1).random(good.shape), own)
             for s in (0.3, 3)]
    intervals = noisy[0].intervals(seed=0)
    for name, value in noisy[0].summarise().items():
        assert intervals[name].low <= value <= intervals[name].high
        assert intervals[name].estimate == pytest.approx(value)
    difference = localization.paired_intervals(*noisy, seed=0)["auc_adaptive"]
    assert difference.excludes_zero() and difference.estimate > 0
    # Seven windows of one video that all agree are worth one.
    values = np.repeat(np.random.default_rng(0).random(40), 7)
    single = comparison.grouped_mean(values[::7], seed=0)
    grouped = comparison.grouped_mean(values, seed=0, groups=np.repeat(np.arange(40), 7))
    np.testing.assert_allclose([grouped.estimate, grouped.low, grouped.high],
                               [single.estimate, single.low, single.high])
    alone = comparison.grouped_mean(values, seed=0)
    assert (alone.high - alone.low) * 2 < grouped.high - grouped.low
    with pytest.raises(UserError, match="3 groups for 2 values"):
        comparison.grouped_mean(np.ones(2), seed=0, groups=np.arange(3))
    few = localization.evaluate(maps[:3], own[:3])
    with pytest.raises(UserError, match="same items"):
        localization.paired_intervals(noisy[0], few, seed=0)


@pytest.mark.parametrize("high", [4, 1 << 40])
def test_separation_is_the_area_under_the_roc_curve(high):
    rng = np.random.default_rng(0)
    matched, mismatched = rng.integers(0, high, 80) + high / 5, rng.integers(0, high, 50)
    expected = metrics.roc_auc_score([1] * 80 + [0] * 50, np.concatenate([matched, mismatched]))
    assert sound_dependence.separation(matched, mismatched) == pytest.approx(expected)
    assert sound_dependence.separation(matched, matched) == pytest.approx(0.5)
    interval = sound_dependence.separation_interval(matched[:50], mismatched, seed=0)
    assert interval.estimate == sound_dependence.separation(matched[:50], mismatched)
    # Hanley and McNeil's standard error, for a width to be near.
    area = interval.estimate
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 49 * (q1 + q2 - 2 * area**2)) / 2500)
    assert interval.low < area < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.25)


def spot(row, column):
    map_ = np.zeros((4, 4))
    map_[row, column] = 1
    return map_


def test_swap_needs_both_answers():
    box_a, box_b = [[0, 0, 0.5, 0.5]], [[0.5, 0.5, 1, 1]]
    on_a, on_b = spot(0, 0), spot(3, 3)
    cases = [(on_a, on_b, 1), (on_b, on_a, 0), (on_a, on_a, 0), (on_b, on_b, 0),
             (spot(0, 0) + spot(0, 3), on_b, 0.5)]
    first, second, expected = (list(column) for column in zip(*cases, strict=True))
    found = sound_dependence.swap_hits(first, second, [box_a] * 5, [box_b] * 5)
    np.testing.assert_array_equal(found, expected)


def test_a_place_on_both_objects_is_right_for_neither():
    box_a, box_b = [[0, 0, 0.8, 1]], [[0.4, 0, 1, 1]]
    on_a, on_both, on_b = spot(0, 0), spot(0, 2), spot(0, 3)
    for first, second, expected in ((on_a, on_b, 1), (on_a, on_both, 0), (on_both, on_b, 0)):
        assert sound_dependence.swap_hits([first], [second], [box_a], [box_b]) == [expected]


def test_maps_without_ears_never_pass_the_swap_test():
    rng = np.random.default_rng(0)
    maps = np.concatenate([
        rng.random((200, 6, 6)), rng.integers(0, 2, (200, 6, 6)), np.ones((20, 6, 6))
    ])
    own = [random_set(420, seed=seed)[1] for seed in (1, 2)]
    assert sound_dependence.swap_hits(maps, maps, *own).max() == 0
    # The boxes overlap often enough for a naive count to be above 0.
    naive = [localization.evaluate(maps, boxes_).mode_in_box for boxes_ in own]
    assert (naive[0] * naive[1]).mean() > 0.02


def test_mistakes_are_one_line():
    maps = np.zeros((2, 3, 3))
    whole = [[0, 0, 1, 1]]
    for bad in ([[0, 0, 1, 1.01]], [[0.5, 0, 0.5, 1]], [[0, 0, 1, np.nan]]):
        with pytest.raises(UserError, match=r"box \[.* of item 1 is not left < right"):
            localization.evaluate(maps, [whole, bad])
    for bad in ([0, 0, 1, 1], [[0, 0, 1]], [["a", 0, 1, 1]], [[0, 0, 1, 1], [0]]):
        with pytest.raises(UserError, match="the boxes of item 1 are not"):
            localization.evaluate(maps, [whole, bad])
    for shape, items in itertools.product([(2, 9), (3, 3, 3), (2, 0, 3)], [2]):
        with pytest.raises(UserError, match="heat maps have shape"):
            localization.evaluate(np.zeros(shape), [whole] * items)
    maps[1, 0, 0] = np.nan
    with pytest.raises(UserError, match="heat map of item 1 has a NaN"):
        localization.evaluate(maps, [whole, whole])
    with pytest.raises(UserError, match="pair up"):
        sound_dependence.swap_hits(np.zeros((1, 2, 2)), np.zeros((1, 3, 3)), [whole], [whole])
    with pytest.raises(UserError, match="at least one"):
        sound_dependence.separation([], [1])
    with pytest.raises(UserError, match="NaN"):
        sound_dependence.separation([np.nan], [1])
    with pytest.raises(UserError, match="2 matched and 1"):
        sound_dependence.separation_interval([1, 2], [1], seed=0)
    for change in ({"size": 0}, {"fixed_threshold": 1.5}, {"iou_threshold": -1}):
        with pytest.raises(ConfigurationError):
            localization.LocalizationConfig(**change)
