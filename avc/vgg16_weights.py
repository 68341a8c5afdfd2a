"""VGG16 of `keras.applications` with weights by one rule, for trunks and for baselines.

The weights are `none` (random ones), a file of weights or of a whole model as Keras writes
them (.h5 or .keras), or `imagenet`, which Keras downloads once.
"""

import os

import keras
import numpy as np

from crossmodal.errors import UserError


def open_vgg16(
    weights: str, include_top: bool = True, image_size: int = 224, flag: str = "weights"
) -> keras.Model:
    """Builds VGG16 with its weights.

    Args:
      weights: `none`, `imagenet` or a file.
      include_top: whether with its dense layers; a file may have them in either case.
      image_size: pixels a side; trained weights of dense layers are for 224.
      flag: what named the weights, for errors.

    Raises:
      UserError: the weights cannot be had, or are not those of a VGG16 at this size.
    """
    options = {"include_top": include_top, "input_shape": (image_size, image_size, 3)}
    if weights == "imagenet":
        try:
            return keras.applications.VGG16(weights="imagenet", **options)
        except Exception as error:  # Keras raises a plain one where nothing can be downloaded
            raise UserError(
                f"{flag}=imagenet: cannot be downloaded ({_first_line(error)}); name a local"
                " file, .h5 or .keras"
            ) from error
    model = keras.applications.VGG16(weights=None, **options)
    if weights != "none":
        _load(model, weights, flag)
    return model


def _load(model: keras.Model, path: str, flag: str) -> None:
    if not path.endswith((".h5", ".keras")) or not os.path.isfile(path):
        raise UserError(
            f"{flag}={path}: is neither `none` nor `imagenet` nor a file .h5 or .keras"
        )
    layers = [layer for layer in model.layers if layer.weights]
    before = [layer.get_weights()[0] for layer in layers]
    # Older files are read by the layers' names, so that dense layers may be there or not.
    older = path.endswith(".h5") and not path.endswith(".weights.h5")
    try:
        model.load_weights(path, **({"by_name": True} if older else {}))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{flag}={path}: holds no weights of VGG16 at {model.input.shape[1]} pixels"
            f" ({_first_line(error)})"
        ) from error
    for layer, old in zip(layers, before, strict=True):
        if np.array_equal(old, layer.get_weights()[0]):
            raise UserError(f"{flag}={path}: has no weights of the layer {layer.name}")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
