"""The trunks of DAVEnet: VGG16 for the picture, convolutions along time for the sound.

Grounding Spoken Words in Unlabeled Video (Boggust et al. 2019), section 2, which
takes DAVEnet of Harwath et al. 2018, Jointly Discovering Visual Objects and Spoken Words from
Raw Sensory Input. The picture's last pool is left out and a 3x3 convolution added, without
ReLU. The sound's first convolution is as high as the spectrogram, so that what follows has no
frequency any more; pools are 3 wide with stride 2.
"""

import keras
from keras import layers

from avc import vgg16_weights
from avc.configuration import NetworkConfig
from avc.convolutions import decay, normalise
from avc.masks import KeepSteps, StepNormalization
from avc.spectrogram import FrameCount, LogSpectrogram

# VGG16: convolutions and filters of each block; a pool after each but the last.
PICTURE = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# The sound: filters and width along time, and whether a pool follows. The last one's filters
# are the dimensions of the embedding.
SOUND = ((128, 1, False), (256, 11, True), (512, 17, True), (512, 17, True), (None, 17, True))
# Of the weights of ImageNet: red, green, blue.
IMAGENET_MEAN = (123.68, 116.779, 103.939)


def picture_trunk(frame: keras.KerasTensor, config: NetworkConfig) -> keras.KerasTensor:
    """`[batch, 224, 224, 3]` to `[batch, 14, 14, 1024]`."""
    own = config.matchmap
    if own.image_weights == "none":
        x = layers.Rescaling(2.0, -1.0, name="visual_centre")(frame)
    else:
        x = layers.Rescaling(255.0, [-m for m in IMAGENET_MEAN], name="visual_centre")(frame)
    for block, (number, filters) in enumerate(PICTURE, start=1):
        for index in range(1, number + 1):
            x = _convolve2d(x, scaled(config, filters), config, f"block{block}_conv{index}")
            if own.image_normalization:
                x = normalise(x, config, f"block{block}_norm{index}")
            x = layers.ReLU(name=f"block{block}_relu{index}")(x)
        if block < len(PICTURE):
            x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return _convolve2d(x, config.embedding_dim, config, "visual_embedder")


def sound_trunk(
    waveform: keras.KerasTensor, num_samples: keras.KerasTensor, config: NetworkConfig
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """`[batch, samples]`, `[batch]` to `[batch, frames / 16, 1024]` and how many exist, `[batch]`.

    The number of steps is halved, rounded up, by each of the four pools, and so is the number
    of those that exist.
    """
    picture = LogSpectrogram(config.audio, name="log_spectrogram")(waveform, num_samples)
    count = FrameCount(config.audio.hop_samples, name="frame_count")(num_samples)
    # One channel of bands by time becomes time by bands: the first convolution spans all bands.
    x = layers.Permute((2, 1), name="audio_steps")(picture[..., 0])
    x = StepNormalization(config.batch_norm_momentum, name="audio_norm")(x, count)
    for index, (filters, width, pooled) in enumerate(SOUND, start=1):
        x = layers.Conv1D(
            scaled(config, filters) if filters else config.embedding_dim,
            width,
            padding="same",
            kernel_initializer=config.initializer,
            kernel_regularizer=decay(config),
            name=f"audio_conv{index}",
        )(x)
        x = layers.ReLU(name=f"audio_relu{index}")(x)
        x = KeepSteps(name=f"audio_keep{index}")(x, count)
        if pooled:
            # Alike on both sides, so that a sound's own length decides on nothing. After ReLU a
            # border of zeros, or padding, never is the maximum that counts.
            x = layers.ZeroPadding1D(1, name=f"audio_border{index}")(x)
            x = layers.MaxPooling1D(3, 2, name=f"audio_pool{index}")(x)
            count = (count + 1) // 2
            # The place behind the last one has seen that one, too.
            x = KeepSteps(name=f"audio_kept{index}")(x, count)
    return x, count


def scaled(config: NetworkConfig, filters: int) -> int:
    """Filters of a convolution of a network of that width."""
    return max(1, round(config.width * filters))


def _convolve2d(
    x: keras.KerasTensor, filters: int, config: NetworkConfig, name: str
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer=config.initializer,
        kernel_regularizer=decay(config),
        name=name,
    )(x)


def load_image_weights(model: keras.Model, config: NetworkConfig) -> None:
    """Gives the picture's trunk the weights that the configuration names, if any.

    Args:
      model: of `avc.networks.build`, of a DAVEnet.
      config: of the same.

    Raises:
      UserError: the weights cannot be had, or are none of a VGG16.
    """
    if config.matchmap.image_weights == "none":
        return
    source = vgg16_weights.open_vgg16(
        config.matchmap.image_weights, False, config.image_size, "image_weights"
    )
    towers = model.get_layer("towers")
    for block, (number, _) in enumerate(PICTURE, start=1):
        for index in range(1, number + 1):
            name = f"block{block}_conv{index}"
            kernel, bias = source.get_layer(name).get_weights()
            if (block, index) == (1, 1):
                kernel = kernel[:, :, ::-1]  # Keras's weights take blue first
            towers.get_layer(name).set_weights([kernel, bias])
