"""The losses against plain NumPy and hand-made cases."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from yt8m_embed import losses
from yt8m_embed.configuration import LossConfig

RNG = np.random.default_rng(7)


def unit(rows, size):
    x = RNG.normal(size=(rows, size)).astype("float32")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_cosine_loss_by_hand():
    visual = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], "float32")
    audio = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 1]], "float32")
    match = np.array([1, 1, -1, -1])
    # 1 - 1, 1 - 0, 0.6 - 0.2, max(0, 0 - 0.2)
    expected = (0 + 1 + 0.4 + 0) / 4
    assert float(losses.cosine_loss(visual, audio, match, 0.2, False)) == pytest.approx(expected)
    scaled = (0 + 1 + 0.4 / 0.8 + 0) / 4
    assert float(losses.cosine_loss(visual, audio, match, 0.2, True)) == pytest.approx(scaled)


@pytest.mark.parametrize("repeat", [False, True])
def test_sigmoid_cross_entropy_is_the_sum_over_classes(repeat):
    logits = RNG.normal(size=(3, 6)).astype("float32") * 3
    labels = np.array([[0, 5, -1], [-1, -1, -1], [2, 2 if repeat else 4, -1]])
    expected = []
    for row, own in zip(logits.astype(float), labels, strict=True):
        total = 0.0
        for c, logit in enumerate(row):
            p = 1 / (1 + math.exp(-logit))
            total -= math.log(p) if c in own.tolist() else math.log(1 - p)
        expected.append(total)
    value = float(losses.sigmoid_cross_entropy(logits, labels))
    assert value == pytest.approx(np.mean(expected), rel=1e-5)


def test_softmax_cross_entropy_has_targets_c_over_their_number():
    logits = RNG.normal(size=(3, 6)).astype("float32") * 3
    labels = np.array([[0, 5, 5], [-1, -1, -1], [2, -1, -1]])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = [-(math.log(p[0, 0]) + math.log(p[0, 5])) / 2, 0.0, -math.log(p[2, 2])]
    value = float(losses.softmax_cross_entropy(logits, labels))
    assert value == pytest.approx(np.mean(expected), rel=1e-5)


def contrastive_oracle(visual, audio, duplicates, temperature, smoothing):
    scores = visual.astype(float) @ audio.astype(float).T / temperature
    total = 0.0
    for table, same in ((scores, duplicates), (scores.T, duplicates.T)):
        for i in range(len(table)):
            allowed = [j for j in range(len(table)) if j == i or not same[i, j]]
            log_sum = math.log(sum(math.exp(table[i, j]) for j in allowed))
            target = {j: smoothing / len(allowed) for j in allowed}
            target[i] += 1 - smoothing
            total += sum(w * (log_sum - table[i, j]) for j, w in target.items())
    return total / (2 * len(scores))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_contrastive_loss_leaves_duplicates_out(smoothing):
    visual, audio = unit(5, 8), unit(5, 8)
    duplicates = np.eye(5, dtype=bool)
    duplicates[1, 3] = duplicates[3, 1] = True
    value = float(losses.contrastive_loss(visual, audio, duplicates, 0.1, smoothing))
    assert value == pytest.approx(
        contrastive_oracle(visual, audio, duplicates, 0.1, smoothing), rel=1e-5
    )
    without = float(losses.contrastive_loss(visual, audio, np.eye(5, dtype=bool), 0.1, smoothing))
    assert abs(without - value) > 1e-4


def test_same_items_finds_identical_rows_only():
    features = RNG.normal(size=(6, 128)).astype("float32")
    features[4] = features[1]
    features[5] = features[1]
    features[5, 77] += 1e-3
    expected = np.eye(6, dtype=bool)
    expected[1, 4] = expected[4, 1] = True
    np.testing.assert_array_equal(losses.same_items(features), expected)


def batch_and_outputs():
    outputs = {
        "visual_embedding": unit(4, 8),
        "audio_embedding": unit(4, 8),
        "visual_features": unit(4, 16),
        "audio_features": unit(4, 16),
    }
    batch = {
        "labels": np.array([[0, 1], [2, -1], [-1, -1], [3, -1]]),
        "audio_labels": np.array([[0, 1], [3, -1], [-1, -1], [3, -1]]),
        "match": np.array([1, -1, 1, 1]),
        "unplaced": np.array([2, 2, 2, 2]),
    }
    return outputs, batch


WEIGHTS = RNG.normal(size=(8, 6)).astype("float32")


def classifier(embedding):
    return tf.matmul(embedding, WEIGHTS)


def test_lambda_is_zero_until_its_step():
    outputs, batch = batch_and_outputs()
    config = LossConfig(class_weight=0.5, class_weight_step=10, class_activation="sigmoid")
    before = losses.embedding_losses(outputs, batch, 9, config, (8,), classifier)
    after = losses.embedding_losses(outputs, batch, 10, config, (8,), classifier)
    assert float(before["unplaced_negatives"]) == 2
    assert float(before["lambda"]) == 0 and float(after["lambda"]) == 0.5
    assert float(before["class_loss"]) == 0
    logits = [outputs[f"{m}_embedding"] @ WEIGHTS for m in ("visual", "audio")]
    assert float(before["loss"]) == pytest.approx(float(before["embedding_loss"]))
    expected = float(losses.sigmoid_cross_entropy(logits[0], batch["labels"]))
    expected += float(losses.sigmoid_cross_entropy(logits[1], batch["audio_labels"]))
    assert float(after["class_loss"]) == pytest.approx(expected, rel=1e-5)
    total = float(after["embedding_loss"]) + 0.5 * expected
    assert float(after["loss"]) == pytest.approx(total, rel=1e-5)
    rooted = dataclasses.replace(config, sqrt_class_loss=True)
    total = float(after["embedding_loss"]) + 0.5 * math.sqrt(expected)
    rooted_loss = losses.embedding_losses(outputs, batch, 10, rooted, (8,), classifier)["loss"]
    assert float(rooted_loss) == pytest.approx(total, rel=1e-5)


def test_gradients_are_finite_without_any_label_under_the_root():
    outputs, batch = batch_and_outputs()
    batch["labels"] = batch["audio_labels"] = np.full((4, 1), -1)
    config = LossConfig(class_weight_step=0, sqrt_class_loss=True, class_activation="softmax")
    outputs = {name: tf.Variable(value) for name, value in outputs.items()}
    with tf.GradientTape(persistent=True) as tape:
        loss = losses.embedding_losses(outputs, batch, 0, config, (8,), classifier)["loss"]
    for name in ("visual_embedding", "audio_embedding"):
        assert np.isfinite(tape.gradient(loss, outputs[name])).all()
