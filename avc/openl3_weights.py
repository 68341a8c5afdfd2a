"""OpenL3's published weights, HDF5 files of Keras 2, into the towers of `avc.openl3`.

A file has an attribute `layer_names`, a group for each layer with an attribute `weight_names`,
and the arrays under these. Layers are known by their order, as Keras 2 numbered the names of
whatever it made. The last convolution has a name of its own, which tells sound from pictures.
"""

import dataclasses
import os
import re

import h5py
import keras
import numpy as np

from avc.openl3 import INPUT_REPRESENTATIONS, OpenL3Config, build
from crossmodal.errors import UserError

LAST = {"audio_embedding_layer": "audio", "vision_embedding_layer": "image"}
# Files before version 0.4 hold the constants of a spectrogram layer, too.
CONSTANTS = "spectrogram"
KERNEL = ("kernel", "bias")
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
Weights = list[tuple[str, dict[str, np.ndarray]]]


@dataclasses.dataclass(frozen=True)
class OpenL3:
    """A tower with its weights.

    Attributes:
      config: which it is.
      model: see `avc.openl3.build`.
    """

    config: OpenL3Config
    model: keras.Model


def read(path: str) -> Weights:
    """The layers that have weights, in the file's order.

    Returns:
      Of each its name, and its arrays by the last part of their names (`kernel`).

    Raises:
      UserError: the file cannot be read or has another layout.
    """
    if path.endswith(".gz"):
        raise UserError(f"--weights={path}: is compressed; unpack it with gunzip first")
    try:
        with h5py.File(path, "r") as file:
            held = file.get("model_weights", file)
            return [
                (name, _arrays(held[name]))
                for name in map(_text, held.attrs["layer_names"])
                if len(held[name].attrs["weight_names"]) and CONSTANTS not in name
            ]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"--weights={path}: is no HDF5 file of Keras 2's layout ({error})"
        ) from error


def _arrays(group: h5py.Group) -> dict[str, np.ndarray]:
    found = {}
    for name in map(_text, group.attrs["weight_names"]):
        found[name.rsplit("/", 1)[-1].partition(":")[0]] = np.asarray(group[name])
    return found


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def modality_of(weights: Weights, path: str) -> str:
    """`audio` or `image`, by the name of the last convolution.

    Raises:
      UserError: it is neither.
    """
    name = weights[-1][0] if weights else "none"
    if name not in LAST:
        raise UserError(
            f"--weights={path}: its last layer is {name}, not {' or '.join(LAST)}: these are no"
            " weights of OpenL3"
        )
    return LAST[name]


def representation_of(path: str) -> str:
    """What the file's name says of the input, as in `openl3_audio_mel256_music.h5`; or empty."""
    found = re.search("|".join(INPUT_REPRESENTATIONS), os.path.basename(path))
    return found.group() if found else ""


def load(path: str, input_representation: str = "", embedding_dim: int = 512) -> OpenL3:
    """A tower with the weights of a file.

    Args:
      path: the file.
      input_representation: see `OpenL3Config`; if empty, what the file's name says.
      embedding_dim: see `OpenL3Config`.

    Raises:
      UserError: the file is not one of OpenL3, or does not say what its input is.
      ConfigurationError: there is no such embedding.
    """
    weights = read(path)
    modality = modality_of(weights, path)
    named = input_representation or representation_of(path)
    if not named and modality == "audio":
        raise UserError(
            f"--weights={path}: neither the file nor its name tells what the tower takes: give"
            f" --input_representation, one of {', '.join(INPUT_REPRESENTATIONS)}"
        )
    config = OpenL3Config(modality, named or "mel256", embedding_dim)
    model = build(config)
    fill(model, weights, path)
    return OpenL3(config, model)


def fill(model: keras.Model, weights: Weights, path: str) -> None:
    """Gives a tower its weights.

    Raises:
      UserError: a layer is of another kind or shape, has a number that is not finite, or a
        variance is below 0.
    """
    ours = [layer for layer in model.layers if layer.weights]
    if len(ours) != len(weights):
        raise UserError(
            f"--weights={path}: has {len(weights)} layers with weights; a tower of OpenL3 has"
            f" {len(ours)}"
        )
    for layer, (name, arrays) in zip(ours, weights, strict=True):
        wanted = KERNEL if isinstance(layer, keras.layers.Conv2D) else NORM
        if set(arrays) != set(wanted):
            raise UserError(
                f"--weights={path}: layer {name} has {', '.join(arrays)} where a tower of OpenL3"
                f" has {', '.join(wanted)}"
            )
        values = [arrays[key] for key in wanted]
        for key, value, weight in zip(wanted, values, layer.weights, strict=True):
            if value.shape != tuple(weight.shape):
                raise UserError(
                    f"--weights={path}: {key} of layer {name} has shape {value.shape}, not"
                    f" {tuple(weight.shape)}"
                )
            if not np.isfinite(value).all() or (key == "moving_variance" and value.min() < 0):
                raise UserError(
                    f"--weights={path}: {key} of layer {name} has a NaN, an Inf or a variance"
                    " below 0"
                )
        layer.set_weights(values)
