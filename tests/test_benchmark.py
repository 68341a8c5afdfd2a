"""The benchmark: its arithmetic, and that what it compares with does the same work."""

import collections
import dataclasses
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from launching import launch

from crossmodal import benchmark, retrieval, retrieval_benchmark
from crossmodal.errors import UserError
from crossmodal.reading import parsed_blocks
from yt8m_embed import input_benchmark, step_benchmark

CLASSES = 3862
BATCH = 32


@pytest.fixture(scope="module")
def pattern(testdata) -> str:
    return str(testdata / "yt8m/train/*.tfrecord")


@pytest.fixture(scope="module")
def originals(pattern):
    return input_benchmark.open_originals(pattern, CLASSES)


# --- arithmetic


def test_jobs_take_turns_and_ratios_are_medians_over_rounds(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    # The first round is not counted.
    seconds = {"ours": iter([9, 1, 2, 4]), "peer": iter([1, 4, 4, 4])}

    def job(name):
        calls.append(name)
        clock[0] += next(seconds[name])

    times = benchmark.alternate({name: lambda n=name: job(n) for name in seconds}, 3)
    assert calls == ["ours", "peer"] * 4
    assert times["ours"].tolist() == [1, 2, 4] and times["peer"].tolist() == [4, 4, 4]
    speed = benchmark.compare_speed("a", times, "ours", "peer", 2, amount=100, unit="records")
    assert (speed.ratio, speed.low, speed.high, speed.met) == (2, 1.5, 3, True)
    assert speed.ours == "ours: 50 records/s" and speed.peer == "peer: 25 records/s"
    time = benchmark.compare_time("b", times, "ours", "peer", 0.4)
    assert (time.ratio, time.met) == (0.5, False) and time.ours == "ours: 2,000 ms"
    assert benchmark.fastest(times, "peer", "ours") == "ours"
    table = benchmark.table([speed, time]).splitlines()
    assert "2.00 | 1.50 to 3.00 |   >= 2 | yes" in table[2]
    assert "0.50 | 0.38 to 0.75 | <= 0.4 |  NO" in table[3]


def test_a_missing_peer_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match=r"faiss is not installed.*`benchmark`") as caught:
        benchmark.import_peer("faiss")
    assert "\n" not in str(caught.value)


def test_memory_is_what_a_job_holds_at_its_peak():
    def job(size):
        held = np.ones(size, np.uint8)
        retrieval_benchmark.threading.Event().wait(0.2)
        return held.sum()

    assert 240e6 < retrieval_benchmark.peak_memory(lambda: job(250_000_000)) < 400e6
    assert retrieval_benchmark.peak_memory(lambda: job(10)) < 50e6


# --- the peers read the same


def videos(batches) -> collections.Counter:
    """Every video with all it holds, as a multiset."""
    return collections.Counter(
        (
            batch["id"][i],
            tuple(label for label in batch["labels"][i] if label >= 0),
            batch["mean_rgb"][i].tobytes(),
            batch["mean_audio"][i].tobytes(),
        )
        for batch in batches
        for i in range(len(batch["id"]))
    )


@pytest.mark.parametrize("window", [0, 500])
def test_the_naive_pipeline_gives_the_same_videos(originals, window):
    files, number = input_benchmark.paths(originals), originals.count()
    naive = videos(input_benchmark.naive(files, window, 500).as_numpy_iterator())
    ours = videos(input_benchmark.ours(originals, window, 500).as_numpy_iterator())
    assert number % 500 == 0 and len(naive) == number
    assert naive == ours and set(naive.values()) == {input_benchmark.EPOCHS}


@pytest.mark.parametrize("read", [input_benchmark.raw, input_benchmark.raw_parallel])
def test_raw_reading_leaves_nothing_out(originals, read):
    files = input_benchmark.paths(originals)
    seen = collections.Counter(s for b in read(files).as_numpy_iterator() for s in b)
    alone = collections.Counter(tf.data.TFRecordDataset(files).as_numpy_iterator())
    assert seen == {record: input_benchmark.EPOCHS * times for record, times in alone.items()}


@pytest.mark.parametrize(("form", "error"), [("float16", 2**-10), ("uint8", 2.01 / 255)])
def test_compact_shards_hold_the_same_videos(originals, tmp_path, form, error):
    one = dataclasses.replace(originals, shards=originals.shards[:1])
    compact = input_benchmark.write_compact(one, form, CLASSES, str(tmp_path))
    assert [f.form for f in compact.schema.features] == ["bytes", "ints", "raw", "raw"]
    for ours, theirs in zip(parsed_blocks(one), parsed_blocks(compact), strict=True):
        assert np.array_equal(ours["id"], theirs["id"])
        assert np.array_equal(ours["labels"], theirs["labels"])
        for name in ("mean_rgb", "mean_audio"):
            assert np.abs(ours[name] - theirs[name]).max() <= error


def test_a_drain_runs_to_the_end_each_time():
    job = input_benchmark.drain(tf.data.Dataset.range(10).batch(4))
    assert int(job()) == 3 and int(job()) == 3


# --- the peer takes the same step


@pytest.fixture(scope="module")
def step(originals):
    """Our steps on a small `paper` network, the peer's, and the batch of both."""
    pytest.importorskip("torch")
    from yt8m_embed import torch_benchmark

    keras.utils.set_random_seed(0)
    config = step_benchmark.configure(
        BATCH, CLASSES, visual_layers=(40, 30), audio_layers=(20,), embedding_dim=12, l2=1e-3
    )
    # So that the norms of some gradients are limited and of others are not.
    config = dataclasses.replace(config, clip_norm=0.05)
    ours = step_benchmark.Ours(originals, config)
    # A bias that starts at 0 would not show whether it is taken along.
    for variable in ours.state.model.trainable_variables:
        if variable.name == "bias":
            variable.assign(np.random.default_rng(1).normal(0, 0.1, variable.shape))
    batch = ours.first_batch()
    return ours, torch_benchmark.Step(ours.state.model, batch, config), batch


def in_peers_order(model: keras.Model, arrays) -> list[np.ndarray]:
    """Values of the trainable variables as PyTorch holds them: visual first, kernels turned."""
    layers = ("visual_tower", "audio_tower", "classifier")
    theirs = [id(v) for name in layers for v in model.get_layer(name).trainable_variables]
    own = [id(v) for v in model.trainable_variables]
    assert sorted(own) == sorted(theirs)
    arrays = [np.array(array).T for array in arrays]
    return [arrays[own.index(name)] for name in theirs]


def test_pytorch_has_the_same_loss_gradients_and_step(step):
    ours, peer, batch = step
    labels = [[label for label in row if label >= 0] for row in batch["labels"]]
    assert all(len(set(row)) == len(row) for row in labels)  # what the peer relies on
    numeric = {k: tf.constant(v) for k, v in batch.items() if v.dtype.kind in "fi"}
    model = ours.state.model
    parts, gradients = ours.steps.gradients_of(numeric, tf.constant(0, tf.int64), 1.0)
    parts = dict(zip(ours.steps.names, parts, strict=False))
    assert parts["lambda"] == ours.config.loss.class_weight > 0
    loss = float(parts["loss"] - parts["regularization"])
    assert float(peer.gradients()) == pytest.approx(loss, rel=1e-5)
    gradients = in_peers_order(model, gradients)
    norms = [np.linalg.norm(gradient) for gradient in gradients]
    assert min(norms) < ours.config.clip_norm < max(norms)
    for gradient, parameter in zip(gradients, peer.parameters, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient, rtol=1e-3, atol=1e-6)

    before = in_peers_order(model, model.trainable_variables)
    ours.constant(1)()
    peer()
    after = in_peers_order(model, model.trainable_variables)
    rate = ours.config.optimizer.learning_rate
    for start, end, gradient, parameter in zip(
        before, after, gradients, peer.parameters, strict=True
    ):
        # What is left of a gradient once its norm is limited, as the peer used it.
        limited = gradient * min(1, ours.config.clip_norm / np.linalg.norm(gradient))
        np.testing.assert_allclose(parameter.grad.numpy(), limited, rtol=1e-3, atol=1e-6)
        # Adam's first step is its rate against the gradient, where that is not tiny.
        clear = np.abs(limited) > 1e-4
        assert clear.any()
        for moved in (end, parameter.detach().numpy()):
            expected = -rate * np.sign(gradient[clear])
            np.testing.assert_allclose((moved - start)[clear], expected, rtol=0.02)


def test_steps_on_one_batch_learn_it_and_those_on_the_pipeline_go_on(step):
    ours, _, _ = step
    loss = ours.steps.names.index("loss")
    job = ours.constant(30)
    (first, _), (second, _) = job(), job()
    assert first[-1, loss] < first[0, loss] and second[-1, loss] < first[0, loss]
    finished = int(ours.state.step)
    ours.streaming(3)()
    assert int(ours.state.step) == finished + 3


# --- the peer ranks the same


def test_faiss_finds_what_our_ranks_say():
    pytest.importorskip("faiss")
    visual, audio = retrieval_benchmark.make_pairs(300, 60)
    found = retrieval_benchmark.search_faiss(visual, audio)
    ranks = retrieval.rank_pairs(visual, audio)
    for direction in retrieval.DIRECTIONS:
        for k in (1, 5, 10):
            hit = (found[direction][:, :k] == np.arange(300)[:, None]).any(1)
            assert np.array_equal(hit, ranks[direction].hits(k))
            assert 0.1 < hit.mean() < 0.9 or k != 5


def test_the_bare_product_is_that_of_all_pairs(monkeypatch):
    visual, audio = retrieval_benchmark.make_pairs(50, 8)
    made, total = np.zeros((50, 50)), []

    def note(queries, items):
        product = queries @ items.T
        total.append(product.size)
        rows = (visual[:, None] == queries[None]).all(-1).argmax(0)
        columns = (audio[:, None] == items[None]).all(-1).argmax(0)
        made[np.ix_(rows, columns)] += product
        return product

    monkeypatch.setattr(retrieval, "multiply", note)
    retrieval_benchmark.multiply_only(visual, audio, 16)
    assert sum(total) == 2500
    np.testing.assert_allclose(made, visual @ audio.T, atol=1e-6)


# --- the command


def test_the_command_prints_a_table_and_writes_it(pattern, tmp_path):
    path = tmp_path / "benchmark.json"
    outcome = launch(
        "benchmark_yt8m", data_pattern=pattern, only="input,compact", rounds=1, output=path
    )
    assert outcome.status == 0, outcome.error
    rows = json.loads(path.read_text())["comparisons"]
    assert [row["target"] for row in rows] == [5, 5, 0.25, 0.15, 3, 3, 3, 3]
    assert all(row["ratio"] > 0 and row["name"] in outcome.out for row in rows)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"only": "input,speed"}, "only.*speed"),
        ({"data_pattern": "nothing*", "only": "input"}, "--data_pattern=nothing"),
    ],
)
def test_wrong_flags_are_one_line(flags, message):
    outcome = launch("benchmark_yt8m", **flags)
    assert outcome.status == 1
    (line,) = outcome.error_lines()
    assert message.split(".*")[-1] in line
