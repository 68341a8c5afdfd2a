"""What every convolution of a network comes with: its penalty and its normalisation."""

import keras
from keras import layers

from avc.configuration import NetworkConfig


def decay(config: NetworkConfig) -> keras.Regularizer | None:
    """The penalty of a kernel, as weight decay counts it: its gradient is l2 times the kernel."""
    return keras.regularizers.L2(config.l2 / 2) if config.l2 else None


def normalise(x: keras.KerasTensor, config: NetworkConfig, name: str) -> keras.KerasTensor:
    """Batch normalisation."""
    # Statistics over all replicas: those of one alone would be kept otherwise. Other backends
    # than TensorFlow run on one.
    return layers.BatchNormalization(
        momentum=config.batch_norm_momentum,
        synchronized=keras.backend.backend() == "tensorflow",
        name=name,
    )(x)
