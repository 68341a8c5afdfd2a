"""Export of a trained embedding: SavedModel, TFLite, and plain files that explain it."""

import csv
import functools
import io
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crossmodal import configuration, files
from crossmodal.errors import UserError
from crossmodal.export import (
    CARD_FILE,
    METRICS_FILE,
    Signature,
    check_output,
    configuration_lines,
    convert_to_tflite,
    export_saved_model,
    run_tflite,
    write_tflite,
)
from crossmodal.request_checks import (
    Check,
    Tensors,
    checked,
    on_rows,
    require,
    require_magnitude,
    require_rows,
)
from yt8m_embed.configuration import EmbeddingConfig, ModelConfig
from yt8m_embed.embedding import JointEmbedding
from yt8m_embed.model import (
    FRAME_FEATURES,
    MODALITIES,
    SIZES,
    VIDEO_FEATURES,
    single_modality,
    single_modality_seconds,
)

LABEL_FILE = "label_names.csv"
# Of a feature: the squares of more would not be finite.
LARGEST = 1e15


def input_specs(modality: str, config: ModelConfig) -> tuple[tf.TensorSpec, ...]:
    """What clients send for one modality."""
    if config.feature_level == "video":
        return (tf.TensorSpec((None, SIZES[modality]), tf.float32, VIDEO_FEATURES[modality]),)
    return (
        tf.TensorSpec((None, None, SIZES[modality]), tf.uint8, FRAME_FEATURES[modality]),
        tf.TensorSpec((None,), tf.int32, "num_frames"),
    )


def make_signatures(
    models: Mapping[str, keras.Model], config: ModelConfig
) -> dict[str, Signature]:
    """`embed_visual`, `embed_audio`, and `serving_default` for both and their cosine.

    Where seconds have embeddings, also `embed_visual_frames` and `embed_audio_frames`.

    Args:
      models: from `export_models`.
      config: the model's configuration.
    """
    specs = {m: input_specs(m, config) for m in MODALITIES}
    both = (specs["visual"][0], *specs["audio"])

    def run(name: str, given: Tensors) -> tf.Tensor:
        wanted = [spec.name for spec in specs[name.removesuffix("_frames")]]
        return models[name]({key: given[key] for key in wanted}, training=False)

    def embed(modality: str) -> Callable[..., Tensors]:
        def function(*values: tf.Tensor) -> Tensors:
            given = checked(specs[modality], values, check_features)
            return {"embedding": on_rows(functools.partial(run, modality), given)}

        return function

    def embed_frames(modality: str) -> Callable[..., Tensors]:
        def function(*values: tf.Tensor) -> Tensors:
            given = checked(specs[modality], values, check_features)
            frames = functools.partial(run, f"{modality}_frames")
            return {"frame_embedding": on_rows(frames, given)}

        return function

    def embed_both(*values: tf.Tensor) -> Tensors:
        given = checked(both, values, check_features)
        outputs = {
            f"{m}_embedding": on_rows(functools.partial(run, m), given) for m in MODALITIES
        }
        product = outputs["visual_embedding"] * outputs["audio_embedding"]
        return {**outputs, "cosine": tf.reduce_sum(product, axis=-1)}

    frames = {
        f"embed_{m}_frames": Signature(embed_frames(m), specs[m])
        for m in MODALITIES
        if config.has_seconds
    }
    return frames | {
        "embed_visual": Signature(embed("visual"), specs["visual"]),
        "embed_audio": Signature(embed("audio"), specs["audio"]),
        "serving_default": Signature(embed_both, both),
    }


def check_features(given: Tensors) -> list[Check]:
    """Checks the inputs of a signature, of those that are given: finite, seconds that there are."""
    checks = [
        require_magnitude(name, given[name], LARGEST)
        for name in VIDEO_FEATURES.values()
        if name in given
    ]
    if "num_frames" in given:
        number = given["num_frames"]
        seconds = next(tf.shape(value)[1] for value in given.values() if value.shape.rank == 3)
        right = (number >= 0) & (number <= seconds)
        text = "num_frames must be at least 0 and at most as many as the features have"
        checks.append(require_rows(right, text))
    for name in FRAME_FEATURES.values():
        if name in given:
            right = tf.shape(given[name])[1] > 0
            checks.append(require(right, f"{name} must have a second on its second axis"))
    if all(name in given for name in FRAME_FEATURES.values()):
        lengths = tf.stack([tf.shape(given[name])[1] for name in FRAME_FEATURES.values()])
        text = f"{', '.join(FRAME_FEATURES.values())} must have equally many seconds; they have"
        checks.append(require(tf.reduce_all(lengths == lengths[0]), text, lengths))
    return checks


def export_models(model: keras.Model, config: ModelConfig) -> dict[str, keras.Model]:
    """What each signature runs: `visual`, `audio`, and of seconds `visual_frames` and so on."""
    models = {m: single_modality(model, m, config) for m in MODALITIES}
    if config.has_seconds:
        models |= {f"{m}_frames": single_modality_seconds(model, m, config) for m in MODALITIES}
    return models


def export(
    embedding: JointEmbedding,
    output: str,
    label_names: Mapping[int, str],
    metrics: Mapping[str, Any] | None,
    tflite: bool,
) -> dict[str, float]:
    """Writes everything about a trained embedding into a folder, whole or not at all.

    Args:
      embedding: loaded from a work folder.
      output: the folder; an older one is replaced.
      label_names: class index to name; may be empty.
      metrics: an evaluation report to keep beside the model, or None.
      tflite: whether to write `visual.tflite` and `audio.tflite` (video level only).

    Returns:
      The largest absolute difference between the live model and its TFLite form on
      random inputs, by modality; empty without TFLite.

    Raises:
      UserError: see `check_output`; or the embedding comes from a SavedModel itself.
    """
    if embedding.model is None:
        raise UserError(f"{embedding.source} is an export: name the work folder of a training")
    check_output(output)
    config = embedding.config
    models = export_models(embedding.model, config.model)
    differences = {}
    with files.whole_folder(output) as folder:
        export_saved_model(folder, models, make_signatures(models, config.model))
        if tflite and config.model.feature_level == "video":
            for modality in MODALITIES:
                content = convert_to_tflite(folder, f"embed_{modality}")
                write_tflite(os.path.join(folder, f"{modality}.tflite"), content)
                differences[modality] = tflite_difference(embedding, content, modality)
        saved = {"embedding": configuration.to_dict(config), "tflite_difference": differences}
        configuration.save(os.path.join(folder, configuration.FILE), saved)
        write_labels(os.path.join(folder, LABEL_FILE), label_names, config.model.num_classes)
        if metrics:
            configuration.save(os.path.join(folder, METRICS_FILE), metrics)
        files.write_text(
            os.path.join(folder, CARD_FILE), model_card(config, metrics or {}, differences)
        )
    return differences


def tflite_difference(embedding: JointEmbedding, content: bytes, modality: str) -> float:
    """Largest absolute difference of a TFLite tower from the live model, on 64 random rows."""
    inputs = np.random.default_rng(0).normal(0, 0.5, (64, SIZES[modality])).astype(np.float32)
    live = embedding.embed(modality, inputs)
    return float(np.abs(run_tflite(content, inputs) - live).max())


def write_labels(path: str, names: Mapping[int, str], num_classes: int) -> None:
    """Writes `index,name` for every class; the name is empty where it is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "name"])
    writer.writerows((i, names.get(i, "")) for i in range(num_classes))
    files.write_text(path, text.getvalue())


def model_card(
    config: EmbeddingConfig, metrics: Mapping[str, Any], differences: Mapping[str, float]
) -> str:
    """What the model is, what it takes and gives, how good it is, and its limits."""
    inputs = {m: input_specs(m, config.model) for m in MODALITIES}
    lines = [f"# Joint audio-visual embedding, recipe `{config.recipe}`", "", "## Signatures", ""]
    for modality in MODALITIES:
        described = ", ".join(f"`{s.name}` {s.dtype.name} {s.shape}" for s in inputs[modality])
        lines.append(f"- `embed_{modality}`: {described} -> `embedding`, unit vectors")
        if config.model.has_seconds:
            lines.append(
                f"- `embed_{modality}_frames`: the same -> `frame_embedding` `[batch, time, dim]`, "
                "unit vectors of the seconds, zeros from `num_frames` on"
            )
    lines += ["- `serving_default`: both -> both embeddings and their `cosine`", ""]
    lines += ["Features are those of YouTube-8M; normalisation is part of the graph.", ""]
    if config.model.normalization == "joint":
        lines += [
            "Trained with both modalities divided by one norm, which is only known where both",
            "are given; here each is divided by its own. Retrieval with single modalities is",
            "therefore not what the training saw.",
            "",
        ]
    if differences:
        lines += ["## TFLite", ""]
        lines += [
            f"- `{m}.tflite` differs from the model by at most {d:.1e} on random inputs"
            for m, d in differences.items()
        ]
        lines.append("")
    recalls = {k: v for k, v in metrics.items() if "/recall@" in k}
    if recalls:
        lines += ["## Retrieval", "", "| measure | mean | std | galleries |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {100 * v['mean']:.1f} % | {100 * v['std']:.1f} | {v['galleries']} |"
            for name, v in sorted(recalls.items())
        ]
        lines.append("")
    return "\n".join([*lines, *configuration_lines(config)]) + "\n"
