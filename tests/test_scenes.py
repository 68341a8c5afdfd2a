"""Scenes as a whole: what is configured is what is seen and heard, and said in the records."""

import collections
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from scipy import stats

from avc import encoding, records, scene_rendering, scene_world, scenes, sprites
from avc.scenes import SceneConfig
from crossmodal.errors import ConfigurationError

WORLD = scene_world.open_world(scene_world.WorldFiles())
CONFIG = SceneConfig(classes=sprites.NAMES, picture_size=64)
LABELS = {entry.name: entry.label for entry in WORLD.classes}


def examples(path):
    """Records parsed by the protocol message itself, not by the schema that wrote them."""
    paths = sorted(str(p) for p in path.parent.glob(path.name))
    for record in tf.data.TFRecordDataset(paths).as_numpy_iterator():
        yield tf.train.Example.FromString(record).features.feature


def strings(feature):
    return [value.decode() for value in feature.bytes_list.value]


@pytest.fixture(scope="module")
def casts():
    return [scenes.draw_cast(CONFIG, index) for index in range(4000)]


def test_kinds_occur_as_often_as_configured(casts):
    counts = collections.Counter(cast.kind for cast in casts)
    expected = np.array([1 - sum(CONFIG.shares), *CONFIG.shares]) * len(casts)
    assert stats.chisquare([counts[kind] for kind in scenes.KINDS], expected).pvalue > 0.01


def test_classes_and_sounding_objects_are_drawn_evenly(casts):
    heard = collections.Counter(cast.events[0].name for cast in casts if cast.events)
    assert len(heard) == 10 and stats.chisquare(list(heard.values())).pvalue > 0.01
    # Neither does the place in the list of objects tell which of them sounds.
    places = collections.Counter(
        cast.events[0].object for cast in casts if cast.kind == "one" and len(cast.visible) == 3
    )
    assert len(places) == 3 and stats.chisquare(list(places.values())).pvalue > 0.01
    numbers = collections.Counter(len(cast.visible) for cast in casts if cast.kind == "silent")
    assert len(numbers) == 3 and stats.chisquare(list(numbers.values())).pvalue > 0.01


def test_what_a_kind_means(casts):
    for cast in casts:
        sounding = [event.object for event in cast.events]
        heard = [event.name for event in cast.events]
        assert all(cast.visible[e.object] == e.name for e in cast.events if e.object >= 0)
        silent = [name for i, name in enumerate(cast.visible) if i not in sounding]
        # A silent object is of no class that is heard, else both would be right answers.
        assert not set(silent) & set(heard) and len(set(silent)) == len(silent)
        spans = [(event.start_seconds, event.end_seconds) for event in cast.events]
        assert all(0 <= start < end <= CONFIG.clip_seconds for start, end in spans)
        if cast.kind == "silent":
            assert not cast.events
        elif cast.kind == "off_screen":
            assert sounding == [-1] and not set(heard) & set(cast.visible)
        elif cast.kind == "one":
            assert len(sounding) == 1 and sounding[0] >= 0
        else:
            assert len(set(sounding)) == 2
            assert (heard[0] == heard[1]) == (cast.kind == "same_class")
            (_, end), (start, _) = sorted(spans)
            assert (end == start) == (cast.kind == "switch")
        if spans:
            length = max(end for _, end in spans) - min(start for start, _ in spans)
            assert length > CONFIG.min_sounding_share * CONFIG.clip_seconds - 0.03


def test_there_is_sound_in_events_and_nowhere_else():
    quiet = dataclasses.replace(CONFIG, ambient_dbfs=-120.0, min_sounding_share=0.4)
    for index in range(40):
        cast = scenes.draw_cast(quiet, index)
        samples = scene_rendering.draw_soundtrack(quiet, WORLD, cast, 0, index, 0)
        assert samples.dtype == np.int16 and len(samples) == 3 * 48000
        assert np.abs(samples.astype(int)).max() < 32767  # no clipping
        heard = np.zeros(len(samples), bool)
        for event in cast.events:
            start, end = (round(480 * (100 * t)) for t in (event.start_seconds, event.end_seconds))
            heard[start:end] = True
            # Heard soon after its start; and to its end, or nearly: sounds have pauses.
            assert np.abs(samples[start : start + 14400].astype(int)).max() > 200
            assert np.abs(samples[end - 30000 : end].astype(int)).max() > 100
        assert not samples[~heard].any()


def test_levels_are_as_configured():
    config = dataclasses.replace(
        CONFIG, min_level_dbfs=-30.0, max_level_dbfs=-20.0, ambient_dbfs=-70.0
    )
    levels = []
    for index in range(60):
        cast = scenes.draw_cast(config, index)
        samples = scene_rendering.draw_soundtrack(config, WORLD, cast, 0, index, 0) / 32768
        if cast.kind == "silent":
            assert 20 * np.log10(samples.std()) == pytest.approx(-70, abs=0.3)
        if cast.kind in ("one", "off_screen"):
            start, end = scene_rendering.event_samples(cast.events[0])
            levels.append(20 * np.log10(samples[start:end].std()))
            # Only sounds with high peaks are fainter: those of a clock, not those of a siren.
            assert levels[-1] < -19.8
            assert levels[-1] > -30.3 or cast.events[0].name in ("clock", "drum")
    assert np.ptp(levels) > 8


def test_a_scene_follows_from_seed_split_and_number():
    def payload(config, index):
        scene = scene_rendering.draw_scene(config, WORLD, index)
        return scene_rendering.serialize(config, WORLD, scene)

    assert payload(CONFIG, 3) == payload(CONFIG, 3)
    others = [payload(dataclasses.replace(CONFIG, **change), index) for change, index in
              (({}, 4), ({"seed": 1}, 3), ({"split": "test"}, 3), ({"split": "validation"}, 3))]
    assert len({payload(CONFIG, 3), *others}) == 5


def test_splits_have_no_background_in_common(monkeypatch):
    drawn = collections.defaultdict(list)

    def note(size, clutter, hue, roughness, rng):
        drawn[split].append((int(20 * hue), int(20 * roughness)))
        return np.zeros((size, size, 3), np.float32)

    monkeypatch.setattr("avc.scene_pictures.draw_background", note)
    cast = scenes.Cast("silent", ("bell",), ())
    for split in scenes.SPLITS:
        config = dataclasses.replace(CONFIG, split=split)
        for index in range(150):
            scene_rendering.draw_frames(config, WORLD, cast, 0, index)
    for place in (0, 1):
        bands = [{pair[place] for pair in drawn[split]} for split in scenes.SPLITS]
        assert sum(map(len, bands)) == len(set().union(*bands)) == 20


def test_a_swap_pair_is_one_picture_with_four_soundtracks():
    first, second, elsewhere, silent = scene_rendering.draw_swap_pair(CONFIG, WORLD, 0)
    for scene in (second, elsewhere, silent):
        np.testing.assert_array_equal(scene.frames[0], first.frames[0])
        np.testing.assert_array_equal(scene.boxes, first.boxes)
        assert scene.video == first.video and scene.cast.visible == first.cast.visible
    assert [e.object for s in (first, second, elsewhere) for e in s.cast.events] == [0, 1, -1]
    assert elsewhere.cast.events[0].name not in first.cast.visible
    assert not silent.cast.events and silent.samples.std() < 10 < first.samples.std()
    ids = [scene.id for scene in (first, second, elsewhere, silent)]
    assert [name.rsplit("swap-00000000_")[1] for name in ids] == list(scenes.SWAPS)
    # Nor is it a picture of the set itself.
    assert (scene_rendering.draw_scene(CONFIG, WORLD, 0).frames[0] != first.frames[0]).any()


@pytest.mark.parametrize(("change", "message"), [
    ({"split": "dev"}, "split is 'dev': it must be one of train, validation, test"),
    ({"max_object_area": 0.2}, "max_object_area is 0.2"),
    ({"min_object_area": 0.15, "max_object_area": 0.1}, "min_object_area is 0.15: it is above"),
    ({"silent_share": 0.9}, "the shares of scenes sum to 1.2, above 1"),
    ({"min_objects": 4}, "min_objects is 4: it is above max_objects, 3"),
    ({"max_objects": 1}, "max_objects is 1: set two_classes_share"),
    ({"max_objects": 8}, "cover more than 0.6"),
    ({"classes": ("dog", "bell", "bird")}, "3 classes: pictures with 3 objects"),
    ({"classes": ("dog", "bell", "bird", "dog")}, "one is named twice"),
    ({"motion": "some"}, "motion is 'some'"),
    ({"audio_encoding": "mp3"}, "audio_encoding is 'mp3'"),
])
def test_configurations_that_no_scene_follows_from_are_refused(change, message):
    with pytest.raises(ConfigurationError) as error:
        dataclasses.replace(CONFIG, **change)
    assert message in str(error.value)


@pytest.mark.parametrize("audio_encoding", records.AUDIO_ENCODINGS)
def test_records_hold_the_scene_and_its_truth(audio_encoding):
    config = dataclasses.replace(CONFIG, motion="all", audio_encoding=audio_encoding)
    for index in range(8):
        scene = scene_rendering.draw_scene(config, WORLD, index)
        payload = scene_rendering.serialize(config, WORLD, scene)
        batch = records.scene(audio_encoding).parse(tf.constant([payload]))
        row = {name: value[0].numpy() for name, value in batch.items()}
        events = scene.cast.events
        assert row["object_labels"].tolist() == [LABELS[n].encode() for n in scene.cast.visible]
        assert row["event_labels"].tolist() == [LABELS[e.name].encode() for e in events]
        assert set(row["labels"]) == set(row["event_labels"])
        assert row["event_objects"].tolist() == [event.object for event in events]
        ends = [event.end_seconds for event in events]
        np.testing.assert_allclose(row["event_end_seconds"], ends, rtol=1e-6)
        for side, place in (("left", 0), ("top", 1), ("right", 2), ("bottom", 3)):
            np.testing.assert_allclose(row[f"object_{side}"], scene.boxes[:, place], rtol=1e-6)
        sound = encoding.decode_audio(row["audio"], audio_encoding)
        np.testing.assert_array_equal(sound, scene.samples)
        assert row["num_samples"] == len(sound) and row["sample_rate_hz"] == 48000
        np.testing.assert_allclose(row["frame_seconds"], scene.frame_seconds)
        for jpeg, frame in zip(row["frames"], scene.frames, strict=True):
            shown = tf.io.decode_jpeg(jpeg).numpy().astype(float)
            assert shown.shape == frame.shape and np.abs(shown - frame).mean() < 8


def test_the_bundled_scenes_are_what_their_script_makes(testdata, tmp_path):
    script = (testdata / "make_scenes.sh").read_text()
    commands = [line for line in script.splitlines() if line.startswith("python -m ")]
    for command in commands:
        arguments = command.replace('"$output"', str(tmp_path)).split()[3:]
        assert launch("make_scenes", *arguments).status == 0
    folder = testdata / "scenes"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_500_000
    for name in names:
        if name.endswith(".json"):
            old, new = (json.loads((place / name).read_text()) for place in (folder, tmp_path))
            assert old == new
            continue
        pairs = zip(examples(folder / name), examples(tmp_path / name), strict=True)
        for old, new in pairs:
            assert set(old) == set(new)
            for key in set(old) - {"frames", "audio_flac"}:
                assert old[key] == new[key], key
            # Another version of an encoder may write other bytes, but not other contents.
            sounds = [encoding.decode_audio(e["audio_flac"].bytes_list.value[0], "flac")
                      for e in (old, new)]
            np.testing.assert_allclose(*sounds, atol=1)
            pictures = [tf.io.decode_jpeg(e["frames"].bytes_list.value[0]).numpy().astype(float)
                        for e in (old, new)]
            assert np.abs(pictures[0] - pictures[1]).mean() < 0.1


def test_clicks_mark_the_grid_and_change_nothing_else():
    config = dataclasses.replace(CONFIG, clip_seconds=1.0, silent_share=0.4)
    clicking = dataclasses.replace(config, grid_click_dbfs=-40)
    kinds = set()
    for index in range(12):
        cast = scenes.draw_cast(config, index)
        kinds.add(cast.kind)
        tracks = [
            scene_rendering.draw_soundtrack(each, WORLD, cast, 0, index, 0).astype(int)
            for each in (config, clicking)
        ]
        added = tracks[1] - tracks[0]
        places = np.flatnonzero(added)
        # 25 a second at 48 kHz, each a sample of a hundredth of full scale.
        assert places.tolist() == [1920 * step for step in range(25)]
        assert np.abs(added[places] - 327.67).max() <= 1
    assert "silent" in kinds and len(kinds) > 1
