"""Real videos against PyAV's plain decoding, TensorFlow's scaling and SciPy's resampling."""

from fractions import Fraction

import av
import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import resample_poly

from avc import encoding
from avc.media import MediaConfig, probe, read_clips

NAMES = (
    "bbaf2n.mpg",
    "bento.mp4",
    "big_buck_bunny_432_433.webm",
    "bigbuckbunny.mp4",
    "id2_vcd_swwp2s.mpg",
    "nasa_13013.mp4",
    "sintel_5s.mp4",
    "tfio_small.mp4",
)
# FL FR FC LFE BL BR, as in the test of the weights.
MIX = {1: (1.0,), 2: (0.5, 0.5), 6: (0.2071, 0.2071, 0.2929, 0.0, 0.1464, 0.1464)}
pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module", params=NAMES)
def path(request, real_data):
    return str(real_data / "media" / request.param)


@pytest.fixture(scope="module")
def clips(path):
    return list(read_clips(path, MediaConfig(clip_seconds=2.0)))


def largest(container):
    return max(container.streams.video, key=lambda stream: stream.width)


def plain_frames(path):
    """(time since the first, RGB) of all pictures of the largest video stream."""
    with av.open(path) as container:
        stream = largest(container)
        frames = [(f.pts * stream.time_base, f) for f in container.decode(stream)]
    return [(time - frames[0][0], frame) for time, frame in frames], frames[0][0]


def plain_sound(path):
    """Mono samples in [-1, 1], their rate, and when they begin."""
    with av.open(path) as container:
        stream = max(container.streams.audio, key=lambda stream: stream.rate)
        frames = list(container.decode(stream))
    samples = np.concatenate([f.to_ndarray() for f in frames], axis=1).astype(np.float64)
    if frames[0].format.name.startswith("s16"):
        samples /= 32768
    mixed = np.tensordot(MIX[len(samples)], samples, 1)
    return mixed, stream.rate, frames[0].pts * stream.time_base


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-3))


def test_every_frame_is_the_one_shown_at_its_time(path, clips):
    frames, _ = plain_frames(path)
    source = probe(path)
    checked = compared = 0
    for clip in clips:
        begin = round(clip.start_seconds * 25)
        assert clip.frame_seconds[0] == 0
        steps = np.round(clip.frame_seconds * 25).astype(int)
        np.testing.assert_allclose(clip.frame_seconds, steps / 25)
        # Each step of the grid has the latest picture; rounded stamps are 1 ms late at most.
        shown = [
            max(i for i, (t, _) in enumerate(frames) if t <= Fraction(begin + int(k), 25) + 0.001)
            for k in range(int(steps[-1]) + 1)
        ]
        changes = [k for k in range(len(shown)) if k == 0 or shown[k] != shown[k - 1]]
        assert steps.tolist() == changes
        for step, data in list(zip(steps, clip.frames, strict=True))[::9]:
            rgb = tf.io.decode_jpeg(data).numpy()
            assert min(rgb.shape[:2]) == 256
            assert rgb.shape[1] / rgb.shape[0] == pytest.approx(
                source.width / source.height, abs=0.01
            )
            i = shown[step]

            def scaled(index, shape=rgb.shape[:2]):
                frame = frames[min(max(index, 0), len(frames) - 1)][1]
                if frame.colorspace == 2 and frame.width >= 1280:
                    frame.colorspace = 1
                picture = frame.to_ndarray(format="rgb24")
                return tf.image.resize(picture, shape, "bicubic", antialias=True).numpy()

            score = psnr(rgb, scaled(i))
            assert score > 27
            # Going from a neighbour to this picture, it lies at 1, the neighbour at 0.
            for other in (i - 1, i + 1):
                difference = scaled(i) - scaled(other)
                if np.mean(difference**2) > 2:
                    share = np.sum((rgb - scaled(other)) * difference) / np.sum(difference**2)
                    assert 0.5 < share < 1.5
                    compared += 1
            checked += 1
    assert checked >= 2 and compared >= 1


def test_the_sound_is_that_of_the_same_seconds(path, clips):
    samples = np.concatenate([clip.samples for clip in clips]).astype(np.float64)
    _, origin = plain_frames(path)
    plain, rate, begin = plain_sound(path)
    ratio = Fraction(48000, rate)
    expected = resample_poly(plain, ratio.numerator, ratio.denominator) * 32768
    offset = round((begin - origin) * 48000)
    assert not samples[: max(0, offset)].any()
    if offset > 0:
        expected = np.concatenate([np.zeros(offset), expected])
    expected = np.clip(expected[max(0, -offset) :], -32768, 32767)
    length = min(len(samples), len(expected)) - 64
    scores = {
        lag: np.corrcoef(samples[64:length], expected[64 + lag : length + lag])[0, 1]
        for lag in range(-40, 41)
    }
    assert max(scores, key=scores.get) == 0
    assert scores[0] > 0.999


def test_lengths_add_up(path, clips):
    assert all(len(clip.samples) == 96000 for clip in clips[:-1])
    duration = probe(path).duration_seconds
    length = sum(len(clip.samples) for clip in clips) / 48000
    assert length == pytest.approx(duration, abs=0.05)


def test_starts_give_the_same(path, clips):
    starts = [clip.start_seconds for clip in clips][::-1]
    parts = list(read_clips(path, MediaConfig(clip_seconds=2.0), starts))
    for whole, part in zip(clips[::-1], parts, strict=True):
        assert part.frames == whole.frames
        atol = 2 if path.endswith(".mpg") else 0
        np.testing.assert_allclose(part.samples, whole.samples, atol=atol)


def test_sound_is_smaller_as_flac(clips):
    samples = np.concatenate([clip.samples for clip in clips])
    data = encoding.encode_flac(samples, 48000)
    np.testing.assert_array_equal(encoding.decode_audio(data, "flac"), samples)
    assert len(data) < 0.9 * samples.nbytes


def test_the_best_of_several_streams_is_taken(real_data):
    source = probe(str(real_data / "media" / "nasa_13013.mp4"))
    assert (source.width, source.height) == (480, 270)
    assert source.sample_rate_hz == 16000
