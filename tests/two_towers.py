"""A tiny two-tower task on NumPy data, for the tests of the training loop."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from crossmodal.training import Task

EXAMPLES = 64


def make_data() -> dict[str, np.ndarray]:
    """Two views of one hidden vector, and 1 to 3 labels each."""
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(EXAMPLES, 4))
    views = {
        "a": hidden @ rng.normal(size=(4, 6)) + 0.1 * rng.normal(size=(EXAMPLES, 6)),
        "b": hidden @ rng.normal(size=(4, 5)) + 0.1 * rng.normal(size=(EXAMPLES, 5)),
    }
    labels = np.full((EXAMPLES, 3), -1)
    labels[:, 0] = hidden[:, 0] > 0
    labels[::8, 1] = 2
    return {**{k: v.astype(np.float32) for k, v in views.items()}, "labels": labels}


def make_dataset(batch_size: int, seed: int = 0, repeat: bool = False):
    """The order is drawn anew in each epoch; labels are as wide as the batch's longest row.

    With `repeat` all batches are one, and its second half is its first half again.
    """
    data = make_data()

    def dataset(start_step: int, worker: int, workers: int) -> tf.data.Dataset:
        share = batch_size // workers

        def batch(step):
            place = tf.range(share, dtype=tf.int64) + step * batch_size + worker * share
            epoch = tf.stack([tf.constant(seed, tf.int64), step * batch_size // EXAMPLES])
            index = tf.random.experimental.index_shuffle(place % EXAMPLES, epoch, EXAMPLES - 1)
            if repeat:
                index = tf.tile(tf.range(share // 2), [2])
            rows = {k: tf.gather(v, index) for k, v in data.items()}
            width = tf.reduce_max(tf.reduce_sum(tf.cast(rows["labels"] >= 0, tf.int32), 1))
            return {**rows, "labels": rows["labels"][:, :width]}

        return tf.data.Dataset.counter(start_step).map(batch)

    return dataset


def make_model(dropout: float = 0.0, l2: float = 0.0) -> keras.Model:
    inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((5,), name="b")}
    outputs = {}
    for name, x in inputs.items():
        x = keras.layers.Dense(
            8, activation="relu", kernel_regularizer=keras.regularizers.L2(l2) if l2 else None
        )(x)
        if dropout:
            x = keras.layers.Dropout(dropout)(x)
        x = keras.layers.Dense(4, dtype="float32")(x)
        outputs[name] = keras.layers.UnitNormalization(dtype="float32")(x)
    return keras.Model(inputs, outputs)


def contrast(outputs, batch, step):
    """InfoNCE within the batch where videos of the same first label do not count as wrong."""
    scores = 5 * ops.matmul(outputs["a"], ops.transpose(outputs["b"]))
    first = batch["labels"][:, 0]
    same = ops.cast(first[:, None] == first[None, :], "float32")
    count = ops.cast(ops.sum(batch["labels"] >= 0, axis=-1), "float32")
    right = ops.diagonal(scores)
    wrong = scores - 2 * same * (1 - ops.eye(ops.shape(scores)[0]))
    loss = ops.mean(count * (ops.logsumexp(wrong, axis=-1) - right))
    return {"loss": loss, "started": ops.cast(step, "float32")}


def regress(outputs, batch, step):
    """A loss of single examples."""
    return {"loss": ops.mean(ops.square(ops.sum(outputs["a"] * outputs["b"], axis=-1) - 1))}


def rest(outputs, batch, step):
    """A loss that leaves the weights where they are; how far the batch's halves are apart."""
    half = ops.shape(outputs["a"])[0] // 2
    apart = ops.mean(ops.abs(outputs["a"][:half] - outputs["a"][half:]))
    return {"loss": 0 * regress(outputs, batch, step)["loss"], "halves_apart": apart}


def spread(outputs, batch, step):
    """A loss whose gradients are too large for float16 at the first loss scale."""
    return {"loss": 1e3 * regress(outputs, batch, step)["loss"]}


def evaluate(model) -> dict[str, float]:
    data = make_data()
    outputs = model({k: data[k] for k in ("a", "b")}, training=False)
    return {"cosine": float(ops.mean(ops.sum(outputs["a"] * outputs["b"], axis=-1)))}


def make_task(
    batch_size: int = 16,
    dropout: float = 0.0,
    l2: float = 0.0,
    optimizer: str = "sgd",
    repeat: bool = False,
    **changes,
) -> Task:
    # Not Adam where gradients are compared: it hides a factor.
    optimizers = {
        "sgd": lambda: keras.optimizers.SGD(0.2, momentum=0.5),
        "adam": lambda: keras.optimizers.Adam(0.01),
    }
    values = {
        "make_model": lambda: make_model(dropout, l2),
        "make_optimizer": optimizers[optimizer],
        "losses": contrast,
        "gather": True,
        "dataset": make_dataset(batch_size, repeat=repeat),
        "evaluate": evaluate,
        "best_metric": "cosine",
    }
    return Task(**{**values, **changes})
