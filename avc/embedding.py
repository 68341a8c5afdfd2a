"""A trained audio-visual network in use: embed, compare and localise arrays."""

import dataclasses
import os
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from avc import networks, serving
from avc.checked_inputs import checked_pairs, checked_pictures, checked_sounds
from avc.recipes import AvcConfig
from avc.training import mismatches
from crossmodal import checkpoints, configuration
from crossmodal.errors import UserError
from crossmodal.export import Signature, is_export, load_signatures
from crossmodal.rows import Features, in_rows

# Rows that go through the network at once.
ROWS = 64

Call = Callable[[Features], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, from a work folder or an export.

    Frames are uint8 `[n, height, width, 3]`, RGB, of any size: of each the middle square
    of `crop_share` times the shorter side is scaled to the network's `image_size`. Waveforms
    are `[n, samples]`, mono, of `sample_rate_hz`, in [-1, 1] or int16: of each the middle
    `segment_seconds` are taken, and a shorter one has silence around it. A network that masks
    sounds takes a shorter one as it is: `num_samples` `[n]` says how many samples each row has
    from its beginning, where that is not all of the row.

    Where a network takes several frames of a moment, `frames` are `[n, T, height, width, 3]`, on
    the pairs' grid with the moment in the middle. Where it takes optical flow, `flow` is
    `[n, height, width, 2 * fields]` in its own pixels, of any size: of each field in turn the
    horizontal component, to the right, and the vertical one, down; each leads from one time of
    the grid to the next, and half of them lie before the moment.

    Attributes:
      config: what it was made of.
      functions: by name, see `avc.serving.signatures`.
      source: the folder it was loaded from.
      network: the Keras models, or None where only a SavedModel was loaded.
    """

    config: AvcConfig
    functions: Mapping[str, Call]
    source: str
    network: networks.Network | None = None

    @property
    def sample_rate_hz(self) -> int:
        """Of the waveforms."""
        return self.config.network.audio.sample_rate_hz

    @property
    def localizes(self) -> bool:
        """Whether the network has a heat map."""
        return "localize" in self.functions

    @property
    def sees_one_frame(self) -> bool:
        """Whether a single picture is all that the network sees of a moment."""
        return self.config.network.visual.names == ("frame",)

    def embed_visual(self, frames: np.ndarray, flow: np.ndarray | None = None) -> np.ndarray:
        """Embeds pictures: float32 `[n, d]`.

        Raises:
          UserError: the shape or type is not that of frames, or of flow.
        """
        given = checked_pictures(frames, flow, self.config.network)
        return self.functions["embed_image"](given)["embedding"]

    def embed_audio(
        self, waveforms: np.ndarray, num_samples: np.ndarray | None = None
    ) -> np.ndarray:
        """Embeds sounds: float32 `[n, d]`.

        Raises:
          UserError: the shape is not that of waveforms, or a value is not finite or too large.
        """
        given = checked_sounds(waveforms, num_samples, self.config.network)
        return self.functions["embed_audio"](given)["embedding"]

    def compare(
        self,
        frames: np.ndarray,
        waveforms: np.ndarray,
        flow: np.ndarray | None = None,
        num_samples: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Judges pairs, row by row.

        Returns:
          `corresponds` `[n]`, the probability that picture and sound belong together;
          `logits` `[n, 2]`, `visual_embedding` and `audio_embedding` `[n, d]`; `heatmap`
          `[n, height, width]` where the network localises; of a DAVEnet also `similarity` `[n]`
          and `matchmap` `[n, steps, height, width]`.

        Raises:
          UserError: frames or waveforms are none, or not equally many.
        """
        given = checked_pairs(frames, waveforms, flow, self.config.network, num_samples)
        return self.functions["correspond"](given)

    def localize(
        self, frames: np.ndarray, waveforms: np.ndarray, num_samples: np.ndarray | None = None
    ) -> np.ndarray:
        """Where in each picture its sound comes from.

        Returns:
          float32 `[n, height, width]` in [0, 1], over the squares that it sees of the frames.

        Raises:
          UserError: as `compare`; or the network has no heat map.
        """
        if not self.localizes:
            name = self.config.network.network
            raise UserError(
                f"{self.source}: a network `{name}` does not localise; avol and davenet do"
            )
        given = checked_pairs(frames, waveforms, None, self.config.network, num_samples)
        return self.functions["localize"](given)["heatmap"]

    def localize_at(
        self,
        frames: np.ndarray,
        waveforms: np.ndarray,
        num_samples: np.ndarray,
        at_samples: np.ndarray,
    ) -> np.ndarray:
        """Where in each picture lies what is heard at one moment of its sound.

        Args:
          frames, waveforms, num_samples: see the class; at most as long as the network takes.
          at_samples: the moment, in samples from the beginning of each row, `[n]`.

        Returns:
          float32 `[n, height, width]` in [0, 1], of the step of the matchmap at that moment.

        Raises:
          UserError: as `localize`; or the network has no matchmap.
        """
        if not self.config.network.masks_sound:
            name = self.config.network.network
            raise UserError(f"{self.source}: a network `{name}` has no matchmap; davenet has")
        given = checked_pairs(frames, waveforms, None, self.config.network, num_samples)
        maps = self.functions["localize"](given)["heatmaps"]
        # Each of four pools halves the number of steps, rounded up.
        hop = 16 * self.config.network.audio.hop_samples
        last = -(-given["num_samples"] // hop) - 1
        steps = np.clip(np.asarray(at_samples) // hop, 0, np.minimum(last, maps.shape[1] - 1))
        return maps[np.arange(len(maps)), steps]


def of_network(network: networks.Network, config: AvcConfig, source: str = "") -> TrainedNetwork:
    """A network of `networks.build` in use."""
    functions = {
        name: in_rows(_compiled(signature), ROWS)
        for name, signature in serving.signatures(network, config).items()
    }
    return TrainedNetwork(config, functions, source, network)


def _compiled(signature: Signature) -> Call:
    # Traced at the first call, once for all sizes.
    function = tf.function(signature.function, input_signature=list(signature.inputs))
    return lambda features: function(*(features[spec.name] for spec in signature.inputs))


def load(path: str | os.PathLike, checkpoint: str = "best") -> TrainedNetwork:
    """Loads a trained network.

    Args:
      path: the work folder of a training run or an exported SavedModel.
      checkpoint: `best` (on clips that were not trained on; the last one if nothing was
        evaluated) or `last`; of a work folder.

    Raises:
      UserError: there is neither.
    """
    path = os.fspath(path)
    config = read_config(path)
    if is_export(path):
        return TrainedNetwork(config, load_signatures(path, ROWS), path)
    return of_network(restore(path, config, checkpoint), config, path)


def read_config(path: str) -> AvcConfig:
    """The configuration in a work folder or an export.

    Raises:
      UserError: there is none.
    """
    source = os.path.join(path, configuration.FILE)
    saved = configuration.load(source)
    if "avc" not in saved:
        raise UserError(f"{path}: neither a work folder of train_avc nor an export of one")
    steps = saved.get("training", {}).get("max_steps")
    values = saved["avc"] | ({"max_steps": steps} if steps else {})
    return configuration.from_dict(AvcConfig, values, source)


def restore(path: str, config: AvcConfig, checkpoint: str = "best") -> networks.Network:
    """The Keras models of a work folder, with the weights of a checkpoint; see `load`."""
    network = networks.build(config.network, mismatches(config))
    checkpoints.load_chosen(path, network.training, checkpoint)
    return network
