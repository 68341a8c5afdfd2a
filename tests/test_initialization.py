"""Towers that begin with another training's weights: which, when, and what does not fit."""

import avc_runs
import numpy as np
import pytest
import training_runs
from avc_runs import tiny
from training_runs import variables
from two_towers import make_task

from avc import embedding, initialization, networks
from avc.initialization import Initialization
from crossmodal import checkpoints, configuration, strategies, training
from crossmodal.errors import ConfigurationError, UserError

ONE_STEP = {"max_steps": 1, "checkpoint_every_steps": 1, "evaluate_every_steps": 1}
# A step of Adam is no longer than its rate.
STILL = {"learning_rate": 1e-9, "l2": 0.0}


@pytest.fixture(scope="module")
def executor():
    with training_runs.two_devices() as executor:
        yield executor


@pytest.fixture(scope="module")
def source(executor, tmp_path_factory):
    """A run of two steps, whose best checkpoint is of the first."""
    workdir = tmp_path_factory.mktemp("source") / "run"
    executor.submit(
        avc_runs.train, workdir, max_steps=2, checkpoint_every_steps=1, evaluate_every_steps=2
    ).result()
    return str(workdir)


def network_of(workdir):
    return embedding.restore(workdir, embedding.read_config(workdir))


def values(network, tower):
    found = initialization.tower_weights(network, tower)
    return {name: np.asarray(weight) for name, weight in found.items()}


def same(one, two):
    """Which weights are alike, bit for bit."""
    assert one.keys() == two.keys()
    return {name: bool(np.array_equal(one[name], two[name])) for name in one}


def kernels(network, tower):
    return [v for name, v in values(network, tower).items() if name.endswith("kernel")]


@pytest.mark.parametrize("recipe", ["l3", "ave", "avol", "resnet18"])
def test_the_towers_hold_all_weights_before_the_head(recipe):
    network = networks.build(tiny(recipe).network)
    audio, visual = (
        set(initialization.tower_weights(network, tower)) for tower in ("audio", "visual")
    )
    head = {w.path for w in network.training.weights} - audio - visual
    assert audio and visual and not audio & visual
    assert all(name.startswith("audio") for name in audio)
    assert all(name.startswith("visual") for name in visual)
    assert head and not any(name.startswith(("audio", "visual")) for name in head)


def test_a_tower_begins_bit_for_bit_with_the_other_runs_weights(source):
    config = tiny("ave")
    network, untouched = (networks.build(config.network) for _ in range(2))
    before = {w.path: np.asarray(w) for w in network.training.weights}
    Initialization(audio=source)(network, config)
    trained = network_of(source)
    assert all(same(values(network, "audio"), values(trained, "audio")).values())
    changed = [
        w.path for w in network.training.weights if not np.array_equal(before[w.path], w)
    ]
    assert changed and all(name.startswith("audio") for name in changed)
    pairs = zip(kernels(network, "visual"), kernels(trained, "visual"), strict=True)
    assert [np.array_equal(*pair) for pair in pairs] == [False] * len(kernels(network, "visual"))
    Initialization()(untouched, config)


@pytest.mark.slow
def test_a_run_begins_with_them_says_so_and_is_resumed_without_them(executor, source, tmp_path):
    initial = Initialization(visual=source)
    workdir = str(tmp_path / "run")
    executor.submit(avc_runs.train, workdir, changes=STILL, initial=initial, **ONE_STEP).result()
    trained, begun = network_of(source), network_of(workdir)
    for tower, alike in (("visual", True), ("audio", False)):
        pairs = zip(kernels(begun, tower), kernels(trained, tower), strict=True)
        assert {np.allclose(*pair, rtol=0, atol=1e-8) for pair in pairs} == {alike}
    saved = configuration.load(f"{workdir}/configuration.json")
    assert saved["initialization"] == {"audio": "random", "visual": source}

    whole = str(tmp_path / "whole")
    for folder, steps in ((workdir, 2), (whole, 2)):
        run = {**ONE_STEP, "max_steps": steps}
        executor.submit(avc_runs.train, folder, changes=STILL, initial=initial, **run).result()
    mine, theirs = variables(workdir, "checkpoints"), variables(whole, "checkpoints")
    assert mine.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(mine[name], value, err_msg=name)
    with pytest.raises(ConfigurationError, match="initialization"):
        executor.submit(avc_runs.train, workdir, changes=STILL, **ONE_STEP).result()


def test_what_does_not_fit_is_one_line(source, tmp_path):
    def problem(config, **initial):
        with pytest.raises(UserError) as caught:
            Initialization(**initial)(networks.build(config.network), config)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    wider = tiny("ave", width=1 / 16)
    assert f"--audio_init={source}: its weight audio_conv1_1/kernel has shape (3, 3, 1, 2), here" \
           " (3, 3, 1, 4)" in problem(wider, audio=source)
    assert "its network has no weight visual_" in problem(tiny("resnet18"), visual=source)
    other = tiny("ave", **{"audio.deviation": 2.0})
    assert "was trained on other inputs (deviation: 2.4 -> 2.0)" in problem(other, audio=source)
    assert f"--visual_init={tmp_path}: " in problem(tiny("ave"), visual=str(tmp_path))
    empty = tmp_path / "empty"
    empty.mkdir()
    saved = configuration.load(f"{source}/configuration.json")
    configuration.save(f"{empty}/configuration.json", saved)
    assert "has no checkpoint; name the work folder" in problem(tiny("ave"), visual=str(empty))
    assert checkpoints.complete_steps(str(empty / "best")) == []


def test_imagenet_is_for_networks_with_such_a_tower():
    with pytest.raises(ConfigurationError, match=r"visual_init=imagenet: .* network ave, only for"):
        initialization.with_imagenet(tiny("ave"))


def test_moving_averages_begin_with_the_same_weights():
    def ones(model):
        for weight in model.trainable_variables:
            weight.assign(np.ones(weight.shape))

    task = make_task(initialize=ones)
    config = training.TrainingConfig(batch_size=16, ema_decay=0.9)
    state = training.make_state(task, config, strategies.make_strategy("default"))
    assert not all(np.all(np.asarray(average) == 1) for average in state.averages)
    training.initialize(task, state)
    assert state.averages and all(np.all(np.asarray(average) == 1) for average in state.averages)
