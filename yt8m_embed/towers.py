"""The towers of the joint embedding: of a video's mean, and of its seconds.

Full paper, section 3: fully connected layers for each modality. Its section 6 names as
the next step a recurrent network over the seconds, from which each second has an
embedding too; how is left open, and so is ours.
"""

import keras
from keras import layers

from yt8m_embed.layers import Gate, L2Normalization, LinearPath
from yt8m_embed.model_configuration import AUDIO_SIZE, VISUAL_SIZE, ModelConfig
from yt8m_embed.temporal_layers import (
    AttentionPooling,
    FlattenSeconds,
    MaskSeconds,
    UnflattenSeconds,
)

SIZES = {"visual": VISUAL_SIZE, "audio": AUDIO_SIZE}
RECURRENT = {"gru": layers.GRU, "lstm": layers.LSTM}


def hidden_layers(x, widths: tuple[int, ...], config: ModelConfig, name: str):
    """The fully connected layers of a tower, on the last dimension."""
    for i, width in enumerate(widths, start=1):
        x = dense(width, config, f"{name}_hidden{i}")(x)
        if config.layer_normalization and i == 1:
            x = layers.LayerNormalization(name=f"{name}_norm{i}", dtype="float32")(x)
        x = layers.Activation(config.hidden_activation, name=f"{name}_activation{i}")(x)
        if config.hidden_dropout:
            x = layers.Dropout(config.hidden_dropout, name=f"{name}_dropout{i}")(x)
    return x


def dense(width: int, config: ModelConfig, name: str, activation: str | None = None):
    """A fully connected layer with the configuration's penalty."""
    regularizer = keras.regularizers.L2(config.l2) if config.l2 else None
    return layers.Dense(width, activation=activation, kernel_regularizer=regularizer, name=name)


def unit_embedding(x, config: ModelConfig, embedding: str, unit: str):
    """The last layer of a path and its normalisation, by the names of the two layers."""
    x = dense(config.embedding_dim, config, embedding, config.embedding_activation)(x)
    return L2Normalization(name=unit, dtype="float32")(x)


def hidden_path(x, widths: tuple[int, ...], config: ModelConfig, name: str):
    """The fully connected layers of a tower and its unit embedding."""
    x = hidden_layers(x, widths, config, name)
    return unit_embedding(x, config, f"{name}_embedding", f"{name}_unit")


def build_tower(modality: str, config: ModelConfig) -> keras.Model:
    """From normalised features to unit embeddings.

    The tower of means takes `[batch, size]` and gives `[batch, dim]`. Each of `num_towers`
    towers is a path of hidden layers, the first `linear_towers` of them with a linear path
    beside it, joined by a learned gate; the towers are joined with equal weight.

    That of seconds (`config.temporal`) takes `[batch, time, size]` and a mask
    `[batch, time]`, see `build_temporal_tower`.
    """
    widths = config.visual_layers if modality == "visual" else config.audio_layers
    dropout = config.visual_dropout if modality == "visual" else config.audio_dropout
    if config.temporal:
        return build_temporal_tower(modality, widths, dropout, config)
    features = keras.Input((SIZES[modality],), name=f"{modality}_input")
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


def build_temporal_tower(
    modality: str, widths: tuple[int, ...], dropout: float, config: ModelConfig
) -> keras.Model:
    """From normalised seconds to the embeddings of a video and of each of its seconds.

    Every second passes the hidden layers. A recurrent layer runs over them: its last state
    becomes the video's embedding, and its output beside the hidden layers' that of the
    second. With attention a second is seen alone, and the video is what its heads gather.

    Returns:
      A model from `[batch, time, size]` and a mask `[batch, time]` to unit vectors
      `[batch, dim]` and `[batch, time, dim]`; zeros after a video's last second.
    """
    features = keras.Input((None, SIZES[modality]), name=f"{modality}_input")
    mask = keras.Input((None,), name=f"{modality}_mask", dtype="bool")
    x = layers.Dropout(dropout, name="tower0_dropout")(features) if dropout else features
    x = hidden_layers(x, widths, config, "tower0")
    if config.temporal_pooling == "attention":
        pool = AttentionPooling(config.temporal_units, config.attention_heads, name="pooling")
        pooled = pool(x, mask)
    else:
        outputs, pooled = run_recurrent(x, mask, config)
        x = layers.Concatenate(name="second_and_context")([x, outputs])
    video = unit_embedding(pooled, config, "tower0_embedding", "tower0_unit")
    seconds = unit_embedding(x, config, "second_embedding", "second_unit")
    seconds = MaskSeconds(name="second_mask", dtype="float32")(seconds, mask)
    return keras.Model([features, mask], [video, seconds], name=f"{modality}_tower")


def run_recurrent(x, mask, config: ModelConfig):
    """Outputs `[batch, time, units]` of a recurrent layer, and its last state `[batch, units]`.

    The state passes unchanged over seconds that the mask excludes, so the last one is that
    of the last second (of the first one, for the layer that runs backwards).
    """
    made = RECURRENT[config.temporal_pooling](
        config.temporal_units, return_sequences=True, return_state=True, name="recurrent"
    )
    if config.bidirectional:
        made = layers.Bidirectional(made, name="bidirectional")
    outputs, *states = made(x, mask=mask)
    outputs = MaskSeconds(name="context_mask")(outputs, mask)
    if not config.bidirectional:
        return outputs, states[0]
    # An LSTM has two states a direction, of which the first is its output.
    both = [states[0], states[len(states) // 2]]
    return outputs, layers.Concatenate(name="last_states")(both)


def apply_to_seconds(tower: keras.Model, values, mask, modality: str):
    """What a tower of means makes of each second: `[batch, time, dim]`, masked by zeros.

    Args:
      tower: from `build_tower`, of a configuration that is not temporal.
      values: normalised seconds `[batch, time, size]`.
      mask: `[batch, time]`.
      modality: for the layers' names.
    """
    rows = FlattenSeconds(name=f"{modality}_rows", dtype="float32")(values)
    return UnflattenSeconds(name=f"{modality}_seconds", dtype="float32")(tower(rows), mask)
