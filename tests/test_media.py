import dataclasses
import itertools
import math
import time
from fractions import Fraction

import av
import numpy as np
import odd_media
import pytest
import tensorflow as tf

from avc import media
from avc.media import Cut, MediaConfig, MediaError, probe, read_clips
from crossmodal.errors import ConfigurationError, UserError

CONFIG = MediaConfig()
HALVES = MediaConfig(clip_seconds=0.8)


def decoded(frames):
    return [tf.io.decode_jpeg(frame).numpy() for frame in frames]


def numbers(clip):
    return [odd_media.number_of(rgb) for rgb in decoded(clip.frames)]


def only_clip(path):
    (clip,) = read_clips(str(path), CONFIG)
    return clip


def at(clip):
    """Times of a clip's samples, since the source's beginning."""
    return clip.start_seconds + np.arange(len(clip.samples)) / clip.sample_rate_hz


def likeness(samples, expected):
    a, b = samples.astype(np.float64), np.asarray(expected, np.float64)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def assert_in_step(samples, times, play=odd_media.sound):
    """The sound is that of `times`, neither a sample early nor late."""
    step = times[1] - times[0]
    scores = {lag: likeness(samples, play(times + lag * step)) for lag in range(-4, 5)}
    assert max(scores, key=scores.get) == 0
    assert scores[0] > 0.999


def shown_at(times, grid):
    """Which picture is shown at each time of a grid: plain arithmetic."""
    shown = [max(i for i, time in enumerate(times) if time <= t + 1e-9) for t in grid]
    changes = [n for n in range(len(grid)) if n == 0 or shown[n] != shown[n - 1]]
    return [(grid[n], shown[n]) for n in changes]


# Times.


FORMATS = {
    "h264.mp4": {"sample_rate_hz": 44100},
    "h264.mkv": {"sample_rate_hz": 44100, "audio_codec": "libmp3lame"},
    "mpeg4.mov": {"sample_rate_hz": 22050, "audio_codec": "pcm_s16le", "video_codec": "mpeg4"},
    "vp8.webm": {"audio_codec": "libopus", "video_codec": "libvpx"},
    "live.webm": {"audio_codec": "libopus", "video_codec": "libvpx", "options": {"live": "1"}},
    "mpeg1.mpg": {"sample_rate_hz": 44100, "audio_codec": "mp2", "video_codec": "mpeg1video"},
    "mpeg4.avi": {"audio_codec": "pcm_s16le", "video_codec": "mpeg4"},
}


@pytest.fixture(scope="module", params=FORMATS)
def timed(request, tmp_path_factory):
    """A file of 8 s in one of the formats."""
    path = tmp_path_factory.mktemp("timed") / request.param
    return odd_media.write(path, 4.0, size=(160, 120), keyframe_every=15, **FORMATS[request.param])


def test_picture_and_sound_tell_the_same_time(timed):
    clips = list(read_clips(str(timed), HALVES))
    assert [clip.start_seconds for clip in clips] == pytest.approx(np.arange(0, 4, 0.8))
    for clip in clips[:-1]:
        assert len(clip.samples) == 38400
        np.testing.assert_allclose(clip.frame_seconds, np.arange(20) * 0.04, atol=1e-12)
        first = round(clip.start_seconds * 25)
        assert numbers(clip) == list(range(first, first + 20))
    samples = np.concatenate([clip.samples for clip in clips])
    times = np.arange(len(samples)) / 48000
    for first in range(1000, len(samples) - 60000, 30000):
        part = slice(first, first + 40000)
        if timed.name == "mpeg1.mpg":
            # Its time stamps, of 1/90000 s, put the sound between two samples.
            assert likeness(samples[part], odd_media.sound(times[part])) > 0.99
        else:
            assert_in_step(samples[part], times[part])


def test_starts_give_what_the_whole_file_gives(timed):
    whole = list(read_clips(str(timed), HALVES))
    order = [3, 1, 4, 0, 3]
    parts = list(read_clips(str(timed), HALVES, [0.8 * i for i in order]))
    assert len(parts) == len(order)
    for i, part in zip(order, parts, strict=True):
        assert part.start_seconds == pytest.approx(0.8 * i)
        assert part.frames == whole[i].frames
        np.testing.assert_array_equal(part.frame_seconds, whole[i].frame_seconds)
        if timed.name in ("mpeg1.mpg", "h264.mp4"):
            # FFmpeg's decoders of MP2 and AAC add noise that depends on what they decoded
            # before: of the last bit, and more where the sound breaks off at the very end.
            end = len(part.samples) - (1500 if i == 4 else 0)
            assert len(part.samples) == len(whole[i].samples)
            np.testing.assert_allclose(part.samples[:end], whole[i].samples[:end], atol=2)
        else:
            np.testing.assert_array_equal(part.samples, whole[i].samples)


def test_any_start(timed):
    starts = [2.344, 2.0, 3.9, 100.0]
    first, second, last, after = read_clips(str(timed), HALVES, starts)
    # The picture of 2.32 s is still shown when the clip begins at 2.344 s.
    assert numbers(first)[:3] == [58, 59, 60]
    np.testing.assert_allclose(first.frame_seconds[:3], [0, 0.04, 0.08], atol=1e-12)
    assert likeness(first.samples, odd_media.sound(at(first))) > 0.99
    assert numbers(second) == list(range(50, 70))
    assert 0 < len(last.samples) <= 4800 + 2000
    assert numbers(last)[0] == 97
    assert after.frames == [] and len(after.samples) == 0


def test_a_clip_of_another_length_with_one_picture(timed):
    # The third moment is between two steps of the grid, the fourth after the file's end.
    cuts = [Cut(2.0, 1.2, 0.4), Cut(1.0), Cut(0.3, 2.0, 1.01), Cut(3.0, 20.0, 10.0), Cut(2.0, 0.4)]
    clips = list(read_clips(str(timed), HALVES, cuts))
    assert [numbers(clip) for clip in clips[:1] + clips[2:4]] == [[60], [32], []]
    assert numbers(clips[1]) == list(range(25, 45)) and numbers(clips[4]) == list(range(50, 60))
    assert [clip.frame_seconds.tolist() for clip in clips[:1] + clips[2:3]] == [[0.4], [1.0]]
    lengths = [len(clip.samples) / clip.sample_rate_hz for clip in clips]
    assert lengths[:3] == [1.2, 0.8, 2.0] and lengths[4] == 0.4
    longest = MediaConfig(clip_seconds=20.0)
    (rest,) = read_clips(str(timed), longest, [3.0])
    assert len(clips[3].samples) == len(rest.samples)
    for clip in clips[:3]:
        assert likeness(clip.samples, odd_media.sound(at(clip))) > 0.99


def test_a_clip_that_begins_before_the_file_is_refused(tmp_path):
    path = odd_media.short(tmp_path)
    with pytest.raises(MediaError, match=r"short.mp4: .*-1"):
        list(read_clips(str(path), CONFIG, [-1.0]))


def test_the_same_bytes_each_time(timed):
    first, second = (list(read_clips(str(timed), HALVES)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.frames == b.frames
        np.testing.assert_array_equal(a.samples, b.samples)


def test_one_clip_is_read_at_a_time(timed):
    config = dataclasses.replace(HALVES, clip_seconds=0.1)
    begin = time.process_time()
    clips = read_clips(str(timed), config)
    next(clips)
    first = time.process_time() - begin
    rest = sum(1 for _ in clips)
    assert rest == 39 or timed.name == "mpeg1.mpg"
    assert time.process_time() - begin > 3 * first


def clicks(seconds):
    """One sample at each half second."""
    rate = round(1 / (seconds[1] - seconds[0]))
    samples = np.zeros(len(seconds))
    samples[rate // 2 :: rate // 2] = 0.9
    return samples


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("aac.mp4", "aac", 48000),
        ("aac44.mp4", "aac", 44100),
        ("aac8.mp4", "aac", 8000),
        ("pcm8.mov", "pcm_s16le", 8000),
        ("mp3.mkv", "libmp3lame", 44100),
        ("flac.mkv", "flac", 96000),
        ("opus.mkv", "libopus", 48000),
    ],
)
def test_a_click_stays_where_it_is(tmp_path, name, codec, rate):
    """Encoders delay the sound; the time stamps make up for it."""
    path = odd_media.write(
        tmp_path / name, audio_codec=codec, sample_rate_hz=rate, layout="mono", play=clicks
    )
    samples = np.abs(only_clip(path).samples.astype(int))
    for expected in (24000, 48000, 72000):
        assert np.argmax(samples[expected - 3000 : expected + 3000]) == 3000


def test_late_sound_follows_zeros(tmp_path):
    clip = only_clip(odd_media.late_sound(tmp_path))
    assert numbers(clip) == list(range(50))
    assert len(clip.samples) == 2 * 48000
    assert not clip.samples[:23990].any()
    assert_in_step(clip.samples[24100:], at(clip)[24100:] - 0.5)


def test_sound_before_the_first_picture_is_left_out(tmp_path):
    clip = only_clip(odd_media.late_picture(tmp_path))
    assert numbers(clip) == list(range(38))
    assert_in_step(clip.samples, at(clip) + 0.48)
    assert len(clip.samples) == round(1.52 * 48000)


def test_a_pause_of_the_sound_is_zeros(tmp_path):
    clip = only_clip(odd_media.sound_gap(tmp_path))
    assert numbers(clip) == list(range(75))
    silent = np.flatnonzero(np.convolve(clip.samples == 0, np.ones(500), "valid") == 500)
    begin, end = silent[0] / 48000, (silent[-1] + 500) / 48000
    assert begin == pytest.approx(1.0, abs=0.025)
    assert end == pytest.approx(1.5, abs=0.025)
    assert_in_step(clip.samples[:47000], at(clip)[:47000])
    # Matroska's time stamps are thousandths: the rest is up to 24 samples early or late.
    rest = clip.samples[75000:-1000]
    scores = {
        k: likeness(rest, odd_media.sound(at(clip)[75000 + k :][: len(rest)]))
        for k in range(-30, 31)
    }
    lag = max(scores, key=scores.get)
    assert abs(lag) <= 24 and scores[lag] > 0.999


@pytest.mark.parametrize(
    "build", [odd_media.far_from_zero, odd_media.negative_times, odd_media.no_duration]
)
def test_time_stamps_may_begin_anywhere(tmp_path, build):
    path = build(tmp_path)
    clip = only_clip(path)
    assert numbers(clip) == list(range(50))
    assert_in_step(clip.samples[500:90000], at(clip)[500:90000])
    (part,) = read_clips(str(path), HALVES, [1.2])
    assert numbers(part) == list(range(30, 50))


def test_a_recording_without_length_has_none(tmp_path):
    assert probe(str(odd_media.no_duration(tmp_path))).duration_seconds is None


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_what_has_no_counterpart_is_left_out(tmp_path, seconds):
    """A file lasts as long as both its picture and its sound."""
    path = odd_media.write(tmp_path / "a.mkv", 2.0, sound_seconds=seconds, audio_codec="flac")
    clip = only_clip(path)
    assert len(clip.samples) == min(seconds, 2.0) * 48000
    assert numbers(clip) == list(range(round(min(seconds, 2.0) * 25)))


# Frame rates.


@pytest.mark.parametrize(
    ("build", "times", "length"),
    [
        (odd_media.one_frame_a_second, np.arange(5), 5.0),
        (odd_media.ten_frames_a_second, np.arange(20) / 10, 2.0),
        (odd_media.high_rate, np.arange(120) / 60, 2.0),
        (odd_media.variable_rate, odd_media.VARIABLE_TIMES, 1.94),
    ],
)
def test_the_grid_holds_what_is_shown(tmp_path, build, times, length):
    path = str(build(tmp_path))
    clip = only_clip(path)
    grid = [k * 0.04 for k in range(math.ceil(length * 25 - 1e-9))]
    expected = shown_at(times, grid)
    assert numbers(clip) == [number for _, number in expected]
    np.testing.assert_allclose(clip.frame_seconds, [time for time, _ in expected], atol=1e-9)
    assert len(clip.samples) == pytest.approx(length * 48000, abs=1)
    # Cut into clips, what is still shown at a clip's beginning is there at 0.0.
    for part in read_clips(path, HALVES):
        begin = part.start_seconds
        grid = [k * 0.04 for k in range(20) if begin + k * 0.04 < length - 1e-9]
        expected = shown_at(times, [begin + t for t in grid])
        assert part.frame_seconds[0] == 0.0
        assert numbers(part) == [number for _, number in expected]
        starts = [time - begin for time, _ in expected]
        np.testing.assert_allclose(part.frame_seconds, starts, atol=1e-9)


def test_another_grid_and_rate(tmp_path):
    config = MediaConfig(frames_per_second=5, shorter_side=128, sample_rate_hz=16000)
    (clip,) = read_clips(str(odd_media.high_rate(tmp_path)), config)
    np.testing.assert_allclose(clip.frame_seconds, np.arange(10) / 5)
    assert numbers(clip) == list(range(0, 120, 12))
    assert decoded(clip.frames[:1])[0].shape == (128, 170, 3)
    assert clip.sample_rate_hz == 16000 and len(clip.samples) == 32000
    assert_in_step(clip.samples, at(clip))


# Odd input.


@pytest.mark.parametrize("build", odd_media.REFUSED)
def test_what_cannot_be_used_is_refused_with_its_reason(tmp_path, build, capfd):
    path = str(build(tmp_path))
    capfd.readouterr()
    begin = time.process_time()
    for attempt in (
        lambda: probe(path),
        lambda: list(read_clips(path, CONFIG)),
        lambda: list(read_clips(path, CONFIG, [0.0])),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert isinstance(error.value, MediaError)
        assert error.value.reason == odd_media.REFUSED[build]
        assert str(error.value) == f"{path}: {odd_media.REFUSED[build]}"
    assert time.process_time() - begin < 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "reason"), [("none.mp4", "no such file"), ("", "a folder")])
def test_what_is_no_file_is_refused(tmp_path, name, reason):
    with pytest.raises(MediaError, match=reason):
        probe(str(tmp_path / name))


def test_largest_picture_is_a_setting(tmp_path):
    path = str(odd_media.short(tmp_path))
    config = MediaConfig(max_pixels=320 * 240 - 1)
    with pytest.raises(MediaError, match="picture of 320 x 240 is larger than 76799 pixels"):
        probe(path, config)
    probe(path, MediaConfig(max_pixels=320 * 240))


def test_a_strip_is_refused(tmp_path):
    path = odd_media.write(tmp_path / "strip.avi", 0.2, size=(4096, 2), video_codec="ffv1")
    with pytest.raises(MediaError, match="picture of 4096 x 2 is too narrow"):
        list(read_clips(str(path), CONFIG))


@pytest.mark.parametrize("build", odd_media.CUT)
def test_what_is_cut_off_is_kept_as_far_as_it_goes(tmp_path, build, capfd):
    path = str(build(tmp_path))
    capfd.readouterr()
    clips = []
    reason = ""
    try:
        for clip in read_clips(path, MediaConfig(clip_seconds=0.4)):
            clips.append(clip)
    except MediaError as error:
        reason = error.reason
    good = clips[:4]
    shown = list(itertools.chain.from_iterable(numbers(clip) for clip in good))
    assert shown == list(range(len(shown))) and len(shown) >= 40
    samples = np.concatenate([clip.samples for clip in good])
    assert_in_step(samples[100:], np.arange(len(samples))[100:] / 48000)
    if build is odd_media.cut_mpg:
        # Nothing in such a file tells how long it was.
        assert reason == ""
    else:
        word, seconds = reason.rsplit(" ", 2)[0], float(reason.split(" ")[-2])
        assert word == "cut off or damaged after"
        assert 1.5 < seconds < 2.6
    assert 1.9 < sum(len(clip.samples) for clip in clips) / 48000 <= 4.0
    assert capfd.readouterr() == ("", "")


def test_a_picture_that_is_known_to_be_wrong_is_left_out(tmp_path):
    clips = []
    with pytest.raises(MediaError):
        for clip in read_clips(str(odd_media.damaged_mkv(tmp_path)), CONFIG):
            clips.append(clip)
    shown = numbers(clips[0])
    expected = np.round(clips[0].frame_seconds * 25)
    assert shown == expected.tolist()
    assert 80 < len(shown) < 100


def test_a_leap_of_the_time_stamps_makes_no_hours_of_nothing(tmp_path):
    clips = []
    with pytest.raises(MediaError, match=r"cut off or damaged after 1\.0 s"):
        for clip in read_clips(str(odd_media.leap(tmp_path)), CONFIG):
            clips.append(clip)
            assert len(clips) == 1
    assert numbers(clips[0]) == list(range(25))


def test_a_file_that_is_shorter_than_it_says_is_reported(tmp_path):
    clips = []
    with pytest.raises(MediaError, match=r"cut off or damaged after 2\.0 s"):
        for clip in read_clips(str(odd_media.boastful(tmp_path)), CONFIG):
            clips.append(clip)
    assert len(clips) == 1 and numbers(clips[0]) == list(range(50))


def test_short(tmp_path):
    clip = only_clip(odd_media.short(tmp_path))
    assert numbers(clip) == list(range(8))
    assert len(clip.samples) == round(0.32 * 48000)


def test_eight_kilohertz(tmp_path):
    path = odd_media.telephone(tmp_path)
    assert probe(str(path)).sample_rate_hz == 8000
    clip = only_clip(path)
    assert_in_step(clip.samples[500:95000], at(clip)[500:95000])


def test_six_channels(tmp_path):
    path = odd_media.six_channels(tmp_path)
    assert probe(str(path)).channels == 6
    clip = only_clip(path)
    assert likeness(clip.samples, odd_media.sound(at(clip))) > 0.99


def test_a_name_with_spaces_and_other_letters(tmp_path):
    clip = only_clip(odd_media.foreign_name(tmp_path))
    assert numbers(clip) == list(range(50))


@pytest.mark.parametrize(
    ("build", "shown", "stored"),
    [
        (odd_media.odd_size, (321, 243), (338, 256)),
        (odd_media.wide_pixels, (427, 240), (456, 256)),
        (odd_media.short, (320, 240), (342, 256)),
    ],
)
def test_sizes(tmp_path, build, shown, stored):
    path = build(tmp_path)
    source = probe(str(path))
    assert (source.width, source.height) == shown
    clip = only_clip(path)
    pictures = decoded(clip.frames)
    assert {rgb.shape for rgb in pictures} == {(stored[1], stored[0], 3)}
    assert numbers(clip) == list(range(len(pictures)))
    crop = tf.io.decode_and_crop_jpeg(clip.frames[0], [3, 5, 224, 224], channels=3)
    np.testing.assert_array_equal(crop, pictures[0][3:227, 5:229])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_picture_is_turned_upright(tmp_path, degrees):
    path = str(odd_media.rotated(tmp_path, degrees))
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    # Counterclockwise, as NumPy's.
    expected = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation % 360 // 90)
    source = probe(path)
    assert (source.width, source.height) == expected.shape[1::-1]
    upright = decoded(only_clip(path).frames[:1])[0]
    expected = tf.image.resize(expected, upright.shape[:2], antialias=True).numpy()
    assert np.abs(upright - expected).mean() < 3


def test_the_default_stream_is_taken(tmp_path):
    path = odd_media.several_streams(tmp_path)
    source = probe(str(path))
    assert (source.width, source.height) == (160, 120)
    assert set(numbers(only_clip(path))) == {0}


# Configuration.


def test_settings_are_checked():
    for field, value in {
        "frames_per_second": 0,
        "shorter_side": 8,
        "jpeg_quality": 101,
        "sample_rate_hz": 100,
        "clip_seconds": 0,
        "max_pixels": 0,
    }.items():
        with pytest.raises(ConfigurationError, match=field):
            MediaConfig(**{field: value})


def test_source_tells_what_a_file_holds(tmp_path):
    path = str(odd_media.write(tmp_path / "a.mp4", frames_per_second=Fraction(30000, 1001)))
    source = probe(path)
    assert source == media.Source(
        path=path,
        duration_seconds=pytest.approx(2.0, abs=0.01),
        frames_per_second=pytest.approx(29.97, abs=0.001),
        width=320,
        height=240,
        sample_rate_hz=48000,
        channels=2,
    )
