"""The log-spectrogram against float64 references, hand-made sounds and a second backend."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
import tensorflow_io as tfio

from avc.recipes import recipe
from avc.spectrogram import FrameCount, LogSpectrogram, SpectrogramConfig
from crossmodal.errors import ConfigurationError

PLAIN = SpectrogramConfig(mean=0.0, deviation=1.0)


def waveforms(number=3, samples=48_000, seed=0):
    """Noise of different loudness on a chirp."""
    rng = np.random.default_rng(seed)
    chirp = 0.5 * np.sin(np.cumsum(np.linspace(0, 3, samples)))
    loudness = 10.0 ** -np.arange(number)[:, None]
    return (loudness * (chirp + rng.uniform(-0.5, 0.5, (number, samples)))).astype("float32")


def spectrum(waveform, config=PLAIN):
    """What the layer gives, brought back to magnitude or power: float64 [batch, f, t]."""
    picture = np.asarray(LogSpectrogram(config)(waveform), np.float64)
    assert picture.shape[-1] == 1
    return np.exp(picture[..., 0] * config.deviation + config.mean) - config.epsilon


def direct(waveform, window, hop, fft_length):
    """The defining sum of the Fourier transform, frame by frame, in float64."""
    frames = -(-waveform.shape[-1] // hop)
    angle = -2j * np.pi * np.outer(np.arange(fft_length // 2 + 1), np.arange(len(window)))
    basis = np.exp(angle / fft_length) * window
    padded = np.pad(waveform.astype(np.float64), [(0, 0), (0, len(window))])
    columns = [padded[:, k * hop : k * hop + len(window)] @ basis.T for k in range(frames)]
    return np.abs(np.stack(columns, -1))


def assert_close(actual, magnitude):
    """Equal but for float32's rounding, which the frame's loudest bins set."""
    error = np.abs(actual - magnitude) / (1e-3 + magnitude.max(-2, keepdims=True))
    assert error.max() < 1e-6


def test_equals_scipy_in_float64():
    x = waveforms()
    window = scipy.signal.get_window("hann", 480)
    _, _, expected = scipy.signal.stft(
        np.pad(x.astype(np.float64), [(0, 0), (0, 240)]),
        window=window,
        nperseg=480,
        noverlap=240,
        nfft=512,
        boundary=None,
        padded=False,
    )
    assert expected.shape == (3, 257, 200)
    assert_close(spectrum(x), np.abs(expected) * window.sum())


@pytest.mark.parametrize(
    "sizes",
    # Odd lengths, a hop that does not divide the window, an FFT of the window's length.
    [
        (48_000, 480, 240, 512),
        (48_000, 480, 200, 480),
        (48_010, 480, 240, 512),
        (700, 400, 160, 401),
    ],
)
@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_equals_the_defining_sum(sizes, window):
    samples, length, hop, fft_length = sizes
    config = SpectrogramConfig(
        window_seconds=length / 48_000,
        hop_seconds=hop / 48_000,
        fft_length=fft_length,
        window=window,
    )
    x = waveforms(2, samples)
    expected = direct(x, scipy.signal.get_window(window, length), hop, fft_length)
    assert expected.shape == (2, config.num_frequencies, config.num_frames(samples))
    assert_close(spectrum(x, config), expected)


def test_power_is_the_square_of_the_magnitude():
    x = waveforms(1)
    power = SpectrogramConfig(spectrum="power", mean=1.0, deviation=3.0, epsilon=1e-4)
    np.testing.assert_allclose(spectrum(x, power), spectrum(x) ** 2, rtol=1e-3, atol=1e-3)


def test_a_tone_is_in_its_bin_and_a_full_scale_one_reaches_a_quarter_of_the_window():
    time = np.arange(48_000) / 48_000
    for hertz in (750, 6_000, 20_250):  # multiples of 93.75 Hz
        tone = np.sin(2 * np.pi * hertz * time)[None].astype("float32")
        loud = spectrum(tone)[0, :, :-1]
        assert (loud.argmax(0) == hertz / 93.75).all()
        np.testing.assert_allclose(loud.max(0), 120, rtol=0.01)


def test_mel_bands_are_those_of_tensorflow_and_librosa():
    librosa = pytest.importorskip("librosa")
    config = dataclasses.replace(PLAIN, mel_bands=40, lowest_hz=80.0, highest_hz=16_000.0,
                                 window_seconds=0.04, fft_length=2048)
    x = waveforms()
    linear = spectrum(x, dataclasses.replace(config, mel_bands=0))
    theirs = tf.signal.linear_to_mel_weight_matrix(
        40, 1025, 48_000, 80.0, 16_000.0, tf.float64
    )
    expected = np.einsum("bft,fm->bmt", linear, theirs)
    assert_close(spectrum(x, config), expected)
    # librosa's triangles are straight in hertz, these on the Mel scale.
    also = librosa.filters.mel(sr=48_000, n_fft=2048, n_mels=40, fmin=80, fmax=16_000, htk=True,
                               norm=None)
    assert np.abs(config.mel_weights().T - also).max() < 0.1
    assert np.abs(config.mel_weights().argmax(0) - also.argmax(1)).max() <= 1


# DAVEnet's: 25 ms each 10 ms, 40 bands from 20 Hz, decibels of power.
DAVENET = recipe("davenet").network.audio


def filtered(waveform):
    """What the configuration does to a waveform, by SciPy in float64."""
    x = waveform.astype(np.float64)
    x = x - x.mean(1, keepdims=True)
    return scipy.signal.lfilter([1, -0.97], [1], x)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_davenets_bands_are_those_of_librosa_and_tensorflow_io(scale):
    librosa = pytest.importorskip("librosa")
    config = dataclasses.replace(DAVENET, mel_scale=scale)
    assert (config.window_samples, config.hop_samples, config.fft_length) == (400, 160, 400)
    x = waveforms(samples=32_000) + np.float32(0.1)
    padded = np.pad(filtered(x), [(0, 0), (0, 400)])
    power = np.abs(librosa.stft(padded, n_fft=400, hop_length=160, window="hamming",
                                center=False)[..., :200]) ** 2
    if scale == "slaney":
        bands = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=40, fmin=20, fmax=8000) @ power
    else:
        frames = power.transpose(0, 2, 1).reshape(-1, 201).astype(np.float32)
        found = tfio.audio.melscale(frames, rate=16_000, mels=40, fmin=20, fmax=8000)
        bands = np.asarray(found).reshape(3, 200, 40).transpose(0, 2, 1)
    expected = librosa.power_to_db(bands, ref=1.0, amin=config.epsilon, top_db=None)
    picture = np.asarray(LogSpectrogram(config)(x))[..., 0]
    assert picture.shape == (3, 40, 200)
    # The faintest of the three lies 40 dB below the loudest, where float32 rounds by more.
    np.testing.assert_allclose(picture, expected, atol=0.05)


def test_decibels_are_of_power_in_either_spectrum():
    x = waveforms(samples=8000)
    power = LogSpectrogram(dataclasses.replace(DAVENET, mel_bands=0))
    magnitude = LogSpectrogram(
        dataclasses.replace(DAVENET, mel_bands=0, spectrum="magnitude", epsilon=1e-5)
    )
    np.testing.assert_allclose(power(x), magnitude(x), atol=1e-2)
    np.testing.assert_allclose(power(0 * x), -100, atol=1e-3)


def test_columns_of_a_padded_sound_are_those_of_the_sound():
    x = waveforms(samples=8000) + np.float32(0.2)
    lengths = np.array([8000, 5001, 368], np.int32)
    layer = LogSpectrogram(DAVENET)
    found = np.asarray(layer(x, lengths))
    for row, length in enumerate(lengths):
        alone = np.asarray(layer(x[row : row + 1, :length]))[0]
        assert alone.shape[1] == DAVENET.num_frames(length) == int(FrameCount(160)(length))
        np.testing.assert_allclose(found[row, :, : alone.shape[1]], alone, atol=2e-3)


def test_silence_is_the_logarithm_of_epsilon():
    for config in (PLAIN, SpectrogramConfig(), SpectrogramConfig(epsilon=0.5, spectrum="power")):
        picture = np.asarray(LogSpectrogram(config)(np.zeros((2, 48_000), "float32")))
        expected = (np.log(config.epsilon) - config.mean) / config.deviation
        np.testing.assert_allclose(picture, expected, rtol=1e-6)


def test_an_impulse_is_in_the_windows_that_hold_it():
    x = np.zeros((3, 48_000), "float32")
    x[0, 1000] = x[1, 47_999] = x[2, 100] = 1.0
    window = scipy.signal.get_window("hann", 480)
    expected = np.zeros((3, 200))
    expected[0, [3, 4]] = window[1000 - 720], window[1000 - 960]
    expected[1, [198, 199]] = window[47_999 - 47_520], window[47_999 - 47_760]
    expected[2, 0] = window[100]
    for k in (0, 100, 256):  # an impulse has all frequencies alike
        np.testing.assert_allclose(spectrum(x)[:, k], expected, atol=2e-6)


def test_loudness_is_kept():
    quiet, loud = spectrum(waveforms(1) * 0.1), spectrum(waveforms(1))
    np.testing.assert_allclose(quiet, loud * 0.1, rtol=1e-3, atol=1e-5)


def model():
    inputs = keras.Input((48_000,), name="waveform")
    return keras.Model(inputs, LogSpectrogram()(inputs))


def test_the_default_is_the_papers_picture_without_weights():
    assert model().output.shape == (None, 257, 200, 1)
    assert model().count_params() == 0


def test_mixed_precision_changes_nothing():
    x = waveforms()
    expected = model().predict_on_batch(x)
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        mixed = model()
        assert mixed.output.dtype == "float32"
        np.testing.assert_array_equal(mixed.predict_on_batch(x), expected)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def test_survives_saving_and_export(tmp_path):
    x = waveforms()
    inputs = keras.Input((48_000,), name="waveform")
    other = SpectrogramConfig(spectrum="power", window="hamming", epsilon=1e-2, mean=1.0)
    whole = keras.Model(inputs, LogSpectrogram(other)(inputs))
    expected = whole.predict_on_batch(x)
    whole.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict_on_batch(x), expected)
    whole.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported").serve
    np.testing.assert_allclose(served(x), expected, atol=1e-6)
    assert served(x[:1]).shape == (1, 257, 200, 1)


IN_JAX = """
import sys
import keras
import numpy as np
from avc.spectrogram import LogSpectrogram
assert keras.backend.backend() == "jax"
inputs = keras.Input((48_000,))
model = keras.Model(inputs, LogSpectrogram()(inputs))
np.save(sys.argv[2], model.predict_on_batch(np.load(sys.argv[1])))
"""


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed")
def test_jax_gives_the_same_numbers(tmp_path):
    x = waveforms()
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", IN_JAX, tmp_path / "x.npy", tmp_path / "y.npy"]
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": path}
    subprocess.run(command, env=environment, check=True)
    picture = np.load(tmp_path / "y.npy").astype(np.float64)
    np.testing.assert_allclose(picture, LogSpectrogram()(x), atol=2e-3)
    default = SpectrogramConfig()
    magnitude = np.exp(picture[..., 0] * default.deviation + default.mean) - default.epsilon
    assert_close(magnitude, direct(x, scipy.signal.get_window("hann", 480), 240, 512))


@pytest.mark.parametrize(
    "fields",
    [
        {"fft_length": 479},
        {"hop_seconds": 0.0},
        {"hop_seconds": 240.5 / 48_000},
        {"epsilon": 0.0},
        {"deviation": 0.0},
        {"window": "triangle"},
        {"spectrum": "phase"},
        {"mel_bands": 128},  # of 94 Hz a bin the lowest bands hold none
        {"highest_hz": 25_000.0, "mel_bands": 20},
    ],
)
def test_refuses_what_no_spectrogram_can_be(fields):
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        SpectrogramConfig(**fields)
