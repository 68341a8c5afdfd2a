"""The order of training: a function of (seed, epoch, index), from files and from memory."""

import itertools
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tiny_shards import SCHEMA, labels_of, numbers_of, open_shards, write_damaged, write_shards

from crossmodal import reading, shards, tfrecord
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.order import permuted
from crossmodal.pipeline import PipelineConfig, TrainingBatches, open_training
from crossmodal.reading import Holdout, Records
from crossmodal.schema import Schema
from yt8m_embed import records as kinds

SIZES = (20, 1, 33, 5, 8, 13, 2)
BATCH = 9
CACHES = ("none", "memory")
UNLIKELY = 1e-6  # the chance that a sound shuffle fails one of these tests


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(Schema, "block_size", 8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Records:
    return open_shards(write_shards(tmp_path_factory.mktemp("tiny"), SIZES))


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Records:
    return open_shards(write_shards(tmp_path_factory.mktemp("single"), (200,)))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> tuple[Records, list[int]]:
    return write_damaged(tmp_path_factory.mktemp("damaged"))


def prepare(records: Records, batch_size: int = BATCH, **config) -> TrainingBatches:
    return open_training(records, PipelineConfig(batch_size, **{"shuffle_window": 20, **config}))


def whole(example, seed):
    """The features of a record that have a fixed size."""
    return {name: example[name][None] for name in ("id", "x")}


def order(batches: TrainingBatches, steps: int, start: int = 0) -> list[list[int]]:
    dataset = batches.dataset(start, draw=whole)
    return [numbers_of(b["id"]) for b in dataset.take(steps).as_numpy_iterator()]


def join(drawn: list[list[int]]) -> list[int]:
    return list(itertools.chain(*drawn))


def epochs(batches: TrainingBatches, number: int, start: int = 0) -> list[list[int]]:
    steps = batches.steps_per_epoch
    flat = order(batches, number * steps, start * steps)
    return [join(flat[i * steps : (i + 1) * steps]) for i in range(number)]


def draw(batch, seed):
    """A sample that shows its seed and a random draw."""
    return {**batch, "seed": seed, "draw": tf.random.stateless_uniform([2], seed)}


def assert_equal(one: list[dict], other: list[dict]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[name], b[name]) for name in a)


# --- each record once an epoch


@pytest.mark.parametrize("cache", CACHES)
def test_an_epoch_holds_each_record_once_but_for_less_than_a_batch(tiny, cache):
    batches = prepare(tiny, cache=cache)
    assert batches.steps_per_epoch == sum(SIZES) // BATCH == 9
    drawn = epochs(batches, 3)
    for epoch in drawn:
        assert len(set(epoch)) == len(epoch) == 81 and set(epoch) < set(range(sum(SIZES)))
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


@pytest.mark.parametrize(("cache", "window"), [("none", 20), ("none", 0), ("memory", 20)])
def test_batches_hold_what_the_records_hold(tiny, cache, window):
    batches = prepare(tiny, cache=cache, shuffle_window=window).dataset()
    # Known before any is read, as a compiled step needs it.
    assert batches.element_spec["x"].shape == (BATCH, 2)
    for batch in batches.take(4).as_numpy_iterator():
        assert batch["x"].dtype == np.float32
        for i, n in enumerate(numbers_of(batch["id"])):
            labels = [label for label in batch["labels"][i] if label >= 0]
            kept = np.float16 if cache == "memory" else np.float32
            assert labels == labels_of(n)
            assert batch["x"][i].tolist() == [kept(np.float32(n / 3)), -n]


@pytest.mark.parametrize("percent", [30, 90])
@pytest.mark.parametrize(("cache", "window"), [("none", 20), ("none", 0), ("memory", 20)])
def test_a_part_is_trained_on_alone(tiny, cache, window, percent):
    # With 90 % held out, whole blocks and files hold nothing of the part.
    part = tiny.within(Holdout(percent))
    (epoch,) = epochs(prepare(part, batch_size=4, cache=cache, shuffle_window=window), 1)
    ids = tf.constant([b"v%05d" % n for n in range(sum(SIZES))])
    inside = np.flatnonzero(Holdout(percent).keep(ids)).tolist()
    assert set(epoch) <= set(inside) and len(set(epoch)) == len(epoch) == len(inside) // 4 * 4
    assert window or epoch == inside[: len(epoch)]


@pytest.mark.parametrize("cache", CACHES)
def test_damaged_shards_lose_no_good_record(damaged, cache):
    records, good = damaged
    (epoch,) = epochs(prepare(records, batch_size=len(good), cache=cache), 1)
    assert sorted(epoch) == good


# --- the order


@pytest.mark.parametrize("cache", CACHES)
def test_the_seed_alone_decides_the_order(tiny, cache):
    first = order(prepare(tiny, cache=cache, seed=5), 12)
    tf.random.set_seed(1)
    assert order(prepare(tiny, cache=cache, seed=5), 12) == first
    for seed in (6, 5 + 256, -5):
        assert order(prepare(tiny, cache=cache, seed=seed), 12) != first


@pytest.fixture(autouse=True)
def no_global_seed():
    yield
    tf.random.set_seed(None)


@pytest.mark.parametrize("cache", CACHES)
def test_epochs_of_one_shard_differ_as_do_those_256_later(single, cache):
    batches = prepare(single, batch_size=50, cache=cache)
    drawn = [*epochs(batches, 3), *epochs(batches, 3, start=256)]
    assert all(a != b for a, b in itertools.combinations(drawn, 2))


@pytest.mark.parametrize(
    "kind", ["none", "memory", "none, damaged", "none, part", "none, in order"]
)
def test_a_run_takes_up_its_position_at_any_step(tiny, damaged, kind):
    records = damaged[0] if "damaged" in kind else tiny
    records = records.within(Holdout(20)) if "part" in kind else records
    window = 0 if "in order" in kind else 20
    batches = prepare(records, cache=kind.split(",")[0], shuffle_window=window, seed=3)
    steps = batches.steps_per_epoch
    whole = list(batches.dataset(0, draw).take(3 * steps).as_numpy_iterator())
    assert not np.array_equal(whole[0]["draw"], whole[steps]["draw"])
    for start in (1, steps - 1, steps, 2 * steps + 1):
        part = batches.dataset(start, draw).take(min(steps + 2, len(whole) - start))
        assert_equal(list(part.as_numpy_iterator()), whole[start:][: steps + 2])


def test_the_order_does_not_hang_on_which_file_is_read_faster(damaged, monkeypatch):
    records, good = damaged
    batches = prepare(records, batch_size=5)
    expected = order(batches, len(good) // 5)
    whole, random = shards.read_good_records, np.random.default_rng(0)

    def read_slowly(path, schema):
        time.sleep(random.uniform(0, 0.1))
        yield from whole(path, schema)

    monkeypatch.setattr(shards, "read_good_records", read_slowly)
    assert order(batches, len(good) // 5) == expected


def test_a_slow_sample_does_not_change_the_order(tiny):
    batches = prepare(tiny)
    turns = itertools.count()

    def pause():
        time.sleep(0.03 * (next(turns) % 3 == 0))
        return np.int64(0)

    def slow(batch, seed):
        with tf.control_dependencies([tf.numpy_function(pause, [], tf.int64)]):
            return {"id": tf.identity(batch["id"])}

    slowly = [numbers_of(b["id"]) for b in batches.dataset(0, slow).take(18).as_numpy_iterator()]
    assert slowly == order(batches, 18)


# --- how well it is shuffled


@pytest.mark.parametrize("cache", CACHES)
def test_without_a_window_the_order_is_that_of_the_files(tiny, cache):
    drawn = epochs(prepare(tiny, cache=cache, shuffle_window=0), 2)
    assert drawn == [list(range(81))] * 2


def test_a_window_parts_neighbours_and_mixes_within_its_size(single):
    def neighbours(window: int) -> float:
        drawn = epochs(prepare(single, batch_size=200, shuffle_window=window), 5)
        # A record cannot come before all but the window's worth of those ahead of it.
        assert all(n <= i + window - 1 for epoch in drawn for i, n in enumerate(epoch))
        return np.mean(np.diff(drawn, axis=1) == 1)

    assert neighbours(1) == 1
    assert neighbours(20) < 0.15  # one of 20 if drawn evenly


def test_the_files_of_an_epoch_are_read_together_and_in_a_new_order(tmp_path):
    records = open_shards(write_shards(tmp_path, (40,) * 8))
    drawn = epochs(prepare(records, batch_size=64, shuffle_window=1), 4)
    opened = [tuple(dict.fromkeys(n // 40 for n in epoch[:64])) for epoch in drawn]
    assert all(len(files) == 4 for files in opened) and len(set(opened)) == 4


@pytest.mark.parametrize(("cache", "number"), [("none", 300), ("memory", 1500)])
def test_every_position_is_as_likely_for_every_record(tmp_path, cache, number):
    records = open_shards(write_shards(tmp_path, (10,)))
    batches = prepare(records, batch_size=10, cache=cache)
    drawn = np.array(epochs(batches, number))
    seen = np.zeros((10, 10))
    np.add.at(seen, (np.arange(10), drawn), 1)
    # 81 degrees of freedom; a sound shuffle passes the bound once in a million.
    statistic = ((seen - number / 10) ** 2 / (number / 10)).sum()
    assert statistic < stats.chi2.ppf(1 - UNLIKELY, 81)
    # Hardly any of the 10! orders comes twice.
    assert len({tuple(epoch) for epoch in drawn}) > 0.99 * number
    # Of the 90 ordered pairs, 9 are neighbours in file order.
    parted = np.sum(np.diff(drawn, axis=1) == 1)
    low, high = stats.binom.ppf([UNLIKELY, 1 - UNLIKELY], 9 * number, 9 / 90)
    assert low <= parted <= high


@pytest.mark.parametrize("number", [60_000, 1_000_000])
def test_large_sets_leave_no_pattern_in_the_distances_of_neighbours(number):
    length = 60_000
    drawn = permuted(tf.range(length, dtype=tf.int64), 0, 0, number).numpy()
    seen = np.bincount(np.diff(drawn) % 64, minlength=64)
    statistic = ((seen - (length - 1) / 64) ** 2 / ((length - 1) / 64)).sum()
    assert statistic < stats.chi2.ppf(1 - UNLIKELY, 63)
    near = np.sum(np.abs(np.diff(drawn)) <= number // 1000)
    low, high = stats.poisson.ppf([UNLIKELY, 1 - UNLIKELY], (length - 1) * 2 / 1000)
    assert low <= near <= high


def test_seeds_shuffle_as_evenly_as_epochs():
    number = 500
    draws = [permuted(tf.range(10, dtype=tf.int64), s, 0, 10) for s in range(number)]
    seen = np.zeros((10, 10))
    np.add.at(seen, (np.arange(10), np.array(draws)), 1)
    statistic = ((seen - number / 10) ** 2 / (number / 10)).sum()
    assert statistic < stats.chi2.ppf(1 - UNLIKELY, 81)


@pytest.mark.parametrize("number", [1, 2, 3, 17, 1000])
def test_a_permutation_reaches_each_position_once(number):
    drawn = permuted(tf.range(number, dtype=tf.int64), 1, 2, number)
    assert sorted(drawn.numpy()) == list(range(number))
    # Piece by piece as all at once.
    assert permuted(tf.constant([number - 1], tf.int64), 1, 2, number)[0] == drawn[-1]


# --- workers


@pytest.mark.parametrize("cache", CACHES)
def test_workers_share_the_records_and_the_batch(tiny, cache):
    config = PipelineConfig(6, shuffle_window=20, cache=cache)
    workers = [open_training(tiny, config, worker, 3) for worker in range(3)]
    # Shards 0, 3, 6 hold 27 records, 1 and 4 hold 9, 2 and 5 hold 46.
    assert [w.steps_per_epoch for w in workers] == [4, 4, 4]
    starts = np.cumsum([0, *SIZES])
    for worker, batches in enumerate(workers):
        drawn = order(batches, 4)
        assert [len(batch) for batch in drawn] == [2] * 4
        files = np.searchsorted(starts, join(drawn), side="right") - 1
        assert set(files % 3) == {worker} and len(set(join(drawn))) == 8


@pytest.mark.parametrize("cache", CACHES)
def test_a_worker_with_more_records_than_others_takes_up_its_position(tiny, cache):
    config = PipelineConfig(6, shuffle_window=20, cache=cache)
    batches = open_training(tiny, config, 2, 3)
    whole = list(batches.dataset(0, draw).take(10).as_numpy_iterator())
    assert_equal(list(batches.dataset(2, draw).take(8).as_numpy_iterator()), whole[2:])


@pytest.mark.parametrize(
    ("batch_size", "workers", "message"),
    [
        (9, 2, "--batch_size=9 .* 2 workers"),
        (8, 8, "7 shards .* 8 workers"),
        (84, 1, "82 usable records .* batch of 84.*--batch_size"),
        (30, 3, "9 usable records .* batch of 10.*--batch_size"),
    ],
)
def test_what_cannot_be_shared_is_one_clear_line(tiny, batch_size, workers, message):
    with pytest.raises(UserError, match=message) as caught:
        open_training(tiny, PipelineConfig(batch_size), 0, workers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"), [("batch_size", 0), ("shuffle_window", -1), ("cache", "disk")]
)
def test_a_configuration_without_sense_names_its_field(field, value):
    with pytest.raises(ConfigurationError, match=f"{field} is .*{value}"):
        PipelineConfig(**{"batch_size": 8, field: value})


# --- seeds of the random choices


@pytest.mark.parametrize("cache", CACHES)
def test_the_seed_of_a_sample_is_its_step_epoch_and_worker_alone(tiny, cache):
    def seeds(worker: int, seed: int = 4) -> list[tuple[int, ...]]:
        config = PipelineConfig(6, seed=seed, cache=cache)
        stream = open_training(tiny, config, worker, 3).dataset(0, draw).take(12)
        return [tuple(batch["seed"]) for batch in stream.as_numpy_iterator()]

    drawn = seeds(0)
    assert seeds(0) == drawn
    others = [drawn, seeds(1), seeds(2), seeds(0, seed=5)]
    assert len(set(itertools.chain(*others))) == 4 * 12  # 3 epochs of 4 steps each


# --- the kinds of records of YouTube-8M


@pytest.mark.parametrize("cache", CACHES)
def test_frames_come_padded_and_with_their_number(testdata, cache):
    path, schema = str(testdata / "yt8m/frame/train0000.tfrecord"), kinds.frame_level()
    records = Records(shards.index_shards([path], schema, progress=False), schema)
    written = {}
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        example = tf.train.SequenceExample.FromString(record)
        written[example.context.feature["id"].bytes_list.value[0]] = {
            name: b"".join(f.bytes_list.value[0] for f in entries.feature)
            for name, entries in example.feature_lists.feature_list.items()
        }
    seen = []
    for batch in prepare(records, batch_size=8, cache=cache).dataset().take(3).as_numpy_iterator():
        seen += batch["id"].tolist()
        for i, name in itertools.product(range(8), ("rgb", "audio")):
            expected, frames = written[batch["id"][i]][name], batch["num_frames"][i]
            assert batch[name].dtype == np.uint8
            assert batch[name][i, :frames].tobytes() == expected
            assert not batch[name][i, frames:].any()
    assert sorted(seen) == sorted(written)


@pytest.mark.parametrize("cache", CACHES)
def test_compact_records_come_back_to_the_bit(tmp_path, cache):
    rng, schema = np.random.default_rng(0), kinds.compact_float16()
    values = [
        {
            "id": b"id%02d" % i,
            "labels": [i],
            "mean_rgb": rng.uniform(-2, 2, 1024).astype(np.float16),
            "mean_audio": rng.uniform(-2, 2, 128).astype(np.float16),
        }
        for i in range(12)
    ]
    path = str(tmp_path / "compact.tfrecord")
    tfrecord.write_records(path, map(schema.serialize, values))
    records = Records(shards.index_shards([path], schema, progress=False), schema)
    batches = prepare(records, batch_size=6, cache=cache)
    seen = []
    for batch in batches.dataset().take(2).as_numpy_iterator():
        for i, (number,) in enumerate(batch["labels"].tolist()):
            seen.append(number)
            assert batch["id"][i] == values[number]["id"]
            for name in ("mean_rgb", "mean_audio"):
                assert batch[name].dtype == np.float32
                assert np.array_equal(batch[name][i], values[number][name].astype(np.float32))
    assert sorted(seen) == list(range(12))


def singly(records: Records, batch_size: int = BATCH, **config) -> TrainingBatches:
    return open_training(records, PipelineConfig(batch_size, random_access=True, **config))


def located(folder, sizes=SIZES, holdouts=()) -> Records:
    """The shards of `tiny`, damaged in the middle of the largest, indexed with offsets."""
    paths = write_shards(folder, sizes)
    data = bytearray(pathlib.Path(paths[2]).read_bytes())
    data[len(data) // 2] ^= 1
    pathlib.Path(paths[2]).write_bytes(data)
    found = shards.index_shards(paths, SCHEMA, "skip", progress=False, offsets=True)
    return Records(found, SCHEMA, holdouts)


def test_records_read_singly_come_once_an_epoch_and_in_another_order_each(tmp_path):
    records = located(tmp_path)
    every = {n for block in reading.parsed_blocks(records) for n in numbers_of(block["id"])}
    assert len(every) == sum(SIZES) - 1
    first, second = epochs(singly(records), 2)
    for drawn in (first, second):
        assert len(drawn) == len(set(drawn)) == len(every) // BATCH * BATCH
        assert set(drawn) <= every
    assert first != second and first != sorted(first)
    assert epochs(singly(records, seed=1), 1)[0] != first
    assert first == epochs(singly(records), 1)[0]


def test_records_read_singly_hold_what_a_pass_in_file_order_reads(tmp_path):
    records = located(tmp_path)
    ordered = {
        row["id"]: row for b in reading.parsed_blocks(records) for row in records.schema.rows(b)
    }
    batches = singly(records)
    for batch in batches.dataset(draw=whole).take(batches.steps_per_epoch).as_numpy_iterator():
        for name, x in zip(batch["id"], batch["x"], strict=True):
            np.testing.assert_array_equal(x, ordered[name]["x"])


def test_a_part_read_singly_is_that_part(tmp_path):
    holdout = Holdout(40, held_out=True)
    records = located(tmp_path, holdouts=(holdout,))
    drawn = epochs(singly(records, batch_size=1), 1)[0]
    assert sorted(drawn) == sorted(
        n for b in reading.parsed_blocks(records) for n in numbers_of(b["id"])
    )
    assert 0 < len(drawn) < sum(SIZES) - 1


def several(example, seed):
    """Three examples of a record, each with random bits of its own."""
    bits = tf.random.stateless_uniform([3], seed, minval=None, maxval=None, dtype=tf.int64)
    return {"id": tf.repeat(example["id"], 3), "bits": bits}


def test_several_examples_of_a_record_go_to_consecutive_batches(tmp_path):
    batches = singly(located(tmp_path), draws_per_read=3)
    drawn = list(batches.dataset(draw=several).take(9).as_numpy_iterator())
    ids = [b["id"].tolist() for b in drawn]
    assert ids[0] == ids[1] == ids[2] != ids[3] == ids[4] == ids[5] != ids[6]
    assert len({int(bit) for b in drawn for bit in b["bits"]}) == 9 * BATCH
    # One reading of the records after the other, not the same ones at each step.
    assert not set(ids[0]) & set(ids[3])


@pytest.mark.parametrize("start", [1, 2, 3, 7, 40])
def test_a_run_over_single_records_takes_up_its_position(tmp_path, start):
    batches = singly(located(tmp_path), draws_per_read=3)

    def sample(batch, seed):
        return {**batch, "seed": tf.repeat(seed[None], BATCH, axis=0)}

    def taken(first, number):
        dataset = batches.dataset(first, sample=sample, draw=several)
        return list(dataset.take(number).as_numpy_iterator())

    assert_equal(taken(0, start + 4)[start:], taken(start, 4))


def test_two_workers_read_singly_what_is_theirs_and_draw_differently(tmp_path):
    records = located(tmp_path, sizes=(20, 20, 21, 20))
    config = PipelineConfig(8, random_access=True, draws_per_read=3)
    parts = [open_training(records, config, worker, 2) for worker in range(2)]
    assert parts[0].steps_per_epoch == parts[1].steps_per_epoch == 10
    first, second = (
        list(part.dataset(draw=several).take(30).as_numpy_iterator()) for part in parts
    )
    assert not {i for b in first for i in b["id"]} & {i for b in second for i in b["id"]}
    bits = {int(bit) for b in (*first, *second) for bit in b["bits"]}
    assert len(bits) == 2 * 30 * 4
