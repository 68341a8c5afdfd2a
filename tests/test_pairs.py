"""Drawn pairs, read back from clips that tell the time; each safeguard also taken out."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from clock_clips import GRID, RATE, WHOLE_FRAME, heard_seconds, parsed, seen_seconds, sound

from avc.derangement import derange
from avc.pair_config import PairConfig
from avc.pairs import combine, draw, explain, random_keys
from crossmodal.errors import ConfigurationError

CLIP = parsed()


def config(**fields):
    return PairConfig(**{"sample_rate_hz": RATE, "pairs_per_read": 8, **fields})


@functools.cache
def graph(settings, encoding):
    """One trace for all clips."""

    def call(example, seed):
        return draw(example, settings, WHOLE_FRAME, encoding, seed)

    return tf.function(call, reduce_retracing=True)


def drawn(settings, number=5, example=CLIP, encoding="pcm16", seed=0):
    """Pairs of several reads of one clip, as arrays [number * pairs_per_read, ...]."""
    call = graph(settings, encoding)
    reads = [call(example, tf.constant([i, seed], tf.int64)) for i in range(number)]
    return {name: np.concatenate([read[name].numpy() for read in reads]) for name in reads[0]}


def middles(pairs, name="waveform"):
    """When the middle of each sound was, by what is to be heard in it."""
    return heard_seconds(pairs[name][:, pairs[name].shape[1] // 2])


def chi_square(counts, expected):
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize(("encoding", "rate"), [("pcm16", RATE), ("flac", 48_000)])
def test_without_misalignment_the_frames_time_is_in_the_middle_of_its_sound(encoding, rate):
    example = parsed(encoding=encoding, rate=rate)

    def aligned(misalignment):
        settings = config(sample_rate_hz=rate, misalignment_seconds=misalignment)
        pairs = drawn(settings, 8, example, encoding)
        assert pairs["waveform"].shape == (64, rate) and pairs["waveform"].dtype == np.int16
        assert len(set(pairs["frame_seconds"])) > 40
        seen = seen_seconds(pairs["frame"])
        np.testing.assert_allclose(seen, pairs["frame_seconds"], atol=1e-6)
        return np.abs(middles(pairs) - seen) < 1e-3

    assert aligned(0.0).all()
    assert aligned(1.0).mean() < 0.3


def test_the_start_that_is_told_is_the_start_that_is_heard():
    pairs = drawn(config(negatives="independent"))
    for prefix in ("", "other_"):
        told, waveform = pairs[f"{prefix}audio_start_seconds"], pairs[f"{prefix}waveform"]
        heard = heard_seconds(waveform)
        np.testing.assert_allclose(told, heard[:, 0], atol=1e-3)
        np.testing.assert_allclose(told + 1, heard[:, -1], atol=1e-3)


def test_misaligned_sounds_stay_within_a_second_and_within_the_clip():
    pairs = drawn(config(), 60)
    frame, middle = seen_seconds(pairs["frame"]), middles(pairs)
    offset = middle - frame
    assert 0.9 < offset.max() < 1 + 1e-3 and -0.9 > offset.min() > -1 - 1e-3
    np.testing.assert_allclose(offset / GRID, np.rint(offset / GRID), atol=0.02)
    assert pairs["audio_start_seconds"].min() >= 0
    assert (pairs["waveform"] > 0).all()
    # The first frame's sound can only be later.
    assert frame.min() < 0.3 and middle[frame < 0.3].min() > 0.5


def class_difference(true, mismatched):
    """How differently the sounds of two classes lie to the grid, by what is heard.

    Returns:
      The chi-square statistic of two samples over 16 parts of a step: 15 degrees of
      freedom, 99.99 % quantile about 44.
    """
    starts = (heard_seconds(w[:, 0]) for w in (true, mismatched))
    # Half a sample's width keeps those on a border together.
    parts = [np.floor((s + 1e-4) % GRID / GRID * 16).astype(int) for s in starts]
    table = np.array([np.bincount(p, minlength=16) for p in parts], float)
    table = table[:, table.sum(0) > 0]
    expected = table.sum(0) * table.sum(1, keepdims=True) / table.sum()
    return chi_square(table, expected)


def naive_sounds(number):
    """Sounds from anywhere in the clip: what must not be done."""
    starts = np.random.default_rng(0).integers(0, 9 * RATE, number)
    return np.stack([sound(10.0)[start : start + RATE] for start in starts])


@pytest.mark.parametrize(
    ("misalignment", "negatives_from"), [(0.0, "other_video"), (1.0, "any_time")]
)
def test_both_classes_lie_alike_on_the_grid(misalignment, negatives_from):
    settings = config(
        negatives="independent",
        negatives_from=negatives_from,
        misalignment_seconds=misalignment,
    )
    call = graph(settings, "pcm16")
    examples = [parsed(video=f"v{i % 3}") for i in range(15)]
    reads = [call(each, tf.constant([i, 3], tf.int64)) for i, each in enumerate(examples)]
    batch = {name: tf.concat([read[name] for read in reads], 0) for name in reads[0]}
    rows = {name: v.numpy() for name, v in combine(batch, settings, tf.constant([5, 5])).items()}
    true, mismatched = (rows["waveform"][rows["label"] == label] for label in (1, 0))
    assert min(len(true), len(mismatched)) > 40
    assert class_difference(true, mismatched) < 44
    assert class_difference(true, naive_sounds(len(mismatched))) > 44


def test_without_the_safeguard_only_mismatched_sounds_leave_the_grid():
    safe, flawed = (
        drawn(config(negatives="independent", mismatched_grid=grid), 125, parsed(seconds=3.0))
        for grid in ("same", "none")
    )
    # All else is as it was, so that two trainings differ in nothing but the flaw.
    changed = {name for name in safe if not np.array_equal(safe[name], flawed[name])}
    assert changed == {"other_waveform", "other_audio_start_seconds"}
    start = heard_seconds(flawed["other_waveform"][:, 0])
    np.testing.assert_allclose(flawed["other_audio_start_seconds"], start, atol=1e-3)
    assert (flawed["other_waveform"] > 0).all()  # still within the clip
    late = start - heard_seconds(safe["other_waveform"][:, 0])
    assert late.min() > -1e-3 and late.max() < GRID
    # Of the last step of the grid nothing but its beginning is left.
    free = start < 2 - GRID
    parts = np.bincount(np.floor((late[free] + 1e-4) / GRID * 16).astype(int), minlength=16)
    assert len(parts) == 16 and chi_square(parts, free.sum() / 16) < 44
    assert class_difference(flawed["waveform"], flawed["other_waveform"]) > 44
    assert class_difference(safe["waveform"], safe["other_waveform"]) < 44


def batch_of(videos, number=2, mismatches=False):
    """A batch of `number` pairs a clip, without pictures: each sound tells row and purpose."""
    rows = np.arange(len(videos) * number)
    flags = np.broadcast_to(mismatches, rows.shape)
    own = rows[..., None].repeat(3, -1).astype(np.int16)
    return {
        "id": tf.constant(np.repeat([f"clip {i}" for i in range(len(videos))], number)),
        "video": tf.constant(np.repeat(videos, number)),
        "frame_seconds": tf.constant(rows, tf.float32),
        "waveform": tf.constant(own),
        "gain": tf.constant(rows + 0.25, tf.float32),
        "audio_start_seconds": tf.constant(rows + 0.5, tf.float32),
        "other_waveform": tf.constant(own + 1000),
        "other_gain": tf.constant(rows + 1000.25, tf.float32),
        "other_audio_start_seconds": tf.constant(rows + 1000.5, tf.float32),
        "other_mismatches": tf.constant(flags),
    }


def combined(batch, settings, seed=1):
    rows = combine(batch, settings, tf.constant([seed, 2], tf.int64))
    return {name: value.numpy() for name, value in rows.items()}


VIDEOS = [f"video {i // 3}" for i in range(24)]  # three clips of each


def same_video(rows, videos=VIDEOS, number=2):
    """Mismatched pairs whose sound is from the frame's video."""
    videos = np.repeat(videos, number)
    sources = rows["waveform"][:, 0] % 1000
    return int(((videos == videos[sources]) & (rows["label"] == 0)).sum())


def test_no_mismatched_pair_is_of_one_video():
    settings = config(negatives="independent", pairs_per_read=2)
    safe = sum(same_video(combined(batch_of(VIDEOS), settings, s)) for s in range(30))
    assert safe == 0
    # As if each clip were a video of its own.
    unsafe = {**batch_of(VIDEOS), "video": batch_of(VIDEOS)["id"]}
    assert sum(same_video(combined(unsafe, settings, s)) for s in range(30)) > 20


def test_rows_are_true_with_their_own_sound_or_mismatched_with_one_drawn_for_it():
    settings = config(negatives="independent", pairs_per_read=2)
    labels = []
    for seed in range(60):
        rows = combined(batch_of(VIDEOS), settings, seed)
        true, told = rows["label"] == 1, rows["waveform"][:, 0]
        np.testing.assert_array_equal(rows["frame_seconds"], np.arange(48))
        np.testing.assert_array_equal(told[true], np.arange(48)[true])
        assert (told[~true] >= 1000).all() and len(set(told)) == 48
        np.testing.assert_array_equal(rows["audio_row"], told % 1000)
        np.testing.assert_array_equal(rows["gain"], told + 0.25)
        np.testing.assert_array_equal(rows["audio_start_seconds"], told + 0.5)
        assert (rows["unplaced"] == 0).all()
        assert not any(name.startswith("other") for name in rows)
        labels.append(rows["label"])
    assert abs(np.mean(labels) - 0.5) < 0.05
    rare = config(negatives="independent", pairs_per_read=2, positive_rate=0.1)
    rates = [combined(batch_of(VIDEOS), rare, s)["label"].mean() for s in range(30)]
    assert abs(np.mean(rates) - 0.1) < 0.03


def test_what_cannot_be_placed_stays_true_and_is_counted():
    videos = ["big"] * 8 + ["small"] * 2
    settings = config(negatives="independent", pairs_per_read=1, positive_rate=0.0)
    rows = combined(batch_of(videos, 1), settings)
    assert rows["label"].sum() == 6 and (rows["unplaced"] == 6).all()
    assert same_video(rows, videos, 1) == 0
    true = rows["label"] == 1
    np.testing.assert_array_equal(rows["waveform"][true, 0], np.arange(10)[true])
    # Another moment of the own clip is always there.
    own = batch_of(videos, 1, True)
    rows = combined(own, settings)
    assert rows["label"].sum() == 0 and (rows["unplaced"] == 0).all()
    np.testing.assert_array_equal(rows["waveform"][:, 0], np.arange(10) + 1000)


def test_in_batch_every_pair_is_true_and_keys_part_the_videos():
    settings = config(pairs_per_read=2)
    batch = {k: v for k, v in batch_of(VIDEOS).items() if not k.startswith("other")}
    rows = combined(batch, settings)
    np.testing.assert_array_equal(rows["waveform"][:, 0], np.arange(48))
    assert rows["key"].dtype == np.int64 and "label" not in rows
    videos = np.repeat(VIDEOS, 2)
    partner, valid = (np.asarray(v) for v in derange(rows["key"]))
    assert valid.all() and (videos[partner] != videos).all()
    # By clip: other clips of the same video are mismatches, too; the own clip never is.
    anytime = config(pairs_per_read=2, negatives_from="any_time")
    shared = 0
    for seed in range(20):
        partner, valid = (np.asarray(v) for v in derange(combined(batch, anytime, seed)["key"]))
        assert valid.all() and (partner // 2 != np.arange(48) // 2).all()
        shared += (videos[partner] == videos).sum()
    assert shared > 20


def test_another_moment_of_the_own_clip_has_no_sound_in_common():
    for misalignment in (0.0, 1.0):
        settings = config(
            negatives="independent",
            negatives_from="any_time",
            misalignment_seconds=misalignment,
            same_video_share=0.3,
        )
        pairs = drawn(settings, 60)
        own = pairs["other_mismatches"]
        assert abs(own.mean() - 0.3) < 0.08
        distance = np.abs(middles(pairs, "other_waveform") - seen_seconds(pairs["frame"]))
        # Else a true pair's sound, this far from the frame, would overlap with it.
        assert distance[own].min() > 1 + misalignment - 1e-3
        assert distance[~own].min() < 0.5
        assert not drawn(settings, 5, parsed(seconds=1.9))["other_mismatches"].any()
    assert not drawn(config(negatives="independent"))["other_mismatches"].any()


def test_the_seed_decides_and_pairs_of_a_read_differ():
    settings = config(negatives="independent")
    first, again, other = (drawn(settings, seed=seed) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    for name in ("frame_seconds", "audio_start_seconds", "gain", "other_audio_start_seconds"):
        assert len(np.unique(first[name][:8])) > 4, name
        assert (first[name] != other[name]).mean() > 0.9, name
    assert abs(np.corrcoef(first["gain"], first["other_gain"])[0, 1]) < 0.6
    # Not on what else is drawn: neither on threads nor on batches.
    reads = tf.data.Dataset.range(6).map(
        lambda i: draw(CLIP, settings, WHOLE_FRAME, "pcm16", tf.stack([i, 1])),
        num_parallel_calls=3,
    )
    batched = next(iter(reads.batch(6)))
    for name, values in drawn(settings, 6, seed=1).items():
        np.testing.assert_array_equal(tf.reshape(batched[name], values.shape), values)


def test_gain_is_drawn_over_its_range():
    gain = drawn(config(), 125)["gain"]
    assert 0.9 <= gain.min() < 0.902 and 1.098 < gain.max() <= 1.1
    assert chi_square(np.histogram(gain, 10, (0.9, 1.1))[0], 100) < 34  # 9 degrees, 99.99 %
    assert set(drawn(config(gain=0.0))["gain"]) == {1.0}


@pytest.mark.parametrize("seconds", [0.02, 0.3, 0.99, 1.0, 1.02, 1.5])
@pytest.mark.parametrize("misalignment", [0.0, 1.0])
@pytest.mark.parametrize("steps", [None, [0]])
def test_short_clips_and_single_frames(seconds, misalignment, steps):
    example = parsed(seconds=seconds, steps=steps)
    pairs = drawn(config(misalignment_seconds=misalignment, negatives="independent"), 3, example)
    samples = sound(seconds)
    assert (seen_seconds(pairs["frame"]) <= pairs["frame_seconds"] + 1e-3).all()
    assert (pairs["frame_seconds"] < seconds).all()
    silence = np.zeros(RATE, np.int16)
    padded = np.concatenate([silence, samples, silence])
    for prefix in ("", "other_"):
        starts = np.rint(pairs[f"{prefix}audio_start_seconds"] * RATE).astype(int)
        for start, waveform in zip(starts, pairs[f"{prefix}waveform"], strict=True):
            np.testing.assert_array_equal(waveform, padded[RATE + start : 2 * RATE + start])
            heard = (waveform > 0).sum()
            if seconds <= 0.3:
                assert heard == len(samples)
            else:
                # Within half a step of the grid of as much as there is.
                assert heard >= min(len(samples), RATE) - RATE * GRID / 2 - 1
    if misalignment == 0.0:
        middle = pairs["audio_start_seconds"] + 0.5
        np.testing.assert_allclose(middle, pairs["frame_seconds"], atol=1e-6)


def test_a_frame_a_second_goes_with_the_seconds_around_it():
    # A frame in each second, as of a video converted at one frame a second.
    example = parsed(9.5, steps=range(0, 238, 25))
    settings = config(
        segment_seconds=2.0, grid_seconds=1.0, misalignment_seconds=0.0, short_sounds="mask"
    )
    pairs = drawn(settings, 8, example)
    assert set(pairs["frame_seconds"]) == set(range(1, 9))
    np.testing.assert_array_equal(seen_seconds(pairs["frame"]), pairs["frame_seconds"])
    np.testing.assert_array_equal(pairs["audio_start_seconds"], pairs["frame_seconds"] - 1)
    start, end = (heard_seconds(pairs["waveform"][:, place]) for place in (0, -1))
    np.testing.assert_allclose(start, pairs["frame_seconds"] - 1, atol=1e-3)
    np.testing.assert_allclose(end, pairs["frame_seconds"] + 1, atol=1e-3)
    assert (pairs["num_samples"] == 2 * RATE).all()


@pytest.mark.parametrize("seconds", [1.5, 0.96, 0.024])
def test_a_masked_short_sound_begins_with_its_row(seconds):
    settings = config(
        segment_seconds=2.0, grid_seconds=1.0, misalignment_seconds=0.0, short_sounds="mask"
    )
    pairs = drawn(settings, 1, parsed(seconds, steps=[0]))
    samples = sound(seconds)
    assert (pairs["num_samples"] == len(samples)).all()
    np.testing.assert_array_equal(pairs["audio_start_seconds"], 0)
    for waveform in pairs["waveform"]:
        np.testing.assert_array_equal(waveform[: len(samples)], samples)
        assert not waveform[len(samples) :].any()


def test_no_sound_is_an_error_where_sounds_are_masked():
    with pytest.raises(tf.errors.InvalidArgumentError, match="has no sound") as found:
        drawn(config(short_sounds="mask"), 1, {**CLIP, "audio": tf.constant(b"")})
    assert str(explain(found.value)) == "clip a has no sound"


def test_a_still_picture_goes_with_all_of_the_sound():
    pairs = drawn(config(misalignment_seconds=0.0), 20, parsed(steps=[0, 100]))
    frame, moment = seen_seconds(pairs["frame"]), pairs["frame_seconds"]
    np.testing.assert_allclose(frame, np.where(moment < 4 - 1e-6, 0.0, 4.0), atol=1e-6)
    np.testing.assert_allclose(middles(pairs), moment, atol=1e-3)
    assert moment.min() < 1 and moment.max() > 9


def test_nothing_is_drawn_before_the_first_frame():
    pairs = drawn(config(misalignment_seconds=0.0), 5, parsed(steps=range(150, 250)))
    assert pairs["frame_seconds"].min() >= 6 - 1e-6
    np.testing.assert_allclose(seen_seconds(pairs["frame"]), pairs["frame_seconds"], atol=1e-6)
    late = drawn(config(misalignment_seconds=0.0), 1, parsed(steps=[249]))
    np.testing.assert_allclose(late["frame_seconds"], 9.96, atol=1e-6)
    assert (late["waveform"][:, 0] > 0).all() and (late["waveform"][:, -1] == 0).all()


def test_clips_that_no_pair_can_be_drawn_from():
    with pytest.raises(tf.errors.InvalidArgumentError, match="has no frame"):
        draw(parsed(steps=[]), config(), WHOLE_FRAME, "pcm16", [1, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not 48000 Hz"):
        draw(CLIP, PairConfig(), WHOLE_FRAME, "pcm16", [1, 2])


def test_shapes_are_known_before_anything_is_drawn():
    settings = config(negatives="independent", pairs_per_read=3)
    dataset = tf.data.Dataset.range(4).map(
        lambda i: draw(CLIP, settings, WHOLE_FRAME, "pcm16", tf.stack([i, i]))
    )
    dataset = dataset.unbatch().batch(12, drop_remainder=True)
    dataset = dataset.map(lambda b: combine(b, settings, [1, 1]))
    for name, spec in dataset.element_spec.items():
        assert spec.shape[0] == 12, name
        assert spec.shape.is_fully_defined(), name
    assert dataset.element_spec["frame"].shape == (12, 16, 16, 3)
    assert dataset.element_spec["waveform"].shape == (12, RATE)


def test_random_keys_tell_names_apart_in_every_order():
    names = tf.constant([f"video {i}" for i in range(5)] * 2)
    keys = tf.function(lambda seed: random_keys(names, seed))
    counts = np.zeros((5, 5))
    for seed in range(2000):
        row = keys(tf.constant([seed, 1], tf.int64)).numpy()
        np.testing.assert_array_equal(row[:5], row[5:])
        order = np.argsort(row[:5])
        counts[order, np.roll(order, -1)] += 1
    others = counts[~np.eye(5, dtype=bool)]
    assert (np.diag(counts) == 0).all()
    # 20 cells with 9 sums fixed: 11 degrees of freedom, 99.99 % quantile about 38.
    assert chi_square(others, 500) < 38


@pytest.mark.parametrize(
    "fields",
    [
        {"grid_seconds": 0.0401},
        {"segment_seconds": 0.0},
        {"misalignment_seconds": -1.0},
        {"gain": 1.0},
        {"negatives": "none"},
        {"negatives_from": "same_video"},
        {"positive_rate": 1.1},
        {"same_video_share": -0.1},
        {"pairs_per_read": 0},
        {"mismatched_grid": "any"},
        {"mismatched_grid": "none"},
        {"mismatched_grid": "none", "negatives": "independent", "negatives_from": "any_time"},
    ],
)
def test_refuses_what_no_pair_can_be(fields):
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        config(**fields)
