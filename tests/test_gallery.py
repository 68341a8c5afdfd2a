"""The gallery: its page read by html.parser, its sounds and pictures against planted ones."""

import dataclasses
import io
import json

import keras
import numpy as np
import pytest
from launching import launch
from page_parsing import Grouped, check_is_alone, pixels, sound
from PIL import Image
from test_networks import SMALL

import avc
from avc import gallery, networks, overlays, page_media, records, shown_moments
from avc.encoding import encode_jpeg
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.recipes import AvcConfig
from avc.video_writer import VideoWriter
from crossmodal import checkpoints, collection, configuration, npz, tfrecord

RATE = 16_000
HOSTILE = "</script><script>alert('x')</script>\"&\x00<b"
LABELS = [["dog"], ["dog", "cat"], ["cat"], [HOSTILE], [HOSTILE, "dog"], []]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]
SECONDS = 2.0


def tone(number):
    times = np.arange(round(SECONDS * RATE)) / RATE
    return np.rint(9000 * np.sin(2 * np.pi * (300 + 200 * number) * times)).astype(np.int16)


def name(number):
    return f"clip<i>{number}" if number == 3 else f"clip{number}"


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Six clips: a colour and a tone each; two moments of each are embedded."""
    folder = tmp_path_factory.mktemp("planted")
    schema = records.clip("pcm16")
    rows = []
    for n, colour in enumerate(COLOURS):
        frame = np.full((48, 64, 3), colour, np.uint8)
        dark = encode_jpeg(frame // 2, 95)
        rows.append(schema.serialize({
            "id": name(n), "video": f"v{n}", "file": f"v{n}.mp4", "labels": LABELS[n],
            "start_seconds": [10.0], "frames": [encode_jpeg(frame, 95), dark],
            "frame_seconds": [0.0, 1.0], "audio": tone(n).tobytes(), "sample_rate_hz": [RATE],
            "num_samples": [len(tone(n))],
        }))
    tfrecord.write_records(str(folder / "clips.tfrecord"), rows)
    ids = [f"{name(n)}@{s}" for n in range(6) for s in ("10.5", "11.5")]
    rng = np.random.default_rng(0)
    with npz.Writer(str(folder / "items.npz")) as writer:
        writer.append(
            ids=np.array([each.encode() for each in ids]),
            video=np.repeat([f"v{n}".encode() for n in range(6)], 2),
            labels=np.repeat([";".join(own).encode() for own in LABELS], 2),
            seconds=np.tile([10.5, 11.5], 6), file=np.repeat([b"none.mp4"], 12),
            visual=rng.normal(size=(12, 8)).astype(np.float32),
            audio=rng.normal(size=(12, 8)).astype(np.float32),
        )
    return folder


def show(planted, path, **changes):
    given = {"database": planted / "items.npz", "input_pattern": planted / "clips.tfrecord",
             "output": path, "sound": "wav", "num_queries": 6, "results": 3, **changes}
    return launch("gallery", **given)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """An AVOL-Net that was never trained."""
    folder = tmp_path_factory.mktemp("network")
    network = dataclasses.replace(SMALL, network="avol")
    config = AvcConfig("small", network=network, frames=FrameConfig(SMALL.image_size, 0.875),
                       pairs=PairConfig(sample_rate_hz=RATE, segment_seconds=0.25))
    keras.utils.set_random_seed(0)
    model = networks.build(config.network).training
    checkpoints.save_best(str(folder), model, 1, {"accuracy": 1})
    saved = {"avc": configuration.to_dict(config)}
    configuration.save(str(folder / "configuration.json"), saved)
    return folder


@pytest.fixture(scope="module")
def page(planted, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "g.html"
    outcome = show(planted, path)
    assert outcome.status == 0, outcome.error
    assert f"{path.stat().st_size / 1e6:.1f} MB" in outcome.out
    return path.read_text()


def number_of(card):
    """Which clip a card names."""
    return next(n for n in range(6) if any(t.startswith(f"{name(n)}@") for t in card["texts"]))


def test_every_query_has_the_items_that_are_nearest(planted, page):
    held = dict(np.load(planted / "items.npz"))
    groups = Grouped(page).groups
    assert len(groups) == 12 and len({g.title for g in groups}) == 12
    for group in groups:
        of, to = group.attributes["data-kind"].split("_to_")
        texts = [card["texts"] for card in group.cards]
        ids = [next(t for t in own if "@1" in t).encode() for own in texts]
        query = held["ids"].tolist().index(ids[0])
        scores = unit(held[to]) @ unit(held[of][query])
        best = {}
        for row in np.argsort(-scores):
            best.setdefault(held["video"][row], row)
        rows = list(best.values())[:3]
        assert ids[1:] == held["ids"][rows].tolist()
        assert [f"score {scores[row]:.4f}" for row in rows] == [next(
            t for t in own if t.startswith("score")) for own in texts[1:]]
        for card, row in zip(group.cards[1:], rows, strict=True):
            ours, theirs = (set(LABELS[r // 2]) for r in (query, row))
            if row // 2 == query // 2:
                wanted = ("right", "own video")
            elif not ours or not theirs:
                wanted = ("unknown", "not judged")
            else:
                wanted = ("right", "shares a label") if ours & theirs else ("wrong", "no shared")
            assert wanted[0] in card["class"].split()
            assert any(t.startswith(wanted[1]) for t in card["texts"])
            assert {"right": "✓", "wrong": "✗", "unknown": "?"}[wanted[0]] in card["texts"]


def test_frames_and_sounds_are_the_planted_ones(page):
    for group in Grouped(page).groups:
        for card in group.cards:
            n = number_of(card)
            late = "at 11.50 s" in card["texts"]
            mean = pixels(card["frame"]).mean((0, 1))
            wanted = np.array(COLOURS[n]) // (2 if late else 1)
            np.testing.assert_allclose(mean, wanted, atol=3)
            kind, samples, rate = sound(card["audio"])
            # Three seconds around the moment reach over the clip's nearer end.
            assert (kind, rate) == ("audio/wav", RATE)
            np.testing.assert_array_equal(np.rint(samples * 32768), tone(n))


def test_text_is_escaped_and_nothing_is_fetched(page):
    found = check_is_alone(page)
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert sum(text == shown and "li" in within for text, within in found.texts) > 1
    assert any(f"{name(3)}@" in text for text, _ in found.texts)
    assert not found.all("i") and not found.all("b") and "\x00" not in page
    classes = [json.loads(a["data-labels"]) for a in found.all("section")]
    assert [shown] in classes and ["dog", "cat"] in classes
    options = {a["value"] for a in found.all("option")}
    assert {"", "=dog", "=cat", f"={shown}", "visual_to_audio", "audio_to_visual"} == options


def test_queries_can_be_named_and_results_narrowed(planted, tmp_path):
    path = tmp_path / "g.html"
    outcome = show(planted, path, query_ids="v1,clip0@11.5", directions="audio_to_audio",
                   results=9, sound="aac", sound_seconds=0.5)
    assert outcome.status == 0, outcome.error
    groups = Grouped(path.read_text()).groups
    assert [number_of(g.cards[0]) for g in groups] == [1, 0]
    for group in groups:
        own = number_of(group.cards[0])
        assert sorted(number_of(c) for c in group.cards[1:]) == [n for n in range(6) if n != own]
        for card in group.cards:
            kind, samples, rate = sound(card["audio"])
            assert kind == "audio/mp4" and abs(len(samples) / rate - 0.5) < 0.1
            loudest = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
            assert abs(loudest - 300 - 200 * number_of(card)) < 15


@pytest.mark.parametrize(("changes", "message"), [
    ({"output": "g.png"}, "must end with .html"),
    ({"media": "."}, "give either --media or --input_pattern"),
    ({"input_pattern": "", "media": "nowhere"}, "--media=nowhere: there is no such folder"),
    ({"input_pattern": "", "media": "."}, "no item has a picture or a sound there (no picture:"),
    ({"query_ids": "v9"}, "has no id v9; spelt alike: v"),
    ({"directions": "up"}, "--directions=up: choose of visual_to_visual"),
    ({"most_megabytes": 0.5}, "would be larger than 0.5 MB: lower --num_queries"),
    ({"sound_seconds": 0}, "sound_seconds"),
])
def test_mistakes_are_one_line(planted, tmp_path, changes, message):
    outcome = show(planted, tmp_path / changes.pop("output", "g.html"), **changes)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not list(tmp_path.iterdir())


def test_a_sound_is_looked_for_in_the_pictures_that_it_finds():
    found = tuple(gallery.Found(row, 1.0) for row in (4, 5))
    assert gallery.Answer("audio_to_visual", 1, found).pairs() == ((1, 1), (4, 1), (5, 1))
    assert gallery.Answer("visual_to_audio", 1, found).pairs() == ((1, 1), (4, 4), (5, 5))


def test_heat_maps_are_the_networks(planted, workdir, tmp_path):
    path = tmp_path / "g.html"
    outcome = show(planted, path, workdir=workdir, query_ids=f"{name(1)}@10.5", results=5,
                   jpeg_quality=95)
    assert outcome.status == 0, outcome.error
    network = avc.load(str(workdir))
    for group in Grouped(path.read_text()).groups:
        for card in group.cards:
            n, across = number_of(card), group.attributes["data-kind"] == "audio_to_visual"
            late = "at 11.50 s" in card["texts"]
            frame = np.full((48, 64, 3), COLOURS[n], np.uint8) // (1 + late)
            # JPEG changes the colours a little, and an untrained network may see it.
            seen = np.asarray(Image.open(io.BytesIO(encode_jpeg(frame, 95))))
            heard, moment = (1, 0.5) if across else (n, 0.5 + late)
            middle = round(moment * RATE)
            second = tone(heard)[middle - RATE // 8 : middle + RATE // 8]
            heatmap = network.localize(seen[None], second[None])[0]
            wanted = overlays.overlay(seen, heatmap, 0.875)
            assert np.abs(pixels(card["map"]).astype(int) - wanted).mean() < 6
            text = next(text for text in card["texts"] if "highest" in text)
            assert abs(float(text.rpartition(" ")[2]) - heatmap.max()) < 0.0051
            assert text.startswith("map: the query's" if across and card is not group.cards[0]
                                   else "map: its own")
    assert check_is_alone(path.read_text()).all("input")[0]["id"] == "maps"


def test_labels_that_are_ids_of_an_ontology_have_its_names(planted, tmp_path):
    classes = [{"id": "dog", "name": "Dog, barking", "child_ids": []},
               {"id": "/m/x", "name": "X", "child_ids": ["dog"]}]
    (tmp_path / "ontology.json").write_text(json.dumps(classes))
    path = tmp_path / "g.html"
    outcome = show(planted, path, ontology=tmp_path / "ontology.json", query_ids=f"{name(1)}@10.5")
    assert outcome.status == 0, outcome.error
    groups = Grouped(path.read_text()).groups
    assert {g.attributes["data-labels"] for g in groups} == {'["Dog, barking", "cat"]'}
    (tmp_path / "other.json").write_text("{}")
    outcome = show(planted, path, ontology=tmp_path / "other.json", query_ids=f"{name(1)}@10.5")
    assert outcome.status == 1 and "is not an ontology" in outcome.error


def test_files_show_their_moments(tmp_path):
    path = tmp_path / "v.mp4"
    with VideoWriter(str(path), 10, RATE) as writer:
        for step in range(30):
            writer.add_picture(np.full((48, 64, 3), COLOURS[step // 10], np.uint8), step / 10)
        writer.add_sound(np.concatenate([tone(n)[:RATE] for n in range(3)]))
    shown = shown_moments.of_file(str(path), 1.5, shown_moments.Extent(0.8, 32, RATE))
    assert shown.problems == () and shown.picture.shape[0] == 32
    np.testing.assert_allclose(shown.picture.mean((0, 1)), COLOURS[1], atol=12)
    assert abs(shown.middle - 0.4 * RATE) <= 1 and abs(len(shown.sound) - 0.8 * RATE) <= 1
    loudest = np.abs(np.fft.rfft(shown.sound)).argmax() * RATE / len(shown.sound)
    assert abs(loudest - 500) < 10
    late = shown_moments.of_file(str(tmp_path / "none"), 1.5, shown_moments.Extent(1.0, 32, RATE))
    assert late.picture is None and len(late.problems) == 2


def test_draws_are_of_different_videos_and_of_the_seed(planted):
    held = collection.read([str(planted / "items.npz")])
    drawn = [gallery.draw_queries(held, 4, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(held.video[drawn[0]])) == 4
    assert len(gallery.draw_queries(held, 99, 0)) == 6


def test_ids_of_moments_name_their_clips():
    assert shown_moments.clip_of(b"a@b@1.5") == b"a@b"
    assert shown_moments.clip_of(b"a@b") == b"a@b" and shown_moments.clip_of(b"7") == b"7"


def test_a_spectrogram_is_bright_where_the_tone_is():
    times = np.arange(RATE) / RATE
    samples = (20_000 * np.sin(2 * np.pi * 2000 * times)).astype(np.int16)
    shown = page_media.spectrum(samples, RATE).astype(int).sum(-1)
    row = shown[:, shown.shape[1] // 2].argmax()
    # 2 kHz of 8, from below.
    assert abs(row / len(shown) - 0.75) < 0.02
    assert page_media.spectrum(np.zeros(RATE, np.int16), RATE).max() <= 48
