"""The similarity of all pictures to all sounds, of a network that compares by its maps.

DAVEnet's similarities but SISA are no products of embeddings: each picture's map meets each
sound's, in blocks.
"""

import keras
import numpy as np
import tensorflow as tf

from avc.configuration import NetworkConfig
from avc.matchmap_config import MatchmapConfig
from avc.triplet import map_similarities
from crossmodal.rows import in_rows

# Rows whose maps are computed at once, and pictures and sounds that meet at once.
ROWS, BLOCK = 64, 16


class Maps:
    """Collects maps, where a network compares by them; else it does nothing."""

    def __init__(self, deployed: keras.Model, config: NetworkConfig) -> None:
        """Takes a network of `avc.networks.build` and what it was built by."""
        self._config = config.matchmap
        self._used = config.network == "davenet" and self._config.similarity != "sisa"
        self._visual: list[np.ndarray] = []
        self._audio: list[np.ndarray] = []
        if self._used:
            towers = deployed.get_layer("towers")
            outputs = {name: towers.output[name] for name in ("visual", "audio")}
            model = keras.Model(towers.input, outputs)
            self._call = in_rows(tf.function(lambda given: model(given, training=False)), ROWS)

    def add(self, inputs: dict[str, np.ndarray]) -> None:
        """Some more rows of pictures and sounds."""
        if self._used:
            found = self._call(inputs)
            # Half precision: the maps of a thousand pairs take a gigabyte as floats.
            self._visual.append(found["visual"].astype(np.float16))
            self._audio.append(found["audio"].astype(np.float16))

    def similarities(self) -> np.ndarray | None:
        """Of every picture (rows) to every sound: float32 `[n, n]`; None without maps."""
        if not self._used:
            return None
        return all_similarities(
            np.concatenate(self._visual), np.concatenate(self._audio), self._config
        )


def all_similarities(
    visual: np.ndarray, audio: np.ndarray, config: MatchmapConfig
) -> np.ndarray:
    """`avc.triplet.map_similarities` of any number of maps, in blocks.

    Args:
      visual: `[n, height, width, d]`.
      audio: `[m, steps, d + 1]`.
      config: how maps are compared.

    Returns:
      float32 `[n, m]`.
    """
    kind = config.similarity, config.instance_temperature
    block = tf.function(
        lambda pictures, sounds: map_similarities(pictures, sounds, *kind), reduce_retracing=True
    )
    starts = [range(0, len(each), BLOCK) for each in (visual, audio)]
    pictures, sounds = (
        [each[i : i + BLOCK].astype(np.float32) for i in places]
        for each, places in zip((visual, audio), starts, strict=True)
    )
    return np.concatenate(
        [np.concatenate([block(p, s).numpy() for s in sounds], 1) for p in pictures]
    )
