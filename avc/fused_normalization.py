"""Batch normalisation in one operation of TensorFlow, where training can take it.

Keras 3 composes it of a dozen operations, each a pass over the feature map, and in float32
whatever the model's type is: on a CPU a third of AVE-Net's training step, in bfloat16 half of it.
The fused operation has no statistics over several replicas, so that it is for one.
"""

import keras
import tensorflow as tf

from avc.convolutions import BatchNorm


def batch_norm(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises by the statistics of x itself.

    Args:
      x: float32, bfloat16 or float16 `[batch, ..., channels]`.
      gamma, beta: float32 `[channels]`.
      epsilon: added to the variance.

    Returns:
      The outputs, of the shape and type of x; mean and variance, float32 `[channels]`.
    """
    shape = tf.shape(x)
    rows = tf.reshape(x, [-1, 1, 1, x.shape[-1]]) if x.shape.rank != 4 else x
    none = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=rows, scale=tf.convert_to_tensor(gamma), offset=tf.convert_to_tensor(beta),
        mean=none, variance=none, epsilon=epsilon, is_training=True,
    )
    # It gives the unbiased variance; Keras keeps the other.
    number = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance = variance * tf.maximum(number - 1, 1) / number
    return tf.reshape(outputs, shape), mean, variance


def use(model: keras.Model) -> None:
    """Lets the normalisations of a model train by the fused operation, if that is right here.

    That is on one replica, of TensorFlow, on a CPU. Outputs, gradients and moving statistics
    are those of Keras but for rounding.

    Args:
      model: built in the scope of the strategy that it is trained under.
    """
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    if on_gpu or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            use(layer)
        elif isinstance(layer, BatchNorm):
            layer.kernel = batch_norm
