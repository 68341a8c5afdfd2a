"""Embeddings as files of TensorBoard's projector: vectors, what they are, and their pictures.

`projector_config.pbtxt` names the others: for each modality float32 values without a header
(`.bytes`), one table of metadata, and one sprite, the pictures of all items in rows.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.projector import ProjectorConfig

from crossmodal import files
from crossmodal.collection import Collection
from crossmodal.errors import UserError

CONFIG = "projector_config.pbtxt"
METADATA, SPRITE = "metadata.tsv", "sprite.png"
# Graphics cards take no larger textures everywhere.
LARGEST_SPRITE = 8192
_ESCAPES = str.maketrans({
    "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\v": "\\v", "\f": "\\f",
    "\x00": "\\0", "\x1c": " ", "\x1d": " ", "\x1e": " ", "\x85": " ", "\u2028": " ",
    "\u2029": " ",
})


def write(
    folder: str,
    vectors: Mapping[str, np.ndarray],
    columns: Mapping[str, Sequence[str]],
    sprite: np.ndarray | None = None,
    side: int = 0,
) -> None:
    """Writes the files; the configuration comes last, so that it names whole files.

    Args:
      folder: a log folder of TensorBoard; it may be there.
      vectors: by name, float32 `[n, d]`.
      columns: of the metadata, by name, `n` texts each; two at least.
      sprite: of `paste`; None for none.
      side: pixels of a picture of the sprite.

    Raises:
      UserError: a file cannot be written.
    """
    config = ProjectorConfig()
    try:
        tf.io.gfile.makedirs(folder)
        files.write_text(os.path.join(folder, METADATA), metadata(columns))
        if sprite is not None:
            files.write_png(os.path.join(folder, SPRITE), sprite)
        for name, rows in vectors.items():
            with files.whole_file(os.path.join(folder, f"{name}.bytes")) as temporary:
                tf.io.write_file(temporary, rows.astype("<f4").tobytes())
            embedding = config.embeddings.add(
                tensor_name=name, tensor_path=f"{name}.bytes", tensor_shape=rows.shape,
                metadata_path=METADATA,
            )
            if sprite is not None:
                embedding.sprite.image_path = SPRITE
                embedding.sprite.single_image_dim.extend([side, side])
        text = text_format.MessageToString(config)
        files.write_text(os.path.join(folder, CONFIG), text)
    except tf.errors.OpError as error:
        raise UserError(f"{folder}: cannot be written ({error.message})") from error


def metadata(columns: Mapping[str, Sequence[str]]) -> str:
    r"""A table with a header, a line for each item.

    Tabs and ends of lines within a text are written as `\t` and `\n`, a backslash as two.

    Raises:
      ValueError: there is one column only, which TensorBoard expects without a header.
    """
    if len(columns) < 2:
        raise ValueError("a table of one column has no header: give two")
    lines = ["\t".join(map(escaped, columns))]
    lines += ["\t".join(map(escaped, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """A text that is one cell of a table."""
    # No surrogates: they cannot be written as UTF-8.
    return text.translate(_ESCAPES).encode("utf-8", "replace").decode()


def described(collection: Collection, rows: np.ndarray) -> dict[str, list[str]]:
    """The columns `id`, `video`, and where there are any, `labels`, `file` and `seconds`.

    `label` is the first of the labels, which the projector can colour by.
    """
    held = {"id": collection.ids, "video": collection.video, "labels": collection.labels,
            "file": collection.file}
    found = {
        name: [text.decode(errors="replace") for text in values[rows]]
        for name, values in held.items() if (values != b"").any()
    }
    if "labels" in found:
        found["label"] = [text.split(";")[0] for text in found["labels"]]
    if not np.isnan(collection.seconds[rows]).all():
        found["seconds"] = [f"{value:.3f}" for value in collection.seconds[rows]]
    return found


def side_of(number: int, wanted: int) -> int:
    """Pixels of a picture such that so many fit into a sprite; 0 where not even dots do."""
    return min(wanted, LARGEST_SPRITE // columns_of(number))


def columns_of(number: int) -> int:
    """Pictures in a row of a sprite, as many as there are rows."""
    return int(np.ceil(np.sqrt(number)))


def paste(pictures: Iterable[tuple[int, np.ndarray | None]], number: int, side: int) -> np.ndarray:
    """A sprite.

    Args:
      pictures: places and pictures, uint8 `[height, width, 3]`, in any order; of each the
        middle square is scaled. None, and places that are not named, are grey.
      number: of all places.
      side: pixels of each, from `side_of`.

    Returns:
      uint8 `[rows * side, columns * side, 3]`, in rows from the top.
    """
    columns = columns_of(number)
    rows = -(-number // columns)
    sprite = np.full((rows * side, columns * side, 3), 128, np.uint8)
    for place, picture in pictures:
        if picture is None:
            continue
        top, left = side * (place // columns), side * (place % columns)
        sprite[top : top + side, left : left + side] = _square(picture, side)
    return sprite


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    square = picture[top : top + shorter, left : left + shorter]
    resized = tf.image.resize(square, [side, side], antialias=True)
    return np.rint(np.clip(resized.numpy(), 0, 255)).astype(np.uint8)
