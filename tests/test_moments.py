"""Moments of frames and sounds, against plain enumeration; where they lie tells nothing."""

import numpy as np
import pytest
import tensorflow as tf

from avc import moments
from avc.pair_config import PairConfig

# At 1000 Hz a step of 0.04 s is 40 samples and a sound 1000.
RNG = np.random.default_rng(2)


def config(misalignment, segment=1.0):
    return PairConfig(
        sample_rate_hz=1000, misalignment_seconds=misalignment, segment_seconds=segment
    )


def allowed(num_samples, first, settings):
    """All (frame, sound) in steps such that the sound is within the clip, or holds it."""
    pairs = set()
    for frame in range(first, -(-num_samples // 40)):
        for sound in range(
            frame - settings.misalignment_steps, frame + settings.misalignment_steps + 1
        ):
            start = sound * 40 - settings.segment_samples // 2
            end = start + settings.segment_samples
            within = start >= 0 and end <= num_samples
            around = start <= 0 and end >= num_samples
            if within or around:
                pairs.add((frame, sound))
    return pairs


def reached(num_samples, first, settings):
    """All (frame, sound) that some chance leads to."""
    fine = np.float32(np.linspace(0, 1, 400, endpoint=False))
    begin, end = moments.frame_range(num_samples, first, settings)
    frames = moments.draw_frames(begin, end, fine).numpy()
    pairs = set()
    for frame in np.unique(frames):
        sounds = moments.draw_sounds(np.full(400, frame), num_samples, settings, fine)
        pairs |= {(int(frame), int(sound)) for sound in sounds.numpy()}
    return pairs


@pytest.mark.parametrize("misalignment", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(
    ("num_samples", "first"), [(10_000, 0), (3_217, 0), (3_217, 17), (300, 0), (960, 3), (1_640, 2)]
)
def test_all_that_is_allowed_is_reached_and_nothing_else(num_samples, first, misalignment):
    settings = config(misalignment)
    expected = allowed(num_samples, first, settings)
    assert expected
    assert reached(num_samples, first, settings) == expected


def test_clips_without_such_a_sound_get_one_as_near_as_may_be():
    # A second's middle would be at step 12.5.
    assert reached(1000, 0, config(0.0)) == {(12, 12), (13, 13)}
    # The only frame is at 9.96 s of 10; without misalignment the sound is around it.
    assert reached(10_000, 249, config(0.0)) == {(249, 249)}
    assert reached(10_000, 249, config(0.2)) == {(249, 244)}
    # No sound at all.
    assert reached(0, 0, config(0.0)) == {(0, 0)}


def uniforms(number=400_000):
    return RNG.random(number, dtype=np.float32)


def statistic(*samples, bins):
    """Chi-square of samples with one distribution: (samples - 1) * (bins - 1) degrees."""
    edges = np.linspace(min(map(np.min, samples)), max(map(np.max, samples)) + 1, bins + 1)
    table = np.array([np.histogram(sample, edges)[0] for sample in samples], float)
    expected = table.sum(0) * table.sum(1, keepdims=True) / table.sum()
    return ((table - expected) ** 2 / expected).sum()


def test_frames_and_offsets_are_uniform():
    settings = config(1.0)
    begin, end = moments.frame_range(10_000, 0, settings)
    frames = moments.draw_frames(begin, end, uniforms()).numpy()
    counts = np.bincount(frames, minlength=250)
    # 249 and 50 degrees of freedom; 99.99 % quantiles.
    assert len(counts) == 250 and ((counts - 1600) ** 2 / 1600).sum() < 340
    sounds = moments.draw_sounds(tf.constant(frames), 10_000, settings, uniforms()).numpy()
    inner = (frames > 40) & (frames < 210)
    offsets = np.bincount((sounds - frames)[inner] + 25, minlength=51)
    expected = inner.sum() / 51
    assert len(offsets) == 51 and ((offsets - expected) ** 2 / expected).sum() < 96


@pytest.mark.parametrize("misalignment", [0.0, 1.0])
def test_sounds_of_other_moments_lie_where_all_sounds_lie(misalignment):
    settings = config(misalignment)
    begin, end = moments.frame_range(10_000, 0, settings)
    frames = moments.draw_frames(begin, end, uniforms())
    moved, possible = moments.move_frames(frames, begin, end, settings, uniforms())
    assert possible
    true, other = (
        moments.draw_sounds(each, 10_000, settings, uniforms()).numpy() for each in (frames, moved)
    )
    frames, moved = frames.numpy(), moved.numpy()
    assert ((begin.numpy() <= moved) & (moved <= end.numpy())).all()
    # Whatever the frame's own sound, it ends before the other begins, or the other way round.
    assert np.abs(other - frames).min() >= 25 + settings.misalignment_steps
    # 24 degrees of freedom, 99.99 % quantile about 60.
    assert statistic(true, other, bins=25) < 60
    # Naively, any sound that is far enough away: rarer in the middle of the clip.
    anywhere = moments.draw_sounds(
        moments.draw_frames(begin, end, uniforms()), 10_000, settings, uniforms()
    ).numpy()
    far = np.abs(anywhere - frames) >= settings.apart_steps
    assert statistic(true, anywhere[far], bins=25) > 100


def test_clips_that_are_too_short_for_another_moment():
    settings = config(0.0)
    for num_samples, expected in ((2_960, False), (3_040, True), (500, False), (0, False)):
        begin, end = moments.frame_range(num_samples, 0, settings)
        moved, possible = moments.move_frames(
            tf.fill([400], begin), begin, end, settings, uniforms(400)
        )
        assert bool(possible) == expected == (int(end - begin) + 1 >= 50)
        if expected:
            assert np.abs(moved - begin).min() >= 25 and moved.numpy().max() <= end
