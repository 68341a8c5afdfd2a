"""Pictures and sounds small enough for a page that holds hundreds of them.

A picture of 160 pixels takes about 8 kB, three seconds of AAC 24 kB.
"""

import dataclasses
import io
import wave

import av
import numpy as np
import tensorflow as tf

from avc import overlays, video_writer
from avc.encoding import encode_jpeg
from avc.spectrogram import LogSpectrogram, SpectrogramConfig
from crossmodal.cards import Picture, Sound
from crossmodal.configuration import check_choice, check_range

SOUNDS = ("aac", "wav")
# Rates of AAC; sound of others is written as WAV.
AAC_RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
AAC_BITS_PER_SECOND = 64_000
# Rows of a spectrogram's picture, and most columns.
_ROWS, _COLUMNS = 128, 320


@dataclasses.dataclass(frozen=True)
class PageMedia:
    """How pictures and sounds are made smaller.

    Attributes:
      shorter_side: most pixels of a picture's shorter side.
      jpeg_quality: from 1 to 100.
      sound: `aac` in an MP4 file, at 64 kbit/s; or `wav`, without loss.
      sound_seconds: most of a sound, around its moment.
    """

    shorter_side: int = 160
    jpeg_quality: int = 80
    sound: str = "aac"
    sound_seconds: float = 3.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_range("shorter_side", self.shorter_side, 16, 4096)
        check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        check_choice("sound", self.sound, SOUNDS)
        check_range("sound_seconds", self.sound_seconds, 0.1, 60)

    def picture(self, pixels: np.ndarray, alt: str) -> Picture:
        """A picture uint8 `[height, width, 3]`, scaled down where it is larger."""
        fitted = scaled_down(pixels, self.shorter_side)
        return Picture(encode_jpeg(fitted, self.jpeg_quality), alt)

    def around(self, samples: np.ndarray, middle: int, sample_rate_hz: int) -> np.ndarray:
        """What there is of a sound around a sample, at most `sound_seconds`."""
        half = round(self.sound_seconds * sample_rate_hz / 2)
        return samples[max(0, middle - half) : max(0, middle + half)]

    def encode(self, samples: np.ndarray, sample_rate_hz: int) -> Sound | None:
        """A sound int16 `[n]` as a file that browsers play; None where it has no sample."""
        if not len(samples):
            return None
        seconds = len(samples) / sample_rate_hz
        if self.sound == "aac" and sample_rate_hz in AAC_RATES_HZ:
            return Sound(encode_aac(samples, sample_rate_hz), "audio/mp4", seconds)
        return Sound(encode_wav(samples, sample_rate_hz), "audio/wav", seconds)


def scaled_down(pixels: np.ndarray, shorter_side: int) -> np.ndarray:
    """A picture uint8 `[height, width, 3]` whose shorter side is at most so many pixels."""
    height, width = pixels.shape[:2]
    scale = shorter_side / min(height, width)
    if scale >= 1:
        return pixels
    size = [max(1, round(height * scale)), max(1, round(width * scale))]
    resized = tf.image.resize(pixels, size, "area")
    return np.rint(np.clip(resized.numpy(), 0, 255)).astype(np.uint8)


def encode_wav(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """A sound int16 `[n]` as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


def encode_aac(samples: np.ndarray, sample_rate_hz: int) -> bytes:
    """A sound int16 `[n]` as an MP4 file of AAC."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("aac", rate=sample_rate_hz, layout="mono")
        stream.bit_rate = AAC_BITS_PER_SECOND
        frame = video_writer.audio_frame(samples, "mono", sample_rate_hz, 0)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def spectrum(samples: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """The log-spectrogram of a sound as a picture uint8 `[rows, columns, 3]`.

    Windows of 25 ms, high frequencies above; the colours go from 80 dB below a full-scale tone
    to that, so that quiet sounds look quiet.
    """
    window = round(0.025 * sample_rate_hz)
    hop = max(window // 2, -(-len(samples) // _COLUMNS), 1)
    config = SpectrogramConfig(
        sample_rate_hz, window / sample_rate_hz, hop / sample_rate_hz,
        1 << (window - 1).bit_length(), logarithm="decibel", epsilon=1e-6, mean=0.0,
        deviation=1.0,
    )
    waveform = samples.astype(np.float32)[None] / 32768
    decibels = np.array(LogSpectrogram(config)(waveform))[0, ::-1, :, 0]
    full = 20 * np.log10(window / 4)
    shown = np.clip((decibels - full) / 80 + 1, 0, 1)
    rows = tf.image.resize(overlays.colour(shown), [_ROWS, shown.shape[1]], "area").numpy()
    # A short sound is not a stripe.
    wide = np.repeat(rows, max(1, 160 // rows.shape[1]), axis=1)
    return np.rint(np.clip(wide, 0, 255)).astype(np.uint8)
