"""Classes whose sound belongs to the picture against classes that have music laid over."""

import math

import numpy as np
import pytest

from crossmodal import class_dependence, galleries
from crossmodal.class_dependence import Measure
from crossmodal.errors import UserError


def plain_wilson(mean, count, z=1.959963984540054):
    """The two solutions p of (mean - p)^2 = z^2 p (1 - p) / count."""
    a, b, c = 1 + z * z / count, -(2 * mean + z * z / count), mean * mean
    root = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize(("mean", "count"), [(0, 1), (1, 3), (0.5, 4), (0.03, 200), (0.99, 5000)])
def test_intervals_solve_wilsons_equation(mean, count):
    found = class_dependence.wilson(np.array([mean]), np.array([count]), 0.95)
    assert (found[0][0], found[1][0]) == pytest.approx(plain_wilson(mean, count), abs=1e-9)


def test_intervals_hold_the_mean_to_the_last_bit():
    counts = np.arange(1, 3000)
    for mean in (0.0, 1.0):
        for confidence in (0.95, 0.9999):
            low, high = class_dependence.wilson(np.full(2999, mean), counts, confidence)
            assert (low <= mean).all() and (mean <= high).all()
            assert ((low == 0) if mean == 0 else (high == 1)).all()


def test_intervals_hold_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for mean, count in ((0.1, 20), (0.5, 9), (0.9, 50)):
        hits = rng.binomial(count, mean, 20_000)
        low, high = class_dependence.wilson(hits / count, np.full(20_000, count), 0.95)
        assert 0.93 < np.mean((low <= mean) & (mean <= high)) < 0.98


def test_means_and_counts_match_a_loop():
    rng = np.random.default_rng(0)
    lists = [sorted(set(rng.integers(0, 6, rng.integers(0, 4)).tolist())) for _ in range(90)]
    padded = np.full((90, 4), -1)
    for row, own in enumerate(lists):
        padded[row, : len(own)] = own
    videos = np.array([f"v{i}" for i in rng.integers(0, 40, 90)])
    values = np.where(rng.random(90) < 0.2, np.nan, rng.random(90))
    measures = {"a": Measure(values, 0.1, "a %"), "b": Measure(np.sqrt(values), 0.5, "b %")}
    for labels in (lists, padded):
        result = class_dependence.measure(measures, labels, videos)
        for label in range(6):
            by_video = {}
            for i, own in enumerate(lists):
                if label in own and not math.isnan(values[i]):
                    by_video.setdefault(videos[i], []).append(values[i])
            means = [sum(v) / len(v) for v in by_video.values()]
            cell = result["classes"][label]["a"]
            assert cell["videos"] == len(means)
            assert cell["estimate"] == pytest.approx(sum(means) / len(means))
            ends = plain_wilson(sum(means) / len(means), len(means))
            assert (cell["low"], cell["high"]) == pytest.approx(ends)
        every = {}
        for video, value in zip(videos, values, strict=True):
            if not math.isnan(value):
                every.setdefault(video, []).append(value)
        overall = np.mean([np.mean(v) for v in every.values()])
        assert result["measures"]["a"]["overall"] == pytest.approx(overall)
        assert result["measures"]["a"]["videos"] == len(every)
    # Without videos every item counts.
    alone = class_dependence.measure(measures, lists)["classes"]
    rows = [i for i, own in enumerate(lists) if 2 in own and not math.isnan(values[i])]
    assert alone[2]["b"]["videos"] == len(rows)
    assert alone[2]["b"]["estimate"] == pytest.approx(np.sqrt(values[rows]).mean())
    with pytest.raises(UserError, match="3 rows of labels for 90 of a"):
        class_dependence.measure(measures, lists[:3])


def planted(each=150, seed=0):
    """Class 0: sound as the picture; 1: half of it noise; 2: sounds of other videos of the class
    laid over; 3: a handful of videos."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2, 3], [each, each, each, 3])
    visual = rng.normal(size=(len(labels), 24))
    noise = rng.normal(size=visual.shape)
    share = np.array([0.3, 1.2, 0, 0.3])[labels][:, None]
    audio = visual + share * noise
    audio[labels == 2] = noise[labels == 2]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (visual, audio)]
    return *unit, labels[:, None]


def test_classes_whose_music_is_laid_over_are_told():
    visual, audio, labels = planted()
    scores = galleries.evaluate(visual, audio, [len(visual)], 1, seed=0)
    recall = class_dependence.recall(scores, len(visual))
    result = class_dependence.measure({"recall@10": recall}, labels)
    kinds = {label: own["kind"] for label, own in result["classes"].items()}
    # Three videos tell nothing, however good they are.
    assert kinds == {0: "above all", 1: kinds[1], 2: "at chance", 3: "too few"}
    assert kinds[1] != "at chance" and result["classes"][3]["recall@10"]["estimate"] > 0.9
    similar = visual @ audio.T
    ranks = [(line > line[i]).sum() for m in (similar, similar.T) for i, line in enumerate(m)]
    expected = (np.array(ranks).reshape(2, -1) < 10).mean(0)
    np.testing.assert_allclose(recall.values, expected, atol=1e-6)
    assert recall.chance == 10 / len(visual)
    assert class_dependence.order(result)[-1] == 2 and 3 not in class_dependence.order(result)
    few = class_dependence.measure({"recall@10": recall}, labels, least_videos=3)
    assert few["classes"][3]["kind"] == "as all" and 3 in class_dependence.order(few)
    shuffled = class_dependence.measure(
        {"recall@10": recall}, np.random.default_rng(1).permutation(labels)
    )
    assert {own["kind"] for own in shuffled["classes"].values()} == {"as all", "too few"}


def test_measures_are_joined():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 400)[:, None]
    first = rng.random(1600) < np.array([0.9, 0.1, 0.5, 0.9])[labels[:, 0]]
    second = rng.random(1600) < np.array([0.7, 0.5, 0.7, 0.5])[labels[:, 0]]
    result = class_dependence.measure(
        {"a": Measure(first.astype(float), 0.1, "a %"),
         "b": Measure(second.astype(float), 0.5, "b %")}, labels
    )
    assert [result["classes"][i]["kind"] for i in (0, 1, 3)] == ["above all", "at chance", "mixed"]
    lines = class_dependence.table(result, {0: "Drum", 1: "Rain | snow"}).splitlines()
    cells = [[c.strip() for c in line.replace("\\|", "/").strip("|").split("|")] for line in lines]
    assert cells[0][:3] == ["class", "sound and picture", "videos"]
    assert cells[0][3] == "a % [95 % interval]"
    assert cells[2][0] == "all" and cells[-1] == [
        "chance", "-", "-", "10.0", "50.0"
    ]
    assert cells[-2][0] == "Rain / snow" and {cells[3][0], cells[4][0]} == {"Drum", "3"}
    cell = result["classes"][0]["a"]
    drum = next(row for row in cells if row[0] == "Drum")
    assert drum[1:4] == ["above all", "400", f"{100 * cell['estimate']:.1f} "
                         f"[{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"]
    short = class_dependence.table(result, {}, limit=1).splitlines()
    assert len(short) == 2 + 1 + 2 + 1


def test_charts_are_pictures(tmp_path):
    measure = Measure(np.array([1.0, 0.0, 0.5, np.nan]), 0.1, "share %")
    other = Measure(np.array([np.nan, np.nan, 0.5, 1.0]), 0.5, "other %")
    result = class_dependence.measure({"a": measure, "b": other}, [[0], [0, 1], [2], [3]])
    assert set(result["classes"][0]) == {"kind", "a"} and set(result["classes"][3]) == {"kind", "b"}
    assert class_dependence.order(result)[-1] == 3
    class_dependence.draw(str(tmp_path / "c.png"), result, {0: "Dog"})
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
