import numpy as np
import pytest
import tensorflow as tf
import tensorflow_io as tfio

from avc import encoding
from crossmodal.errors import ConfigurationError, UserError


def noise(count, seed=0):
    samples = np.random.default_rng(seed).normal(0, 3000, count)
    return samples.round().astype(np.int16)


@pytest.mark.parametrize("count", [0, 1, 17, 4608, 4609, 48000])
@pytest.mark.parametrize("sample_rate_hz", [16000, 48000])
def test_flac_is_lossless(count, sample_rate_hz):
    samples = noise(count)
    samples[:2] = (-32768, 32767)[:count]
    data = encoding.encode_flac(samples, sample_rate_hz)
    assert data == encoding.encode_flac(samples.copy(), sample_rate_hz)
    np.testing.assert_array_equal(encoding.decode_audio(data, "flac"), samples)
    if count:
        in_graph = tfio.audio.decode_flac(data, dtype="int16").numpy()
        np.testing.assert_array_equal(in_graph, samples[:, None])
    assert int.from_bytes(data[18:21], "big") >> 4 == sample_rate_hz
    assert len(data) < 2 * count + 200


def test_flac_of_other_than_mono_int16_is_refused():
    with pytest.raises(ValueError, match="int16"):
        encoding.encode_flac(np.zeros(5, np.float32), 48000)
    with pytest.raises(ValueError, match="int16"):
        encoding.encode_flac(np.zeros((5, 2), np.int16), 48000)


def test_pcm_is_little_endian():
    assert encoding.decode_audio(b"\x01\x00\x00\x80", "pcm16").tolist() == [1, -32768]


def test_bad_audio_is_said_in_a_line():
    with pytest.raises(UserError, match="not a FLAC file"):
        encoding.decode_audio(b"no sound at all", "flac")
    with pytest.raises(UserError, match="two bytes a sample"):
        encoding.decode_audio(b"abc", "pcm16")
    with pytest.raises(ConfigurationError, match="mp3"):
        encoding.decode_audio(b"", "mp3")


def test_jpeg_keeps_colours():
    rgb = np.zeros((243, 321, 3), np.uint8)
    rgb[:, :160], rgb[:, 160:] = (200, 30, 90), (10, 160, 220)
    data = encoding.encode_jpeg(rgb)
    assert data == encoding.encode_jpeg(rgb.copy())
    assert len(encoding.encode_jpeg(rgb, 50)) < len(data)
    decoded = tf.io.decode_and_crop_jpeg(data, [10, 0, 224, 321], channels=3).numpy()
    assert np.abs(decoded[:, 4:150].astype(int) - (200, 30, 90)).max() <= 2
    assert np.abs(decoded[:, 170:].astype(int) - (10, 160, 220)).max() <= 2
