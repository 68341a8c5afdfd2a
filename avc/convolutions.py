"""What every convolution of a network comes with: its penalty and its normalisation."""

from collections.abc import Callable

import keras
from keras import layers

from avc.configuration import NetworkConfig


def decay(config: NetworkConfig) -> keras.Regularizer | None:
    """The penalty of a kernel, as weight decay counts it: its gradient is l2 times the kernel."""
    return keras.regularizers.L2(config.l2 / 2) if config.l2 else None


@keras.saving.register_keras_serializable("avc")
class BatchNorm(layers.BatchNormalization):
    """Keras' batch normalisation, for which training may take another kernel.

    Attributes:
      kernel: (x, gamma, beta, epsilon) to the outputs, and the means and variances of x over
        all axes but the last; None for Keras' own operations.
    """

    kernel: Callable | None = None

    def call(self, inputs, training=None, mask=None):
        """Normalises `[batch, ..., channels]`."""
        if self.kernel is None or not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = self.kernel(inputs, self.gamma, self.beta, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


def normalise(x: keras.KerasTensor, config: NetworkConfig, name: str) -> keras.KerasTensor:
    """Batch normalisation."""
    # Statistics over all replicas: those of one alone would be kept otherwise. Other backends
    # than TensorFlow run on one.
    return BatchNorm(
        momentum=config.batch_norm_momentum,
        synchronized=keras.backend.backend() == "tensorflow",
        name=name,
    )(x)
