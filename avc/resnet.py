"""ResNet18 as the trunk of a picture or a sound.

Feng et al. 2021, Self-Supervised Audio-Visual Representation Learning for in-the-wild Videos,
figure 1, which is the 18-layer network of He et al. 2016, Deep Residual Learning for Image
Recognition, table 1: a 7x7 convolution and a 3x3 max pool, both with stride 2, and four stages
of two basic blocks; the first block of stages 2 to 4 halves the size and has a projection as
its shortcut (option B). Convolutions have no bias; what pools the last stage and what follows
is the network's business.
"""

import keras
from keras import layers

from avc.configuration import NetworkConfig
from avc.convolutions import decay, normalise

BLOCKS_PER_STAGE = 2


def trunk(
    x: keras.KerasTensor, config: NetworkConfig, filters: tuple[int, ...], name: str
) -> keras.KerasTensor:
    """`[batch, height, width, channels]` to a 32nd of the size, rounded up, for four stages.

    Args:
      x: a picture, or a spectrogram with one channel.
      config: initial weights, normalisation and weight decay.
      filters: of each stage; the stem has those of the first.
      name: of the tower, which its layers' names begin with.
    """
    # Padded alike on both sides, whatever the stride, as the common implementations are.
    x = layers.ReLU(name=f"{name}_stem_relu")(
        _convolve(x, config, filters[0], 7, 2, f"{name}_stem")
    )
    # ReLU leaves nothing below 0, so a border of zeros never is the maximum that counts.
    x = layers.ZeroPadding2D(1, name=f"{name}_stem_pool_border")(x)
    x = layers.MaxPooling2D(3, 2, name=f"{name}_stem_pool")(x)
    for stage, number in enumerate(filters, start=1):
        for block in range(1, BLOCKS_PER_STAGE + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = basic_block(x, config, number, strides, f"{name}_stage{stage}_{block}")
    return x


def basic_block(
    x: keras.KerasTensor, config: NetworkConfig, filters: int, strides: int, name: str
) -> keras.KerasTensor:
    """Two 3x3 convolutions and what went into them, added before the last ReLU.

    Args:
      x: `[batch, height, width, channels]`.
      config: see `trunk`.
      filters: channels of the result.
      strides: of the first convolution.
      name: of the block.

    Returns:
      `[batch, ceil(height / strides), ceil(width / strides), filters]`.
    """
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _convolve(x, config, filters, 1, strides, f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu1")(
        _convolve(x, config, filters, 3, strides, f"{name}_first")
    )
    x = _convolve(x, config, filters, 3, 1, f"{name}_second")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(name=f"{name}_relu2")(x)


def _convolve(
    x: keras.KerasTensor, config: NetworkConfig, filters: int, size: int, strides: int, name: str
) -> keras.KerasTensor:
    if size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}_border")(x)
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        use_bias=False,
        kernel_initializer=config.initializer,
        kernel_regularizer=decay(config),
        name=f"{name}_conv",
    )(x)
    return normalise(x, config, f"{name}_norm")
