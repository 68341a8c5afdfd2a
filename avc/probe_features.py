"""Features of seconds of sound that a linear classifier is to be tried on.

Of a network its audio embedding and, as in the papers, the map of the last convolution,
max-pooled to 4 x 3 places; of no network the level of each Mel band and its spread.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from avc import networks, openl3, recordings
from avc.configuration import NetworkConfig
from avc.embedding import TrainedNetwork
from avc.openl3_weights import OpenL3
from avc.spectrogram import LogSpectrogram, SpectrogramConfig
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError

# Names of features; that of the map has its grid behind it.
EMBEDDING, MAP = "embedding", "last convolution"

Features = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class WindowConfig:
    """What is taken of a clip.

    Attributes:
      windows: of a clip, equally spaced, the first at its begin and the last at its end.
      grid: places to which the last convolution's map is max-pooled, frequency and time; at
        most as many as it has.
      after_relu: whether that map is taken after the ReLU, or before it.
      mel: the spectrogram of the plain features.
      mel_seconds: length of their windows.
    """

    windows: int = 10
    grid: tuple[int, ...] = (4, 3)
    after_relu: bool = False
    mel: SpectrogramConfig = dataclasses.field(
        default_factory=lambda: SpectrogramConfig(
            mel_bands=64, window_seconds=0.04, hop_seconds=0.02, fft_length=2048
        )
    )
    mel_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("windows", self.windows, 1, 10_000)
        if len(self.grid) != 2:
            raise ConfigurationError(f"grid is {self.grid}: it must be of two numbers, as 4x3")
        for side in self.grid:
            check_range("grid", side, 1, 1000)
        check_range("mel_bands", self.mel.mel_bands, 1, 100_000)
        check_range("mel_seconds", self.mel_seconds, 2 * self.mel.hop_seconds, 3600)


@dataclasses.dataclass(frozen=True)
class Extractor:
    """What makes features of windows.

    Attributes:
      name: of the network, or of the plain features.
      sample_rate_hz: of the windows.
      samples: of a window.
      extract: float32 `[n, samples]` to features `[n, d]` by name.
    """

    name: str
    sample_rate_hz: int
    samples: int
    extract: Callable[[np.ndarray], Features]


def window_starts(num_samples: int, samples: int, windows: int) -> np.ndarray:
    """First samples of equally spaced windows, from the clip's begin to its end.

    Returns:
      int64 `[windows]`; all 0 where the clip is no longer than a window. A single window is in
      the middle.
    """
    last = max(0, num_samples - samples)
    places = np.linspace(0, last, windows) if windows > 1 else np.array([last / 2])
    return np.rint(places).astype(np.int64)


def cut_windows(waveform: np.ndarray, samples: int, windows: int) -> np.ndarray:
    """`[num_samples]` to `[windows, samples]`; a shorter clip has silence after it."""
    starts = window_starts(len(waveform), samples, windows)
    padded = np.pad(waveform, (0, max(0, samples - len(waveform))))
    return np.stack([padded[start : start + samples] for start in starts])


def pool_to_grid(maps: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    """Maxima over cells that cover a map, as equal as whole places allow.

    Args:
      maps: `[n, height, width, channels]`.
      grid: rows and columns of cells; a cell is of the places from floor(i h / rows) to
        ceil((i + 1) h / rows). A side with fewer places than cells stays as it is.

    Returns:
      `[n, rows, columns, channels]`.
    """
    for axis, most in enumerate(grid, start=1):
        side = maps.shape[axis]
        cells = min(most, side)
        spans = [(i * side // cells, -(-(i + 1) * side // cells)) for i in range(cells)]
        maps = np.stack([maps.take(range(*span), axis).max(axis) for span in spans], axis)
    return maps


def of_network(name: str, network: TrainedNetwork, config: WindowConfig) -> Extractor:
    """The embedding and, unless only a SavedModel was loaded, the last convolution's map."""
    sizes = (network.sample_rate_hz, network.config.network.segment_samples)
    if network.network:
        return Extractor(name, *sizes, _layers(network.network, network.config.network, config))
    return Extractor(name, *sizes, lambda windows: {EMBEDDING: network.embed_audio(windows)})


def of_random_weights(
    name: str, network: NetworkConfig, seed: int, config: WindowConfig
) -> Extractor:
    """The same features of a network that has learnt nothing."""
    keras.utils.set_random_seed(seed)
    made = networks.build(network, 0)
    sizes = (network.audio.sample_rate_hz, network.segment_samples)
    return Extractor(name, *sizes, _layers(made, network, config))


def of_openl3(name: str, tower: OpenL3) -> Extractor:
    """The embedding of a tower of OpenL3, which is its pooled last convolution.

    Raises:
      UserError: it is one of pictures.
    """
    if tower.config.modality != "audio":
        raise UserError(f"{name}: a tower of OpenL3 for pictures hears nothing")
    model = tf.function(tower.model, reduce_retracing=True)
    rate = openl3.SAMPLE_RATE_HZ

    def extract(windows: np.ndarray) -> Features:
        return {EMBEDDING: model(tf.constant(windows), training=False).numpy()}

    return Extractor(name, rate, rate, extract)


def _layers(
    network: networks.Network, made_of: NetworkConfig, config: WindowConfig
) -> Callable[[np.ndarray], Features]:
    towers = network.deployed.get_layer("towers")
    waveform = next(x for x in towers.inputs if x.name == "waveform")
    kind = "relu" if config.after_relu else "norm"
    wanted = f"audio_{kind}{made_of.audio_blocks}_2"
    outputs = {EMBEDDING: towers.output["audio_embedding"]}
    # Networks with another trunk have no such layer.
    if any(layer.name == wanted for layer in towers.layers):
        outputs[MAP] = towers.get_layer(wanted).output
    model = tf.function(keras.Model(waveform, outputs), reduce_retracing=True)

    def extract(windows: np.ndarray) -> Features:
        found = {name: value.numpy() for name, value in model(tf.constant(windows)).items()}
        if MAP in found:
            pooled = pool_to_grid(found.pop(MAP), config.grid)
            rows, columns = pooled.shape[1:3]
            found[f"{MAP}, {rows}x{columns}"] = pooled.reshape(len(pooled), -1)
        return found

    return extract


def of_mel_levels(config: WindowConfig) -> Extractor:
    """Mean and deviation over a window of each Mel band's log level: `[n, 2 * mel_bands]`."""
    spectrogram = tf.function(LogSpectrogram(config.mel), reduce_retracing=True)

    def extract(windows: np.ndarray) -> Features:
        levels = spectrogram(tf.constant(windows)).numpy()[..., 0]
        return {"mean and deviation": np.concatenate([levels.mean(2), levels.std(2)], 1)}

    rate = config.mel.sample_rate_hz
    return Extractor("log-Mel levels", rate, round(config.mel_seconds * rate), extract)


def extract_all(
    paths: Sequence[str], extractors: Sequence[Extractor], windows: int
) -> Iterator[list[Features]]:
    """Features of clips.

    Yields:
      For each clip, in order, what each extractor makes of its windows, `[windows, d]`.

    Raises:
      UserError: a file cannot be read or holds no sound.
    """
    rates = {extractor.sample_rate_hz for extractor in extractors}
    for path in paths:
        waveforms = {rate: recordings.decode(path, rate) for rate in rates}
        if not all(map(len, waveforms.values())):
            raise UserError(f"{path}: holds no sound")
        yield [
            each.extract(cut_windows(waveforms[each.sample_rate_hz], each.samples, windows))
            for each in extractors
        ]
