"""The triplet loss against NumPy: negatives by brute force, similarities place by place."""

import numpy as np
import pytest
import tensorflow as tf

from avc import triplet

MARGIN = 0.7


def brute_semi_hard(scores: np.ndarray, key: np.ndarray, row: int) -> int | None:
    """The negative of a row, by trying all."""
    found, easiest = None, None
    for column in range(len(key)):
        if key[column] == key[row]:
            continue
        if easiest is None or scores[row, column] < scores[row, easiest]:
            easiest = column
        below = scores[row, column] < scores[row, row]
        if below and (found is None or scores[row, column] > scores[row, found]):
            found = column
    return easiest if found is None else found


def brute_impostor(key: np.ndarray, row: int, chance: float) -> int | None:
    others = [column for column in range(len(key)) if key[column] != key[row]]
    return others[min(int(np.float32(chance) * len(others)), len(others) - 1)] if others else None


def expected(scores: np.ndarray, key: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    random, hard, right = 0.0, 0.0, 0.0
    for side, matrix in enumerate((scores, scores.T)):
        for row in range(len(key)):
            picks = brute_impostor(key, row, chance[row, side]), brute_semi_hard(matrix, key, row)
            losses = [
                0.0 if pick is None else max(0.0, MARGIN + matrix[row, pick] - matrix[row, row])
                for pick in picks
            ]
            random, hard = random + losses[0], hard + losses[1]
            rivals = [matrix[row, c] for c in range(len(key)) if key[c] != key[row]]
            right += matrix[row, row] > max(rivals, default=-np.inf)
    number = len(key)
    return {
        "loss": (random + hard) / 2 / number,
        "random_impostors": random / number,
        "semi_hard_negatives": hard / number,
        "accuracy": right / 2 / number,
    }


def drawn(seed: int, number: int = 9, dims: int = 3, keys: int = 5):
    rng = np.random.default_rng(seed)
    outputs = {
        name: rng.normal(size=(number, dims)).astype(np.float32)
        for name in ("visual_embedding", "audio_embedding")
    }
    batch = {
        "key": rng.integers(0, keys, number),
        "impostor_chance": rng.random((number, 2)).astype(np.float32),
    }
    return outputs, batch


@pytest.mark.parametrize("seed", range(8))
def test_the_loss_is_that_of_all_rows_in_both_directions(seed):
    # One video alone has no impostors at all.
    outputs, batch = drawn(seed, keys=1 if seed == 7 else 5)
    found = triplet.triplet(outputs, batch, MARGIN, "sisa")
    scores = outputs["visual_embedding"] @ outputs["audio_embedding"].T
    for name, value in expected(scores, batch["key"], batch["impostor_chance"]).items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_semi_hard_negatives_are_those_of_a_search():
    rng = np.random.default_rng(3)
    below, above = 0, 0
    for _ in range(50):
        scores, key = rng.normal(size=(7, 7)).astype(np.float32), rng.integers(0, 4, 7)
        if len(set(key)) == 1:
            continue
        allowed = key[:, None] != key[None, :]
        found = np.asarray(triplet.semi_hard_negatives(scores, allowed))
        for row in range(7):
            assert found[row] == brute_semi_hard(scores, key, row)
            own = scores[row, found[row]] < scores[row, row]
            below, above = below + own, above + (not own)
    assert below > 100 and above > 20


def test_impostors_are_all_others_alike():
    key = np.array([4, 4, 5, 6, 4, 7])
    allowed = key[:, None] != key[None, :]
    chance = (np.arange(6000) + 0.5) / 6000
    found = np.stack([np.asarray(triplet.impostors(allowed, np.full(6, c, np.float32)))
                      for c in chance[::50]])
    for row in range(6):
        columns, counts = np.unique(found[:, row], return_counts=True)
        assert set(columns) == {c for c in range(6) if key[c] != key[row]}
        assert counts.max() - counts.min() <= 1
    last = np.asarray(triplet.impostors(allowed, np.full(6, np.float32(1 - 2**-24))))
    assert all(allowed[row, last[row]] for row in range(6))


def maps(seed: int, number: int = 4):
    rng = np.random.default_rng(seed)
    visual = rng.normal(size=(number, 2, 3, 5)).astype(np.float32)
    audio = rng.normal(size=(number, 4, 5)).astype(np.float32)
    counts = rng.integers(1, 5, number)
    keep = (np.arange(4) < counts[:, None]).astype(np.float32)
    return visual, np.concatenate([audio * keep[..., None], keep[..., None]], -1), counts


@pytest.mark.parametrize("kind", ["sisa", "misa", "sima", "max", "soft"])
def test_similarities_of_maps_are_those_of_loops(kind):
    visual, audio, counts = maps(1)
    found = np.asarray(triplet.map_similarities(visual, audio, kind, 0.5))
    for i in range(4):
        for j in range(4):
            matchmap = np.array([
                [[visual[i, h, w] @ audio[j, t, :-1] for w in range(3)] for h in range(2)]
                for t in range(counts[j])
            ])
            wanted = {
                "sisa": matchmap.mean(),
                "misa": matchmap.max((1, 2)).mean(),
                "sima": matchmap.max(0).mean(),
                "max": matchmap.max(),
                "soft": 0.5 * np.log(np.exp(matchmap / 0.5).mean()),
            }[kind]
            assert found[i, j] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    if kind == "sisa":
        pooled = visual.mean((1, 2)) @ (audio[..., :-1].sum(1) / counts[:, None]).T
        np.testing.assert_allclose(found, pooled, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["sisa", "misa", "sima", "max", "soft"])
def test_gradients_are_finite_and_padding_gets_none(kind):
    visual, audio, counts = maps(2)
    visual, audio = tf.Variable(visual), tf.Variable(audio)
    batch = {"key": np.arange(4), "impostor_chance": np.full((4, 2), 0.3, np.float32)}
    with tf.GradientTape() as tape:
        count = tf.reduce_sum(audio[..., -1:], 1)
        outputs = {
            "visual_map": visual,
            "audio_map": audio,
            "visual_embedding": tf.reduce_mean(visual, (1, 2)),
            "audio_embedding": tf.reduce_sum(audio[..., :-1], 1) / count,
        }
        loss = triplet.triplet(outputs, batch, 50.0, kind)["loss"]
    of_visual, of_audio = (g.numpy() for g in tape.gradient(loss, [visual, audio]))
    assert np.isfinite(of_visual).all() and np.isfinite(of_audio).all() and of_visual.any()
    if kind != "sisa":
        for row, count in enumerate(counts):
            assert not of_audio[row, count:, :-1].any() and of_audio[row, :count, :-1].any()
