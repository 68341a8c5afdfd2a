"""Training of audio-visual networks: bit for bit, on two devices, with the said rates."""

import signal

import avc_runs
import keras
import numpy as np
import pytest
import tensorflow as tf
import training_runs
from avc_runs import tiny
from training_runs import curve, variables

from avc import training
from avc.recipes import PAPERS, RECIPES, OptimizerConfig
from crossmodal.errors import ConfigurationError
from crossmodal.training import TrainingConfig


@pytest.fixture(scope="module")
def executor():
    with training_runs.two_devices() as executor:
        yield executor


@pytest.fixture(scope="module")
def reference(executor, tmp_path_factory):
    """The folder of a run on one device that nothing has disturbed."""
    workdir = tmp_path_factory.mktemp("avc") / "run"
    assert executor.submit(avc_runs.train, workdir).result().step == 8
    return workdir


def rows(workdir) -> list[dict]:
    return [row for row in curve(workdir) if "loss" in row]


def test_a_killed_run_goes_on_to_the_same_weights(executor, reference, tmp_path):
    workdir = tmp_path / "run"
    process = training_runs.context.Process(
        target=avc_runs.train_until_killed, args=(workdir, (6, 0.0))
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    steps = training.training.checkpoints.complete_steps(str(workdir / "checkpoints"))
    assert steps and steps[-1] < 8
    executor.submit(avc_runs.train, workdir).result()
    for folder in ("checkpoints", "best"):
        mine, theirs = variables(workdir, folder), variables(reference, folder)
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
    assert curve(workdir) == curve(reference)


def test_the_rate_falls_in_steps_of_epochs(reference):
    # Eight clips in batches of eight: an epoch is one step, a stair three.
    expected = [1e-3 * 0.5 ** (step // 3) for step in range(8)]
    assert [row["learning_rate"] for row in rows(reference)] == pytest.approx(expected)


def test_curves_hold_what_is_trained_and_judged(reference):
    assert [row["step"] for row in rows(reference)] == list(range(1, 9))
    assert {"loss", "accuracy", "regularization"} <= rows(reference)[0].keys()
    evaluations = [row["evaluation"] for row in curve(reference) if "evaluation" in row]
    assert len(evaluations) == 2
    assert all({"accuracy", "recall@1", "recall@10"} <= row.keys() for row in evaluations)


def weights_at(workdir, step: int, recipe: str) -> dict[str, np.ndarray]:
    """The weights of a checkpoint by their paths, without what has no gradient but rounding."""
    reader = tf.train.load_checkpoint(f"{workdir}/checkpoints/step-{step}/variables")
    model = training.networks.build(tiny(recipe).network).training
    paths = [weight.path for weight in model.weights]
    # A convolution's bias is taken away, with the mean, by the normalisation after it: Adam
    # lets it walk at random.
    return {
        path: reader.get_tensor(f"model/{index}/.ATTRIBUTES/VARIABLE_VALUE")
        for index, path in enumerate(paths)
        if not ("conv" in path and path.endswith("bias")) and not path.endswith("moving_mean")
    }


OTHERS = ("contrast", "resnet18", "davenet")


@pytest.mark.parametrize(
    "recipe", ["ave", *(pytest.param(r, marks=pytest.mark.slow) for r in OTHERS)]
)
def test_two_devices_give_what_one_gives(executor, reference, tmp_path, recipe):
    run = {"max_steps": 4, "evaluate_every_steps": 0}
    one, two = reference, tmp_path / "two"
    executor.submit(avc_runs.train, two, recipe, strategy="mirrored", **run).result()
    if recipe != "ave":
        one = tmp_path / "one"
        executor.submit(avc_runs.train, one, recipe, **run).result()
    for mine, theirs in zip(rows(one)[:4], rows(two), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    mine, theirs = (weights_at(workdir, 4, recipe) for workdir in (one, two))
    for path, value in theirs.items():
        # A moving variance of decibels is in the hundreds: rounding is relative to that.
        np.testing.assert_allclose(mine[path], value, atol=1e-4, rtol=2e-6, err_msg=path)


def test_another_configuration_is_refused_by_name(executor, reference):
    with pytest.raises(ConfigurationError, match=r"avc.optimizer.learning_rate: 0.001 -> 0.002"):
        executor.submit(avc_runs.train, reference, "ave", {"learning_rate": 2e-3}).result()
    with pytest.raises(ConfigurationError, match=r"avc.network.network: 'ave' -> 'avol'"):
        executor.submit(avc_runs.train, reference, "avol").result()


def test_the_contrast_trains_without_the_head(executor, tmp_path):
    result = executor.submit(avc_runs.train, tmp_path, "contrast", max_steps=1).result()
    assert result.best_step == 1 and 0 <= result.best_metrics["recall@10"] <= 1
    assert rows(tmp_path)[0]["loss"] > 0


@pytest.mark.slow
def test_a_finished_run_may_be_made_longer(executor, reference, tmp_path):
    workdir = tmp_path / "run"
    executor.submit(avc_runs.train, workdir, max_steps=4).result()
    executor.submit(avc_runs.train, workdir).result()
    mine, theirs = variables(workdir), variables(reference)
    assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("within", [4, 8, 24])
def test_partners_are_other_videos_of_the_group(within):
    rng = np.random.default_rng(within)
    for _ in range(20):
        videos = rng.integers(0, rng.integers(1, 9), 24)
        names = rng.integers(-(2**62), 2**62, 9)
        offsets = np.asarray(training.partner_offsets(tf.constant(names[videos]), within))[:, 0]
        partners = np.arange(24) + offsets
        for start in range(0, 24, within):
            group = range(start, start + within)
            placed = [row for row in group if offsets[row]]
            # Each sound is used once, and stays in its group.
            used = [partners[row] for row in placed]
            assert len(set(used)) == len(used) and set(used) <= set(group)
            assert all(videos[row] != videos[partners[row]] for row in placed)
            # No more rows stay without a partner than must: those of a majority.
            most = max(np.bincount(videos[start : start + within]))
            assert within - len(placed) == max(0, 2 * most - within)


@pytest.mark.parametrize(("run", "replicas", "fits"), [
    ({"batch_size": 8}, 1, True),
    ({"batch_size": 3}, 1, True),  # smaller than a group, but whole
    ({"batch_size": 6}, 1, False),
    ({"batch_size": 8}, 2, True),
    ({"batch_size": 8}, 4, False),
    ({"batch_size": 8, "accumulation_steps": 2}, 1, True),
    ({"batch_size": 4, "accumulation_steps": 2}, 1, False),
])
def test_groups_lie_on_one_replica(run, replicas, fits):
    config = TrainingConfig(**run)
    if fits:
        training.check_group(tiny(), config, replicas)
        return
    line = rf"--batch_size={config.batch_size} gives each replica \d clips .* negatives_within=4"
    with pytest.raises(ConfigurationError, match=line):
        training.check_group(tiny(), config, replicas)
    # Where the loss needs no such pairs, there is nothing to refuse.
    training.check_group(tiny("contrast"), config, replicas)
    training.check_group(tiny(negatives="independent"), config, replicas)


def test_decoupled_decay_is_of_kernels_alone():
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.5)
    optimizer = training.make_optimizer(config, steps_per_epoch=10)
    model = training.networks.build(tiny(l2=0.0).network).training
    weights = model.trainable_variables
    for weight in weights:
        weight.assign(keras.ops.ones_like(weight))
    optimizer.apply([keras.ops.zeros_like(weight) for weight in weights], weights)
    decayed = {weight.path: float(np.max(weight)) for weight in weights}
    kernels = [path for path in decayed if path.endswith("kernel")]
    assert len(kernels) == 16 + 4 + 1 and len(weights) > 3 * len(kernels) - 10
    for path, value in decayed.items():
        assert value == pytest.approx(0.95 if path in kernels else 1.0), path


def test_recipes_are_the_papers_and_their_small_versions():
    assert set(RECIPES) == {*PAPERS, *(f"{name}_small" for name in PAPERS)}
    for name, config in RECIPES.items():
        assert config.recipe == name
        assert config.batch_size == {"resnet18": 256}.get(
            name, 100 if name.startswith("davenet") else 64
        )
        assert config.network.network == {"contrast": "ave"}.get(
            name.removesuffix("_small"), name.removesuffix("_small")
        )
    for name, paper in PAPERS.items():
        small = RECIPES[f"{name}_small"]
        assert (paper.network.image_size, paper.network.width) == (224, 1.0)
        if name == "davenet":  # its trunks are others
            assert small.network.image_size == small.frames.image_size == 96
            assert small.loss.objective == "triplet" and small.network.width < 0.2
            continue
        assert small.network.image_size == small.frames.image_size == 96
        assert small.loss.objective == paper.loss.objective and small.network.width == 0.25
        if name == "resnet18":  # it pools its pictures as a whole
            assert small.network.visual_blocks == small.network.audio_blocks == 4
            continue
        # A place of the map sees at most as much of the picture as in the paper's network.
        assert sight(small.network.visual_blocks) / 96 < 1.1 * sight(4) / 224
        assert (paper.loss.negatives_per_clip, paper.network.audio.mel_bands) == (1, 0)


def sight(blocks: int) -> int:
    """Pixels a side that a place of the map depends on, by the strides and kernels before it."""
    pixels, step = 1, 1
    for block in range(blocks):
        for conv in range(2):
            pixels += 2 * step
            step *= 2 if (block, conv) == (0, 0) else 1
        if block < blocks - 1:
            pixels += step
            step *= 2
    return pixels
