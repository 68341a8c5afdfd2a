"""The log-spectrogram of a second of sound, as a layer of the model.

Objects that Sound, section 3.3: 1 second at 48 kHz, a window of 0.01 s, half-window
overlap, "treated as a 257 x 200 greyscale image". That is a window of 480 samples, a hop
of 240, an FFT of 512 and as much silence after the last sample as the last windows lack.
The papers give no window function, nor magnitude or power, nor what is added before the
logarithm, nor a normalisation: these are fields of the configuration.
"""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from avc import mel
from avc.masks import inside
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

# The share of the cosine in the window.
WINDOWS = {"hann": 0.5, "hamming": 0.46}


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
    """How a waveform becomes a log-spectrogram.

    Nothing is scaled to a clip's own maximum: that would take the loudness away.

    Attributes:
      sample_rate_hz: of the waveform.
      window_seconds: a whole number of samples.
      hop_seconds: from one window to the next, a whole number of samples.
      fft_length: at least the window's samples, which are padded with zeros to it.
      window: `hann` or `hamming`, periodic.
      remove_mean: whether the sound's mean is subtracted first: a constant part is no sound.
      pre_emphasis: share of each sample that is subtracted from the next one, which raises
        high frequencies; 0 for none.
      spectrum: `magnitude` or `power` (its square). It is not divided by the window's
        sum: a full-scale tone reaches a magnitude of a quarter of the window's samples.
      mel_bands: bands of the Mel scale into which the frequencies are summed before the
        logarithm; 0 for none, as in the paper.
      mel_scale: `htk` or `slaney`, see `avc.mel`.
      lowest_hz, highest_hz: where the first band begins and the last one ends.
      logarithm: `natural`, of the spectrum plus epsilon; or `decibel`, 10 log10 of a power, 20
        log10 of a magnitude, of at least epsilon, relative to 1.
      epsilon: see `logarithm`. The default lies some 20 dB above the magnitude of 16-bit
        sound's rounding noise and 100 dB below a full-scale tone.
      mean: subtracted from the logarithm. The default and that of `deviation` are about
        those of everyday recordings (ESC-10 and a few videos: -4.5 and 2.6, -5.2 and 2.1).
      deviation: what the difference is divided by; another base is another deviation.
    """

    sample_rate_hz: int = 48_000
    window_seconds: float = 0.01
    hop_seconds: float = 0.005
    fft_length: int = 512
    window: str = "hann"
    remove_mean: bool = False
    pre_emphasis: float = 0.0
    spectrum: str = "magnitude"
    mel_bands: int = 0
    mel_scale: str = "htk"
    lowest_hz: float = 60.0
    highest_hz: float = 20_000.0
    logarithm: str = "natural"
    epsilon: float = 1e-3
    mean: float = -4.8
    deviation: float = 2.4

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no spectrogram can be."""
        check_range("sample_rate_hz", self.sample_rate_hz, 1, 1_000_000)
        check_choice("window", self.window, tuple(WINDOWS))
        check_choice("spectrum", self.spectrum, ("magnitude", "power"))
        check_choice("mel_scale", self.mel_scale, mel.SCALES)
        check_choice("logarithm", self.logarithm, ("natural", "decibel"))
        check_range("pre_emphasis", self.pre_emphasis, 0, 1)
        check_range("epsilon", self.epsilon, 1e-12, 1e3)
        check_range("mean", self.mean, -1e6, 1e6)
        check_range("deviation", self.deviation, 1e-6, 1e6)
        for name in ("window_seconds", "hop_seconds"):
            check_range(name, getattr(self, name), 1 / self.sample_rate_hz, 3600)
            samples = getattr(self, name) * self.sample_rate_hz
            if abs(samples - round(samples)) > 1e-6 * samples:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}: at {self.sample_rate_hz} Hz that is "
                    f"{samples:.6g} samples and must be a whole number"
                )
        check_range("fft_length", self.fft_length, self.window_samples, 1_000_000)
        check_range("mel_bands", self.mel_bands, 0, self.fft_length // 2)
        if self.mel_bands:
            check_range("highest_hz", self.highest_hz, 1, self.sample_rate_hz / 2)
            check_range("lowest_hz", self.lowest_hz, 0, self.highest_hz - 1)
            empty = np.flatnonzero(~self.mel_weights().any(0))
            if len(empty):
                raise ConfigurationError(
                    f"mel_bands is {self.mel_bands}: no frequency of fft_length={self.fft_length}"
                    f" lies in band {empty[0]}; take fewer bands or a longer fft_length"
                )

    @property
    def window_samples(self) -> int:
        """Length of the window."""
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def hop_samples(self) -> int:
        """Samples from one window to the next."""
        return round(self.hop_seconds * self.sample_rate_hz)

    @property
    def num_frequencies(self) -> int:
        """Rows of the picture: Mel bands, or bins k of k * sample_rate_hz / fft_length Hz."""
        return self.mel_bands or self.fft_length // 2 + 1

    def num_frames(self, num_samples: int) -> int:
        """Columns of the picture: a window begins at every hop that is still in the sound."""
        return -(-num_samples // self.hop_samples)

    def window_values(self) -> np.ndarray:
        """The window, float64 `[window_samples]`."""
        phase = 2 * np.pi * np.arange(self.window_samples) / self.window_samples
        share = WINDOWS[self.window]
        return 1 - share - share * np.cos(phase)

    def mel_weights(self) -> np.ndarray:
        """What each bin counts in each band, float64 `[fft_length // 2 + 1, mel_bands]`."""
        bins = np.arange(self.fft_length // 2 + 1) * self.sample_rate_hz / self.fft_length
        return mel.filter_bank(
            bins, self.mel_bands, self.lowest_hz, self.highest_hz, self.mel_scale
        )


@keras.saving.register_keras_serializable("avc")
class LogSpectrogram(layers.Layer):
    """Waveforms to log-spectrograms: `[batch, samples]` to `[batch, frequency, time, 1]`.

    With the default configuration `[batch, 48000]` to `[batch, 257, 200, 1]`: low
    frequencies come first, window k begins at sample 240 k. Waveforms are floats in
    [-1, 1]. Computes in float32, whatever the model's type is, and has no weights.
    """

    def __init__(self, config: SpectrogramConfig | None = None, **kwargs):
        """`config`: the default one where None."""
        # A half would round the waveform to 11 bits before the layer saw it.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.config = config or SpectrogramConfig()

    def build(self, waveform_shape, num_samples_shape=None):
        """Makes nothing: the window is a constant."""

    def call(self, waveform, num_samples=None):
        """Transforms `[batch, samples]`.

        Args:
          waveform: sounds; where they differ in length, each begins with its row.
          num_samples: `[batch]`, how many samples each has; all if None. What is behind has no
            effect on the columns that begin before it.
        """
        c = self.config
        waveform = self._filtered(ops.cast(waveform, "float32"), num_samples)
        # Frames as long as the FFT and a window padded with zeros: to cut frames of the
        # window's length and to pad them costs a pass over the data more. With this much
        # silence after the sound as many frames come out as `num_frames` says.
        padded = ops.pad(waveform, ((0, 0), (0, c.fft_length - 1)))
        frames = ops.extract_sequences(padded, c.fft_length, c.hop_samples)
        window = np.pad(c.window_values(), (0, c.fft_length - c.window_samples))
        real, imaginary = self._transformed(frames, window)
        power = ops.square(real) + ops.square(imaginary)
        spectrum = ops.sqrt(power) if c.spectrum == "magnitude" else power
        if c.mel_bands:
            spectrum = ops.matmul(spectrum, c.mel_weights().astype("float32"))
        spectrum = ops.transpose(spectrum, (0, 2, 1))
        if c.logarithm == "decibel":
            factor = (20 if c.spectrum == "magnitude" else 10) / np.log(10)
            picture = factor * ops.log(ops.maximum(spectrum, c.epsilon))
        else:
            picture = ops.log(spectrum + c.epsilon)
        return ops.expand_dims((picture - c.mean) * (1 / c.deviation), -1)

    def _transformed(self, frames, window):
        """Real and imaginary part of the Fourier transform, `[batch, time, frequency]`."""
        length = self.config.fft_length
        # TFLite transforms powers of two only. For Mel bands, which sum many frequencies, the
        # defining sum as a product of matrices is exact enough; it rounds by twice as much.
        if length & (length - 1) == 0 or not self.config.mel_bands:
            return ops.rfft(frames * window.astype("float32"), length)
        angle = 2 * np.pi / length * np.outer(np.arange(length), np.arange(length // 2 + 1))
        bases = window[:, None] * np.cos(angle), -window[:, None] * np.sin(angle)
        return tuple(ops.matmul(frames, basis.astype("float32")) for basis in bases)

    def _filtered(self, waveform, num_samples):
        """Without its mean, and with high frequencies raised, as the configuration says."""
        c = self.config
        keep = 1.0
        if num_samples is not None:
            keep = inside(num_samples, ops.shape(waveform)[1])[..., 0]
            waveform = waveform * keep
        if c.remove_mean:
            if num_samples is None:
                number = ops.cast(ops.shape(waveform)[1], "float32")
            else:
                number = ops.cast(num_samples, "float32")[:, None]
            waveform = (waveform - ops.sum(waveform, 1, keepdims=True) / number) * keep
        if c.pre_emphasis:
            before = ops.pad(waveform[:, :-1], ((0, 0), (1, 0)))
            waveform = (waveform - c.pre_emphasis * before) * keep
        return waveform

    def compute_output_shape(self, waveform_shape, num_samples_shape=None):
        """`[batch, frequency, time, 1]`."""
        batch, samples = waveform_shape
        time = None if samples is None else self.config.num_frames(samples)
        return (batch, self.config.num_frequencies, time, 1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config):
        """Builds the layer from `get_config`."""
        return cls(**{**config, "config": SpectrogramConfig(**config["config"])})


@keras.saving.register_keras_serializable("avc")
class FrameCount(layers.Layer):
    """How many columns of a log-spectrogram begin within a sound: `[batch]` to `[batch]`."""

    def __init__(self, hop_samples: int = 1, **kwargs):
        """`hop_samples`: from one column to the next."""
        super().__init__(**kwargs)
        self.hop_samples = hop_samples

    def call(self, num_samples):
        """As `SpectrogramConfig.num_frames`."""
        return (num_samples + self.hop_samples - 1) // self.hop_samples

    def compute_output_spec(self, num_samples):
        """Whole numbers."""
        return keras.KerasTensor(num_samples.shape, "int32")

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "hop_samples": self.hop_samples}
