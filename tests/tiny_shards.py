"""Tiny shards written by TensorFlow itself, whose records say which number they are."""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from crossmodal import shards
from crossmodal.reading import Records
from crossmodal.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("id", "bytes"),
        Feature("labels", "ints", required=False, limit=10),
        Feature("x", "floats", 2),
    )
)


def labels_of(number: int) -> list[int]:
    return list(range(number % 4))


def example(number: int, size: int = 2) -> bytes:
    """A record by hand; a size other than 2 breaks SCHEMA's rules."""
    features = {
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"v%05d" % number])),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels_of(number))),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[number / 3, -number][:size])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_shards(
    folder: pathlib.Path,
    sizes: Sequence[int],
    numbers: Iterable[int] | None = None,
    bad: Sequence[int] = (),
) -> list[str]:
    """Shards of these sizes with the numbers from 0 on; `bad` ones lack a value."""
    numbers = iter(range(sum(sizes)) if numbers is None else numbers)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{i:02d}.tfrecord") for i in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for _ in range(size):
                number = next(numbers)
                writer.write(example(number, 1 if number in bad else 2))
    return paths


def open_shards(paths: Sequence[str], on_bad_record: str = "fail") -> Records:
    return Records(shards.index_shards(paths, SCHEMA, on_bad_record, progress=False), SCHEMA)


def write_damaged(folder: pathlib.Path) -> tuple[Records, list[int]]:
    """Seven shards damaged in three ways, and the numbers of the records still good."""
    sizes = (20, 1, 33, 5, 11, 13, 2)
    first, *_, last = write_shards(folder, sizes, bad=(25, 53, 65))
    data = bytearray(pathlib.Path(first).read_bytes())
    data[sum(16 + len(example(n)) for n in range(4)) + 30] ^= 1  # inside of record 4
    pathlib.Path(first).write_bytes(data)
    pathlib.Path(last).write_bytes(pathlib.Path(last).read_bytes()[:-9])
    lost = {4, 25, 53, 65, sum(sizes) - 1}
    paths = sorted(map(str, folder.iterdir()))
    return open_shards(paths, "skip"), [n for n in range(sum(sizes)) if n not in lost]


def numbers_of(ids) -> list[int]:
    return [int(bytes(i)[1:]) for i in np.asarray(ids)]
