"""Whole sets of choices: a network, its inputs, its loss and its optimiser.

`l3`, `ave` and `avol` carry what Objects that Sound, section 3.3, says: 128 pairs a replica,
Adam, weight decay 1e-5, the learning rate times 0.94 every 16 epochs. Its initial value
came from a grid search (`launch.sweep_avc`); L3's about 1e-4. An epoch is clips / batch.
`contrast` is beyond the paper: AVE's towers under an all-pairs contrast. `resnet18` is of Feng
et al. 2020: 256 pairs, each drawn to be true or not, sound and frame aligned, Adam at 1e-3.

Each has a small version for a CPU and synthetic scenes, `l3_small` and so on: `SMALL` says
what differs.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from avc.configuration import NetworkConfig
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.spectrogram import SpectrogramConfig
from crossmodal import configuration
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

OBJECTIVES = ("correspondence", "infonce", "triplet")
OPTIMIZERS = ("adam", "sgd")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """What is made small.

    Attributes:
      objective: `correspondence`; `infonce`: every sound of the batch against every picture;
        or `triplet` of a DAVEnet, see `avc.triplet`.
      contrast_temperature: of `infonce`.
      margin: of `triplet`.
      negatives_within: clips in a row among which mismatched pairs are sought, so that a
        batch gives the same pairs on one replica as on several; a divisor of a replica's
        part of the batch.
      negatives_per_clip: mismatched pairs that a clip gives where they are exchanged within
        the batch; together they count as much as its true pair. 1: the paper's; up to
        negatives_within - 1, all there are, at hardly any cost, as trunks run once a clip.
    """

    objective: str = "correspondence"
    contrast_temperature: float = 0.07
    margin: float = 1.0
    negatives_within: int = 64
    negatives_per_clip: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("objective", self.objective, OBJECTIVES)
        check_range("contrast_temperature", self.contrast_temperature, 1e-4, 1e4)
        check_range("margin", self.margin, 0, 1e6)
        check_range("negatives_within", self.negatives_within, 2, 1_000_000)
        check_range("negatives_per_clip", self.negatives_per_clip, 1, self.negatives_within - 1)


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its schedule.

    Attributes:
      optimizer: `adam` or `sgd`.
      momentum: of `sgd`.
      learning_rate: the first.
      decay_rate: the rate is multiplied by it every `decay_epochs`.
      decay_epochs: passes over as many clips as there are.
      weight_decay: decoupled from the gradient (as in AdamW), of kernels; 0 where `l2` does it.
      clip_norm: largest norm of the whole gradient; 0 for none.
    """

    optimizer: str = "adam"
    momentum: float = 0.9
    learning_rate: float = 1e-4
    decay_rate: float = 0.94
    decay_epochs: float = 16.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its range."""
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_range("momentum", self.momentum, 0, 1)
        check_range("learning_rate", self.learning_rate, 1e-9, 1e3)
        check_range("decay_rate", self.decay_rate, 1e-6, 1)
        check_range("decay_epochs", self.decay_epochs, 1e-6, 1e9)
        check_range("weight_decay", self.weight_decay, 0, 1e3)
        check_range("clip_norm", self.clip_norm, 0, 1e9)


@dataclasses.dataclass(frozen=True)
class AvcConfig:
    """A recipe.

    Attributes:
      batch_size: clips in a step over all replicas; with negatives from the batch each
        gives a true and a mismatched pair.
    """

    recipe: str
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    frames: FrameConfig = dataclasses.field(default_factory=FrameConfig)
    pairs: PairConfig = dataclasses.field(default_factory=PairConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    batch_size: int = 64
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        """Raises ConfigurationError unless the parts fit each other."""
        check_range("batch_size", self.batch_size, 1, 1_000_000)
        check_range("max_steps", self.max_steps, 1, 1_000_000_000)
        for paths in SHARED.values():
            first, second = (functools.reduce(getattr, path.split("."), self) for path in paths)
            if first != second:
                raise ConfigurationError(f"{paths[0]} is {first} and {paths[1]} {second}")
        if self.loss.objective == "infonce" and self.pairs.negatives != "in_batch":
            raise ConfigurationError("objective infonce needs negatives in_batch")
        fits = self.network.network == "davenet" and self.pairs.negatives == "in_batch"
        if self.loss.objective == "triplet" and not fits:
            raise ConfigurationError(
                "objective triplet needs network davenet and negatives in_batch"
            )
        if self.network.masks_sound != (self.pairs.short_sounds == "mask"):
            raise ConfigurationError(
                f"short_sounds is {self.pairs.short_sounds} and network {self.network.network}:"
                " a davenet masks short sounds, and others have silence around them"
            )


# What two parts must agree in, and is changed in both by one name.
SHARED = {
    "image_size": ("network.image_size", "frames.image_size"),
    "segment_seconds": ("network.segment_seconds", "pairs.segment_seconds"),
    "sample_rate_hz": ("network.audio.sample_rate_hz", "pairs.sample_rate_hz"),
}


def override(config: AvcConfig, changes: Mapping[str, Any]) -> AvcConfig:
    """Replaces fields by their name, whichever part they belong to.

    Raises:
      ConfigurationError: no part has a field of that name, or the value does not fit.
    """
    spread = {}
    for name, value in changes.items():
        spread |= {path: value for path in SHARED.get(name, (name,))}
    return configuration.override(config, spread)


def recipe(name: str) -> AvcConfig:
    """The recipe of that name.

    Raises:
      ConfigurationError: there is none of that name.
    """
    check_choice("recipe", name, tuple(RECIPES))
    return RECIPES[name]


def _named(name: str, **parts: object) -> AvcConfig:
    return AvcConfig(name, **parts)


PAPERS = {
    "l3": _named("l3", network=NetworkConfig(network="l3")),
    "ave": _named("ave", network=NetworkConfig(network="ave")),
    # Its products are of long vectors: with AVE's scale the first scores are far from 0.
    "avol": _named("avol", network=NetworkConfig(network="avol", score_scale=0.3)),
    "ave_mf": _named("ave_mf", network=NetworkConfig(network="ave_mf")),
    "ave_of": _named("ave_of", network=NetworkConfig(network="ave_of")),
    "contrast": _named(
        "contrast", network=NetworkConfig(network="ave"), loss=LossConfig(objective="infonce")
    ),
    "resnet18": _named(
        "resnet18",
        network=NetworkConfig(network="resnet18", l2=0.0),
        pairs=PairConfig(
            misalignment_seconds=0.0, negatives="independent", negatives_from="any_time"
        ),
        optimizer=OptimizerConfig(learning_rate=1e-3, decay_rate=1.0),
        batch_size=256,
        max_steps=400_000,
    ),
    "davenet": _named(
        "davenet",
        network=NetworkConfig(
            network="davenet",
            segment_seconds=2.0,
            audio=SpectrogramConfig(
                sample_rate_hz=16_000,
                window_seconds=0.025,
                hop_seconds=0.01,
                fft_length=400,
                window="hamming",
                remove_mean=True,
                pre_emphasis=0.97,
                spectrum="power",
                mel_bands=40,
                lowest_hz=20.0,
                highest_hz=8000.0,
                logarithm="decibel",
                epsilon=1e-10,
                # Normalised by the network's first layer.
                mean=0.0,
                deviation=1.0,
            ),
            embedding_dim=1024,
            l2=5e-7,
        ),
        pairs=PairConfig(
            sample_rate_hz=16_000,
            segment_seconds=2.0,
            grid_seconds=1.0,
            misalignment_seconds=0.0,
            short_sounds="mask",
        ),
        loss=LossConfig(objective="triplet", negatives_within=100),
        optimizer=OptimizerConfig(
            optimizer="sgd", learning_rate=1e-3, decay_rate=0.1, decay_epochs=40.0
        ),
        batch_size=100,
        max_steps=500_000,
    ),
}

# A 96-pixel picture, 64 Mel bands by 50 columns of sound, a quarter of the filters. Decoding
# the sound of a clip costs about as much as a step on it, so several pairs are drawn of each.
SMALL = {
    "image_size": 96,
    "crop_share": 1.0,
    "width": 0.25,
    "visual_blocks": 3,
    "mel_bands": 64,
    "window_seconds": 0.04,
    "fft_length": 2048,
    "hop_seconds": 0.02,
    "pairs_per_read": 8,
    "negatives_per_clip": 15,
    "learning_rate": 1e-3,
    "decay_rate": 0.3,
    "max_steps": 3000,
}
MOVING = {"score_scale": 10.0, "misalignment_seconds": 0.0}
# What differs besides: L3-Net's picture and sound have features of the same length, a distance
# of unit vectors starts steeper, and with attention every place of a picture learns from the
# start, not only the highest.
SMALL_OF = {
    "l3": {"audio_blocks": 3},
    "ave": {"score_scale": 10.0},
    "avol": {"pooling": "soft"},
    # What moves is heard at that time. With all 25 frames a step would take twenty times as long
    # as AVE's; five that are 0.08 s apart show the same third of a second as AVE+OF's fields.
    "ave_mf": MOVING
    | {
        "num_frames": 5,
        "grid_seconds": 0.08,
        "temporal_stride": 1,
        "temporal_pool": 1,
        "subtract_mean_frame": True,
        "decay_epochs": 64.0,
    },
    "ave_of": MOVING,
    # All four stages, or it is no ResNet18, and pairs as the others have them: of a scene
    # another moment is seldom another sound.
    "resnet18": {
        "visual_blocks": 4,
        "negatives": "in_batch",
        "negatives_from": "other_video",
        "score_scale": 10.0,
        "batch_size": 64,
    },
}
# Of other trunks and another sound, nothing of the above is small: all that differs.
SMALL_DAVENET = {
    "image_size": 96,
    "crop_share": 1.0,
    "width": 0.125,
    "embedding_dim": 128,
    "image_normalization": True,
    "pairs_per_read": 8,
    "negatives_within": 50,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "decay_rate": 0.3,
    "decay_epochs": 16.0,
    "max_steps": 1500,
}


def _small(name: str) -> dict[str, Any]:
    own = SMALL_DAVENET if name == "davenet" else {**SMALL, **SMALL_OF.get(name, {})}
    return {**own, "recipe": f"{name}_small"}


RECIPES = PAPERS | {f"{name}_small": override(c, _small(name)) for name, c in PAPERS.items()}
