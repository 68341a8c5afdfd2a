"""Sounds decoded in the graph, cut at any place and made louder without clipping."""

import numpy as np
import pytest
import tensorflow as tf

from avc.augmentation import adjust_loudness
from avc.encoding import encode_flac
from avc.sounds import cut_segments, decode_sound
from crossmodal.errors import ConfigurationError

RNG = np.random.default_rng(8)


@pytest.mark.parametrize("number", [1, 15, 4096, 50_001])
def test_both_encodings_give_the_samples_back(number):
    samples = RNG.integers(-(2**15), 2**15, number).astype(np.int16)
    samples[:1] = -(2**15)
    for encoding, data in (
        ("flac", encode_flac(samples, 48_000)),
        ("pcm16", samples.astype("<i2").tobytes()),
    ):
        decode = tf.function(lambda audio, encoding=encoding: decode_sound(audio, encoding))
        decoded = decode(tf.constant(data))
        assert decoded.dtype == tf.int16
        np.testing.assert_array_equal(decoded, samples)


def test_there_is_no_other_encoding():
    with pytest.raises(ConfigurationError, match="audio_encoding is 'mp3'"):
        decode_sound(tf.constant(b""), "mp3")


@pytest.mark.parametrize("number", [0, 3, 7, 40])
def test_pieces_are_the_sound_with_silence_around_it(number):
    samples = RNG.integers(1, 99, number).astype(np.int16)
    starts = [0, 1, -1, -6, -7, -8, -100, number - 7, number - 1, number, number + 50]
    silence = np.zeros(200, np.int16)
    padded = np.concatenate([silence, samples, silence])
    expected = [padded[200 + s : 207 + s] for s in starts]
    pieces = cut_segments(tf.constant(samples), tf.constant(starts), 7)
    assert pieces.dtype == tf.int16
    np.testing.assert_array_equal(pieces, expected)


def loudness(samples, gain):
    return np.asarray(adjust_loudness(np.int16(samples), np.float32(gain)))


def test_gain_scales_every_sound_by_its_own():
    samples = RNG.integers(-20_000, 20_000, (3, 1000))
    gain = np.array([0.9, 1.0, 1.1])
    expected = samples / 32768 * gain[:, None]
    np.testing.assert_allclose(loudness(samples, gain), expected, rtol=1e-6)


def test_gain_stops_where_the_peak_reaches_one():
    samples = [[16_384, -31_130, 8], [16_384, 31_130, 8], [100, -32_768, 0], [0, 0, 0]]
    actual = loudness(samples, [1.1, 1.1, 1.1, 1.1])
    # 31130 / 32768 * 1.1 would be 1.045.
    limit = np.array([32_768 / 31_130, 32_768 / 31_130, 1.0, 1.1])
    np.testing.assert_allclose(actual, np.array(samples) / 32768 * limit[:, None], rtol=1e-6)
    assert np.abs(actual).max() <= 1 + 1e-6
    softer = loudness(samples, [0.9, 0.9, 0.9, 0.9])
    np.testing.assert_allclose(softer, np.array(samples) / 32768 * 0.9, rtol=1e-6)
