"""Two towers, one classifier: from features to a joint embedding.

Full paper, section 3: fully connected layers per modality, a cosine between the two
embeddings, and one classifier that both share. Beyond the paper, a tower may have a
linear path that starts at a CCA solution.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from yt8m_embed.layers import FrameMean, JointNormalization, L2Normalization, Standardization
from yt8m_embed.model_configuration import ModelConfig
from yt8m_embed.temporal_layers import Dequantization
from yt8m_embed.towers import SIZES, apply_to_seconds, build_tower

MODALITIES = ("visual", "audio")
VIDEO_FEATURES = {"visual": "mean_rgb", "audio": "mean_audio"}
FRAME_FEATURES = {"visual": "rgb", "audio": "audio"}


def input_features(config: ModelConfig) -> tuple[str, ...]:
    """Names of the batch's features that the model takes."""
    if config.feature_level == "video":
        return tuple(VIDEO_FEATURES.values())
    return (*FRAME_FEATURES.values(), "num_frames")


def audio_features(config: ModelConfig) -> tuple[str, ...]:
    """Names of the batch's features that make up the sound."""
    if config.feature_level == "video":
        return (VIDEO_FEATURES["audio"],)
    return (FRAME_FEATURES["audio"],)


def make_inputs(config: ModelConfig) -> dict[str, keras.KerasTensor]:
    """The model's inputs by feature name.

    Video level: `mean_rgb` `[batch, 1024]` and `mean_audio` `[batch, 128]`, float32.
    Frame level: `rgb`, `audio` uint8 `[batch, time, size]`, and `num_frames` `[batch]`.
    """
    if config.feature_level == "video":
        return {VIDEO_FEATURES[m]: keras.Input((SIZES[m],), name=VIDEO_FEATURES[m]) for m in SIZES}
    inputs = {
        FRAME_FEATURES[m]: keras.Input((None, SIZES[m]), name=FRAME_FEATURES[m], dtype="uint8")
        for m in SIZES
    }
    return {**inputs, "num_frames": keras.Input((), name="num_frames", dtype="int32")}


def video_level(inputs: dict[str, keras.KerasTensor], modality: str):
    """The features of a modality for the whole video `[batch, size]`."""
    if VIDEO_FEATURES[modality] in inputs:
        return inputs[VIDEO_FEATURES[modality]]
    pool = FrameMean(name=f"{modality}_mean", dtype="float32")
    return pool(inputs[FRAME_FEATURES[modality]], inputs["num_frames"])


def build_model(config: ModelConfig) -> keras.Model:
    """The model that is trained.

    Returns:
      A model from the inputs of `make_inputs` to `visual_embedding`, `audio_embedding`
      (unit vectors `[batch, dim]`), `visual_logits`, `audio_logits`
      `[batch, num_classes]` (with a classifier), and `visual_features`,
      `audio_features`, the video-level features that entered; at frame level also
      `frame_visual_embedding`, `frame_audio_embedding` (unit vectors `[batch, time, dim]`,
      zeros after a video's last second; not with joint normalisation). All float32.
    """
    inputs = make_inputs(config)
    features = {m: video_level(inputs, m) for m in MODALITIES}
    joint = {}
    if config.normalization == "joint":
        layer = JointNormalization(name="joint_normalization", dtype="float32")
        joint = dict(zip(MODALITIES, layer(features["visual"], features["audio"]), strict=True))
    classifier = layers.Dense(
        config.num_classes,
        kernel_regularizer=keras.regularizers.L2(config.l2) if config.l2 else None,
        bias_initializer=keras.initializers.Constant(config.classifier_bias),
        name="classifier",
        dtype="float32",
    )
    outputs = {}
    for modality in MODALITIES:
        parts = Parts(build_tower(modality, config))
        if config.standardize:
            name = f"{modality}_standardization"
            parts = Parts(parts.tower, Standardization(name=name, dtype="float32"))
        found = embed(inputs, modality, config, parts, features[modality], joint.get(modality))
        outputs[f"{modality}_embedding"] = found["embedding"]
        if config.has_seconds:
            outputs[f"frame_{modality}_embedding"] = found["frame_embedding"]
        if config.classifier:
            scaled = found["embedding"] * config.classifier_scale
            outputs[f"{modality}_logits"] = classifier(scaled)
        outputs[f"{modality}_features"] = features[modality]
    return keras.Model(inputs, outputs, name="yt8m_embed")


@dataclasses.dataclass(frozen=True)
class Parts:
    """The layers of a modality that have weights.

    Attributes:
      tower: from `build_tower`.
      standardization: of what enters it, or None.
    """

    tower: keras.Model
    standardization: layers.Layer | None = None


def embed(
    inputs: dict[str, keras.KerasTensor],
    modality: str,
    config: ModelConfig,
    parts: Parts,
    features,
    normal=None,
) -> dict[str, keras.KerasTensor]:
    """The embedding of a modality and, at frame level, those of its seconds.

    Args:
      inputs: from `make_inputs`.
      modality: `visual` or `audio`.
      config: the model's configuration.
      parts: the modality's layers.
      features: for the whole video, `[batch, size]`.
      normal: the same, normalised, where that takes both modalities.

    Returns:
      `embedding` `[batch, dim]` and, where `config.has_seconds`, `frame_embedding`
      `[batch, time, dim]`.
    """

    def prepare(x, normal=None):
        x = normalize_alone(x, modality, config) if normal is None else normal
        return parts.standardization(x) if parts.standardization else x

    found = {} if config.temporal else {"embedding": parts.tower(prepare(features, normal))}
    if config.has_seconds:
        decode = Dequantization(name=f"{modality}_dequantization", dtype="float32")
        values, mask = decode(inputs[FRAME_FEATURES[modality]], inputs["num_frames"])
        values = prepare(values)
        if config.temporal:
            found["embedding"], found["frame_embedding"] = parts.tower([values, mask])
        else:
            found["frame_embedding"] = apply_to_seconds(parts.tower, values, mask, modality)
    return found


def classify(model: keras.Model, embedding, config: ModelConfig):
    """Logits `[batch, num_classes]` of unit embeddings `[batch, dim]`, of either modality."""
    return model.get_layer("classifier")(embedding * config.classifier_scale)


def normalize_alone(features, modality: str, config: ModelConfig):
    """The input normalisation of one modality that has only itself."""
    if config.normalization == "none":
        return features
    name = f"{modality}_normalization" + ("_of_seconds" if len(features.shape) == 3 else "")
    return L2Normalization(name=name, dtype="float32")(features)


def single_modality(model: keras.Model, modality: str, config: ModelConfig) -> keras.Model:
    """The part of a trained model that embeds one modality without the other.

    A model with joint normalisation gets its input divided by its own norm, since there
    is no other: what a user of such a model can do.

    Args:
      model: from `build_model`; the weights are shared with it.
      modality: `visual` or `audio`.
      config: the model's configuration.

    Returns:
      A model from the modality's inputs to unit vectors `[batch, dim]`.
    """
    inputs, found = _alone(model, modality, config)
    return keras.Model(inputs, found["embedding"], name=f"embed_{modality}")


def single_modality_seconds(
    model: keras.Model, modality: str, config: ModelConfig
) -> keras.Model:
    """Like `single_modality`, to unit vectors `[batch, time, dim]` of the seconds."""
    inputs, found = _alone(model, modality, config)
    return keras.Model(inputs, found["frame_embedding"], name=f"embed_{modality}_frames")


def _alone(model: keras.Model, modality: str, config: ModelConfig):
    inputs = make_inputs(config)
    name = VIDEO_FEATURES if config.feature_level == "video" else FRAME_FEATURES
    inputs = {k: v for k, v in inputs.items() if k in (name[modality], "num_frames")}
    parts = Parts(model.get_layer(f"{modality}_tower"))
    if config.standardize:
        parts = Parts(parts.tower, model.get_layer(f"{modality}_standardization"))
    return inputs, embed(inputs, modality, config, parts, video_level(inputs, modality))


@dataclasses.dataclass(frozen=True)
class Start:
    """What the training data says of a modality before the first step.

    Attributes:
      mean: of the normalised features `[size]`.
      deviation: their overall standard deviation, one number.
      projection: `[size, components]`, of the CCA, its components weighted.
    """

    mean: np.ndarray
    deviation: float
    projection: np.ndarray


def start_from(model: keras.Model, starts: dict[str, Start], config: ModelConfig) -> None:
    """Sets standardisation and linear paths; the linear paths then equal the CCA.

    Args:
      model: from `build_model`.
      starts: of both modalities, from features normalised as the model's inputs are.
      config: the model's configuration; `standardize` is needed, as CCA subtracts means.
    """
    for modality, start in starts.items():
        layer = model.get_layer(f"{modality}_standardization")
        layer.mean.assign(start.mean)
        layer.factor.assign(1.0 / start.deviation)
        tower = model.get_layer(f"{modality}_tower")
        for i in range(config.linear_towers):
            tower.get_layer(f"tower{i}_linear").assign(start.projection * start.deviation)
