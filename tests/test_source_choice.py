"""Which sources are chosen, against trying everything; and how sounds are put together."""

import itertools

import numpy as np
import pytest

from avc import sound_mixing, source_choice
from avc.sound_mixing import Piece
from avc.source_choice import ChoiceConfig


def test_items_a_hop_apart_are_linked():
    file = np.array([b"a", b"a", b"b", b"a", b"b", b"a", b""])
    seconds = np.array([0.5, 1.5, 0.5, 2.5, 1.5, 5.5, np.nan])
    links = source_choice.link(file, seconds, 1.0)
    assert links.after.tolist() == [1, 3, 4, -1, -1, -1, -1]
    assert links.before.tolist() == [-1, 0, -1, 1, 2, -1, -1]
    assert source_choice.link(file, seconds, 2.0).after.tolist() == [3, -1, -1, -1, -1, -1, -1]
    assert source_choice.spacing(file[:6], seconds[:6]) == 1.0
    assert source_choice.spacing(np.array([b"a", b"b"]), np.array([1.0, 7.0])) == 1.0


def collection(rng):
    """Files of one to five items, in no order."""
    file = np.repeat(np.arange(5), [3, 1, 5, 2, 4]).astype("S")
    seconds = np.concatenate([np.arange(n) + 0.5 for n in (3, 1, 5, 2, 4)])
    order = rng.permutation(15)
    return file[order], seconds[order]


def row_of(file, seconds, name, second):
    return int(np.flatnonzero((file == name) & (seconds == second))[0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("moments", [1, 3, 7])
def test_one_source_is_the_best_of_all_stretches(seed, moments):
    rng = np.random.default_rng(seed)
    file, seconds = collection(rng)
    links = source_choice.link(file, seconds, 1.0)
    scores = rng.normal(size=(moments, 15)).round(3)
    banned = rng.random(15) < 0.1
    options = []
    for name in np.unique(file):
        length = int((file == name).sum())
        starts = range(length - moments + 1) if length >= moments else [0]
        for start in starts:
            rows = [row_of(file, seconds, name, (start + t) % length + 0.5) for t in range(moments)]
            if not banned[rows].any():
                options.append((scores[np.arange(moments), rows].sum(), rows))
    best = max(options, key=lambda option: option[0])
    found = source_choice.choose(lambda a, b: scores[a:b], moments, links, banned, ChoiceConfig())
    assert found.rows.tolist() == best[1]
    assert found.scores.sum() == pytest.approx(best[0])
    wraps = [t for t in range(1, moments) if seconds[best[1][t]] < seconds[best[1][t - 1]]
             or best[1][t] == best[1][t - 1]]
    assert np.flatnonzero(~found.goes_on).tolist() == [0, *wraps]


@pytest.mark.parametrize("cost", [0.0, 0.3, 1.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_path_is_the_best_of_all_paths(seed, cost):
    rng = np.random.default_rng(seed)
    file, seconds = collection(rng)
    keep = rng.permutation(15)[:7]
    file, seconds = file[keep], seconds[keep]
    links = source_choice.link(file, seconds, 1.0)
    scores = rng.normal(size=(4, 7))
    banned = np.zeros(7, bool)
    banned[seed] = True

    def value(rows):
        total = sum(scores[t, row] for t, row in enumerate(rows))
        for one, two in itertools.pairwise(rows):
            goes_on = file[one] == file[two] and seconds[two] - seconds[one] == 1
            total -= 0 if goes_on else cost
        return total

    allowed = [row for row in range(7) if row != seed]
    best = max(map(value, itertools.product(allowed, repeat=4)))
    found = source_choice.choose(
        lambda a, b: scores[a:b], 4, links, banned, ChoiceConfig("seconds", cost)
    )
    assert value(found.rows.tolist()) == pytest.approx(best)
    assert not banned[found.rows].any()
    if cost == 0:
        np.testing.assert_array_equal(found.rows, np.where(banned, -9, scores).argmax(1))


def test_nothing_is_left():
    links = source_choice.link(np.array([b"a"]), np.array([0.5]), 1.0)
    for mode in source_choice.MODES:
        assert source_choice.choose(lambda a, b: np.ones((b - a, 1)), 2, links, np.ones(1, bool),
                                    ChoiceConfig(mode)) is None


# Mixing


def constant(number, begin, seam, level=0.5):
    return Piece(np.full((1, number), level, np.float32), begin, seam)


def test_a_cross_fade_keeps_the_power():
    # Left and right hold one piece each: their gains can be told apart.
    first, second = np.zeros((2, 2, 1000), np.float32)
    first[0], second[1] = 0.5, 0.5
    mixed = sound_mixing.mix([Piece(first, 0, 0), Piece(second, 900, 950)], 1900, 100, 10)
    power = (mixed[:, 10:-10] ** 2).sum(0)
    np.testing.assert_allclose(power, 0.25, atol=1e-6)
    assert mixed[1, :900].max() == 0 and mixed[0, 1000:].max() == 0
    # The longest step is that of a sine over a hundred samples.
    assert np.abs(np.diff(mixed)).max() <= 0.5 * np.pi / 2 / 10 + 1e-6
    assert np.abs(np.diff(mixed[:, 20:-20])).max() <= 0.5 * np.pi / 2 / 100 + 1e-6


def test_sources_without_more_sound_fade_out_and_in():
    mixed = sound_mixing.mix([constant(500, 0, 0), constant(500, 500, 500)], 1000, 100, 10)
    assert np.abs(np.diff(mixed)).max() <= 0.5 * np.pi / 2 / 10 + 1e-6
    np.testing.assert_allclose(mixed[0, [300, 700]], 0.5)
    assert mixed[0, 499] < 0.02 and mixed[0, 500] < 0.02
    # A source that ends before its place does, and one that begins after it.
    mixed = sound_mixing.mix([constant(300, 0, 0), constant(300, 600, 500)], 900, 100, 10)
    assert np.abs(np.diff(mixed)).max() <= 0.5 * np.pi / 2 / 10 + 1e-6
    assert mixed[0, 300:600].max() == 0 and mixed[0, 700] == 0.5


def test_what_would_clip_is_scaled():
    mixed = sound_mixing.mix([constant(500, 0, 0, 1.0), constant(500, 400, 450, 1.0)], 900, 100, 10)
    assert mixed.max() == 1.0 and mixed[0, 200] == pytest.approx(1 / np.sqrt(2), abs=1e-3)


@pytest.mark.parametrize("number", [400, 1000, 1050, 2345, 5000])
def test_loops_are_long_enough_and_without_clicks(number):
    tone = np.sin(np.arange(1000) * 0.05)[None].astype(np.float32) / 2
    mixed = sound_mixing.mix(sound_mixing.loop(tone, number, 100), number, 100, 10)
    assert mixed.shape == (1, number)
    assert np.abs(np.diff(mixed)).max() <= 0.5 * 0.05 + 0.5 * np.pi / 2 / 10 + 1e-3
    heard = np.abs(mixed[0]).reshape(1, -1)
    middle = heard[0, 20 : min(number, 10_000) - 120]
    windows = [middle[i : i + 130].max() for i in range(0, max(1, len(middle) - 130), 65)]
    assert min(windows) > 0.2
