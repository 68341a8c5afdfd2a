"""The commands of audio-visual networks: one line for every mistake, a sweep, an export."""

import json
import re

import avc_runs
import numpy as np
import pytest
from launching import launch

import avc

TINY = ",".join(f"{name}={value}" for name, value in avc_runs.TINY.items())
TRAIN = f"{avc_runs.SCENES}/train*.tfrecord"
EVAL = f"{avc_runs.SCENES}/test-*.tfrecord"


def given(workdir, **values) -> dict:
    return {"train_pattern": TRAIN, "eval_pattern": EVAL, "workdir": workdir, "set": TINY,
            "recipe": "avol", "batch_size": 8, "max_steps": 2, "steps_per_call": 2,
            "evaluate_every_steps": 2, **values}


@pytest.mark.parametrize(("command", "values", "message"), [
    ("train_avc", {"recipe": "mine"}, "--recipe=mine"),
    ("train_avc", {"set": "widht=0.1"}, "no configuration field is called widht"),
    ("train_avc", {"set": "image_size=7"}, "image_size is 7"),
    ("train_avc", {"set": "network=vgg"}, "network is 'vgg': it must be one of l3, ave, avol"),
    ("train_avc", {"set": "learning_rate=fast"}, "learning_rate is 'fast': it must be a number"),
    ("train_avc", {"set": "sample_rate_hz=16000,segment_seconds=0.25,hop_seconds=0.01"},
     "clip train-0-.* has 48000 not 16000 Hz: set sample_rate_hz"),
    ("train_avc", {"train_pattern": "nowhere/*"}, r"--train_pattern=nowhere/\*: no file matches"),
    ("train_avc", {"eval_pattern": "nowhere/*"}, r"--eval_pattern=nowhere/\*: no file matches"),
    ("train_avc", {"batch_size": 6}, "negatives_within=4"),
    ("train_avc", {"batch_size": 12}, "8 usable records are fewer than a batch of 12"),
    ("sweep_avc", {"grid": "learning_rate=1e-3", "eval_pattern": ""}, "name --eval_pattern"),
    ("sweep_avc", {"grid": "nothing=1,2"}, "no configuration field is called nothing"),
])
def test_mistakes_are_named(tmp_path, command, values, message):
    outcome = launch(command, **given(tmp_path / "run", **values))
    assert outcome.status == 1 and "Traceback" not in outcome.error
    (line,) = outcome.error_lines()
    assert re.search(message, line), line
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_a_sweep_goes_on_and_its_best_is_exported(tmp_path):
    values = given(tmp_path, grid="learning_rate=0.001,0.01")
    first = launch("sweep_avc", **values)
    assert first.status == 0, first.error
    results = json.loads((tmp_path / "sweep.json").read_text())
    assert set(results) == {"learning_rate=0.001", "learning_rate=0.01"}
    for name, result in results.items():
        saved = json.loads((tmp_path / name / "configuration.json").read_text())
        assert saved["avc"]["optimizer"]["learning_rate"] == result["changes"]["learning_rate"]
        assert saved["avc"]["network"]["network"] == "avol"
        scores = [100 * result["best_metrics"][key] for key in ("accuracy", "recall@1")]
        row = rf"\| {name} +\| +2 \| +{scores[0]:.1f} \| +{scores[1]:.1f} \|"
        assert re.search(row, first.out), first.out
    curves = [(tmp_path / name / "metrics.jsonl").read_text() for name in sorted(results)]
    again = launch("sweep_avc", **values)
    assert [line for line in again.out.splitlines() if "|" in line] == [
        line for line in first.out.splitlines() if "|" in line
    ]
    assert curves == [(tmp_path / name / "metrics.jsonl").read_text() for name in sorted(results)]

    workdir = tmp_path / "learning_rate=0.01"
    outcome = launch("export_avc", workdir=workdir, tflite="false")
    assert outcome.status == 0, outcome.error
    assert f"SavedModel: {workdir}/export" in outcome.out
    trained, exported = avc.load(workdir), avc.load(workdir / "export")
    assert trained.config.max_steps == 2 and exported.config == trained.config
    frames = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    waveforms = np.sin(np.arange(24_000).reshape(2, -1) ** 1.5 / 1e4)
    ours, theirs = (each.localize(frames, waveforms) for each in (trained, exported))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    card = (workdir / "export" / "model_card.md").read_text()
    assert "| accuracy | " in card and "| step | 2 |" in card
    assert "is an export" in launch("export_avc", workdir=workdir / "export",
                                    output=tmp_path / "other").error
