"""Scores of audio-visual networks whose answers are known, on bundled and hand-made scenes."""

import dataclasses
import itertools
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from test_networks import SMALL

from avc import (
    aligned_baseline,
    clip_features,
    correspondence_scores,
    evaluation,
    localization_scores,
    networks,
    records,
    retrieval_scores,
    scene_truth,
    vggss_scores,
)
from avc.centre_crop import crop_boxes, crop_window
from avc.encoding import encode_jpeg
from avc.evaluation import Evaluated
from avc.frames import FrameConfig, decode_frame
from avc.ontology import Ontology
from avc.reading import open_clips
from avc.recipes import AvcConfig
from avc.relevance import RelevanceConfig
from avc.scene_truth import Scene, TruthConfig, judge
from avc.vggss import Item
from crossmodal import checkpoints, configuration, ndcg, tfrecord
from crossmodal.errors import UserError
from crossmodal.ndcg import DIRECTIONS, NdcgConfig

RATE = 16_000
CELLS = 8


# Where the network looks


@pytest.mark.parametrize("share", [1.0, 0.875, 0.7])
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(96, 96, 64), (256, 341, 224), (100, 160, 64), (161, 97, 96), (80, 99, 70), (41, 61, 64)],
)
def test_boxes_go_where_the_crop_shows_their_pixels(height, width, size, share):
    box = np.array([0.4, 0.35, 0.7, 0.6])
    left, top, right, bottom = np.rint(box * [width, height, width, height]).astype(int)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    exact = np.array([[left / width, top / height, right / width, bottom / height]])
    found, visible = crop_boxes(exact, crop_window(height, width, share))
    config = FrameConfig(size, share).evaluation()
    seen = decode_frame(tf.constant(encode_jpeg(picture, 100)), config, tf.zeros([3])).numpy()
    rows, columns = np.nonzero(seen[..., 0] > 127)
    pixels = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # Where a picture is scaled, an edge lies between two pixels.
    scaled = round(share * min(height, width)) != size
    np.testing.assert_allclose(found[0] * size, pixels, atol=0.75 if scaled else 0.01)
    assert visible == pytest.approx(1)


def test_boxes_are_cut_where_the_crop_ends():
    window = crop_window(100, 200, 1.0)
    assert window == (0.25, 0, 0.75, 1)
    boxes = np.array([[0, 0, 0.5, 0.5], [0.3, 0.2, 0.4, 0.4], [0, 0, 0.2, 1], [0.7, 0, 0.8, 1]])
    found, shares = crop_boxes(boxes, window)
    np.testing.assert_allclose(found[:2], [[0, 0, 0.5, 0.5], [0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(found[3], [0.9, 0, 1, 1])
    np.testing.assert_allclose(shares, [0.5, 1, 0, 0.5])
    assert found[2][0] == found[2][2]
    none, _ = crop_boxes(np.zeros((0, 4)), window)
    assert none.shape == (0, 4)


# What is to be seen and heard


def scene(*events, boxes=((0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)), name=b"v"):
    return Scene(
        name + b"_0", name, 100, 100, (b"dog", b"bell")[: len(boxes)], np.array(boxes), events
    )


def truth(made, seconds=1.5, level=-20.0, share=1.0, **config):
    return judge(made, seconds, 1.0, share, level, TruthConfig(**config))


def test_truth_is_that_of_the_frames_time():
    switch = scene((b"dog", 0, 0.0, 1.4), (b"bell", 1, 1.4, 3.0))
    assert truth(switch, 1.3).sounding.tolist() == [[0.1, 0.1, 0.4, 0.4]]
    assert truth(switch, 1.4).sounding.tolist() == [[0.6, 0.6, 0.9, 0.9]]
    assert truth(switch, 1.3).heard == {b"dog", b"bell"}
    assert truth(switch, 0.5).heard == {b"dog"}
    both = truth(scene((b"dog", 0, 0.0, 3.0), (b"bell", 1, 0.0, 3.0)))
    assert len(both.sounding) == len(both.visible) == 2 and both.kind == "on_screen"


def test_kinds_of_pairs():
    dog, rain = (b"dog", 0, 0.0, 1.4), (b"rain", -1, 0.0, 1.4)
    assert truth(scene(dog), 0.6).kind == "on_screen"
    assert truth(scene(rain), 0.6).kind == "off_screen"
    assert truth(scene(rain), 0.6).in_picture == {b"dog", b"bell"}
    assert truth(scene(), 0.6).kind == truth(scene(dog), 2.0).kind == "silent"
    # It is heard during the second, and no more when the frame is shown.
    assert truth(scene(dog), 1.5).kind == truth(scene(rain), 1.5).kind == "unclear"
    # An object that was heard before makes what is off-screen unclear.
    assert truth(scene(dog, (b"rain", -1, 1.4, 3.0)), 1.5).kind == "unclear"
    # A pause within an event.
    assert truth(scene(dog), 0.6, level=-70).kind == "unclear"
    assert truth(scene(dog), 0.6, level=-70, audible_dbfs=-80).kind == "on_screen"
    # Of the crop's 0.2 to 0.8 the dog's box has a third and so many of its rows.
    cut = truth(scene(dog), 0.6, share=0.6)
    assert cut.kind == "unclear" and len(cut.sounding) == 0
    assert cut.seen == set() and truth(scene(dog), 0.6).seen == {b"dog", b"bell"}
    assert truth(scene(dog), 0.6, share=0.6, least_visible=0.4).kind == "on_screen"


# A network of which all answers are known: what sounds is told by the picture's colour


def known(boxes, kinds, maps, other_maps, logits=None, other_logits=None):
    """Rows with such maps; row i's mismatched sound is row i + 1's."""
    number = len(boxes)
    truths = [
        scene_truth.Truth(
            kind,
            np.array(own[:1]) if kind == "on_screen" else np.zeros((0, 4)),
            np.array(own),
            frozenset({b"dog", b"bell"} if i % 2 else {b"rain", b"siren"}),
            frozenset({b"dog" if i % 2 else b"rain"} if kind == "on_screen" else set()),
            frozenset(),
        )
        for i, (own, kind) in enumerate(zip(boxes, kinds, strict=True))
    ]
    blank = np.zeros((number, 2))
    found = Evaluated(
        id=np.array([f"v{i}_0".encode() for i in range(number)], object),
        video=np.array([f"v{i}".encode() for i in range(number)], object),
        frame_seconds=np.full(number, 1.0),
        level_dbfs=np.full(number, -20.0),
        visual_embedding=blank,
        audio_embedding=blank,
        logits=blank if logits is None else logits,
        mismatched_logits=blank if other_logits is None else other_logits,
        mismatched=np.ones(number, bool),
        partner=np.roll(np.arange(number), -1),
        heatmap=np.asarray(maps),
        mismatched_heatmap=np.asarray(other_maps),
    )
    return found, truths


def spots(boxes, which):
    """Maps with one high cell in the middle of box `which` of each row."""
    maps = np.full((len(boxes), CELLS, CELLS), 0.05)
    for map_, own in zip(maps, boxes, strict=True):
        left, top, right, bottom = own[which]
        map_[int((top + bottom) / 2 * CELLS), int((left + right) / 2 * CELLS)] = 0.9
    return maps


def two_boxes(number, seed=0):
    """A box in each half, the sounding one first; as often left as right."""
    rng = np.random.default_rng(seed)
    result = []
    for i in range(number):
        pair = [(x, y, x + 0.3, y + 0.3) for x, y in
                zip((0.05, 0.6), rng.uniform(0.05, 0.6, 2), strict=True)]
        result.append(pair[::-1] if i % 2 else pair)
    return result


def test_a_map_on_what_sounds_is_right_and_one_on_the_other_object_wrong():
    boxes = two_boxes(20)
    right, wrong = spots(boxes, 0), spots(boxes, 1)
    kinds = ["on_screen"] * 20
    good = localization_scores.measure(*known(boxes, kinds, right, wrong))
    bad = localization_scores.measure(*known(boxes, kinds, wrong, right))
    for found, own, shuffled in ((good, 1.0, 0.0), (bad, 0.0, 1.0)):
        systems = {name: s["mode_in_box"]["estimate"] for name, s in found["systems"].items()}
        assert systems["network"] == own and systems["shuffled_audio"] == shuffled
        assert systems["random_object"] == 0.5 and systems["centre"] == 0.0
        assert systems["whole_image"] == pytest.approx(0.09, abs=0.005)
        differences = {n: d["mode_in_box"]["estimate"] for n, d in found["differences"].items()}
        assert differences["random_object"] == own - 0.5
        assert differences["shuffled_audio"] == own - shuffled
        assert found["by_visible_objects"]["2"]["rows"] == found["measured"] == 20
    assert good["systems"]["network"]["ciou_fixed"]["low"] < 0.5  # a cell is smaller than a box


def test_an_indifferent_map_gets_what_the_centre_gets():
    rng = np.random.default_rng(0)
    boxes = [[(x, y, x + 0.5, y + 0.5)] for x, y in rng.uniform(0, 0.5, (60, 2))]
    line = np.exp(-((np.arange(9) - 4.0) ** 2) / 8)
    maps = np.repeat(np.outer(line, line)[None], 60, axis=0)
    found = localization_scores.measure(*known(boxes, ["on_screen"] * 60, maps, maps))
    own, centre = (found["systems"][name]["mode_in_box"] for name in ("network", "centre"))
    assert own == centre and 0.5 < own["estimate"] <= 1
    assert found["emptiness"]["foreign_sound"]["estimate"] == 0.5
    flat = np.full((60, 4, 4), 0.3)
    found = localization_scores.measure(*known(boxes, ["on_screen"] * 60, flat, flat))
    systems = found["systems"]
    assert systems["network"]["auc_adaptive"] == systems["whole_image"]["auc_adaptive"]


def test_rows_where_nothing_is_to_be_found_do_not_count():
    boxes = two_boxes(8)
    kinds = ["on_screen"] * 4 + ["off_screen", "off_screen", "silent", "unclear"]
    maps = np.concatenate([spots(boxes, 0)[:4], spots(boxes, 1)[4:]])
    found = localization_scores.measure(*known(boxes, kinds, maps, maps))
    assert found["systems"]["network"]["mode_in_box"]["estimate"] == 1
    assert found["rows"] == {"on_screen": 4, "off_screen": 2, "silent": 1, "unclear": 1}
    with pytest.raises(UserError, match="nothing to localise"):
        localization_scores.measure(*known(boxes, ["silent"] * 8, maps, maps))


def test_emptiness_compares_the_maps_highest_values():
    boxes = two_boxes(8)
    kinds = ["on_screen"] * 6 + ["off_screen", "silent"]
    own = spots(boxes, 0)
    own[6:] *= np.array([0.99, 0.1])[:, None, None]
    foreign = 0.5 * spots(boxes, 0)
    found, truths = known(boxes, kinds, own, foreign)
    areas = localization_scores.emptiness(found, truths)
    # Rows 0 to 4 have a foreign sound of a visible object; row 5's partner is off-screen.
    assert areas["foreign_sound"]["estimate"] == 1 and areas["foreign_sound"]["matched"] == 5
    assert areas["off_screen"]["estimate"] == areas["silent"]["estimate"] == 1
    assert areas["off_screen"]["matched"] == 6 and areas["off_screen"]["mismatched"] == 1
    turned = localization_scores.emptiness(*known(boxes, kinds, foreign, own))
    assert turned["foreign_sound"]["estimate"] == 0
    # A class that is in the picture is no foreign sound.
    same = [dataclasses.replace(t, in_picture=frozenset({b"dog", b"rain"})) for t in truths]
    assert localization_scores.emptiness(found, same)["foreign_sound"] is None


def swap_set(maps_first, maps_second, number):
    boxes = two_boxes(number)
    rows, truths, objects, maps = [], [], [], []
    for i, (first, second) in enumerate(zip(maps_first, maps_second, strict=True)):
        for role, map_ in (("first", first), ("second", second), ("off_screen", first * 0.1),
                           ("silent", first)):
            rows.append((f"p{i}_{role}".encode(), f"p{i}".encode()))
            kind = role if role in ("off_screen", "silent") else "on_screen"
            truths.append(scene_truth.Truth(kind, np.zeros((0, 4)), np.zeros((2, 4)),
                                            frozenset(), frozenset(), frozenset()))
            objects.append(np.array(boxes[i]))
            maps.append(map_)
    found, _ = known([[(0, 0, 1, 1)]] * len(rows), ["silent"] * len(rows), maps, maps)
    names, videos = (np.array(column, object) for column in zip(*rows, strict=True))
    return dataclasses.replace(found, id=names, video=videos), truths, objects


def test_swap_test_asks_for_both_answers():
    boxes = two_boxes(6)
    first, second = spots(boxes, 0), spots(boxes, 1)
    cases = {(1, 1, 1): (first, second), (0, 1, 0): (first, first), (0, 0, 0): (second, first)}
    for (both, one, other), maps in cases.items():
        found = localization_scores.measure_swap(*swap_set(*maps, 6))
        right = [found[f"{name}_right"]["estimate"] for name in ("both", "first", "second")]
        assert right == [both, one, other] and found["pictures"] == 6
        assert found["off_screen"]["estimate"] == 1 and found["silent"]["estimate"] == 0.5
    made, truths, objects = swap_set(first, second, 6)
    truths[1] = dataclasses.replace(truths[1], kind="unclear")
    found = localization_scores.measure_swap(made, truths, objects)
    assert found["pictures"] == 5 and found["unclear"] == 1
    strange = dataclasses.replace(made, id=made.id[::-1])
    with pytest.raises(UserError, match="is not of a swap pair"):
        localization_scores.measure_swap(strange, truths, objects)


# Correspondence


def test_accuracy_counts_pairs_and_resamples_videos():
    boxes = [[(0, 0, 0.3, 0.3)] * (1 + i % 2) for i in range(12)]
    kinds = ["on_screen"] * 8 + ["off_screen"] * 3 + ["silent"]
    maps = np.zeros((12, 2, 2))
    yes, no = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    logits = np.array([yes] * 6 + [no] * 2 + [yes, no, no, no])
    others = np.array([no] * 7 + [yes] * 5)
    found, truths = known(boxes, kinds, maps, maps, logits, others)
    result = correspondence_scores.measure(found, truths)
    assert result["true_pairs"]["estimate"] == pytest.approx(7 / 12)
    assert result["mismatched_pairs"]["estimate"] == pytest.approx(7 / 12)
    assert result["accuracy"]["estimate"] == pytest.approx(14 / 24)
    assert result["accuracy"]["low"] < 14 / 24 < result["accuracy"]["high"]
    # One object: rows 0, 2, 4, 6; their partners 1, 3, 5, 7 are heard.
    assert result["by_visible_objects"]["1"]["estimate"] == pytest.approx((3 + 4) / 8)
    # Two: rows 1, 3, 5, 7; row 7's partner is off-screen and is not asked about.
    assert result["by_visible_objects"]["2"]["estimate"] == pytest.approx((3 + 3) / 7)
    assert result["by_visible_objects"]["2"]["pairs"] == 7
    assert result["off_screen"]["estimate"] == pytest.approx(2 / 3)
    assert result["silent"] == {**result["silent"], "estimate": 1.0, "pairs": 1}
    assert correspondence_scores.measure(found).keys() == {
        "accuracy", "true_pairs", "mismatched_pairs"
    }


# Clips through a network


def write_clips(path, numbers, seconds=1.0, labels=lambda n: (), steps=(0, 10, 20)):
    """Clips of one colour per step of the grid and a tone of one level per clip."""
    schema = records.clip("pcm16")
    payloads = []
    for n in numbers:
        picture = [np.full((64, 64, 3), (10 * n + step) % 250, np.uint8) for step in steps]
        samples = np.full(round(seconds * RATE), 100 * (n + 1), "<i2")
        payloads.append(schema.serialize({
            "id": f"v{n:02}_000000000", "video": f"v{n:02}", "file": f"v{n:02}.mp4",
            "labels": list(labels(n)), "start_seconds": [0.0],
            "frames": [encode_jpeg(p, 100) for p in picture],
            "frame_seconds": [0.04 * step for step in steps],
            "audio": samples.tobytes(), "sample_rate_hz": [RATE], "num_samples": [len(samples)],
        }))
    tfrecord.write_records(str(path), payloads)
    return str(path)


CONFIG = AvcConfig(
    "small",
    network=SMALL,
    frames=FrameConfig(64, crop_share=1.0),
    pairs=evaluation.PairConfig(sample_rate_hz=RATE, segment_seconds=0.25),
)


def hearing(inputs):
    """Says yes where the picture's number is the sound's, and shows both."""
    seen = tf.round(tf.reduce_mean(inputs["frame"], [1, 2, 3]) * 25.5)
    heard = tf.round(tf.reduce_max(inputs["waveform"], 1) * 32768 / 100) - 1
    alike = tf.cast(tf.equal(seen, heard), tf.float32)
    return {
        "logits": tf.stack([0.5 - alike, alike - 0.5], -1),
        "visual_embedding": seen[:, None],
        "audio_embedding": heard[:, None],
        "heatmap": tf.ones((1, 2, 2)) * alike[:, None, None],
    }


FAKE = types.SimpleNamespace(deployed=hearing)


def opened(path):
    return open_clips(path, "eval_pattern", progress=False)[1:]


def test_pairs_of_clips_and_their_partners(tmp_path):
    encoding, clips = opened(write_clips(tmp_path / "clips.tfrecord", range(20), steps=(0,)))
    found = evaluation.embed_pairs(FAKE, clips, encoding, CONFIG)
    assert found.visual_embedding[:, 0].tolist() == found.audio_embedding[:, 0].tolist()
    assert found.visual_embedding[:, 0].tolist() == list(range(20))
    assert (found.partner != np.arange(20)).all() and sorted(found.partner) == list(range(20))
    assert (found.heatmap == 1).all() and (found.mismatched_heatmap == 0).all()
    assert found.mismatched_heatmap.shape == (20, 2, 2)
    level = 20 * np.log10(100 * (np.arange(20) + 1) / 32768)
    np.testing.assert_allclose(found.level_dbfs, level, atol=1e-4)
    assert evaluation.score(found, 8)["accuracy"] == 1
    assert found.take(np.array([3, 5])).id.tolist() == [b"v03_000000000", b"v05_000000000"]


def test_moments_are_random_or_the_middle(tmp_path):
    path = write_clips(tmp_path / "clips.tfrecord", [0] * 8, seconds=1.6)
    encoding, clips = opened(path)

    def at(moment):
        batch = next(evaluation.evaluation_batches(clips, encoding, CONFIG, 0, moment))
        shown = np.rint(batch["frame"].mean((1, 2, 3)) * 255)
        late = (batch["frame_seconds"][:, None] >= np.array([0.0, 0.4, 0.8]) - 1e-6).sum(1) - 1
        np.testing.assert_array_equal(shown, np.array([0, 10, 20])[late])
        return batch

    middle = at("middle")
    # The last picture begins in the middle.
    np.testing.assert_allclose(middle["frame_seconds"], 0.8)
    assert np.rint(middle["frame"].mean() * 255) == 20
    assert len(set(at("random")["frame_seconds"])) > 3


@pytest.mark.parametrize("moment", ["random", "middle"])
def test_clips_of_another_sample_rate_are_named(tmp_path, moment):
    encoding, clips = opened(write_clips(tmp_path / "clips.tfrecord", range(3)))
    config = dataclasses.replace(
        CONFIG, network=dataclasses.replace(SMALL, audio=dataclasses.replace(
            SMALL.audio, sample_rate_hz=8000)), pairs=evaluation.PairConfig(
            sample_rate_hz=8000, segment_seconds=0.25),
    )
    with pytest.raises(UserError, match="clip v00_000000000 has 16000 not 8000 Hz: set sample"):
        list(evaluation.evaluation_batches(clips, encoding, config, 0, moment))


def test_the_middle_sound_is_centred(tmp_path):
    schema = records.clip("pcm16")
    samples = np.arange(4001, dtype="<i2")
    tfrecord.write_records(str(tmp_path / "a.tfrecord"), [schema.serialize({
        "id": "a", "video": "a", "file": "a.mp4", "start_seconds": [0.0],
        "frames": [encode_jpeg(np.zeros((64, 64, 3), np.uint8))], "frame_seconds": [0.0],
        "audio": samples.tobytes(), "sample_rate_hz": [rate], "num_samples": [4001],
    }) for rate in (RATE,)])
    encoding, clips = opened(str(tmp_path / "a.tfrecord"))
    short = dataclasses.replace(CONFIG.pairs, segment_seconds=0.1)
    network = dataclasses.replace(SMALL, segment_seconds=0.25)
    config = types.SimpleNamespace(pairs=short, frames=CONFIG.frames, network=network)
    batch = next(evaluation.evaluation_batches(clips, encoding, config, moment="middle"))
    heard = np.rint(batch["waveform"][0] * 32768)
    assert heard.tolist() == list(range(2000 - 800, 2000 + 800))


# Retrieval

ONTOLOGY = Ontology(
    {"r": "Root", "a": "A", "b": "B", "a1": "A1", "a2": "A2"},
    {"r": ("a", "b"), "a": ("a1", "a2"), "b": (), "a1": (), "a2": ()},
)


def relevance_of(labels):
    rows = [[label.encode()] for label in labels]
    return retrieval_scores.relevance_of(rows, ONTOLOGY, RelevanceConfig())


def plain_ndcg(scores, labels, cutoff, include_self, distances):
    values = []
    for i, row in enumerate(scores):
        others = [j for j in range(len(row)) if include_self or j != i]
        gains = [2.0 ** (20 - distances[labels[i], labels[j]]) - 1 for j in others]
        order = sorted(range(len(others)), key=lambda j: -row[others[j]])
        discounts = 1 / np.log2(np.arange(len(others)) + 2)
        best = sorted(gains, reverse=True)
        dcg = sum((gains[j] * d for j, d in zip(order[:cutoff], discounts, strict=False)))
        values.append(dcg / sum(g * d for g, d in zip(best[:cutoff], discounts, strict=False)))
    return np.mean(values)


@pytest.mark.parametrize("include_self", [False, True])
def test_ndcg_of_all_directions_against_an_oracle(include_self):
    rng = np.random.default_rng(0)
    labels = rng.choice(["a1", "a2", "b"], 40).tolist()
    distances = {(x, y): {("a1", "a2"): 2, ("a1", "b"): 3, ("a2", "b"): 3}.get(
        tuple(sorted((x, y))), 0) for x in labels for y in labels}
    visual, audio = rng.normal(size=(2, 40, 6))
    system = retrieval_scores.normalised(visual, audio)
    other = retrieval_scores.normalised(visual, rng.normal(size=(40, 9)))
    config = NdcgConfig(include_self=include_self)
    found = retrieval_scores.evaluate_ndcg(
        {"own": system, "apart": other}, relevance_of(labels), config, reference="own"
    )
    sides = {"visual": system.visual, "audio": system.audio}
    for direction in DIRECTIONS:
        query, database = direction.split("_to_")
        scores = (sides[query] @ sides[database].T).astype(float)
        for cutoff in (1, 10, 30):
            expected = plain_ndcg(scores, labels, cutoff, include_self, distances)
            assert found["by_cutoff"]["own"][direction][str(cutoff)] == pytest.approx(expected)
        assert found["systems"]["own"][direction]["estimate"] == pytest.approx(expected)
    assert found["systems"]["apart"].keys() == {"visual_to_visual", "audio_to_audio"}
    assert found["over_reference"]["apart"]["visual_to_visual"]["estimate"] == 0
    assert found["config"]["include_self"] is include_self and "100" not in found["by_cutoff"]
    drawn = np.mean([
        plain_ndcg(rng.random((40, 40)), labels, 30, include_self, distances) for _ in range(60)
    ])
    assert found["chance"]["visual_to_audio"] == pytest.approx(drawn, abs=0.01)


def test_classes_are_permuted_and_not_clips():
    labels = [name for name in ("a1", "a2", "b") for _ in range(10)]
    one_hot = np.eye(3)[np.repeat(np.arange(3), 10)]
    system = retrieval_scores.normalised(one_hot, one_hot)
    relevance = relevance_of(labels)
    # What the six permutations of three classes give.
    possible = set()
    for order in itertools.permutations(range(3)):
        turned = np.eye(3)[np.repeat(order, 10)]
        scores = ndcg.evaluate(one_hot, turned, relevance, directions=["visual_to_audio"])
        possible.add(round(scores["visual_to_audio"].mean()[30], 6))
    seen = set()
    for seed in range(30):
        found = retrieval_scores.permuted_classes(system, relevance, NdcgConfig(), 1, seed)
        assert set(found) == {"visual_to_audio", "audio_to_visual"}
        seen.add(round(found["visual_to_audio"]["mean"], 6))
        assert found["visual_to_audio"]["std"] == 0
    # Without the query itself nine of its class are left, and the rest is drawn among ties.
    assert seen == possible and max(possible) > 0.99 and min(possible) < 0.7
    several = retrieval_scores.permuted_classes(system, relevance, NdcgConfig(), 10, 0)
    assert several["visual_to_audio"]["std"] > 0.02


def test_one_clip_of_each_video():
    videos = np.array([f"v{i // 3}".encode() for i in range(60)], object)
    rows = retrieval_scores.one_per_video(videos, seed=0)
    assert sorted(set(videos[rows])) == sorted(set(videos)) and len(rows) == 20
    np.testing.assert_array_equal(rows, retrieval_scores.one_per_video(videos, seed=0))
    assert set((rows % 3).tolist()) == {0, 1, 2}


def shared_space(number, seed=0):
    """Features of two modalities that share three dimensions under different rotations."""
    rng = np.random.default_rng(seed)
    turns = np.random.default_rng(9).normal(size=(2, 6, 6))
    common = rng.normal(size=(number, 3))
    sides = [np.hstack([common, 0.5 * rng.normal(size=(number, 3))]) @ turn for turn in turns]
    videos = np.array([f"v{i}".encode() for i in range(number)], object)
    return *sides, videos


def test_cca_aligns_what_is_shared():
    visual, audio, videos = shared_space(600)
    fitted, chosen = aligned_baseline.fit(visual, audio, videos, components=3)
    assert chosen["components"] == 3 and set(chosen.values()) <= {3, *aligned_baseline.RIDGES}
    held = shared_space(200, seed=1)
    raw = retrieval_scores.normalised(held[0], held[1])
    aligned = retrieval_scores.project(fitted, held[0], held[1])
    np.testing.assert_allclose(np.linalg.norm(aligned.visual, axis=1), 1, rtol=1e-5)
    results, intervals = retrieval_scores.evaluate_recall(
        {"raw": raw, "aligned": aligned, "apart": retrieval_scores.System(raw.visual,
                                                                         raw.audio[:, :3])},
        [200], 1, 0,
    )
    key = "visual_to_audio/200/recall@10"
    assert results["aligned"][key]["mean"] > 0.5 > 0.2 > results["raw"][key]["mean"]
    assert list(results) == ["chance", "raw", "aligned"]
    low, high = (intervals["aligned"][key][side] for side in ("low", "high"))
    assert low <= results["aligned"][key]["mean"] <= high
    with pytest.raises(UserError, match="more than 5 training clips"):
        aligned_baseline.fit(visual[:5], audio[:5], videos[:5])


# VGG-SS


def test_vggss_boxes_go_into_the_crop(tmp_path):
    pictures = [
        vggss_scores.Picture(frozenset({"a_000000", "one_000032"}), 100, 200),
        vggss_scores.Picture(frozenset({"two_000007"}), 100, 200),
        vggss_scores.Picture(frozenset({"three_000001"}), 100, 200),
    ]
    items = [Item("one_000032", "dog", ((0.25, 0.0, 0.5, 0.5),), 0),
             Item("three_000001", "dog", ((0.0, 0.0, 0.2, 1.0),), 0),
             Item("four_000000", "dog", ((0.0, 0.0, 1.0, 1.0),), 0)]
    found = vggss_scores.match(pictures, items)
    assert {row: item.clip for row, item in found.items()} == {0: "one_000032", 2: "three_000001"}
    maps = np.zeros((3, 2, 2))
    maps[:, 0, 0] = 1  # the crop's first quarter: all of the first item's box
    made, _ = known([[(0, 0, 1, 1)]] * 3, ["silent"] * 3, maps, maps)
    result = vggss_scores.measure(made, pictures, found, 1.0)
    assert result["items"] == 2 and result["without_box"] == 1
    assert result["systems"]["network"]["mode_in_box"]["estimate"] == 0.5
    assert result["systems"]["whole_image"]["auc_fixed"]["estimate"] < 0.25
    with pytest.raises(UserError, match="none of its clips"):
        vggss_scores.match(pictures[1:2], items)
    with pytest.raises(UserError, match="two clips"):
        vggss_scores.match([pictures[0], pictures[0]], items)


# The command


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Work folders of an AVOL-Net and an L3-Net, and clips."""
    folder = tmp_path_factory.mktemp("avc")
    write_clips(folder / "train.tfrecord", range(60), labels=labels_of)
    for name in ("avol", "l3"):
        network = dataclasses.replace(SMALL, network=name)
        config = dataclasses.replace(CONFIG, network=network, recipe=name)
        model = networks.build(network).training
        checkpoints.save_best(str(folder / name), model, 1, {"accuracy": 0.5})
        saved = {"avc": configuration.to_dict(config)}
        configuration.save(str(folder / name / "configuration.json"), saved)
    ontology = [
        {"id": key, "name": ONTOLOGY.names[key], "child_ids": list(below)}
        for key, below in ONTOLOGY.children.items()
    ]
    (folder / "ontology.json").write_text(json.dumps(ontology))
    write_clips(folder / "eval.tfrecord", range(16), labels=labels_of)
    return folder


def labels_of(number):
    return [("a1", "a2", "b")[number % 3]]


def test_the_command_reports_all_systems(workdirs, tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"v{n:02}_000000000".encode() for n in range(20)]
    np.savez(tmp_path / "vgg.npz", ids=ids, visual=rng.random((20, 7)), audio=rng.random((20, 9)))
    annotations = [{"file": "v03", "class": "dog", "bbox": [[0, 0, 1, 1]]},
                   {"file": "elsewhere", "class": "dog", "bbox": [[0, 0, 1, 1]]}]
    (tmp_path / "vggss.json").write_text(json.dumps(annotations))
    outcome = launch(
        "evaluate_avc", workdir=workdirs / "avol", baseline_workdir=workdirs / "l3",
        train_pattern=workdirs / "train.tfrecord", eval_pattern=workdirs / "eval.tfrecord",
        ontology=workdirs / "ontology.json", embeddings=tmp_path / "vgg.npz",
        vggss=tmp_path / "vggss.json", figures=tmp_path / "figures", num_permutations=2,
        output=tmp_path / "report.json",
    )
    assert outcome.status == 0, outcome.error
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["ndcg"]["systems"]) == sorted(["avol", "l3", "l3 + CCA", "vgg"])
    assert set(report["recall"]["systems"]) == {"chance", "avol", "l3", "l3 + CCA"}
    assert report["ndcg"]["config"] == {
        "cutoffs": [30], "gain": "exponential", "include_self": False, "similarity": "cosine"
    }
    assert report["ndcg"]["by_dimension"]["l3 + CCA"]["audio_to_visual"].keys() == {
        "2", "4", "8", "16", "32"
    }
    assert report["ndcg"]["fitted"]["l3 + CCA"]["components"] == 32
    assert report["vggss"]["items"] == report["vggss"]["missing"] == 1
    assert report["vggss"]["systems"]["whole_image"]["mode_in_box"]["estimate"] == 1
    assert report["avc"]["accuracy"]["pairs"] == 32
    assert report["protocol"]["relevance"]["offset"] == 20
    assert ".407" in outcome.out and "81.9" in outcome.out and "0.665" in outcome.out
    by_class = report["by_class"]
    assert {label: own["name"] for label, own in by_class["classes"].items()} == {
        label: ONTOLOGY.names[label] for label in ("a1", "a2", "b")
    }
    assert by_class["measures"]["accuracy"]["overall"] == pytest.approx(
        report["avc"]["accuracy"]["estimate"]
    )
    each = [report["recall"]["systems"]["avol"][f"{d}/16/recall@10"]["mean"]
            for d in ("visual_to_audio", "audio_to_visual")]
    assert by_class["measures"]["recall@10"]["overall"] == pytest.approx(np.mean(each))
    assert "sound and picture by class" in outcome.out
    for name in ("ndcg_by_cutoff.png", "ndcg_by_dimension.png", "classes.png", "retrieval.png",
                 "embeddings.png"):
        png = (tmp_path / "figures" / name).read_bytes()
        assert png.startswith(b"\x89PNG") and len(png) > 5000


def test_the_command_localises_on_scenes(workdirs, testdata, tmp_path):
    from avc import embedding, evaluation_report
    from avc.evaluation_protocol import Protocol

    network = embedding.load(str(workdirs / "avol"))
    swapped = open_clips(str(testdata / "scenes/test_swap-*.tfrecord"), "x", progress=False)
    # Scenes are at 48 kHz, and this network is not.
    wide = dataclasses.replace(
        SMALL, network="avol", segment_seconds=0.5,
        audio=dataclasses.replace(SMALL.audio, sample_rate_hz=48_000, hop_seconds=0.01,
                                  fft_length=512),
    )
    pairs = dataclasses.replace(CONFIG.pairs, sample_rate_hz=48_000, segment_seconds=0.5)
    config = dataclasses.replace(CONFIG, network=wide, pairs=pairs)
    network = embedding.of_network(networks.build(wide), config)
    result, tables = evaluation_report.swap(
        network, evaluation_report.ClipSet(*swapped), Protocol()
    )
    assert result["pictures"] + result["unclear"] == 1 and tables
    kind, encoding, clips = open_clips(
        str(testdata / "scenes/t*[nt]-*.tfrecord"), "x", progress=False
    )
    scenes = evaluation_report.ClipSet(kind, encoding, clips)
    found = evaluation_report.embed(network, scenes, Protocol())
    truths = evaluation_report.truths_of(scenes, found, config, Protocol())
    assert len(truths) == len(found.id) == 12
    result, _ = evaluation_report.localization(found, truths, Protocol())
    assert sum(result["rows"].values()) == 12 and result["measured"] == result["rows"]["on_screen"]
    # A map that the truth draws is right on the records' own boxes.
    ideal = np.zeros((12, 64, 64))
    for map_, known_truth in zip(ideal, truths, strict=True):
        for left, top, right, bottom in known_truth.sounding:
            map_[int((top + bottom) * 32), int((left + right) * 32)] = 1
    ideal_found = dataclasses.replace(found, heatmap=ideal, mismatched_heatmap=1 - ideal)
    result, _ = evaluation_report.localization(ideal_found, truths, Protocol())
    assert result["systems"]["network"]["mode_in_box"]["estimate"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workdir": ""}, "give --workdir, --embeddings or both"),
        ({"eval_pattern": "/nowhere/*"}, "no file matches"),
        ({"workdir": "/nowhere"}, "/nowhere"),
        ({"gallery_sizes": "1000"}, "a gallery of 1000 needs as many clips, there are 16"),
        ({"gallery_sizes": "many"}, "neither a number nor `all`"),
        ({"train_pattern": "EVAL"}, "CCA of an L3-Net"),
        ({"hearing_reference": True}, "--hearing_reference needs --workdir and --train_pattern"),
        (
            {"hearing_reference": True, "train_pattern": "EVAL"},
            "--hearing_reference: --eval_pattern holds no scenes",
        ),
        ({"embeddings": "EVAL"}, "is not an .npz file with the arrays ids, visual, audio"),
        ({"train_embeddings": "a,b"}, "a file for each of --embeddings"),
        ({"swap_pattern": "EVAL"}, "--swap_pattern: holds no scenes"),
        ({"least_visible": 2}, "least_visible is 2"),
        ({"relevance_offset": -1}, "offset is -1"),
    ],
)
def test_mistakes_are_one_line(workdirs, tmp_path, changes, message):
    clips = str(workdirs / "eval.tfrecord")
    given = {"workdir": workdirs / "avol", "eval_pattern": clips, "output": tmp_path / "r.json"}
    changes = {key: clips if value == "EVAL" else value for key, value in changes.items()}
    outcome = launch("evaluate_avc", **{**given, **changes})
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not (tmp_path / "r.json").exists()


def test_features_that_do_not_fit_are_named(tmp_path):
    path = str(tmp_path / "f.npz")
    ids = np.array([b"a", b"b"])
    np.savez(path, ids=ids, visual=np.ones((2, 3)), audio=np.ones((2, 4)))
    visual, audio = clip_features.align_features(path, [b"b"])
    assert visual.shape == (1, 3) and audio.shape == (1, 4)
    with pytest.raises(UserError, match="no features of clip c"):
        clip_features.align_features(path, [b"c"])
    np.savez(path, ids=ids[[0, 0]], visual=np.ones((2, 3)), audio=np.ones((2, 4)))
    with pytest.raises(UserError, match="occurs twice"):
        clip_features.align_features(path, [b"a"])
    np.savez(path, ids=ids, visual=np.ones((3, 3)), audio=np.ones((2, 4)))
    with pytest.raises(UserError, match="a row for each clip"):
        clip_features.align_features(path, [b"a"])
