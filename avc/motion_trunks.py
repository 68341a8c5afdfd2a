"""Trunks of AVE-Nets that see motion: AVE+MF and AVE+OF.

Objects that Sound, section 3.2 and appendix C. AVE+MF "input[s] 25 frames and convert[s]
convolution layers from 2D to 3D"; what its kernels, strides and pools are along time the paper
does not say. Here time is taken as a third side of the picture: kernels of 3, stride 2 in
the first convolution, pools of 2 make 13, 7, 4 and 2 times of 25 frames. AVE+OF (figure 8)
has two streams of three blocks, of a frame and of the fields of optical flow, and a fourth
block on both.
"""

import keras
from keras import layers, ops

from avc.configuration import NetworkConfig
from avc.convolutions import decay, normalise
from avc.trunks import blocks, centred


def frames_trunk(frames: keras.KerasTensor, config: NetworkConfig) -> keras.KerasTensor:
    """`[batch, 25, 224, 224, 3]` to `[batch, 14, 14, 512]`, the largest of all times."""
    x = _around_mean(frames) if config.subtract_mean_frame else centred(frames)
    numbers = config.filters[: config.visual_blocks]
    for block, filters in enumerate(numbers, start=1):
        for index in (1, 2):
            first = (block, index) == (1, 1)
            place = f"{block}_{index}"
            x = layers.Conv3D(
                filters,
                (config.temporal_kernel, 3, 3),
                strides=(config.temporal_stride, 2, 2) if first else 1,
                padding="same",
                kernel_initializer=config.initializer,
                kernel_regularizer=decay(config),
                name=f"visual_conv{place}",
            )(x)
            x = normalise(x, config, f"visual_norm{place}")
            x = layers.ReLU(name=f"visual_relu{place}")(x)
        if block < len(numbers):
            # An odd number of times, unlike one of pixels, is not to lose its last.
            size = (config.temporal_pool, 2, 2)
            x = layers.MaxPooling3D(size, padding="same", name=f"visual_pool{block}")(x)
    # What pools the picture pools the times, too: both by their maximum.
    return ops.max(x, axis=1)


def _around_mean(frames: keras.KerasTensor) -> keras.KerasTensor:
    """What differs from the mean of the frames; padding with zeros then is stillness, too."""
    return frames - ops.mean(frames, axis=1, keepdims=True)


def two_streams(
    frame: keras.KerasTensor, flow: keras.KerasTensor, config: NetworkConfig
) -> keras.KerasTensor:
    """`[batch, 224, 224, 3]` and `[batch, 224, 224, 20]` to `[batch, 14, 14, 512]`."""
    *own, joined = config.filters[: config.visual_blocks]
    streams = [
        layers.MaxPooling2D(2, name=f"{name}_pool{len(own)}")(
            blocks(x, config, tuple(own), name, "same")
        )
        for name, x in (("visual", centred(frame)), ("flow", flow))
    ]
    both = layers.Concatenate(name="streams")(streams)
    return blocks(both, config, (joined,), "visual", "same", start=len(own) + 1)
