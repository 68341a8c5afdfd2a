"""Two towers, one classifier: from features to a joint embedding.

Full paper, section 3: fully connected layers per modality, a cosine between the two
embeddings, and one classifier that both share. Beyond the paper, a tower may have a
linear path that starts at a CCA solution.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from yt8m_embed.configuration import AUDIO_SIZE, VISUAL_SIZE, ModelConfig
from yt8m_embed.layers import (
    FrameMean,
    Gate,
    JointNormalization,
    L2Normalization,
    LinearPath,
    Standardization,
)

MODALITIES = ("visual", "audio")
SIZES = {"visual": VISUAL_SIZE, "audio": AUDIO_SIZE}
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


def hidden_path(x, widths: tuple[int, ...], config: ModelConfig, name: str):
    """The fully connected layers of a tower and its unit embedding."""
    regularizer = keras.regularizers.L2(config.l2) if config.l2 else None
    for i, width in enumerate(widths, start=1):
        x = layers.Dense(width, kernel_regularizer=regularizer, name=f"{name}_hidden{i}")(x)
        if config.layer_normalization and i == 1:
            x = layers.LayerNormalization(name=f"{name}_norm{i}", dtype="float32")(x)
        x = layers.Activation(config.hidden_activation, name=f"{name}_activation{i}")(x)
        if config.hidden_dropout:
            x = layers.Dropout(config.hidden_dropout, name=f"{name}_dropout{i}")(x)
    x = layers.Dense(
        config.embedding_dim,
        activation=config.embedding_activation,
        kernel_regularizer=regularizer,
        name=f"{name}_embedding",
    )(x)
    return L2Normalization(name=f"{name}_unit", dtype="float32")(x)


def build_tower(modality: str, config: ModelConfig) -> keras.Model:
    """From normalised features `[batch, size]` to unit embeddings `[batch, dim]`.

    Each of `num_towers` towers is a path of hidden layers, the first `linear_towers` of
    them with a linear path beside it, joined by a learned gate; the towers are joined
    with equal weight.
    """
    features = keras.Input((SIZES[modality],), name=f"{modality}_input")
    widths = config.visual_layers if modality == "visual" else config.audio_layers
    dropout = config.visual_dropout if modality == "visual" else config.audio_dropout
    towers = []
    for i in range(config.num_towers):
        x = layers.Dropout(dropout, name=f"tower{i}_dropout")(features) if dropout else features
        embedding = hidden_path(x, widths, config, f"tower{i}")
        if i < config.linear_towers:
            path = LinearPath(config.linear_dim, config.linear_rate, name=f"tower{i}_linear")
            linear = L2Normalization(name=f"tower{i}_linear_unit", dtype="float32")(path(x))
            gate = Gate((0.5, 0.5), name=f"tower{i}_gate", dtype="float32")
            embedding = gate([linear, embedding])
        towers.append(embedding)
    if len(towers) > 1:
        joined = layers.Concatenate(name="towers", dtype="float32")(towers)
        embedding = layers.Rescaling(len(towers) ** -0.5, name="unit", dtype="float32")(joined)
    return keras.Model(features, embedding, name=f"{modality}_tower")


def build_model(config: ModelConfig) -> keras.Model:
    """The model that is trained.

    Returns:
      A model from the inputs of `make_inputs` to `visual_embedding`, `audio_embedding`
      (unit vectors `[batch, dim]`), `visual_logits`, `audio_logits`
      `[batch, num_classes]` (with a classifier), and `visual_features`,
      `audio_features`, the video-level features that entered; all float32.
    """
    inputs = make_inputs(config)
    features = {m: video_level(inputs, m) for m in MODALITIES}
    if config.normalization == "joint":
        joint = JointNormalization(name="joint_normalization", dtype="float32")
        normal = dict(zip(MODALITIES, joint(features["visual"], features["audio"]), strict=True))
    else:
        normal = {m: normalize_alone(features[m], m, config) for m in MODALITIES}
    classifier = layers.Dense(
        config.num_classes,
        kernel_regularizer=keras.regularizers.L2(config.l2) if config.l2 else None,
        bias_initializer=keras.initializers.Constant(config.classifier_bias),
        name="classifier",
        dtype="float32",
    )
    outputs = {}
    for modality in MODALITIES:
        x = normal[modality]
        if config.standardize:
            x = Standardization(name=f"{modality}_standardization", dtype="float32")(x)
        embedding = build_tower(modality, config)(x)
        outputs[f"{modality}_embedding"] = embedding
        if config.classifier:
            outputs[f"{modality}_logits"] = classifier(embedding * config.classifier_scale)
        outputs[f"{modality}_features"] = features[modality]
    return keras.Model(inputs, outputs, name="yt8m_embed")


def classify(model: keras.Model, embedding, config: ModelConfig):
    """Logits `[batch, num_classes]` of unit embeddings `[batch, dim]`, of either modality."""
    return model.get_layer("classifier")(embedding * config.classifier_scale)


def normalize_alone(features, modality: str, config: ModelConfig):
    """The input normalisation of one modality that has only itself."""
    if config.normalization == "none":
        return features
    return L2Normalization(name=f"{modality}_normalization", dtype="float32")(features)


def single_modality(model: keras.Model, modality: str, config: ModelConfig) -> keras.Model:
    """The part of a trained model that embeds one modality without the other.

    A model with joint normalisation gets its input divided by its own norm, since there
    is no other: what a user of such a model can do.

    Args:
      model: from `build_model`; the weights are shared with it.
      modality: `visual` or `audio`.
      config: the model's configuration.
    """
    inputs = make_inputs(config)
    name = VIDEO_FEATURES if config.feature_level == "video" else FRAME_FEATURES
    inputs = {k: v for k, v in inputs.items() if k in (name[modality], "num_frames")}
    x = normalize_alone(video_level(inputs, modality), modality, config)
    if config.standardize:
        x = model.get_layer(f"{modality}_standardization")(x)
    embedding = model.get_layer(f"{modality}_tower")(x)
    return keras.Model(inputs, embedding, name=f"embed_{modality}")


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
