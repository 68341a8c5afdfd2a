"""Computed sounds: what each class must sound like, and that a class is not one recording."""

import itertools

import numpy as np
import pytest
from scipy import signal
from sklearn.linear_model import LogisticRegression

from avc import scene_world, scenes, synthesis

RATE = 48000


def sounds(name, count, seconds=2.0, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield synthesis.synthesize(name, int(seconds * RATE), rng.random(), rng.random(), rng)


def spectrum(sound):
    """Frequencies in Hz and the share of power in each, by SciPy."""
    frequencies, power = signal.welch(sound, RATE, nperseg=4096)
    return frequencies, power / power.sum()


def strongest_hz(sound):
    frequencies, power = spectrum(sound)
    return frequencies[power.argmax()]


def crest_decibels(sound):
    return 20 * np.log10(np.abs(sound).max() / np.sqrt(np.mean(sound**2)))


@pytest.mark.parametrize(("name", "low", "high"), [
    ("bell", 140, 4600),
    ("bird", 1500, 9000),
    ("clock", 1300, 10500),
    ("dog", 130, 6000),
    ("drum", 50, 700),
    ("engine", 20, 2600),
    ("guitar", 80, 2500),
    ("rain", 280, 15500),
    ("siren", 350, 8000),
    ("whistle", 1500, 3800),
])
def test_a_class_has_its_range_of_frequencies(name, low, high):
    for sound in sounds(name, 6):
        assert low < strongest_hz(sound) < high


def test_rain_is_noise_and_tones_are_not():
    """Spectral flatness: the geometric over the arithmetic mean of the power."""
    for name in synthesis.NAMES:
        for sound in sounds(name, 3):
            frequencies, power = spectrum(sound)
            power = power[(frequencies > 2000) & (frequencies < 12000)] + 1e-15
            flatness = np.exp(np.log(power).mean()) / power.mean()
            assert (flatness > 0.4) == (name == "rain") or name in ("dog", "drum", "clock"), name


def test_strokes_have_high_peaks_and_lasting_sounds_have_not():
    for name, low, high in (("clock", 20, 40), ("drum", 12, 30), ("engine", 4, 16),
                            ("siren", 2, 9), ("rain", 9, 24)):
        for sound in sounds(name, 5):
            assert low < crest_decibels(sound) < high, name


@pytest.mark.parametrize("name", ["bell", "bird", "clock", "drum", "guitar", "siren", "whistle"])
def test_pitch_raises_the_frequency(name):
    low, high = (
        strongest_hz(synthesis.synthesize(name, 2 * RATE, pitch, 0.4, np.random.default_rng(3)))
        for pitch in (0.05, 0.95)
    )
    assert high > 1.25 * low


def test_bells_ring_down_and_engines_go_on():
    """Loudness falls between strokes, that of an engine does not."""

    def ratio(sound):
        steps = sound[: len(sound) // 2400 * 2400].reshape(-1, 2400)
        loudness = np.sqrt(np.mean(steps**2, axis=1))
        return np.quantile(loudness, 0.1) / np.quantile(loudness, 0.9)

    assert np.mean([ratio(s) for s in sounds("bell", 5)]) < 0.6
    assert np.mean([ratio(s) for s in sounds("drum", 5)]) < 0.3
    assert min(ratio(s) for s in sounds("engine", 5)) > 0.4


@pytest.mark.parametrize("name", synthesis.NAMES)
def test_every_second_is_audible_and_no_two_are_alike(name):
    found = list(sounds(name, 8, seconds=3))
    for sound in found:
        assert sound.dtype == np.float32 and len(sound) == 3 * RATE and np.isfinite(sound).all()
        loudest = np.sqrt(np.mean(sound**2))
        for start in range(0, 2 * RATE + 1, RATE // 4):
            assert np.sqrt(np.mean(sound[start : start + RATE] ** 2)) > 0.1 * loudest
        # Audible from near its start.
        assert np.abs(sound[: int(0.25 * RATE)]).max() > 0.05 * np.abs(sound).max()
    spectra = np.log(np.array([spectrum(sound)[1] for sound in found]) + 1e-12)
    apart = [np.abs(a - b).mean() for i, a in enumerate(spectra) for b in spectra[:i]]
    assert min(apart) > 0.1


@pytest.mark.parametrize("length", [1, 479, 4801])
def test_short_sounds_are_of_the_length_asked_for(length):
    for name in synthesis.NAMES:
        sound = synthesis.synthesize(name, length, 0.5, 0.5, np.random.default_rng(0))
        assert sound.shape == (length,) and np.isfinite(sound).all()


def band_levels(sound):
    """Mean and deviation over time of 24 logarithmic bands, in dB."""
    frequencies, _, spectra = signal.stft(sound, RATE, nperseg=1024)
    edges = np.searchsorted(frequencies, np.geomspace(60, 20000, 25))
    power = np.abs(spectra) ** 2
    bands = [power[a : max(b, a + 1)].sum(axis=0) for a, b in itertools.pairwise(edges)]
    levels = 10 * np.log10(np.array(bands) / power.mean() + 1e-5)
    return np.concatenate([levels.mean(axis=1), levels.std(axis=1)]) / 10


def test_classes_are_told_on_voices_never_heard():
    """Learnt on the training's voices, tried on the test's; ten classes, so chance is 0.1."""
    features = {split: ([], []) for split in ("train", "test")}
    for split, count in (("train", 40), ("test", 20)):
        for number, name in enumerate(synthesis.NAMES):
            rng = np.random.default_rng([number, count])
            for _ in range(count):
                sound = scene_world.synthesize_voice(name, RATE, split, rng)
                features[split][0].append(band_levels(sound))
                features[split][1].append(name)
    model = LogisticRegression(max_iter=300).fit(*features["train"])
    assert model.score(*features["test"]) > 0.95


def test_splits_have_no_voice_in_common(monkeypatch):
    voices = {split: [] for split in scenes.SPLITS}

    def note(name, num_samples, pitch, timbre, rng):
        voices[split].append((pitch, timbre))
        return np.zeros(num_samples, np.float32)

    monkeypatch.setattr(synthesis, "synthesize", note)
    for split in scenes.SPLITS:
        rng = np.random.default_rng(0)  # the same stream for all: the bands must do it
        for _ in range(2000):
            scene_world.synthesize_voice("bell", 1, split, rng)
    bands = {
        split: {(int(20 * number), place) for voice in voices[split]
                for place, number in enumerate(voice)}
        for split in voices
    }
    assert not bands["train"] & bands["test"]
    assert not bands["train"] & bands["validation"]
    assert not bands["validation"] & bands["test"]
    assert len(bands["train"] | bands["test"] | bands["validation"]) == 40
    # Both ends of the range occur in training, and the test reaches nearly as far.
    pitches = {split: [pitch for pitch, _ in voices[split]] for split in voices}
    assert min(pitches["train"]) < 0.01 and max(pitches["train"]) > 0.99
    assert min(pitches["test"]) < 0.2 and max(pitches["test"]) > 0.9
