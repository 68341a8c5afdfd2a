"""Which sounds are tested against which, their windows and features, and the command."""

import json
import math
import re
import wave

import avc_runs
import keras
import numpy as np
import pytest
from launching import launch

from avc import networks, probe_features, recordings, sound_folds, sound_probe
from avc.embedding import of_network
from avc.probe_features import EMBEDDING, MAP, WindowConfig
from avc.sound_folds import Sound
from crossmodal.errors import ConfigurationError, UserError

RATE = 48_000
PITCHES = {"high": 6000, "low": 300, "middle": 1500}
SMALL = {"segment_seconds": 0.25, "hop_seconds": 0.01, "width": 1 / 32, "image_size": 32}


def write(path, waveform):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.rint(32000 * np.asarray(waveform)).astype("<i2").tobytes())


def write_tones(folder, folds=3, takes="AB"):
    """A folder a class in the old layout: tones of a pitch, two takes of a recording."""
    rng = np.random.default_rng(0)
    for label, (name, pitch) in enumerate(PITCHES.items()):
        for fold in range(1, folds + 1):
            for source in range(2):
                for take in takes:
                    phase = 2 * np.pi * pitch * rng.uniform(0.9, 1.1) * np.arange(RATE) / RATE
                    identity = 1000 * label + 10 * fold + source
                    write(folder / name / f"{fold}-{identity}-{take}.wav", 0.5 * np.sin(phase))
    return folder


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("tones"))


# Folds


def test_both_layouts_of_names(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for fold in (1, 2):
        for label, name in enumerate(("Rain", "Sea-waves")):
            for folder, end in ((old / name, ""), (new / "audio", f"-{label}")):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{fold}-{fold}{label}7-B{end}.ogg").touch()
    (old / "README.md").touch()
    found = sound_folds.find_sounds(str(old))
    assert [(s.fold, s.source, s.label) for s in found] == [
        (1, "107", "Rain"), (2, "207", "Rain"), (1, "117", "Sea-waves"), (2, "217", "Sea-waves"),
    ]
    for folder in (new, new / "audio"):
        found = sound_folds.find_sounds(str(folder))
        assert [(s.fold, s.source, s.label) for s in found] == [
            (1, "107", "0"), (1, "117", "1"), (2, "207", "0"), (2, "217", "1"),
        ]


@pytest.mark.parametrize(("names", "message"), [
    (["a/1-2.wav"], "a/1-2.wav: is not named FOLD-ID-TAKE-CLASS"),
    (["1-2-A.wav"], "1-2-A.wav: is not named .* in a folder of its class"),
    (["a/one-2-A.wav"], "is not named"),
    (["a/1-2-A.wav", "b/1-3-A.wav"], "two folds and two classes"),
    (["a/1-2-A.wav", "a/2-3-A.wav"], "two folds and two classes"),
    (["a/1-2-A.wav", "a/2-2-B.wav", "b/1-3-A.wav", "b/2-4-A.wav"], "2 is in folds 1 and 2"),
    (["a/1-2-A.wav", "b/1-3-A.wav", "b/2-4-A.wav"], "class a is in fold 1 only"),
    ([], "holds no sounds"),
])
def test_folders_that_cannot_be_used(tmp_path, names, message):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        sound_folds.find_sounds(str(tmp_path))
    with pytest.raises(UserError, match="nowhere: No such file"):
        sound_folds.find_sounds(str(tmp_path / "nowhere"))


def test_what_scenes_may_have_heard():
    heard = []
    for number in range(300):
        old = Sound(f"rain/1-{number}-B.ogg", "rain", 1, str(number))
        new = Sound(f"audio/1-{number}-B-4.wav", "4", 1, str(number))
        split = recordings.split_of(f"elsewhere/1-{number}-A.ogg")
        assert old.heard_in_training() == (split == "train")
        # Scenes could have been made of either file.
        own = recordings.split_of(f"1-{number}-B-4.wav")
        assert new.heard_in_training() == ("train" in (split, own))
        heard.append(old.heard_in_training())
    assert 0.6 < np.mean(heard) < 0.8


# Windows


def test_windows_are_equally_spaced_from_begin_to_end():
    starts = probe_features.window_starts(5 * RATE, RATE, 10)
    np.testing.assert_allclose(starts / RATE, [4 * k / 9 for k in range(10)], atol=0.5 / RATE)
    assert probe_features.window_starts(5 * RATE, RATE, 1).tolist() == [2 * RATE]
    for short in (0, 1, RATE - 1, RATE):
        assert probe_features.window_starts(short, RATE, 4).tolist() == [0] * 4


@pytest.mark.parametrize("number", [3, 8, 9, 100])
def test_windows_are_the_sound(number):
    waveform = np.arange(1.0, number + 1)
    cut = probe_features.cut_windows(waveform, 8, 4)
    assert cut.shape == (4, 8)
    for start, window in zip(probe_features.window_starts(number, 8, 4), cut, strict=True):
        expected = [waveform[start + i] if start + i < number else 0 for i in range(8)]
        assert window.tolist() == expected
    assert cut.max() == number


# Features


@pytest.mark.parametrize(("size", "grid"), [
    ((16, 12), (4, 3)), ((7, 6), (4, 3)), ((5, 3), (4, 3)), ((6, 7), (1, 1)),
])
def test_cells_cover_the_map(size, grid):
    maps = np.random.default_rng(1).standard_normal((2, *size, 3))
    pooled = probe_features.pool_to_grid(maps, grid)
    assert pooled.shape == (2, *grid, 3)
    for n in range(2):
        for c in range(3):
            for i in range(grid[0]):
                for j in range(grid[1]):
                    inside = [
                        maps[n, y, x, c]
                        for y in range(size[0])
                        for x in range(size[1])
                        # A place counts where it and the cell, drawn over each other, overlap.
                        if y < (i + 1) * size[0] / grid[0] and y + 1 > i * size[0] / grid[0]
                        and x < (j + 1) * size[1] / grid[1] and x + 1 > j * size[1] / grid[1]
                    ]
                    assert pooled[n, i, j, c] == max(inside)
    # There are no more cells than places.
    whole = probe_features.pool_to_grid(maps, (99, 99))
    np.testing.assert_array_equal(whole, maps)


def test_a_networks_features_are_its_own():
    keras.utils.set_random_seed(0)  # of some first weights nothing passes a ReLU
    config = avc_runs.tiny("l3", **SMALL)
    network = networks.build(config.network)
    waves = np.random.default_rng(2).uniform(-0.5, 0.5, (3, 12_000)).astype(np.float32)
    found = {
        (relu, grid): probe_features.of_network(
            "l3", of_network(network, config), WindowConfig(grid=grid, after_relu=relu)
        ).extract(waves)
        for relu in (False, True)
        for grid in ((1, 1), (4, 1))
    }
    embedded = of_network(network, config).embed_audio(waves)
    # An L3-Net's embedding is the largest of its last map, after the ReLU, over all places.
    np.testing.assert_allclose(found[True, (1, 1)][f"{MAP}, 1x1"], embedded, atol=1e-6)
    for key, features in found.items():
        np.testing.assert_allclose(features[EMBEDDING], embedded, atol=1e-6)
        (pooled,) = (values for name, values in features.items() if name.startswith(MAP))
        assert f"{MAP}, {key[1][0]}x{key[1][1]}" in features
        assert pooled.shape == (3, math.prod(key[1]) * embedded.shape[1])
    # The largest after the ReLU is the ReLU of the largest before it.
    for grid in ((1, 1), (4, 1)):
        name = f"{MAP}, {grid[0]}x{grid[1]}"
        before, after = (found[relu, grid][name] for relu in (False, True))
        assert before.min() < 0
        np.testing.assert_allclose(np.maximum(before, 0), after, atol=1e-6)


def test_random_weights_are_those_of_the_seed():
    config = avc_runs.tiny("ave", **SMALL).network
    waves = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 12_000)).astype(np.float32)
    first, same, other = (
        probe_features.of_random_weights("ave", config, seed, WindowConfig(grid=(2, 1)))
        .extract(waves)
        for seed in (0, 0, 1)
    )
    for name in (EMBEDDING, f"{MAP}, 2x1"):
        np.testing.assert_array_equal(first[name], same[name])
        assert np.abs(first[name] - other[name]).max() > 1e-3


def test_levels_of_bands_and_their_spread():
    config = WindowConfig()
    extractor = probe_features.of_mel_levels(config)
    seconds = np.arange(RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 2000 * seconds)
    pulsed = tone * (seconds % 0.4 < 0.2)
    (steady, switched) = extractor.extract(np.stack([tone, pulsed]).astype(np.float32))[
        "mean and deviation"
    ]
    weights = config.mel.mel_weights()
    band = weights[round(2000 * config.mel.fft_length / RATE)].argmax()
    assert steady[:64].argmax() == switched[:64].argmax() == band
    assert steady[64:][band] < 0.6 < switched[64:][band]
    # Half of the time 1e-3, in between the tone's magnitude: in units of the deviation.
    loud = 0.3 / 2 * config.mel.window_values().sum() * weights[:, band].max()
    swing = (math.log(loud) - math.log(1e-3)) / config.mel.deviation / 2
    assert switched[64:][band] == pytest.approx(swing, rel=0.1)


# All together


def test_rows_are_compared_clip_by_clip():
    """Of two made-up features one is perfect, the other wrong of what scenes have not heard."""
    sounds, perfect, partial = [], [], []
    for number in range(160):
        label, fold = number % 2, number // 2 % 4 + 1
        sounds.append(Sound(f"x/{fold}-{number}-A.ogg", "ab"[label], fold, str(number)))
        good = np.full((3, 2), 2.0 * label - 1)
        perfect.append(good)
        partial.append(good if sounds[-1].heard_in_training() else -good)
    result = sound_probe.measure(
        {"x: good": np.array(perfect), "base: half": np.array(partial)},
        sounds, True, sound_probe.SvmConfig(inner_folds=2),
    )
    new = [not sound.heard_in_training() for sound in sounds]
    assert result["unheard_clips"] == sum(new) > 20 and result["chance"] == 0.5
    good, half = result["rows"].values()
    assert good["all"]["accuracy"] == {"estimate": 1, "low": 1, "high": 1, "confidence": 0.95}
    assert half["unheard"]["accuracy"]["estimate"] == 0
    assert half["all"]["accuracy"]["estimate"] == pytest.approx(1 - np.mean(new))
    assert good["all"]["gain"]["estimate"] == pytest.approx(np.mean(new))
    assert good["unheard"]["gain"]["low"] == 1 and half["all"]["gain"]["estimate"] == 0
    for fold, share in half["all"]["folds"].items():
        own = [n for n, sound in zip(new, sounds, strict=True) if sound.fold == fold]
        assert share == pytest.approx(1 - np.mean(own))
    values = list(half["all"]["folds"].values())
    assert half["all"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    text = sound_probe.describe(result)
    assert "x: good: better than base: half" in text
    assert re.search(r"\| x: good +\|.* 100.0 ± 0.0 \|", text)
    assert f"unheard: the {sum(new)} clips" in text
    assert re.search(r"\| L3-Net, on ESC-50 .*\| +79.3 \|", text)


def test_clips_of_one_recording_stay_together_in_intervals():
    # Ten recordings of 20 clips, half of them all right: 200 clips would say ±7 points.
    sounds = [Sound(f"x/{n % 2 + 1}-{n}-A.ogg", "ab"[n // 2 % 2], n % 2 + 1, str(n))
              for n in range(10) for _ in range(20)]
    right = np.repeat([True, False] * 5, 20)
    row = sound_probe._row(
        right, right, np.ones(200, bool), np.array([s.fold for s in sounds]),
        np.array([s.source for s in sounds]), 0,
    )
    assert row["accuracy"]["high"] - row["accuracy"]["low"] > 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "l3"
    avc_runs.train(workdir, "l3", max_steps=1, evaluate_every_steps=1)
    return workdir


def test_the_command(tones, trained, tmp_path):
    outcome = launch("export_avc", workdir=trained, tflite="false")
    assert outcome.status == 0, outcome.error
    output = tmp_path / "probe.json"
    outcome = launch(
        "probe_sounds", workdir=f"{trained},{trained}/export", sounds=tones, grid="4x1",
        windows=3, inner_folds=2, unheard="true", output=output,
    )
    assert outcome.status == 0, outcome.error
    report = json.loads(output.read_text())
    assert (report["clips"], report["sources"], report["classes"]) == (36, 18, sorted(PITCHES))
    assert set(report["rows"]) == {
        "l3: embedding", "l3: last convolution, 4x1", "l3 (2): embedding",
        "l3, random weights: embedding", "l3, random weights: last convolution, 4x1",
        "log-Mel levels: mean and deviation",
    }
    assert report["rows"]["log-Mel levels: mean and deviation"]["all"]["accuracy"]["low"] == 1
    ours, exported = (report["rows"][f"{name}: embedding"] for name in ("l3", "l3 (2)"))
    assert ours["all"] == exported["all"]
    assert report["configuration"]["windows"]["grid"] == [4, 1]
    assert [network["source"] for network in report["networks"]] == [
        str(trained), f"{trained}/export"
    ]
    table = (tmp_path / "probe.md").read_text()
    assert table.strip() in outcome.out and "| log-Mel levels" in table


@pytest.mark.parametrize(("values", "message"), [
    ({"sounds": "/nowhere"}, "--sounds=/nowhere: No such file"),
    ({"workdir": "/nowhere"}, "/nowhere/configuration.json"),
    ({"grid": "4by3"}, "--grid=4by3: it must be of two numbers"),
    ({"grid": "4"}, "grid is"),
    ({"penalties": "1,few"}, "--penalties=1,few"),
    ({"windows": 0}, "windows is 0"),
    ({"inner_folds": 9}, "cannot be divided into inner_folds=9"),
    ({"output": "probe.txt"}, "its name must end with .json"),
])
def test_mistakes_are_named(tones, values, message):
    outcome = launch("probe_sounds", **{"sounds": tones, "windows": 2, **values})
    assert outcome.status == 1 and "Traceback" not in outcome.error
    (line,) = outcome.error_lines()
    assert message in line


def test_a_damaged_file_is_named(tmp_path):
    folder = write_tones(tmp_path, takes="A")
    (folder / "low" / "1-1010-A.wav").write_bytes(b"no sound")
    outcome = launch("probe_sounds", sounds=folder, windows=2)
    assert outcome.status == 1 and "1-1010-A.wav: cannot be read" in outcome.error_lines()[0]
    assert not list(tmp_path.glob("*.json"))


def test_features_that_are_not_finite_are_an_error(tones):
    sounds = sound_folds.find_sounds(str(tones))
    broken = probe_features.Extractor(
        "broken", RATE, 100, lambda windows: {"x": windows[:, :2] * np.nan}
    )
    with pytest.raises(UserError, match=r"broken: its features of .*wav are not finite"):
        sound_probe.gather(sounds, [broken], 2)


def test_grids_of_other_forms():
    with pytest.raises(ConfigurationError, match="of two numbers"):
        WindowConfig(grid=(4,))


@pytest.mark.real_data
def test_levels_tell_real_sounds_apart(real_data, tmp_path):
    """A part of ESC-10: three classes that differ by ear, twelve clips of each."""
    for name in ("001-Dogbark", "002-Rain", "007-Helicopter"):
        (tmp_path / name).mkdir()
        paths = sorted((real_data / "esc10" / name).iterdir())
        for path in [path for fold in "123" for path in paths if path.name.startswith(fold)][::2]:
            (tmp_path / name / path.name).symlink_to(path)
    outcome = launch("probe_sounds", sounds=tmp_path, output=tmp_path / "probe.json")
    assert outcome.status == 0, outcome.error
    report = json.loads((tmp_path / "probe.json").read_text())
    assert report["clips"] == 36
    levels = report["rows"]["log-Mel levels: mean and deviation"]
    assert levels["all"]["accuracy"]["low"] > 0.5  # chance: a third
