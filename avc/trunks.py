"""The convolutional trunks of picture and sound.

Objects that Sound, figure 2a and 2b, for L3, AVE and AVOL: four blocks of two 3x3
convolutions, each with batch normalisation and ReLU, the first convolution with stride 2,
2x2 max pooling after the first three blocks. What pools the last one is the network's
business. Those of ResNet18-AVC are in `avc.resnet`, of networks that see motion in
`avc.motion_trunks`.
"""

import keras
from keras import layers

from avc import resnet
from avc.configuration import NetworkConfig
from avc.convolutions import decay, normalise
from avc.spectrogram import LogSpectrogram


def picture_trunk(frame: keras.KerasTensor, config: NetworkConfig) -> keras.KerasTensor:
    """`[batch, 224, 224, 3]` to `[batch, 14, 14, 512]`, or larger with fewer blocks."""
    numbers = config.filters[: config.visual_blocks]
    if config.network == "resnet18":
        return resnet.trunk(centred(frame), config, numbers, "visual")
    return blocks(centred(frame), config, numbers, "visual", "same")


def sound_trunk(waveform: keras.KerasTensor, config: NetworkConfig) -> keras.KerasTensor:
    """`[batch, 48000]` to `[batch, 16, 12, 512]`, through the log-spectrogram."""
    picture = LogSpectrogram(config.audio, name="log_spectrogram")(waveform)
    numbers = config.filters[: config.audio_blocks]
    if config.network == "resnet18":
        return resnet.trunk(picture, config, numbers, "audio")
    # 257 x 200 becomes the figure's 128 x 100 without padding in frequency and with it in time.
    padded = layers.ZeroPadding2D(((0, 0), (0, 1)), name="audio_pad")(picture)
    return blocks(padded, config, numbers, "audio", "valid")


def centred(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Pixels in [0, 1] around zero, as convolutions like their inputs."""
    return layers.Rescaling(2.0, -1.0, name="visual_centre")(pictures)


def blocks(
    x: keras.KerasTensor,
    config: NetworkConfig,
    numbers: tuple[int, ...],
    name: str,
    first_padding: str,
    start: int = 1,
) -> keras.KerasTensor:
    """Blocks of two convolutions, and a pool after each but the last.

    Args:
      x: `[batch, height, width, channels]`.
      config: initial weights, normalisation and weight decay.
      numbers: filters of each block.
      name: what the layers' names begin with.
      first_padding: of the first convolution of block 1, which has stride 2.
      start: number of the first block.
    """
    for block, filters in enumerate(numbers, start=start):
        for index in (1, 2):
            first = (block, index) == (1, 1)
            x = layers.Conv2D(
                filters,
                3,
                strides=2 if first else 1,
                padding=first_padding if first else "same",
                kernel_initializer=config.initializer,
                kernel_regularizer=decay(config),
                name=f"{name}_conv{block}_{index}",
            )(x)
            x = normalise(x, config, f"{name}_norm{block}_{index}")
            x = layers.ReLU(name=f"{name}_relu{block}_{index}")(x)
        if block < start + len(numbers) - 1:
            x = layers.MaxPooling2D(2, name=f"{name}_pool{block}")(x)
    return x
