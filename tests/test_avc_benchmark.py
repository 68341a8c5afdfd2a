"""The benchmark of the audio-visual networks: what it compares with does the same work."""

import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from avc_runs import SCENES, tiny
from launching import launch

from avc import ndcg_benchmark, negatives_benchmark, ontology, step_benchmark
from crossmodal import benchmark
from crossmodal.errors import UserError

# Names of the roots and what is below them; `Bow` has two parents.
TREE = {
    "Music": ["Musical instrument", "Singing"],
    "Musical instrument": ["Guitar", "Violin"],
    "Guitar": ["Electric guitar", "Acoustic guitar"],
    "Violin": ["Bow"],
    "Singing": [],
    "Sounds of things": ["Tools"],
    "Tools": ["Hammer", "Bow"],
    "Electric guitar": [], "Acoustic guitar": [], "Bow": [], "Hammer": [],
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("ontology") / "ontology.json"
    entries = [{"id": f"/{name}", "name": name, "child_ids": [f"/{child}" for child in below]}
               for name, below in TREE.items()]
    path.write_text(json.dumps(entries))
    return str(path)


# --- the step


def build(**changes):
    """Our steps on a small network whose every weight tells, and their batch."""
    keras.utils.set_random_seed(0)
    config = tiny("ave", batch_size=8, negatives_within=8, negatives_per_clip=1, **changes)
    batch = step_benchmark.random_batch(config)
    ours = step_benchmark.Ours(config, tf.data.Dataset.from_tensors(batch).repeat())
    generator = np.random.default_rng(1)
    for variable in ours.state.model.variables:
        if variable.name in ("bias", "beta", "gamma", "moving_mean", "moving_variance"):
            variable.assign(np.abs(variable.numpy() + generator.normal(0, 0.1, variable.shape)))
    return ours, batch, config


@pytest.mark.parametrize(
    ("changes", "channels_last"),
    [
        ({}, False),
        ({"image_size": 49, "visual_blocks": 3, "mel_bands": 40, "window_seconds": 0.04,
          "fft_length": 2048, "spectrum": "power", "l2": 1e-2}, True),
    ],
)
def test_pytorch_has_the_same_loss_gradients_and_step(changes, channels_last):
    pytest.importorskip("torch")
    from avc import torch_benchmark

    ours, batch, config = build(**changes)
    assert (batch["partner_offset"] != 0).all()
    model = ours.state.model
    peer = torch_benchmark.Step(model, batch, config, channels_last=channels_last)
    theirs = dict(peer.network.named_parameters())
    assert sum(p.numel() for p in theirs.values()) == ours.num_parameters()
    values, gradients = ours.steps.gradients_of(
        {name: tf.constant(value) for name, value in batch.items()}, tf.constant(0, tf.int64), 1.0
    )
    values = dict(zip(ours.steps.names, values, strict=False))
    loss = float(values["loss"] - values["regularization"])
    assert float(peer.gradients()) == pytest.approx(loss, rel=1e-4)
    expected = {name_of(variable): np.array(gradient) for variable, gradient in zip(
        model.trainable_variables, gradients, strict=True)}
    assert expected.keys() == {theirs_name(name) for name in theirs}
    decaying = {id(kernel) for kernel in peer.network.kernels()}
    for name, parameter in theirs.items():
        found = parameter.grad + (id(parameter) in decaying) * config.network.l2 * parameter
        gradient = turned(expected[theirs_name(name)])
        found, largest = found.detach().numpy(), np.abs(gradient).max()
        if name.startswith("trunks") and name.endswith("bias") and "conv" in theirs_name(name):
            # Normalisation takes it out again: its gradient is rounding.
            assert max(np.abs(found).max(), largest) < 1e-5
        else:
            assert largest > 1e-5
            np.testing.assert_allclose(found, gradient, rtol=0, atol=3e-3 * largest, err_msg=name)

    first = ours.take(1)[0]
    assert first == pytest.approx(loss, rel=1e-5) and peer() == pytest.approx(loss, rel=1e-4)
    # Both have moved: the next losses are others, and still the same.
    second = ours.take(1)[0]
    assert abs(second - first) > 1e-3 * first and peer() == pytest.approx(second, rel=5e-3)


def name_of(variable) -> str:
    return variable.path.removeprefix("towers/")


def theirs_name(name: str) -> str:
    """Our name of one of PyTorch's parameters."""
    *path, kind = name.split(".")
    if path == ["fc3"]:
        return f"fc3/{'kernel' if kind == 'weight' else kind}"
    part, tower, *place = path
    if part != "trunks":
        return f"{tower}_{part}/{'kernel' if kind == 'weight' else kind}"
    # Two convolutions with norms and ReLUs, and a pooling, are 7 layers.
    block, place = divmod(int(place[0]), 7)
    title = ("conv", "norm")[place % 3]
    names = {"conv": {"weight": "kernel"}, "norm": {"weight": "gamma", "bias": "beta"}}[title]
    return f"{tower}_{title}{block + 1}_{place // 3 + 1}/{names.get(kind, kind)}"


def turned(gradient: np.ndarray) -> np.ndarray:
    return gradient.transpose(3, 2, 0, 1) if gradient.ndim == 4 else gradient.T


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_is_timed_beside_pytorchs(precision):
    pytest.importorskip("torch")
    config = tiny("ave", batch_size=8, negatives_within=8, negatives_per_clip=1)
    row = step_benchmark.compare_with_torch(config, precision, rounds=1, threads=1, steps=2)
    assert 0 < row.ratio < np.inf and row.target == 1.2 and not row.at_least
    assert precision in row.name and "PyTorch" in row.peer


@pytest.mark.parametrize(
    "wrong", [(10, 11, 0.7, 0.7), (10, 10, 0.7, 0.7002), (10, 10, 0.7, np.nan)]
)
def test_another_network_is_not_compared(wrong):
    step_benchmark.check_same(10, 10, 0.7, 0.70005, "float32")
    with pytest.raises(UserError, match="not the same network"):
        step_benchmark.check_same(*wrong, "float32")


# --- negatives


def test_trainings_have_the_same_time_in_turns(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])

    def job(name, seconds):
        calls.append(name)
        clock[0] += seconds

    turns = negatives_benchmark.take_turns(
        {"quick": lambda: job("quick", 2), "slow": lambda: job("slow", 3)}, 2, 10
    )
    # 5 s each: 3 steps of 2 s and then, up to 10 s, 2 more; 2 steps of 3 s and 2 more.
    assert [(t.seconds, t.steps) for t in turns["quick"]] == [(6, 3), (4, 2)]
    assert [(t.seconds, t.steps) for t in turns["slow"]] == [(6, 2), (6, 2)]
    assert calls == ["quick"] * 3 + ["slow"] * 2 + ["quick"] * 2 + ["slow"] * 2


@pytest.mark.slow
def test_negatives_are_measured_on_the_same_records(monkeypatch):
    # Steps that take the same time: then n clips give twice as many pairs in the batch.
    ticks = iter(range(10**6))
    monkeypatch.setattr(benchmark, "now", lambda clock="wall": float(next(ticks)))
    config = tiny("ave", batch_size=8, negatives_within=8)
    speed, recall = negatives_benchmark.compare_negatives(
        config, f"{SCENES}/train*.tfrecord", f"{SCENES}/test-*.tfrecord", rounds=2, seconds=4
    )
    assert speed.ratio == pytest.approx(2) and speed.target == 1.7 and speed.at_least
    assert "in_batch: 16 pairs/s" in speed.ours and "independent: 8 pairs/s" in speed.peer
    assert 0 <= recall.ratio < np.inf and "4 steps" in recall.ours and "4 steps" in recall.peer


@pytest.mark.slow
def test_either_training_makes_the_negatives_it_is_named_after():
    config = tiny("ave", batch_size=8, negatives_within=8)
    _, encoding, records = negatives_benchmark.reading.open_clips(
        f"{SCENES}/train*.tfrecord", "train_pattern", progress=False
    )
    for name, output in (("in_batch", True), ("independent", False)):
        made = negatives_benchmark.start(config, name, records, encoding)
        assert made.config.pairs.negatives == name
        assert ("mismatched_logits" in made.state.model.output) is output
        assert int(made.state.step) == 1 and np.isfinite(made.take(2)).all()


def test_recalls_are_compared_even_if_the_peer_finds_nothing():
    row = negatives_benchmark.compare_recall(
        "r", {"in_batch": 0.5, "independent": 0.0}, {"in_batch": 7, "independent": 5}, 20
    )
    assert row.ratio == pytest.approx(0.5 * 20) and row.ours.startswith("in_batch: 0.500, 7 steps")


# --- nDCG


def test_the_peers_relevance_is_that_of_the_ontology(tree):
    labels = [["/Electric guitar"], ["/Acoustic guitar", "/Bow"], ["/Hammer"], ["/Singing"]]
    found = ndcg_benchmark.relevance_matrix(labels, ontology.read(tree))
    # Edges from class to class: electric - guitar - acoustic 2; bow - tools - hammer 2;
    # electric - guitar - instrument - violin - bow - tools - hammer 6; and so on.
    distances = [[0, 2, 6, 4], [2, 0, 2, 4], [6, 2, 0, 6], [4, 4, 6, 0]]
    np.testing.assert_array_equal(found, 20 - np.array(distances))


def test_ndcg_is_timed_beside_scikit_learns(tree):
    pytest.importorskip("sklearn")
    rows = ndcg_benchmark.compare_ndcg(tree, rounds=1, items=60)
    assert len(rows) == 2
    assert all(0 < row.ratio < np.inf and row.target == 5 and row.at_least for row in rows)


def test_items_have_labels_of_the_right_classes(tree):
    classes = {"/Musical instrument", "/Guitar", "/Violin", "/Electric guitar",
               "/Acoustic guitar", "/Bow", "/Singing", "/Tools", "/Hammer"}
    visual, audio, labels = ndcg_benchmark.make_items(ontology.read(tree), 50)
    assert visual.shape == audio.shape == (50, 128) and not np.array_equal(visual, audio)
    assert {label for own in labels for label in own} == classes
    assert {len(own) for own in labels} == {len(set(own)) for own in labels} == {1, 2, 3, 4}


def test_results_that_differ_are_an_error(tree, monkeypatch):
    ndcg_benchmark.check_same("ours", {"a": 0.5}, {"a": 0.5 + 5e-7})
    right = ndcg_benchmark.measure
    monkeypatch.setattr(ndcg_benchmark, "measure", lambda *arguments: {
        direction: value + 2e-6 for direction, value in right(*arguments).items()
    })
    with pytest.raises(UserError, match=r"visual_to_visual.*do not compare"):
        ndcg_benchmark.compare_ndcg(tree, rounds=1, items=60)


# --- the command


def test_the_processors_clock_does_not_count_waiting():
    times = benchmark.alternate(
        {"wait": lambda: time.sleep(0.2), "work": lambda: sum(range(300_000))}, 1,
        clock="processor",
    )
    assert times["wait"][0] < 0.1 and times["work"][0] > 0


def test_the_command_prints_a_table_and_writes_it(tree, tmp_path):
    pytest.importorskip("sklearn")
    path = tmp_path / "benchmark.json"
    outcome = launch(
        "benchmark_avc", only="ndcg", ontology=tree, items=50, rounds=1, clock="processor",
        output=path,
    )
    assert outcome.status == 0, outcome.error
    rows = json.loads(path.read_text())["comparisons"]
    assert len(rows) == 2 and all(row["name"] in outcome.out for row in rows)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"only": "ndcg"}, "ndcg needs --ontology"),
        ({"only": "negatives", "train_pattern": "a"}, "negatives needs --eval_pattern"),
        ({"only": "conversion"}, "conversion needs --videos"),
        ({"only": "steps"}, "steps"),
        ({"only": "ndcg", "ontology": "nothing.json"}, "nothing.json"),
        ({"only": "negatives", "train_pattern": "none*", "eval_pattern": "none*"},
         "--eval_pattern=none*"),
    ],
)
def test_wrong_flags_are_one_line(flags, message):
    outcome = launch("benchmark_avc", **flags)
    assert outcome.status == 1
    (line,) = outcome.error_lines()
    assert message in line


def test_a_missing_peer_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    outcome = launch("benchmark_avc", only="step")
    assert outcome.status == 1
    (line,) = outcome.error_lines()
    assert "torch is not installed" in line and "`benchmark`" in line
