"""A classifier of `keras.applications` for frames, with its own scaling and its class names."""

import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Sequence

import keras
import numpy as np

from crossmodal import files
from crossmodal.errors import ConfigurationError, UserError

NONE, IMAGENET = "none", "imagenet"
NAMES_FILE = "imagenet_class_index.json"


@dataclasses.dataclass(frozen=True)
class FrameClassifier:
    """A classifier in use.

    Attributes:
      classes: names of its outputs, spaces in the place of underscores.
      image_size: pixels a side.
      posteriors: uint8 [n, image_size, image_size, 3], RGB, to float32 [n, classes].
    """

    classes: tuple[str, ...]
    image_size: int
    posteriors: Callable[[np.ndarray], np.ndarray]


def load(name: str, weights: str, class_names: str = "") -> FrameClassifier:
    """Builds a classifier.

    Args:
      name: of a function of `keras.applications`, such as `ResNet50`.
      weights: `imagenet`; a file that Keras wrote (.h5, .keras); or `none` for random ones, to
        try a job out.
      class_names: a text file with a name a line, or JSON as Keras has it for ImageNet
        ({"0": ["n01440764", "tench"], ...}). Without, the names of ImageNet's 1000 classes.

    Raises:
      UserError: there is no such model, weights or names cannot be had, or do not fit.
    """
    function = getattr(keras.applications, name, None)
    if not callable(function):
        known = sorted(n for n in dir(keras.applications) if callable(_member(n)))
        raise ConfigurationError(f"--model={name}: choose one of {', '.join(known)}")
    if weights not in (NONE, IMAGENET) and not os.path.isfile(weights):
        raise UserError(f"--weights={weights}: is neither none nor imagenet nor a file")
    classes = read_class_names(class_names) if class_names else imagenet_class_names()
    if weights == IMAGENET and len(classes) != 1000:
        raise UserError(f"--class_names={class_names}: {len(classes)} names, ImageNet has 1000")
    try:
        model = function(weights=IMAGENET if weights == IMAGENET else None, classes=len(classes))
    except Exception as error:  # Keras raises a plain one where nothing can be downloaded
        raise UserError(
            f"--weights={weights}: cannot be had ({_first_line(error)}); name a local file"
        ) from error
    if weights not in (NONE, IMAGENET):
        try:
            model.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"--weights={weights}: holds no weights of {name} with {len(classes)} classes"
                f" ({_first_line(error)})"
            ) from error
    scale = importlib.import_module(function.__module__).preprocess_input

    def posteriors(frames: np.ndarray) -> np.ndarray:
        return np.asarray(model(scale(frames.astype(np.float32)), training=False))

    return FrameClassifier(tuple(classes), model.input_shape[1] or 224, posteriors)


def _member(name: str) -> object:
    member = getattr(keras.applications, name)
    return member if name[0].isupper() else None


def read_class_names(path: str) -> list[str]:
    """Names in the order of a classifier's outputs; see `load`.

    Raises:
      UserError: the file cannot be read, or is of neither form.
    """
    text = files.read_text(path)
    if not path.endswith(".json"):
        names = [line.strip() for line in text.splitlines()]
        names = [name for name in names if name]
    else:
        try:
            values = json.loads(text)
            names = [values[str(i)] for i in range(len(values))]
            names = [name if isinstance(name, str) else name[-1] for name in names]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            form = '{"0": ["n01440764", "tench"], ...}'
            raise UserError(f"{path}: is not of the form {form}") from error
    if not names:
        raise UserError(f"{path}: holds no name")
    return unique_names(names)


def unique_names(names: Sequence[str]) -> list[str]:
    """Names without underscores and ";"; a second one of a name is numbered.

    ImageNet has "crane" and "maillot" twice.
    """
    found: list[str] = []
    for name in names:
        name = name.replace("_", " ").replace(";", ",").strip()
        number = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({number + 1})" if number else name)
    return found


def imagenet_class_names() -> list[str]:
    """The names of ImageNet's 1000 classes, which Keras downloads once.

    Raises:
      UserError: they are not there and cannot be downloaded.
    """
    from keras.src.applications import imagenet_utils

    try:
        path = keras.utils.get_file(
            NAMES_FILE, imagenet_utils.CLASS_INDEX_PATH, cache_subdir="models"
        )
    except Exception as error:
        raise UserError(
            f"the class names of ImageNet cannot be downloaded ({_first_line(error)}): give"
            " --class_names=FILE, with a name a line"
        ) from error
    return read_class_names(path)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
