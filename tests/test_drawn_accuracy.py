"""A network that hears nothing but where sounds were cut, on pairs drawn with and without care."""

import json
import types

import pytest
import tensorflow as tf
from clock_clips import GRID, RATE, picture, sound
from launching import launch

from avc import drawn_accuracy, evaluation, records
from avc.configuration import NetworkConfig
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.reading import open_clips
from avc.recipes import AvcConfig
from avc.spectrogram import SpectrogramConfig
from crossmodal import tfrecord
from crossmodal.errors import ConfigurationError


def config(**fields):
    audio = SpectrogramConfig(RATE, 0.01, 0.005, 64)
    pairs = {"negatives": "independent", "pairs_per_read": 4, **fields}
    return AvcConfig(
        "small",
        network=NetworkConfig(image_size=32, audio=audio),
        frames=FrameConfig(32),
        pairs=PairConfig(RATE, **pairs),
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of 3 s whose sound tells the time."""
    path = str(tmp_path_factory.mktemp("clock") / "clips.tfrecord")
    samples = sound(3.0)
    tfrecord.write_records(path, [
        records.clip("pcm16").serialize({
            "id": f"v{n}_0", "video": f"v{n}", "file": "v.mp4", "start_seconds": [0.0],
            "frames": [picture(0)], "frame_seconds": [0.0], "audio": samples.tobytes(),
            "sample_rate_hz": [RATE], "num_samples": [len(samples)],
        })
        for n in range(80)
    ])
    return open_clips(path, "eval_pattern", progress=False)[1:]


def cutting(inputs):
    """Says yes where a sound begins as far after the grid as half a second is."""
    begin = (tf.round(inputs["waveform"][:, 0] * 32768) - 1) / 2400
    yes = tf.cast(tf.abs((begin - 0.5 + GRID / 2) % GRID - GRID / 2) < 5e-4, tf.float32)
    blank = tf.zeros((tf.size(yes), 1))
    return {
        "logits": tf.stack([1 - yes, yes], -1),
        "visual_embedding": blank,
        "audio_embedding": blank,
    }


NETWORK = types.SimpleNamespace(deployed=cutting)


def test_a_network_that_hears_the_cut_is_right_only_without_the_safeguard(clips):
    encoding, opened = clips
    flawed = config(mismatched_grid="none")
    found = drawn_accuracy.measure(NETWORK, opened, encoding, flawed)
    # One in some 96 distinguishable places is on the grid by chance.
    assert found["pairs"] == 320 and found["estimate"] > 0.97
    assert found["low"] <= found["estimate"] <= found["high"]
    safe = drawn_accuracy.measure(NETWORK, opened, encoding, config())
    # It says yes to everything, and is right on the true pairs.
    assert safe["pairs"] == 320 and abs(safe["estimate"] - 0.5) < 0.12
    always = drawn_accuracy.measure(NETWORK, opened, encoding, config(positive_rate=1.0))
    assert always["estimate"] == 1
    # The evaluation's pairs are on the grid whatever the training's were.
    pairs = evaluation.embed_pairs(NETWORK, opened, encoding, flawed)
    assert (pairs.logits.argmax(1) == 1).all() and (pairs.mismatched_logits.argmax(1) == 1).all()
    assert evaluation.score(pairs, 80)["accuracy"] == 0.5


def test_pairs_are_a_function_of_the_seed(clips):
    encoding, opened = clips
    first, again, other = (
        drawn_accuracy.measure(NETWORK, opened, encoding, config(), seed)["estimate"]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_exchanged_negatives_are_not_drawn(clips):
    with pytest.raises(ConfigurationError, match="negatives is 'in_batch'"):
        drawn_accuracy.measure(NETWORK, clips[1], clips[0], config(negatives="in_batch"))


@pytest.mark.slow
def test_the_experiment_trains_twice_and_goes_on(tmp_path):
    given = {"output": tmp_path, "num_clips": 64, "test_clips": 20, "max_steps": 1}
    first = launch("experiment_shortcut", **given)
    assert first.status == 0, first.error
    report = json.loads((tmp_path / "shortcut.json").read_text())
    assert set(report["rows"]) == {"same", "none"} and report["click_dbfs"] == -40
    for grid in ("same", "none"):
        saved = json.loads((tmp_path / grid / "configuration.json").read_text())
        assert saved["avc"]["pairs"]["mismatched_grid"] == grid
        assert report["rows"][grid]["as_in_training"]["pairs"] == 160
    scenes = json.loads((tmp_path / "scenes" / "test.json").read_text())
    assert scenes["grid_click_dbfs"] == -40 and scenes["max_objects"] == 1
    again = launch("experiment_shortcut", **given)
    rows = [[line for line in each.out.splitlines() if "|" in line] for each in (first, again)]
    assert rows[0] == rows[1] and len(rows[0]) == 5
