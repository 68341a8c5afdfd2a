"""The pictures and sounds of a collection's items, some at a time, as often as asked.

Only what the collection names is opened: files within its folder, or records of its ids.
"""

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from avc import shown_moments
from avc.shown_moments import Extent, Shown
from crossmodal import sources
from crossmodal.collection import Collection
from crossmodal.errors import UserError
from crossmodal.reading import Records, blocks, explained, locate
from crossmodal.schema import Schema

# From rows to what they look and sound like.
Items = Callable[[Sequence[int]], dict[int, Shown]]


def of_folder(collection: Collection, folder: str, extent: Extent) -> Items:
    """Items of media files.

    A name of the collection that leads out of the folder, by `..` or by a link, is not
    followed: whoever made the collection does not choose which files are shown.

    Args:
      collection: with `file` and `seconds`.
      folder: that `file` is relative to.
      extent: how much of a file is read.
    """
    root = os.path.realpath(folder)

    def read(rows: Sequence[int]) -> dict[int, Shown]:
        found = {}
        for row in rows:
            path = os.path.realpath(os.path.join(root, os.fsdecode(collection.file[row])))
            if os.path.commonpath([root, path]) != root:
                found[row] = Shown(problems=("its file lies outside of the folder of media",))
            else:
                found |= shown_moments.from_files(collection, [row], root, extent)
        return found

    return read


def of_records(collection: Collection, records: Records, encoding: str) -> Items:
    """Items of records, each read from its place.

    Args:
      collection: of what `launch.embed_avc` makes of records.
      records: that hold the items; their shards indexed with offsets.
      encoding: of their sound.

    Raises:
      UserError: a record is bad, or none has an id of the collection.
    """
    places = _places(collection, records)
    schema = shown_moments.shown_schema(records)

    def read(rows: Sequence[int]) -> dict[int, Shown]:
        found = {}
        for row in rows:
            name = bytes(collection.ids[row])
            place = places.get(name, places.get(shown_moments.clip_of(name)))
            if place is None:
                found[row] = Shown(problems=("no record has its id",))
                continue
            with explained(records):
                # Not by itself: TensorFlow cannot rewrite the operation at a pipeline's root.
                one = tf.data.Dataset.from_tensors(place).flat_map(sources.record_at)
                parsed = schema.parse(tf.stack(list(one)))
            record = next(iter(schema.rows({k: v.numpy() for k, v in parsed.items()})))
            found[row] = shown_moments.of_record(
                record, encoding, float(collection.seconds[row])
            )
        return found

    return read


def _places(collection: Collection, records: Records) -> dict[bytes, tuple[tf.Tensor, tf.Tensor]]:
    """By id the file of a record and its first byte there."""
    wanted = {bytes(name) for name in collection.ids}
    wanted |= {shown_moments.clip_of(name) for name in wanted}
    names = Schema(tuple(f for f in records.schema.features if f.name == "id"))
    shards, offsets = locate(records)
    found, number = {}, 0
    with explained(records):
        for block in blocks(records).as_numpy_iterator():
            for name in names.parse(tf.constant(block))["id"].numpy().tolist():
                if name in wanted and name not in found:
                    path = records.shards[shards[number]].path
                    found[name] = tf.constant(path), tf.constant(offsets[number])
                number += 1
    if not found:
        raise UserError(
            f"{records.shards[0].path}: neither it nor the files with it hold a record of the"
            " database"
        )
    return found
