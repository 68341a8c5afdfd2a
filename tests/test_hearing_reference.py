"""What perfect eyes and ears reach, and a classifier with labels, on scenes of known tones."""

import dataclasses

import numpy as np
import pytest
from test_networks import SMALL

from avc import correspondence_scores as scores
from avc import evaluation, evaluation_report, hearing, hearing_reference, records, scene_truth
from avc.encoding import encode_jpeg
from avc.evaluation import Evaluated
from avc.evaluation_protocol import Protocol
from avc.evaluation_tables import accuracy_table
from avc.frames import FrameConfig
from avc.hearing import HearingConfig
from avc.pair_config import PairConfig
from avc.reading import open_clips
from avc.recipes import AvcConfig
from crossmodal import tfrecord
from crossmodal.errors import ConfigurationError, UserError

RATE = 16_000
TONES = {b"a": 500.0, b"b": 1700.0, b"c": 5000.0}
CONFIG = AvcConfig(
    "small",
    network=SMALL,
    frames=FrameConfig(64),
    # Sounds of a quarter second that begin at eighths: the middle of a scene is the end of some.
    pairs=PairConfig(RATE, segment_seconds=0.25, grid_seconds=0.125, pairs_per_read=2),
)


def truth(seen, heard, kind="on_screen"):
    boxes = np.zeros((len(seen), 4))
    return scene_truth.Truth(
        kind, boxes[:1], boxes, frozenset(seen), frozenset(heard), frozenset(seen)
    )


def rows(partner, **fields):
    number = len(partner)
    blank = np.zeros((number, 2))
    names = np.array([f"v{i}".encode() for i in range(number)], object)
    return Evaluated(**{
        "id": names, "video": names, "frame_seconds": np.zeros(number),
        "level_dbfs": np.full(number, -20.0), "visual_embedding": blank,
        "audio_embedding": blank, "logits": blank, "mismatched_logits": blank,
        "mismatched": np.ones(number, bool), "partner": np.array(partner), **fields,
    })


# What perfect eyes and ears reach


def test_the_limit_of_a_hand_made_set():
    truths = [
        truth("d", "d"),  # gets a bell: told
        truth("db", "b"),  # gets a bell: not told
        truth("b", "b"),  # gets a dog: told
        truth("dr", "rw"),  # gets a dog and a bell: not told
        truth("d", "db"),  # gets rain, off-screen there: told
        truth("d", "w", "off_screen"),  # its own pair: does not correspond; gets rain: told
        truth("d", "", "silent"),  # the same; gets rain and whistle: told
    ]
    limit = scores.measure(rows([1, 2, 0, 4, 5, 3, 3]), truths)["limit"]
    assert limit["true_pairs"]["estimate"] == pytest.approx(5 / 7)
    assert limit["mismatched_pairs"]["estimate"] == pytest.approx(5 / 7)
    assert limit["accuracy"]["estimate"] == pytest.approx(10 / 14)
    # Row 4 gets a sound of a scene that is not `on_screen`, so only its own pair counts.
    assert limit["by_visible_objects"]["1"]["estimate"] == 1
    assert limit["by_visible_objects"]["1"]["pairs"] == 5
    assert limit["by_visible_objects"]["2"]["estimate"] == pytest.approx(2 / 4)
    assert limit["off_screen"]["estimate"] == limit["silent"]["estimate"] == 1


def test_the_limit_is_on_the_networks_pairs_and_as_high_as_arithmetic_says():
    rng = np.random.default_rng(0)
    labels = [bytes([65 + i]) for i in range(10)]
    truths = []
    for _ in range(3000):
        names = [labels[i] for i in rng.permutation(10)]
        kind = rng.choice(["on_screen", "off_screen", "silent"], p=[0.8, 0.1, 0.1])
        seen = names[: rng.integers(1, 4)]
        heard = {"on_screen": seen[:1], "off_screen": names[5:6], "silent": []}[kind]
        truths.append(truth(seen, heard, kind))
    partner = rng.permutation(3000)
    found = rows(partner, mismatched=partner != np.arange(3000))
    result = scores.measure(found, truths)
    right = []
    for row, own in enumerate(truths):
        right.append(any(label in list(own.seen) for label in list(own.heard)))
        if found.mismatched[row]:
            sound = truths[partner[row]].heard
            right.append(all(label not in own.seen for label in sound))
    assert result["limit"]["accuracy"]["estimate"] == pytest.approx(np.mean(right))
    assert result["limit"]["accuracy"]["pairs"] == result["accuracy"]["pairs"] == len(right)
    for number in (1, 2, 3):
        own, best = (each["by_visible_objects"][str(number)] for each in (result, result["limit"]))
        assert own["pairs"] == best["pairs"]
        # A mismatched sound is of a visible class in a tenth of the cases for each object.
        assert best["estimate"] == pytest.approx(1 - number / 20, abs=0.02)
        assert best["low"] < best["estimate"] < best["high"]
    assert "limit %" in accuracy_table(result, "ave")
    assert "limit" not in scores.measure(found)


# The classifier with labels


def write_scenes(path, number, seed, only=None):
    """Scenes of tones: of one class, of none, or of one after the other."""
    rng = np.random.default_rng(seed)
    payloads = []
    for index in range(number):
        kind = only or rng.choice(["one", "silent", "switch"], p=[0.7, 0.15, 0.15])
        names = [list(TONES)[i] for i in rng.permutation(3)]
        spans = {"one": [(0.0, 1.0)], "silent": [], "switch": [(0.0, 0.5), (0.5, 1.0)]}[kind]
        events = [(names[i], i, *span) for i, span in enumerate(spans)]
        seconds = np.arange(RATE) / RATE
        sound = 1e-4 * rng.standard_normal(RATE)
        for name, _, start, end in events:
            phase = 2 * np.pi * (TONES[name] * rng.uniform(0.95, 1.05) * seconds + rng.random())
            tone = rng.uniform(0.05, 0.5) * np.sin(phase)
            sound += tone * (seconds >= start) * (seconds < end)
        objects = names[: max(len(events), rng.integers(1, 3))]
        boxes = np.array([[0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]])[: len(objects)]
        sides = zip(scene_truth.SIDES, boxes.T, strict=True)
        payloads.append(records.scene("pcm16").serialize({
            "id": f"s{seed}_{index:03}", "video": f"s{seed}_{index:03}", "file": "s.mp4",
            "start_seconds": [0.0], "frames": [encode_jpeg(np.zeros((64, 64, 3), np.uint8))],
            "frame_seconds": [0.0], "audio": np.rint(sound * 32000).astype("<i2").tobytes(),
            "sample_rate_hz": [RATE], "num_samples": [RATE], "background": "b",
            "object_labels": objects, **{f"object_{side}": values for side, values in sides},
            "event_labels": [e[0] for e in events], "event_objects": [e[1] for e in events],
            "event_start_seconds": [e[2] for e in events],
            "event_end_seconds": [e[3] for e in events],
        }))
    tfrecord.write_records(str(path), payloads)
    return evaluation_report.ClipSet(*open_clips(str(path), "train_pattern", progress=False))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    return write_scenes(folder / "train", 96, 1), write_scenes(folder / "test", 80, 2)


def tones_in(waveform):
    """The classes whose frequency stands out of a sound, by its Fourier transform."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)))) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return [
        place
        for place, middle in enumerate(TONES.values(), 1)
        if power[np.abs(hertz - middle) < 0.08 * middle].max() > 1e3 * np.median(power) + 1e6
    ]


def test_seconds_are_labelled_by_what_is_in_them(scenes):
    train, _ = scenes
    batches = hearing.training_seconds(
        train.records, train.encoding, tuple(TONES), CONFIG, HearingConfig(batch_size=32)
    )
    kinds = set()
    for drawn, classes, weights in batches.take(6).as_numpy_iterator():
        assert drawn["waveform"].shape == (32, 4000) and drawn["gain"].min() >= 0.9
        for waveform, label, weight in zip(drawn["waveform"], classes, weights, strict=True):
            heard = tones_in(waveform.astype(float))
            assert weight == (len(heard) < 2)
            if len(heard) < 2:
                assert [label] == (heard or [0])
            kinds.add(len(heard))
    assert kinds == {0, 1, 2}


def test_shares_are_those_of_the_seconds():
    shares = hearing.shares_of([["b"], [], ["a", "b"], ["b"]], ["a", "b"])
    np.testing.assert_allclose(shares, [1 / 4, 1 / 8, 5 / 8])


def test_a_pair_corresponds_where_what_is_seen_is_more_probable_than_ever():
    made = hearing.Hearing(None, (b"a", b"b", b"c"), np.array([0.1, 0.3, 0.3, 0.3]))
    probability = np.array([0.1, 0.4, 0.25, 0.25])
    assert made.says(probability, frozenset({b"a"}))
    assert not made.says(probability, frozenset({b"b", b"c"}))
    assert not made.says(probability, frozenset({b"unknown"}))
    assert not made.says(probability, frozenset())


def test_a_classifier_learns_tones_and_comes_near_the_limit(scenes):
    train, test = scenes
    found, truths = judged(test)
    config = HearingConfig(steps=40, batch_size=32, learning_rate=3e-3)
    result = hearing_reference.compare(CONFIG, train, test, found, truths, Protocol(), config)
    limit = scores.measure(found, truths)["limit"]
    assert result["top1"]["estimate"] > 0.95 and result["top1"]["seconds"] > 60
    # Two of three classes are often visible: what is left to tell is worth little.
    assert limit["by_visible_objects"]["1"]["estimate"] > 0.75
    for name in ("accuracy", "true_pairs", "mismatched_pairs"):
        assert result[name]["pairs"] == limit[name]["pairs"]
        assert result[name]["estimate"] == pytest.approx(limit[name]["estimate"], abs=0.04)
    assert result["config"] == dataclasses.asdict(config)
    table = accuracy_table({**scores.measure(found, truths), "hearing_reference": result}, "ave")
    assert "labelled hearing" in table


def judged(clips):
    """The pairs of a network that says nothing, and their truth."""
    found = [
        {name: batch[name] for name in (*evaluation.KEPT, "waveform")}
        for batch in evaluation.evaluation_batches(clips.records, clips.encoding, CONFIG)
    ]
    columns = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
    number = len(columns["id"])
    made = rows(
        np.roll(np.arange(number), 1),
        level_dbfs=evaluation.levels(columns["waveform"]),
        **{name: columns[name] for name in evaluation.KEPT},
    )
    return made, evaluation_report.truths_of(clips, made, CONFIG, Protocol())


def test_a_batch_has_at_most_all_scenes(scenes):
    train, _ = scenes
    size = train.records.count()
    seconds = hearing.training_seconds(
        train.records, train.encoding, (b"a",), CONFIG, HearingConfig(batch_size=size + 1)
    )
    inputs, _, _ = next(iter(seconds))
    assert len(inputs["waveform"]) == size


def test_clips_that_it_cannot_be_trained_on(scenes, tmp_path):
    train, test = scenes
    found, truths = judged(test)

    def compare(train, truths, **config):
        config = HearingConfig(**{"steps": 1, **config})
        return hearing_reference.compare(CONFIG, train, test, found, truths, Protocol(), config)

    with pytest.raises(UserError, match="--eval_pattern holds no scenes"):
        compare(train, None)
    with pytest.raises(UserError, match="--train_pattern holds no scenes"):
        compare(dataclasses.replace(train, kind="clip"), truths)
    with pytest.raises(UserError, match="nothing is heard"):
        compare(write_scenes(tmp_path / "silent", 4, 3, "silent"), truths)
    with pytest.raises(ConfigurationError, match="steps"):
        HearingConfig(steps=0)
