"""SavedModels for serving and TFLite files for devices, from Keras models.

`keras.export.ExportArchive` tracks a Keras 3 model's variables where
`tf.saved_model.save` of a plain module would not, so that stock tools
(`saved_model_cli run`, a model server) can run the result.
"""

import contextlib
import dataclasses
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crossmodal import configuration, files
from crossmodal.errors import UserError
from crossmodal.rows import Features, in_rows

SAVED_MODEL = "saved_model.pb"
METRICS_FILE = "metrics.json"
CARD_FILE = "model_card.md"


@dataclasses.dataclass(frozen=True)
class Signature:
    """One entry point of an exported model.

    Attributes:
      function: from the inputs, in the order of `inputs`, to a dict of named tensors.
      inputs: a spec for each input, with the name that clients use.
    """

    function: Callable[..., Mapping[str, tf.Tensor]]
    inputs: tuple[tf.TensorSpec, ...]


def export_saved_model(
    folder: str,
    models: Mapping[str, keras.Model],
    signatures: Mapping[str, Signature],
) -> None:
    """Writes a SavedModel, replacing an older one in `folder`.

    Args:
      folder: where it goes; it holds nothing but the SavedModel.
      models: everything that has weights, by a name for each.
      signatures: by name; one of them must be `serving_default`.
    """
    archive = keras.export.ExportArchive()
    for name, model in models.items():
        setattr(archive, name, model)
        archive.track(model)
    for name, signature in signatures.items():
        archive.add_endpoint(name, signature.function, input_signature=list(signature.inputs))
    archive.write_out(folder, verbose=False)


def is_export(folder: str) -> bool:
    """Whether a folder holds a SavedModel."""
    return tf.io.gfile.exists(os.path.join(folder, SAVED_MODEL))


def load_signatures(
    folder: str, rows: int
) -> dict[str, Callable[[Features], dict[str, np.ndarray]]]:
    """The entry points of an exported model, by name.

    Args:
      folder: what `export_saved_model` wrote.
      rows: how many go through at once.

    Returns:
      Functions from arrays `[n, ...]` by name to such arrays.
    """
    loaded = tf.saved_model.load(folder)

    def call(name: str, features: Features) -> Mapping[str, tf.Tensor]:
        # By way of `loaded`: a signature lives no longer than it does.
        return loaded.signatures[name](**{k: tf.constant(v) for k, v in features.items()})

    return {
        name: in_rows(functools.partial(call, name), rows) for name in loaded.signatures
    }


def check_output(output: str) -> None:
    """Checks that an export may be written to a folder, before the work for it.

    Raises:
      UserError: it is a file, or a folder that holds something else than an export.
    """
    output = output.rstrip("/")
    if tf.io.gfile.exists(output) and not tf.io.gfile.isdir(output):
        raise UserError(f"--output={output} is a file: name a folder for the export")
    held = tf.io.gfile.listdir(output) if tf.io.gfile.exists(output) else []
    if held and not tf.io.gfile.exists(os.path.join(output, SAVED_MODEL)):
        raise UserError(
            f"--output={output} holds something else than an export ({held[0]}), which would be "
            "replaced: name another folder"
        )
    files.check_writable(output, "output")


def configuration_lines(config: Any) -> list[str]:
    """The part of a model card that lists every field of a nested dataclass."""
    values = configuration.flat(configuration.to_dict(config))
    rows = [f"| {name} | {value} |" for name, value in values.items()]
    return ["## Configuration", "", "| field | value |", "|---|---|", *rows]


def convert_to_tflite(saved_model: str, signature: str) -> bytes:
    """The TFLite form of one signature of an exported model; its batch size stays open.

    It goes by way of the SavedModel: from a Keras 3 model itself the converter of this
    TensorFlow crashes.
    """
    with native_notes_hidden():
        converter = tf.lite.TFLiteConverter.from_saved_model(
            saved_model, signature_keys=[signature]
        )
        return converter.convert()


@contextlib.contextmanager
def native_notes_hidden() -> Iterator[None]:
    """Keeps back what native code writes to standard error, unless an error follows.

    The converter and the interpreter note their settings there whatever the log level.
    """
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(shown, notes.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def run_tflite(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """Runs a TFLite model of one input and one output on a batch `[batch, ...]`."""
    with native_notes_hidden():
        interpreter = tf.lite.Interpreter(model_content=content)
        entry, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        interpreter.resize_tensor_input(entry["index"], inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], inputs.astype(entry["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])


def write_tflite(path: str, content: bytes) -> None:
    """Writes a TFLite file whole or not at all."""
    with files.whole_file(path) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(content)
