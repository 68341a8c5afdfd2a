"""Words of a made-up language: sequences of syllables, band-limited and computed.

A syllable is a voiced sound with two resonances, as a vowel is; a word is three of them, and
no two words are alike. A voice has a pitch and a length of its throat, two numbers in [0, 1)
that splits draw from disjoint bands, so that a voice heard in a test is none of the training's.
"""

import itertools

import numpy as np

# Resonances of the syllables, all pairs of these.
LOW_HZ, HIGH_HZ = (320.0, 480.0, 680.0, 900.0), (1250.0, 1900.0, 2900.0)
SYLLABLES = 3
WORD_SECONDS = 0.36
_FADE = 0.15  # of a syllable, at either end
_HARMONICS = 40


def spelling(number: int) -> tuple[int, ...]:
    """The syllables of word number 0, 1, 2, ...: three different ones of twelve.

    Raises:
      IndexError: there are no more than 1320 words.
    """
    return _SPELLINGS[number]


def _spellings() -> list[tuple[int, ...]]:
    """All words, in an order in which neighbours have little in common."""
    words = list(itertools.permutations(range(len(LOW_HZ) * len(HIGH_HZ)), SYLLABLES))
    return [words[i] for i in np.random.default_rng(0).permutation(len(words))]


def speak(
    number: int, sample_rate_hz: int, pitch: float, throat: float, rng: np.random.Generator
) -> np.ndarray:
    """Computes a word as one voice says it.

    Args:
      number: of the word.
      sample_rate_hz: of the sound.
      pitch: of the voice in [0, 1), from 90 to 220 Hz.
      throat: in [0, 1): resonances lie up to 8 % lower or higher.
      rng: decides on pace and melody.

    Returns:
      float32 `[num_samples]`, about WORD_SECONDS long, of a root mean square of 1.
    """
    base = 90 * (220 / 90) ** pitch
    syllables = [
        _syllable(
            each, sample_rate_hz, WORD_SECONDS / SYLLABLES * rng.uniform(0.85, 1.15),
            base * rng.uniform(0.92, 1.08), 0.92 + 0.16 * throat, rng,
        )
        for each in spelling(number)
    ]
    word = np.concatenate(syllables)
    return (word / np.sqrt(np.mean(np.square(word)))).astype(np.float32)


def _syllable(
    number: int, rate: int, seconds: float, pitch_hz: float, stretch: float,
    rng: np.random.Generator,
) -> np.ndarray:
    low, high = LOW_HZ[number % len(LOW_HZ)], HIGH_HZ[number // len(LOW_HZ)]
    time = np.arange(round(seconds * rate)) / rate
    glide = 1 + rng.uniform(-0.06, 0.06) * time / seconds
    harmonics = np.arange(1, _HARMONICS + 1) * pitch_hz
    loudness = sum(
        gain * np.exp(-0.5 * ((harmonics - stretch * middle) / width) ** 2)
        for middle, width, gain in ((low, 90.0, 1.0), (high, 160.0, 0.6))
    )
    loudness *= harmonics < 0.45 * rate
    phase = 2 * np.pi * pitch_hz * np.cumsum(glide) / rate
    orders = np.arange(1, _HARMONICS + 1)
    sound = loudness @ np.sin(np.outer(orders, phase) + rng.uniform(0, 2 * np.pi, (_HARMONICS, 1)))
    fade = np.clip(np.minimum(time, seconds - time) / (_FADE * seconds), 0, 1)
    return sound * fade


_SPELLINGS = _spellings()
