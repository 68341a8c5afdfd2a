"""The towers of OpenL3 (Cramer et al. 2019), for its published weights.

They follow L3-Net's table of blocks as `avc.trunks` does, and differ from ours in what
`DIFFERENCES` lists; so its weights are no weights of our `l3`, and it has towers of its own here,
on our log-spectrogram. Numbers are those of the package openl3 0.4 (`openl3/models.py`) on kapre
0.3, which the paper does not all give.
"""

import dataclasses

import keras
from keras import layers, ops

from avc.spectrogram import LogSpectrogram, SpectrogramConfig
from avc.trunks import centred
from crossmodal.configuration import check_choice
from crossmodal.errors import ConfigurationError

MODALITIES = ("audio", "image")
INPUT_REPRESENTATIONS = ("linear", "mel128", "mel256")
FILTERS = (64, 128, 256, 512)
IMAGE_SIZE = 224
SAMPLE_RATE_HZ, HOP_SAMPLES = 48_000, 242
# Frequency x time, or height x width, that one maximum is of in the last pooling.
POOLS = {
    "linear": {512: (32, 24), 6144: (8, 8)},
    "mel128": {512: (16, 24), 6144: (4, 8)},
    "mel256": {512: (32, 24), 6144: (8, 8)},
    "image": {512: (28, 28), 8192: (7, 7)},
}
# Against the towers of our `l3`.
DIFFERENCES = (
    "the sound's picture is 10 log10 of a magnitude, below the clip's own loudest place and at"
    " most 80 dB below it: loudness is taken away; ours keeps it",
    "windows of 512 samples (linear) or 2048 (Mel), 242 samples apart; ours 480 and 240",
    "batch normalisation of the pictures themselves, before the first convolution",
    "the first convolution has stride 1 and all pad with zeros; ours has stride 2, of sound without"
    " padding in frequency",
    "no batch normalisation or ReLU after the last convolution, whose maxima are the embedding",
    "the second convolution of the image tower has its ReLU before its normalisation",
    "pooling to 1 place (512 numbers) or to several (6144 of sound, 8192 of pictures)",
)


@dataclasses.dataclass(frozen=True)
class OpenL3Config:
    """Which tower.

    Attributes:
      modality: `audio` or `image`.
      input_representation: of `audio`: `linear`, `mel128` or `mel256`, what it was trained
        on; weights do not tell. Of `image` what the sound's tower beside it was trained on,
        which changes nothing.
      embedding_dim: 512 or 6144 of `audio`, 512 or 8192 of `image`.
    """

    modality: str = "audio"
    input_representation: str = "mel256"
    embedding_dim: int = 512

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what was not published."""
        check_choice("modality", self.modality, MODALITIES)
        check_choice("input_representation", self.input_representation, INPUT_REPRESENTATIONS)
        if self.embedding_dim not in POOLS[self.pool_row]:
            sizes = " or ".join(map(str, POOLS[self.pool_row]))
            raise ConfigurationError(
                f"embedding_dim is {self.embedding_dim}: of {self.modality} it must be {sizes}"
            )

    @property
    def pool_row(self) -> str:
        """The row of POOLS."""
        return "image" if self.modality == "image" else self.input_representation

    @property
    def pool(self) -> tuple[int, int]:
        """Places that one maximum is of."""
        return POOLS[self.pool_row][self.embedding_dim]

    @property
    def spectrogram(self) -> SpectrogramConfig:
        """Of sound, before `BelowLoudest`."""
        mel = {"linear": 0, "mel128": 128, "mel256": 256}[self.input_representation]
        window = 2048 if mel else 512
        return SpectrogramConfig(
            sample_rate_hz=SAMPLE_RATE_HZ,
            window_seconds=window / SAMPLE_RATE_HZ,
            hop_seconds=HOP_SAMPLES / SAMPLE_RATE_HZ,
            fft_length=window,
            mel_bands=mel,
            mel_scale="slaney",
            lowest_hz=0.0,
            highest_hz=SAMPLE_RATE_HZ / 2,
            logarithm="decibel",
            epsilon=1e-10,
            mean=0.0,
            # 20 log10 of a magnitude is ours; theirs is 10 log10 of it.
            deviation=2.0,
        )

    @property
    def num_columns(self) -> int:
        """Of the spectrogram: Mel bands have windows that reach beyond the end, linear has not."""
        if self.input_representation == "linear":
            return 1 + (SAMPLE_RATE_HZ - self.spectrogram.fft_length) // HOP_SAMPLES
        return self.spectrogram.num_frames(SAMPLE_RATE_HZ)


@keras.saving.register_keras_serializable("avc")
class BelowLoudest(layers.Layer):
    """How far each place of a clip's picture lies below its loudest one.

    `[batch, frequency, time, 1]` to `[batch, frequency, num_columns, 1]` in [-reach, 0].
    """

    def __init__(self, num_columns: int, reach: float = 80.0, **kwargs):
        """`num_columns`: the first ones, which are kept; `reach`: in decibels."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_columns, self.reach = num_columns, reach

    def call(self, levels):
        """Takes the largest of `[batch, frequency, time, 1]` away from each clip."""
        kept = levels[:, :, : self.num_columns]
        return ops.maximum(kept - ops.max(kept, axis=(1, 2, 3), keepdims=True), -self.reach)

    def compute_output_shape(self, levels_shape):
        """`[batch, frequency, num_columns, 1]`."""
        return (*levels_shape[:2], self.num_columns, levels_shape[3])

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "num_columns": self.num_columns, "reach": self.reach}


def build(config: OpenL3Config) -> keras.Model:
    """Builds a tower.

    Returns:
      A model from `waveform` [batch, 48000] in [-1, 1], or from `frame` [batch, 224, 224, 3] in
      [0, 1], to embeddings [batch, embedding_dim], which are not normalised.
    """
    audio = config.modality == "audio"
    if audio:
        entry = keras.Input((SAMPLE_RATE_HZ,), name="waveform")
        x = LogSpectrogram(config.spectrogram, name="log_spectrogram")(entry)
        x = BelowLoudest(config.num_columns, name="below_loudest")(x)
    else:
        entry = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), name="frame")
        x = centred(entry)
    x = layers.BatchNormalization(name="norm0")(x)
    for block, filters in enumerate(FILTERS, start=1):
        for index in (1, 2):
            name = f"{block}_{index}"
            x = layers.Conv2D(filters, 3, padding="same", name=f"conv{name}")(x)
            if name == "4_2":
                break
            norm = layers.BatchNormalization(name=f"norm{name}")
            relu = layers.ReLU(name=f"relu{name}")
            x = norm(relu(x)) if name == "1_2" and not audio else relu(norm(x))
        if block < len(FILTERS):
            # Of an even number of places padding changes nothing; 224 has only even ones.
            padding = "valid" if audio else "same"
            x = layers.MaxPooling2D(2, padding=padding, name=f"pool{block}")(x)
    x = layers.MaxPooling2D(config.pool, padding="same", name="pool4")(x)
    return keras.Model(entry, layers.Flatten(name="embedding")(x), name=f"openl3_{config.modality}")
