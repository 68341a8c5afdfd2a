"""How fast records become batches: beside a naive pipeline and beside bare reading.

All jobs pass over the same records, EPOCHS times, so that the end of a pipeline that
already reads the next epoch weighs little. A job is compiled once and ends in a reduction
within TensorFlow, so that Python is not what is measured.
"""

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from crossmodal import benchmark, reading, tfrecord
from crossmodal.benchmark import Comparison
from crossmodal.errors import UserError
from crossmodal.pipeline import PipelineConfig, open_training
from crossmodal.reading import Records
from yt8m_embed import records as kinds
from yt8m_embed.reading import open_records

BATCH = 1024
WINDOW = 20_000
EPOCHS = 3
COMPACT = {"float16": kinds.compact_float16, "uint8": kinds.compact_uint8}


def open_originals(pattern: str, num_classes: int) -> Records:
    """The video-level shards that a pattern names.

    Raises:
      UserError: nothing matches, a record is bad, or they are of another kind.
    """
    kind, found = open_records(pattern, num_classes, "data_pattern")
    if kind != "video":
        raise UserError(f"--data_pattern={pattern}: {kind} records, expected video-level ones")
    return found


def write_compact(records: Records, form: str, num_classes: int, folder: str) -> Records:
    """Compact shards of the same records, a file for each original.

    Args:
      records: video level.
      form: a key of COMPACT.
      num_classes: of the labels.
      folder: where the files go.
    """
    schema = COMPACT[form](num_classes)
    for shard in records.shards:
        one = Records((shard,), records.schema)
        rows = (
            row
            for block in reading.blocks(one, parse=True).as_numpy_iterator()
            for row in records.schema.rows(block)
        )
        path = os.path.join(folder, f"{form}-{os.path.basename(shard.path)}")
        tfrecord.write_records(path, map(schema.serialize, rows))
    pattern = os.path.join(folder, f"{form}-*")
    return open_records(pattern, num_classes, "data_pattern", progress=False)[1]


def paths(records: Records) -> list[str]:
    """The files of some records."""
    return [shard.path for shard in records.shards]


def raw(files: Sequence[str], batch: int = BATCH) -> tf.data.Dataset:
    """Serialised records, one file after the other: framing and checksums, no parsing."""
    return tf.data.TFRecordDataset(list(files) * EPOCHS).batch(batch)


def raw_parallel(files: Sequence[str], batch: int = BATCH) -> tf.data.Dataset:
    """The same with several files read at once."""
    return tf.data.Dataset.from_tensor_slices(list(files) * EPOCHS).interleave(
        lambda path: tf.data.TFRecordDataset(path).batch(batch),
        cycle_length=4,
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def naive(files: Sequence[str], shuffle_window: int, batch: int = BATCH) -> tf.data.Dataset:
    """What a first tf.data pipeline looks like: a record is parsed at a time.

    Labels come padded with -1, as ours do; this is the peer's only luxury.
    """
    features = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "labels": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        "mean_rgb": tf.io.FixedLenFeature([kinds.RGB_SIZE], tf.float32),
        "mean_audio": tf.io.FixedLenFeature([kinds.AUDIO_SIZE], tf.float32),
    }
    stream = tf.data.TFRecordDataset(files)
    stream = stream.map(lambda record: tf.io.parse_single_example(record, features))
    if shuffle_window:
        stream = stream.shuffle(shuffle_window, seed=1)
    padding = {"id": "", "labels": tf.constant(-1, tf.int64), "mean_rgb": 0.0, "mean_audio": 0.0}
    return stream.repeat(EPOCHS).padded_batch(batch, padding_values=padding)


def ours(records: Records, shuffle_window: int, batch: int = BATCH) -> tf.data.Dataset:
    """The pipeline of training."""
    batches = open_training(records, PipelineConfig(batch, shuffle_window=shuffle_window))
    return batches.dataset().take(EPOCHS * batches.steps_per_epoch)


def drain(dataset: tf.data.Dataset) -> Callable[[], tf.Tensor]:
    """A compiled job that runs through a dataset and gives its number of batches."""
    run = tf.function(lambda: dataset.reduce(tf.constant(0), lambda number, _: number + 1))
    return run.get_concrete_function()


def compare_originals(records: Records, rounds: int) -> list[Comparison]:
    """The pipeline on original shards beside the naive one and beside raw reading."""
    files, count = paths(records), records.count()
    jobs = {
        "pipeline": ours(records, 0),
        "pipeline, shuffled": ours(records, WINDOW),
        "map(parse_single_example)": naive(files, 0),
        "map(parse_single_example), shuffled": naive(files, WINDOW),
        "raw": raw(files),
        "raw, files in parallel": raw_parallel(files),
    }
    times = benchmark.alternate({k: drain(v) for k, v in jobs.items()}, rounds, "input")
    fastest = benchmark.fastest(times, "raw", "raw, files in parallel")
    work = {"amount": EPOCHS * count, "unit": "records"}
    plain, shuffled, one_by_one, one_by_one_shuffled, *_ = jobs
    name = "original shards"
    return [
        benchmark.compare_speed(name, times, plain, one_by_one, 5, **work),
        benchmark.compare_speed(name, times, shuffled, one_by_one_shuffled, 5, **work),
        benchmark.compare_speed(name, times, plain, fastest, 0.25, **work),
        benchmark.compare_speed(name, times, shuffled, fastest, 0.15, **work),
    ]


def compare_compact(
    records: Records, num_classes: int, folder: str, rounds: int
) -> list[Comparison]:
    """Compact shards beside original ones, in the same pipeline."""
    sets = {"original": records}
    sets |= {form: write_compact(records, form, num_classes, folder) for form in COMPACT}
    rows = []
    for words, window in (("in file order", 0), ("shuffled", WINDOW)):
        jobs = {form: drain(ours(found, window)) for form, found in sets.items()}
        times = benchmark.alternate(jobs, rounds, f"compact, {words}")
        name, amount = f"compact shards, {words}", EPOCHS * records.count()
        rows += [
            benchmark.compare_speed(name, times, form, "original", 3, amount, "records")
            for form in COMPACT
        ]
    return rows
