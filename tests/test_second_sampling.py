"""Clips, rotations and sampled seconds, against the videos they come from."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m_embed.configuration import SynchronousConfig
from yt8m_embed.negatives import mismatch_pairs
from yt8m_embed.second_sampling import sample_seconds

LENGTHS = np.array([12, 5, 1, 9] * 8, np.int32)


def batch():
    """Second t of video v is the byte 1 + 6 v + t; after the end, 255."""
    value = 1 + np.arange(12) + 6 * np.arange(32)[:, None]
    value = np.where(np.arange(12) < LENGTHS[:, None], value, 255).astype(np.uint8)
    rgb = np.repeat(value[..., None], 3, axis=2)
    return {"rgb": tf.constant(rgb), "audio": tf.constant(rgb[..., :2]),
            "num_frames": tf.constant(LENGTHS), "labels": tf.zeros([32, 1], tf.int64)}, value


def drawn(seed=(1, 2), **changes):
    config = SynchronousConfig(seconds_per_video=4, **changes)
    given, value = batch()
    found = sample_seconds(given, config, tf.constant(seed, tf.int64))
    return {k: v.numpy() for k, v in found.items()}, value


@pytest.mark.parametrize("rotate", [True, False])
@pytest.mark.parametrize("clip", [0, 6])
def test_places_show_the_second_they_stand_for(rotate, clip):
    found, value = drawn(rotate_seconds=rotate, clip_seconds=clip)
    assert found["rgb"].shape[1] == (clip or 12)
    shifts, starts = set(), set()
    for row, length in enumerate(LENGTHS):
        count = min(length, clip) if clip else length
        assert found["num_frames"][row] == count
        clip_values = found["rgb"][row, :count, 0]
        # A clip is a stretch of the video, rotated.
        first = min(clip_values.astype(int) - value[row, 0])
        assert sorted(clip_values) == list(value[row, first : first + count])
        assert not found["rgb"][row, count:].any()
        seconds = found["seconds"][row]
        assert len(set(seconds[seconds >= 0])) == min(count, 4) == (seconds >= 0).sum()
        for second, *places in zip(seconds, found["visual_places"][row],
                                   found["audio_places"][row], strict=True):
            if second < 0:
                assert places == [-1, -1]
                continue
            assert found["rgb"][row, places[0], 0] == value[row, first + second]
            assert found["audio"][row, places[1], 0] == value[row, first + second]
            shifts.add((places[0] - second, places[1] - second))
        starts.add(first)
    assert len(shifts) > 5 if rotate else shifts == {(0, 0)}
    assert len(starts) > 2 if clip else starts == {0}


def test_choices_follow_the_seed():
    one, again, other = drawn()[0], drawn()[0], drawn(seed=(1, 3))[0]
    for name, value in one.items():
        np.testing.assert_array_equal(value, again[name])
    assert (one["seconds"] != other["seconds"]).any()
    assert (one["rgb"] != other["rgb"]).any()


def test_sounds_of_other_videos_have_seconds_only():
    """Of a shorter video the sound begins again; a byte after its end would be a sound too."""
    given, value = batch()
    given["labels"] = tf.constant(np.arange(32)[:, None])
    mixed = mismatch_pairs(given, 1.0, tf.constant([3, 4], tf.int64), ("audio",))
    assert (mixed["match"].numpy() == -1).all()
    sources = mixed["audio_labels"].numpy()[:, 0]
    assert (sources != np.arange(32)).all()
    for row, source in enumerate(sources):
        sound = mixed["audio"][row, : LENGTHS[row], 0].numpy()
        own = value[source, : LENGTHS[source]]
        np.testing.assert_array_equal(sound, np.resize(own, LENGTHS[row]))
