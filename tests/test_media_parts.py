"""The parts of reading media, each against plain arithmetic."""

from fractions import Fraction

import av
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import chirp, resample_poly

from avc import pictures
from avc.audio_decoding import SampleWindow, resample
from avc.frame_grid import FrameGrid
from avc.media_files import TimedFrame

# Pictures.

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 30, 90))
# Recommendations BT.601 and BT.709: weights of red and blue in luma.
WEIGHTS = {5: (0.299, 0.114), 1: (0.2126, 0.0722)}


def yuv_frame(matrix, full_range, size, tagged=True):
    """Stripes of COLOURS as 4:2:0 video would have them, from the recommendations."""
    red_weight, blue_weight = WEIGHTS[matrix]
    red, green, blue = (np.array(COLOURS) / 255).T
    luma = red_weight * red + blue_weight * blue + (1 - red_weight - blue_weight) * green
    values = [luma, (blue - luma) / 2 / (1 - blue_weight), (red - luma) / 2 / (1 - red_weight)]
    if full_range:
        values = [values[0] * 255, values[1] * 255 + 128, values[2] * 255 + 128]
    else:
        values = [16 + 219 * values[0], 128 + 224 * values[1], 128 + 224 * values[2]]
    width, height = size
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, values, strict=True):
        stripes = np.repeat(np.clip(np.round(value), 0, 255), -(-plane.width // len(COLOURS)))
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = stripes[: plane.width]
        plane.update(padded.tobytes())
    if tagged:
        frame.colorspace = matrix
    frame.color_range = 2 if full_range else 1
    return frame


def stripes_of(data):
    rgb = tf.io.decode_jpeg(data).numpy().astype(int)
    width = rgb.shape[1] / len(COLOURS)
    return [rgb[8:-8, int(i * width) + 12 : int((i + 1) * width) - 12] for i in range(len(COLOURS))]


@pytest.mark.parametrize("size", [(480, 360), (960, 720), (342, 256), (240, 180)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_are_right(matrix, full_range, size):
    data = pictures.PictureEncoder(256, 95).encode(yuv_frame(matrix, full_range, size), 1.0)
    for stripe, colour in zip(stripes_of(data), COLOURS, strict=True):
        assert np.abs(stripe - colour).max() <= 5


@pytest.mark.parametrize(("matrix", "size"), [(5, (640, 480)), (1, (1280, 720))])
def test_untagged_colours_are_those_of_the_size(matrix, size):
    frame = yuv_frame(matrix, False, size, tagged=False)
    assert frame.colorspace == 2
    data = pictures.PictureEncoder(256, 95).encode(frame, 1.0)
    for stripe, colour in zip(stripes_of(data), COLOURS, strict=True):
        assert np.abs(stripe - colour).max() <= 5


@pytest.mark.parametrize("form", ["rgb24", "gray", "yuv444p", "yuv422p10le", "nv12", "bgra"])
def test_pixel_formats(form):
    rgb = np.full((300, 400, 3), 90, np.uint8)
    rgb[:, 200:] = 180
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=form)
    picture = pictures.PictureEncoder(256, 90).rgb(frame, 1.0)
    assert picture.shape == (256, 342, 3)
    assert np.abs(picture[:, 10:160].astype(int) - 90).max() <= 2
    assert np.abs(picture[:, 180:-10].astype(int) - 180).max() <= 2


@pytest.mark.parametrize(
    ("width", "height", "aspect", "expected"),
    [
        (1920, 1080, 1.0, (456, 256)),
        (1080, 1920, 1.0, (256, 456)),
        (256, 256, 1.0, (256, 256)),
        (720, 576, 16 / 15, (342, 256)),
        (720, 576, 0.5, (256, 410)),
        (10, 10, 1.0, (256, 256)),
    ],
)
def test_scaled_size(width, height, aspect, expected):
    assert pictures.scaled_size(width, height, aspect, 256) == expected


@pytest.mark.parametrize(
    "matrix",
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (-1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_upright_moves_each_pixel_as_the_matrix_says(matrix):
    a, b, c, d = matrix
    stored = np.arange(12).reshape(3, 4, 1)
    places = {}
    for y, x in np.ndindex(3, 4):
        places[(a * x + c * y, b * x + d * y)] = stored[y, x, 0]
    left, top = min(x for x, _ in places), min(y for _, y in places)
    shown = pictures.upright(stored, matrix)
    assert shown.size == 12
    for (x, y), value in places.items():
        assert shown[y - top, x - left, 0] == value


# The grid.


def grid_of(times, ends, step, tolerance=Fraction(0)):
    frames = [TimedFrame(t, e, i) for i, (t, e) in enumerate(zip(times, ends, strict=True))]
    return FrameGrid(iter(frames), step, tolerance)


@pytest.mark.parametrize("seed", range(20))
def test_grid_against_looking_at_every_time(seed):
    rng = np.random.default_rng(seed)
    times = sorted({Fraction(int(t), 1000) for t in rng.integers(-100, 4000, 60)})
    ends = [*times[1:], times[-1] + Fraction(1, 10)]
    grid = grid_of(times, ends, Fraction(1, 25))
    for start in range(5):
        expected, before = [], None
        for k in range(25):
            now = start + Fraction(k, 25)
            shown = [i for i, (t, e) in enumerate(zip(times, ends, strict=True)) if t <= now < e]
            if shown and shown[0] != before:
                before = shown[0]
                expected.append((k, before))
        assert list(grid.read(Fraction(start), Fraction(start + 1))) == expected


def test_grid_forgives_rounded_time_stamps():
    times = [Fraction(n * 40 + (n % 2), 1000) for n in range(50)]
    grid = grid_of(times, [t + Fraction(1, 25) for t in times], Fraction(1, 25), Fraction(1, 1000))
    assert list(grid.read(Fraction(0), Fraction(2))) == [(n, n) for n in range(50)]


def test_grid_leaves_out_what_goes_back_in_time():
    times = [Fraction(n, 25) for n in (0, 1, 2, 1, 0, 2, 3)]
    grid = grid_of(times, [t + Fraction(1, 25) for t in times], Fraction(1, 25))
    assert list(grid.read(Fraction(0), Fraction(1))) == [(0, 0), (1, 1), (2, 2), (3, 6)]
    assert grid.end == Fraction(4, 25)


# Sound.


def sound_frames(samples, rate, layout="mono", form="fltp", begin=Fraction(0), block=1024):
    """[channels, num_samples] as frames."""
    frames = []
    for first in range(0, samples.shape[1], block):
        part = np.ascontiguousarray(samples[:, first : first + block])
        frame = av.AudioFrame.from_ndarray(part, format=form, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        time = begin + Fraction(first, rate)
        frames.append(TimedFrame(time, time + Fraction(part.shape[1], rate), frame))
    return frames


def joined(pieces, length):
    return SampleWindow(pieces).read(0, length)


@pytest.mark.parametrize(
    ("rate", "up", "down"), [(44100, 160, 147), (8000, 6, 1), (22050, 320, 147), (96000, 1, 2)]
)
def test_resampling_agrees_with_scipy(rate, up, down):
    times = np.arange(rate * 3) / rate
    wave = 0.5 * chirp(times, 100, 3, min(rate * 0.4, 9000)).astype(np.float32)
    expected = resample_poly(wave.astype(np.float64), up, down) * 32768
    samples = joined(resample(sound_frames(wave[None], rate), 48000), 10**6)
    assert len(samples) == len(expected) == 144000
    error = samples[500:-500] - expected[500:-500]
    assert np.abs(error).max() < 0.01 * 16384
    assert np.sqrt(np.mean(error**2)) < 0.002 * 16384


@pytest.mark.parametrize("begin", [Fraction(0), Fraction(1, 2), Fraction(-1, 4)])
def test_sound_begins_at_its_time(begin):
    wave = np.arange(1, 4801, dtype=np.int16)[None]
    frames = sound_frames(wave, 48000, form="s16p", begin=begin)
    window = SampleWindow(resample(frames, 48000))
    samples = window.read(0, 48000)
    position = round(begin * 48000)
    expected = np.zeros(48000, np.int16)
    for i, value in enumerate(wave[0]):
        if position + i >= 0:
            expected[position + i] = value
    end = max(0, position + 4800)
    assert len(samples) == min(end, 48000)
    np.testing.assert_array_equal(samples, expected[: len(samples)])
    assert window.end == position + 4800 or end == 0


def test_jitter_is_no_gap_and_a_lost_packet_is():
    wave = np.full((1, 48000), 1000, np.int16)
    frames = sound_frames(wave, 48000, form="s16p")
    jittered = [
        TimedFrame(t + Fraction(i % 3 - 1, 1000), e, f) for i, (t, e, f) in enumerate(frames)
    ]
    jittered[0] = frames[0]
    assert (joined(resample(jittered, 48000), 48000) == 1000).all()
    frames = sound_frames(wave, 48000, form="s16p")
    lost = joined(resample(frames[:10] + frames[11:], 48000), 48000)
    np.testing.assert_array_equal(np.flatnonzero(lost == 0), np.arange(10240, 11264))


def test_sound_that_comes_twice_is_heard_once():
    wave = np.arange(20480, dtype=np.int16)[None]
    frames = sound_frames(wave, 48000, form="s16p")
    again = sound_frames(wave[:, 10240:], 48000, form="s16p", begin=Fraction(10240, 48000))
    samples = joined(resample(frames[:14] + again, 48000), 20480)
    np.testing.assert_array_equal(samples, wave[0])


def test_format_may_change_in_mid_file():
    first = sound_frames(np.full((1, 24000), 0.25, np.float32), 48000)
    second = sound_frames(
        np.full((2, 22050), 0.25, np.float32), 44100, "stereo", begin=Fraction(1, 2)
    )
    samples = joined(resample(first + second, 48000), 48000)
    assert len(samples) == 48000
    assert np.abs(np.delete(samples.astype(int), np.s_[23950:24050]) - 8192).max() <= 2


@pytest.mark.parametrize(
    ("layout", "weights"),
    [
        ("stereo", (0.5, 0.5)),
        # FL FR FC LFE BL BR: centre 1, front 0.71, back 0.5, bass 0, of a sum of 3.41.
        ("5.1", (0.2071, 0.2071, 0.2929, 0, 0.1464, 0.1464)),
    ],
)
def test_channels_are_mixed_by_known_weights(layout, weights):
    for channel, weight in enumerate(weights):
        wave = np.zeros((len(weights), 9600), np.float32)
        wave[channel] = 0.5
        samples = joined(resample(sound_frames(wave, 48000, layout), 48000), 9600)
        assert np.abs(samples - weight * 16384).max() < 20


@pytest.mark.parametrize(("form", "scale"), [("fltp", 1), ("s16p", 32768)])
def test_channels_without_a_place_count_alike(form, scale):
    wave = np.zeros((3, 9600))
    wave[1], wave[2] = 0.5, 0.25
    wave = (wave * scale).astype(np.float32 if scale == 1 else np.int16)
    samples = joined(resample(sound_frames(wave, 48000, "3 channels", form), 48000), 9600)
    assert np.abs(samples - 8192).max() <= 1


@pytest.mark.parametrize("seed", range(10))
def test_window_against_one_long_array(seed):
    rng = np.random.default_rng(seed)
    whole = np.zeros(5000, np.int16)
    pieces, position = [], int(rng.integers(-100, 200))
    while position < 4500:
        length = int(rng.integers(1, 300))
        values = rng.integers(1, 1000, length).astype(np.int16)
        pieces.append((position, values))
        for i, value in enumerate(values):
            if position + i >= 0:
                whole[position + i] = value
        end = position + length
        position = end + int(rng.choice([0, 0, 0, 150]))
    window = SampleWindow(iter(pieces))
    for first in range(0, 6000, 250):
        expected = whole[:end][first : first + 250]
        np.testing.assert_array_equal(window.read(first, first + 250), expected)
    assert window.end == end
