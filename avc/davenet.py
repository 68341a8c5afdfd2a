"""DAVEnet: two fully convolutional trunks and the matchmap between them.

Boggust et al. 2019, Grounding Spoken Words in Unlabeled Video, section 2: "the dot product
similarity between average-pooled feature maps". What the triplet loss leaves open, which
similarity means that a pair corresponds, is settled by `avc.matchmaps.Standardized`.
"""

import keras
from keras import layers

from avc import davenet_trunks
from avc.configuration import NetworkConfig
from avc.masks import StepMean
from avc.matchmaps import (
    MarkSteps,
    Matchmap,
    Observer,
    ScaledLogits,
    Similarity,
    Standardized,
    TimeMean,
)
from avc.parts import Parts, Tensors


def parts(inputs: Tensors, config: NetworkConfig) -> Parts:
    """What `avc.networks.build` joins.

    `compare` gives, beside `logits`: `matchmap` [batch, steps, height, width], 0 behind the
    end of a shorter sound; `similarity` [batch]; `heatmap` [batch, height, width] in (0, 1):
    the logistic function of the matchmap's mean over time, around the same middle as the
    logits and in units of the places' own deviation, so that a map without anything is low;
    `heatmaps` [batch, steps, height, width]: the same of each step alone.

    Args:
      inputs: `frame`, `waveform` and `num_samples`.
      config: of a `davenet`.
    """
    visual = davenet_trunks.picture_trunk(inputs["frame"], config)
    sound, count = davenet_trunks.sound_trunk(inputs["waveform"], inputs["num_samples"], config)
    audio = MarkSteps(name="audio_map")(sound, count)
    product, over_time = Matchmap(name="matchmap"), TimeMean(name="time_mean")
    kind = config.matchmap.similarity
    similarity = Similarity(kind, config.matchmap.instance_temperature, name="similarity")
    standard = Standardized(config.batch_norm_momentum, name="standardized")
    logits = ScaledLogits(config.score_scale, name="logits")
    sigmoid = layers.Activation("sigmoid", dtype="float32", name="heatmap")
    observer = Observer(standard, name="observer")

    def compare(pictures: keras.KerasTensor, sounds: keras.KerasTensor) -> Tensors:
        matchmap = product(pictures, sounds)
        alike, places = similarity(matchmap, sounds), over_time(matchmap, sounds)
        return {
            "logits": logits(standard(alike)),
            "similarity": alike,
            "matchmap": matchmap,
            "heatmap": sigmoid(standard(places)),
            "heatmaps": sigmoid(standard(matchmap)),
            "places": places,
        }

    def observe(own: Tensors, other: Tensors, offset: keras.KerasTensor) -> Tensors:
        seen = (own["similarity"], other["similarity"], own["places"], other["places"])
        return {**own, "similarity": observer(*seen, offset)}

    embeddings = {
        "visual_embedding": layers.GlobalAveragePooling2D(dtype="float32", name="visual_mean")(
            visual
        ),
        "audio_embedding": StepMean(name="audio_mean")(sound, count),
    }
    # All pairs of a batch are compared by their pooled maps where that is the same.
    maps = kind != "sisa"
    return Parts(visual, audio, embeddings, compare, maps, observe)
