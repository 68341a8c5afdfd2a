"""Towers that begin with the weights of another training.

Boggust et al. 2019, table 3: audio and visual tower each at random, of a network trained
without labels, or (the visual one) of a network trained on ImageNet.
"""

import dataclasses
import os
from typing import Any

import keras

from avc import embedding, networks, recipes
from avc.recipes import AvcConfig
from crossmodal import checkpoints, configuration
from crossmodal.errors import ConfigurationError, UserError

RANDOM, IMAGENET = "random", "imagenet"
TOWERS = ("audio", "visual")
# Networks whose visual tower is one of `keras.applications`.
OF_APPLICATIONS = ("davenet",)


@dataclasses.dataclass(frozen=True)
class Initialization:
    """Where each tower's first weights come from; saved with the run.

    Attributes:
      audio, visual: the work folder of a training, whose best checkpoint is taken (the last
        one where nothing was evaluated); or `random`.
    """

    audio: str = RANDOM
    visual: str = RANDOM

    def sources(self) -> dict[str, str]:
        """Work folders by tower."""
        return {tower: path for tower in TOWERS if (path := getattr(self, tower)) != RANDOM}

    def __call__(self, network: networks.Network, config: AvcConfig) -> None:
        """Gives towers the weights of other trainings; heads and all else stay as they are.

        Args:
          network: as it was just made.
          config: its configuration.

        Raises:
          UserError: a folder has no checkpoint, or a weight of the tower is not there or has
            another shape; names the flag, the folder and the weight.
        """
        for tower, path in self.sources().items():
            try:
                source = _load(path, tower, config)
                _copy(source, tower_weights(network, tower))
            except UserError as error:
                raise UserError(f"--{tower}_init={path}: {error}") from error


def with_imagenet(config: AvcConfig) -> AvcConfig:
    """The recipe with a visual tower that begins with weights trained on ImageNet.

    Raises:
      ConfigurationError: the network's visual tower is none of which there are such weights.
    """
    if config.network.network not in OF_APPLICATIONS:
        raise ConfigurationError(
            f"--visual_init=imagenet: there are no such weights for network"
            f" {config.network.network}, only for {', '.join(OF_APPLICATIONS)}"
        )
    return recipes.override(config, {"image_weights": IMAGENET})


def tower_weights(network: networks.Network, tower: str) -> dict[str, keras.Variable]:
    """The weights on the way from the inputs to a tower's embedding, by their paths.

    Args:
      network: any of `avc.networks`.
      tower: `audio` or `visual`.
    """
    towers = network.deployed.get_layer("towers")
    outputs = [towers.output[name] for name in (tower, f"{tower}_embedding")]
    part = keras.Model(towers.inputs, outputs)
    return {weight.path: weight for weight in part.weights}


def _load(path: str, tower: str, config: AvcConfig) -> dict[str, keras.Variable]:
    trained = embedding.read_config(path)
    _check_inputs(tower, trained, config)
    if not any(
        checkpoints.complete_steps(os.path.join(path, kind))
        for kind in (checkpoints.BEST, checkpoints.LATEST)
    ):
        raise UserError("has no checkpoint; name the work folder of a training")
    return tower_weights(embedding.restore(path, trained), tower)


def _check_inputs(tower: str, trained: AvcConfig, config: AvcConfig) -> None:
    """Weights fit their shapes even where the tower would be given something else."""
    then, now = (_inputs(tower, each) for each in (trained, config))
    if differing := configuration.differences(then, now):
        raise UserError(f"was trained on other inputs ({'; '.join(differing)})")


def _inputs(tower: str, config: AvcConfig) -> dict[str, Any]:
    values = configuration.to_dict(config.network)
    if tower == "audio":
        return values["audio"]
    # Trunks of ImageNet take pictures with other means and scales.
    of_imagenet = values.get("matchmap", {}).get("image_weights", "none") != "none"
    return {"of_imagenet": of_imagenet}


def _copy(source: dict[str, keras.Variable], target: dict[str, keras.Variable]) -> None:
    for name, weight in target.items():
        if name not in source:
            raise UserError(f"its network has no weight {name}")
        if source[name].shape != weight.shape:
            there, here = (tuple(w.shape) for w in (source[name], weight))
            raise UserError(f"its weight {name} has shape {there}, here {here}")
    for name, weight in target.items():
        weight.assign(source[name])
