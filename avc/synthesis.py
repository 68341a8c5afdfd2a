"""Sounds of ten classes, computed: each a class of sounds and not one recording.

A sound has a voice (pitch and timbre, two numbers in [0, 1)) and a course (when it
strikes, calls or turns), drawn anew each time. Splits draw voices from disjoint bands,
so a voice heard in a test is none of the training's. Continuous sounds (engine, rain,
siren) last; the others are made of strokes, at least one in every second.
"""

from collections.abc import Callable

import numpy as np

SAMPLE_RATE_HZ = 48000
_TABLE = 2048  # samples of one period
_Voice = tuple[float, float]


def synthesize(
    name: str, num_samples: int, pitch: float, timbre: float, rng: np.random.Generator
) -> np.ndarray:
    """Computes a sound of a class.

    Args:
      name: one of `NAMES`.
      num_samples: at 48 kHz.
      pitch: in [0, 1), from the class's lowest to its highest.
      timbre: in [0, 1).
      rng: decides everything else.

    Returns:
      float32 [num_samples], audible from near its start, of any level.
    """
    return _VOICES[name](num_samples, (pitch, timbre), rng).astype(np.float32)


def _between(low: float, high: float, part: float) -> float:
    """The number a part of the way from low to high, in equal ratios."""
    return low * (high / low) ** part


def _harmonics(phase: np.ndarray, amplitudes: np.ndarray) -> np.ndarray:
    """Sum of sines of 1, 2, ... times a phase, which is in cycles."""
    cycle = 2 * np.pi * np.arange(_TABLE) / _TABLE
    orders = np.arange(1, len(amplitudes) + 1)
    table = (amplitudes @ np.sin(np.outer(orders, cycle))).astype(np.float32)
    return table[(phase * _TABLE).astype(np.int64) & (_TABLE - 1)]


def _amplitudes(
    count: int, slope: float, timbre: float, odd: float = 1.0, highest_hz: float = 100.0
) -> np.ndarray:
    """Falling with order ** -slope; timbre moves a formant; none is above half the rate."""
    orders = np.arange(1, count + 1)
    formant = 1 + 2 * np.exp(-((orders - 1 - timbre * (count - 1)) ** 2) / (0.1 * count + 0.5))
    heard = orders * highest_hz < 0.45 * SAMPLE_RATE_HZ
    return orders**-slope * formant * np.where(orders % 2, 1.0, odd) * heard


def _phase(frequency_hz: np.ndarray) -> np.ndarray:
    return np.cumsum(frequency_hz) / SAMPLE_RATE_HZ


def _seconds(num_samples: int) -> np.ndarray:
    return np.arange(num_samples) / SAMPLE_RATE_HZ


def _curve(num_samples: int, steps_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A random course in [-1, 1] that turns `steps_hz` times a second."""
    knots = rng.uniform(-1, 1, int(num_samples / SAMPLE_RATE_HZ * steps_hz) + 3)
    return np.interp(_seconds(num_samples) * steps_hz, np.arange(len(knots)), knots)


def _noise(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(num_samples, np.float32)


def _band_noise(
    num_samples: int, low_hz: float, high_hz: float, slope: float, rng: np.random.Generator
) -> np.ndarray:
    """Noise of one band whose amplitude falls with frequency ** -slope; rms is near 1."""
    size = 1 << max(8, (num_samples - 1).bit_length())
    low, high = (int(f / SAMPLE_RATE_HZ * size) for f in (low_hz, high_hz))
    low = max(low, 1)
    high = min(max(high, low + 2), size // 2)
    weights = (np.arange(low, high) / low) ** -slope
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    parts = rng.standard_normal((2, high - low), np.float32)
    spectrum[low:high] = weights * (parts[0] + 1j * parts[1])
    noise = np.fft.irfft(spectrum, size)[:num_samples]
    return noise / (np.sqrt(np.mean(noise**2)) + 1e-12)


def _place(num_samples: int, strokes: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Adds sounds that begin at the given seconds; what hangs over the end is cut."""
    total = np.zeros(num_samples, np.float32)
    for seconds, stroke in strokes:
        start = int(seconds * SAMPLE_RATE_HZ)
        length = min(len(stroke), num_samples - start)
        if length > 0:
            total[start : start + length] += stroke[:length]
    return total


def _beats(
    num_samples: int, rate_hz: float, jitter: float, rng: np.random.Generator
) -> list[float]:
    """Seconds of strokes at a rate, each off by up to `jitter` of the time between two."""
    count = int(num_samples / SAMPLE_RATE_HZ * rate_hz) + 1
    times = (np.arange(count) + rng.uniform(0, jitter, count)) / rate_hz
    return [float(t) for t in times + rng.uniform(0, 0.06)]


def _bell(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(300, 1100, voice[0])
    ratios = np.array([0.5, 1.0, 1.19, 1.5 + 0.1 * voice[1], 2.0, 2.51, 3.0 + 0.3 * voice[1], 4.1])
    decays = rng.uniform(0.35, 1.1) / np.sqrt(ratios)
    t = _seconds(int(1.6 * SAMPLE_RATE_HZ))
    phases = rng.uniform(0, 1, len(ratios))
    partials = [
        np.exp(-t / decay) * np.sin(2 * np.pi * (ground * ratio * t + phase)) / (1 + k / 3)
        for k, (ratio, decay, phase) in enumerate(zip(ratios, decays, phases, strict=True))
    ]
    stroke = (np.sum(partials, axis=0) * np.minimum(t / 0.002, 1)).astype(np.float32)
    beats = _beats(num_samples, rng.uniform(1.2, 2.6), 0.1, rng)
    return _place(num_samples, [(beat, rng.uniform(0.6, 1) * stroke) for beat in beats])


def _bird(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(2600, 5600, voice[0])
    strokes, now = [], rng.uniform(0, 0.05)
    while now < num_samples / SAMPLE_RATE_HZ:
        # A call: some chirps of one shape.
        length, rise = rng.uniform(0.04, 0.14), rng.uniform(-0.4, 0.4)
        bend = (voice[1] - 0.5) * 0.8
        part = np.linspace(0, 1, int(length * SAMPLE_RATE_HZ))
        course = ground * (1 + rise * (part - 0.5) + bend * np.sin(np.pi * part))
        chirp = _harmonics(_phase(course), np.array([1.0, 0.12 * voice[1]]))
        chirp *= np.sin(np.pi * part) ** 0.7
        for _ in range(rng.integers(2, 7)):
            strokes.append((now, rng.uniform(0.6, 1) * chirp))
            now += length + rng.uniform(0.015, 0.07)
        now += rng.uniform(0.08, 0.35)
    return _place(num_samples, strokes)


def _clock(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    t = _seconds(int(0.06 * SAMPLE_RATE_HZ))
    strokes = []
    for k, beat in enumerate(_beats(num_samples, rng.uniform(2.0, 5.0), 0.02, rng)):
        # Tick and tock.
        ground = _between(1800, 4200, voice[0]) * (0.82 if k % 2 else 1.0)
        tone = np.sin(2 * np.pi * ground * t) + 0.6 * np.sin(2 * np.pi * 2.37 * ground * t)
        click = tone * np.exp(-t / (0.004 + 0.008 * voice[1]))
        click += 0.7 * _noise(len(t), rng) * np.exp(-t / 0.0015)
        strokes.append((beat, rng.uniform(0.9, 1) * click))
    return _place(num_samples, strokes)


def _dog(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(220, 620, voice[0])
    amplitudes = _amplitudes(16, 0.5, 0.1 + 0.35 * voice[1], highest_hz=1.5 * ground)
    strokes, now = [], rng.uniform(0, 0.05)
    while now < num_samples / SAMPLE_RATE_HZ:
        for _ in range(rng.integers(1, 4)):
            part = np.linspace(0, 1, int(rng.uniform(0.12, 0.22) * SAMPLE_RATE_HZ))
            course = ground * rng.uniform(0.93, 1.07) * (0.75 + 0.6 * np.sin(np.pi * part**0.6))
            rough = 1 + 0.5 * _curve(len(part), 120, rng)
            bark = _harmonics(_phase(course * (1 + 0.02 * rough)), amplitudes) * rough
            bark += 0.8 * _band_noise(len(part), 500, 4000, 0.5, rng)
            strokes.append((now, bark * np.minimum(part / 0.08, 1) * (1 - part) ** 0.8))
            now += len(part) / SAMPLE_RATE_HZ + rng.uniform(0.05, 0.2)
        now += rng.uniform(0.1, 0.4)
    return _place(num_samples, strokes)


def _drum(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(70, 210, voice[0])
    t = _seconds(int(0.5 * SAMPLE_RATE_HZ))
    course = ground * (1 + 0.8 * np.exp(-t / 0.025))
    skin = np.sin(2 * np.pi * _phase(course)) + 0.5 * np.sin(2 * np.pi * 1.59 * _phase(course))
    skin *= np.exp(-t / rng.uniform(0.07, 0.16))
    strokes = []
    for beat in _beats(num_samples, rng.uniform(2.5, 7.0), 0.15, rng):
        stroke = skin.astype(np.float32)
        head = int(0.08 * SAMPLE_RATE_HZ)
        rattle = _noise(head, rng) * np.exp(-t[:head] / 0.015)
        stroke[:head] += (0.15 + 0.7 * voice[1]) * rattle.astype(np.float32)
        strokes.append((beat, rng.uniform(0.4, 1) * stroke))
    return _place(num_samples, strokes)


def _engine(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    course = _between(28, 85, voice[0]) * (1 + 0.12 * _curve(num_samples, 1.2, rng))
    amplitudes = _amplitudes(40, 0.7, 0.1 + 0.4 * voice[1], odd=0.6)
    # Uneven amplitudes that belong to the timbre: the same voice has the same ones.
    amplitudes *= np.random.default_rng(int(voice[1] * 1e6)).uniform(0.3, 1.0, 40)
    phase = _phase(course)
    tone = _harmonics(phase, amplitudes) * (1 + 0.5 * np.sin(np.pi * phase))
    return tone / (tone.std() + 1e-9) + 0.35 * _band_noise(num_samples, 60, 2500, 0.6, rng)


def _guitar(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(98, 220, voice[0])
    t = _seconds(int(0.9 * SAMPLE_RATE_HZ))
    place = 0.12 + 0.2 * voice[1]  # where the string is plucked
    strokes, notes = [], {}
    for beat in _beats(num_samples, rng.uniform(2.5, 5.5), 0.08, rng):
        step = int(rng.choice([0, 3, 5, 7, 10, 12, 15]))
        if step not in notes:
            pitch = ground * 2 ** (step / 12)
            # Higher partials die sooner.
            bright = np.exp(-t / 0.05)
            orders = np.arange(1, 19)
            weights = np.sin(np.pi * orders * place) / orders
            dull = _harmonics(pitch * t, weights * np.exp(-orders / 3))
            note = dull * np.exp(-t / 0.4) + bright * _harmonics(pitch * t, weights)
            notes[step] = (note * np.minimum(t / 0.001, 1)).astype(np.float32)
        strokes.append((beat, rng.uniform(0.5, 1) * notes[step]))
    return _place(num_samples, strokes)


def _rain(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    low = _between(300, 1500, voice[0])
    hiss = _band_noise(num_samples, low, 15000, 0.1 + 0.5 * voice[1], rng)
    hiss *= 1 + 0.15 * _curve(num_samples, 3, rng)
    drops = np.zeros(num_samples, np.float32)
    where = rng.integers(0, num_samples, int(num_samples / SAMPLE_RATE_HZ * rng.uniform(20, 80)))
    drops[where] = rng.uniform(-1, 1, len(where))
    t = _seconds(240)
    patter = np.convolve(drops, np.sin(2 * np.pi * 2500 * t) * np.exp(-t / 0.0012))
    return hiss + 4 * patter[:num_samples]


def _siren(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    low, span = _between(380, 760, voice[0]), rng.uniform(1.6, 2.2)
    turn = _seconds(num_samples) * rng.uniform(0.5, 3.0) + rng.random()
    kind = rng.integers(3)
    if kind == 0:  # wail
        course = 0.5 - 0.5 * np.cos(2 * np.pi * turn)
    elif kind == 1:  # yelp
        course = turn % 1
    else:  # two tones
        course = np.clip(4 * np.sin(2 * np.pi * turn), -0.5, 0.5) + 0.5
    amplitudes = _amplitudes(9, 0.9, 0.5 * voice[1], odd=0.4, highest_hz=low * span)
    return _harmonics(_phase(low * span**course), amplitudes)


def _whistle(num_samples: int, voice: _Voice, rng: np.random.Generator) -> np.ndarray:
    ground = _between(1900, 3300, voice[0])
    trill = rng.uniform(22, 45)
    strokes, now = [], rng.uniform(0, 0.05)
    while now < num_samples / SAMPLE_RATE_HZ:
        part = _seconds(int(rng.uniform(0.25, 0.8) * SAMPLE_RATE_HZ))
        pea = np.sin(2 * np.pi * (trill * part + rng.random()))
        course = ground * (1 + 0.03 * pea - 0.15 * np.exp(-part / 0.02))
        blow = _harmonics(_phase(course), np.array([1.0, 0.15, 0.3 * voice[1]]))
        blow = (0.65 + 0.35 * pea) * blow + 0.12 * _band_noise(len(part), 2000, 7000, 0.3, rng)
        edges = np.minimum(np.minimum(part, part[::-1]) / 0.015, 1)
        strokes.append((now, blow * edges))
        now += len(part) / SAMPLE_RATE_HZ + rng.uniform(0.06, 0.3)
    return _place(num_samples, strokes)


_VOICES: dict[str, Callable[[int, _Voice, np.random.Generator], np.ndarray]] = {
    "bell": _bell,
    "bird": _bird,
    "clock": _clock,
    "dog": _dog,
    "drum": _drum,
    "engine": _engine,
    "guitar": _guitar,
    "rain": _rain,
    "siren": _siren,
    "whistle": _whistle,
}
NAMES = tuple(_VOICES)
