"""What a row of the table of networks is made of."""

import dataclasses
from collections.abc import Callable

import keras

Tensors = dict[str, keras.KerasTensor]


@dataclasses.dataclass(frozen=True)
class Parts:
    """What follows the trunks.

    Attributes:
      visual, audio: what the head compares, batch first.
      embeddings: `visual_embedding` and `audio_embedding`.
      compare: (visual, audio) -> `logits` and, where it localises, `heatmap`.
      maps_in_training: whether the loss of a training asks for `visual` and `audio`, too: as
        `visual_map` and `audio_map`.
      observe: (outputs of the own pairs, of the mismatched ones, `partner_offset`) -> the
        first, once moving statistics have seen both; None where there are none.
    """

    visual: keras.KerasTensor
    audio: keras.KerasTensor
    embeddings: Tensors
    compare: Callable[[keras.KerasTensor, keras.KerasTensor], Tensors]
    maps_in_training: bool = False
    observe: Callable[[Tensors, Tensors, keras.KerasTensor], Tensors] | None = None
