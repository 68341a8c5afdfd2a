"""The objective of the seconds against loops over pairs."""

import numpy as np
import pytest

from crossmodal.configuration import override
from yt8m_embed import configuration, synchronous_losses
from yt8m_embed.configuration import SynchronousConfig

RNG = np.random.default_rng(4)
SECONDS = np.array([[4, 0, 9], [2, 7, -1], [5, -1, -1]], np.int32)


def units(*shape):
    values = RNG.normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype("float32")


def sampled(same_sound: tuple = ()):
    """Outputs for SECONDS; the sounds of two rows may be the same."""
    keys = {m: RNG.normal(size=(3, 3, 2)).astype("float32") for m in ("visual", "audio")}
    for first, second in same_sound:
        keys["audio"][second] = keys["audio"][first]
    return {
        f"sampled_{m}_{what}": value
        for m in ("visual", "audio")
        for what, value in (("embedding", units(3, 3, 5)), ("keys", keys[m]))
    }


def listed():
    """Video and second of each row that there is, with its place."""
    return [(v, int(s), 3 * v + i) for v, row in enumerate(SECONDS)
            for i, s in enumerate(row) if s >= 0]


def is_negative(one, other, tolerance, same_video, silent):
    if one[2] in silent and other[2] in silent:
        return False
    if one[0] != other[0]:
        return True
    return same_video and abs(one[1] - other[1]) > tolerance


@pytest.mark.parametrize("tolerance", [0, 4])
@pytest.mark.parametrize("same_video", [True, False])
@pytest.mark.parametrize("loss", ["contrastive", "cosine"])
def test_losses_are_those_of_plain_loops(tolerance, same_video, loss):
    silence = ((0, 0), (1, 1))  # of the first and the second video
    outputs = sampled((silence,))
    silent = (0, 4)
    config = SynchronousConfig(
        synchronous_weight=1.0, synchronous_loss=loss, synchronous_temperature=0.3,
        tolerance_seconds=tolerance, same_video_negatives=same_video, seconds_per_video=3,
    )
    paper = override(configuration.recipe("paper"), {"margin": 0.1, "p_negative": 0.3}).loss
    found = float(synchronous_losses.synchronous_loss(
        outputs, {"seconds": SECONDS}, config, paper
    ))
    visual, audio = (outputs[f"sampled_{m}_embedding"].reshape(9, 5).astype(float)
                     for m in ("visual", "audio"))
    rows = listed()
    total, matches, hinges = [], [], []
    for one in rows:
        match = visual[one[2]] @ audio[one[2]]
        rivals = [r for r in rows
                  if r[2] != one[2] and is_negative(one, r, tolerance, same_video, silent)]
        for queries, items in ((visual, audio), (audio, visual)):
            scores = np.array([queries[one[2]] @ items[r[2]] for r in rivals] + [match]) / 0.3
            total.append(np.log(np.exp(scores).sum()) - match / 0.3)
        matches.append(1 - match)
        hinges += [max(0, visual[one[2]] @ audio[r[2]] - 0.1) for r in rivals]
    expected = np.mean(total)
    if loss == "cosine":
        expected = 0.7 * np.mean(matches) + 0.3 * np.mean(hinges)
    assert found == pytest.approx(expected, abs=1e-5)


def test_what_stands_for_a_missing_second_does_not_matter():
    outputs, config = sampled(), SynchronousConfig(synchronous_weight=1.0)
    loss = configuration.recipe("temporal").loss
    other = {name: value.copy() for name, value in outputs.items()}
    for name in other:
        other[name][SECONDS < 0] = 7.0
    one, two = (
        float(synchronous_losses.synchronous_loss(x, {"seconds": SECONDS}, config, loss))
        for x in (outputs, other)
    )
    assert one == pytest.approx(two, abs=1e-6)


def test_seconds_are_taken_from_their_places():
    values = RNG.normal(size=(2, 6, 3)).astype("float32")
    places = np.array([[5, 0], [2, -1]])
    found = np.asarray(synchronous_losses.take_seconds(values, places))
    np.testing.assert_array_equal(found[0], values[0, [5, 0]])
    np.testing.assert_array_equal(found[1], [values[1, 2], np.zeros(3)])
