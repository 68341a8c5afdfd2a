"""The command that makes scenes: whole shards, going on, files of one's own, mistakes."""

import dataclasses
import fractions
import io
import json
import os
import re
import shutil

import av
import numpy as np
import pytest
from launching import launch

from avc import encoding, recordings, records, scene_classes, sprite_files, sprites, synthesis
from avc.reading import open_clips
from avc.scenes import SceneConfig
from crossmodal import tfrecord
from crossmodal.errors import UserError

EMOJI = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SMALL = "picture_size=32,clip_seconds=0.5,clutter=2"


def make(folder, *arguments, **flags):
    flags = {"num_clips": 6, "clips_per_shard": 3, "set": SMALL} | flags
    return launch("make_scenes", *arguments, **({"output": folder} | flags))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def payloads(path):
    data = path.read_bytes()
    return [data[offset : offset + length] for offset, length in tfrecord.salvage(data)[0]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    outcome = make(folder, split="test", swap_pairs=1)
    assert outcome.status == 0, outcome.error
    assert "10 clips of 10 classes in 3 shards" in outcome.out
    return folder


def test_shards_and_their_configuration(made):
    shards = ["test-00000-of-00002.tfrecord", "test-00001-of-00002.tfrecord"]
    assert list(contents(made)) == [*shards, "test.json", "test_swap-00000-of-00001.tfrecord"]
    values = json.loads((made / "test.json").read_text())
    assert values["picture_size"] == 32 and values["split"] == "test" and values["seed"] == 0
    assert values["num_clips"] == 6 and values["labels"]["dog"] == "/m/05tny_"
    kind, audio, opened = open_clips(f"{made}/*.tfrecord", "input_pattern", progress=False)
    assert (kind, audio, opened.count()) == ("scene", "flac", 10)


def test_ids_tell_scenes_apart(made):
    schema = records.scene("flac")
    rows = [schema.parse([payload]) for path in sorted(made.glob("*.tfrecord"))
            for payload in payloads(path)]
    ids = [row["id"].numpy()[0].decode() for row in rows]
    assert ids[0] == "test-0-00000000_000000000" and ids[6] == "test-0-swap-00000000_first"
    assert len(set(ids)) == 10
    assert len({row["video"].numpy()[0] for row in rows}) == 7


def test_what_is_missing_or_damaged_is_made_again(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    first, second = sorted(folder.glob("test-*"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-7])
    (folder / f".{first.name}.0123abcd.tmp").write_bytes(b"left of a killed process")
    kept = (folder / "test_swap-00000-of-00001.tfrecord").stat().st_mtime_ns
    outcome = make(folder, split="test", swap_pairs=1)
    assert outcome.status == 0 and "1 of which were there" in outcome.out
    assert contents(folder) == contents(made)
    assert (folder / "test_swap-00000-of-00001.tfrecord").stat().st_mtime_ns == kept


def test_clips_do_not_depend_on_shards(made, tmp_path):
    make(tmp_path, split="test", clips_per_shard=4)
    assert [p for path in sorted(tmp_path.glob("*.tfrecord")) for p in payloads(path)] == [
        p for path in sorted(made.glob("test-*")) for p in payloads(path)
    ]


def test_help_names_only_flags_that_exist():
    text = launch("make_scenes", "--help").out
    example = text[: text.index("Fields of --set")]
    flags = set(re.findall(r"--(\w+)=", example))
    assert {"output", "split", "num_clips", "sounds", "sprites", "swap_pairs", "set"} <= flags
    for flag in flags:
        assert re.search(rf"^  --{flag}\b", text, re.MULTILINE), flag
    # And only fields that exist.
    fields = {item.split("=")[0] for items in re.findall(r"--set=(\S+)", example)
              for item in items.split(",")}
    assert fields and fields <= {field.name for field in dataclasses.fields(SceneConfig)}


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(made, tmp_path):
    outcome = make(tmp_path, split="test", swap_pairs=1, num_workers=2)
    assert outcome.status == 0, outcome.error
    assert contents(tmp_path) == contents(made)


def test_another_configuration_in_the_folder_is_one_line(made):
    before = contents(made)
    outcome = make(made, split="test", swap_pairs=1, seed=1)
    (line,) = outcome.error_lines()
    assert outcome.status == 1 and "test.json" in line and "seed: 0 -> 1" in line
    assert "--name" in line and contents(made) == before


def test_mp4_files_play_what_the_records_hold(tmp_path):
    outcome = make(tmp_path, mp4=1, num_clips=1,
                   set="picture_size=65,clip_seconds=2,motion=all,frames_per_second=4")
    assert outcome.status == 0, outcome.error
    (path,) = (tmp_path / "train_mp4").iterdir()
    assert path.name == "train-0-00000000_000000000.mp4"
    (shard,) = tmp_path.glob("*.tfrecord")
    batch = records.scene("flac").parse(payloads(shard))
    assert batch["file"].numpy()[0].decode() == path.name
    sound = encoding.decode_audio(batch["audio"].numpy()[0], "flac")
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == fractions.Fraction(4)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        heard = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert len(frames) == 8 and frames[0].shape == (64, 64, 3)
    jpegs = [shown_picture(jpeg)[:64, :64] for jpeg in batch["frames"].numpy()[0]]
    times = batch["frame_seconds"].numpy()[0]
    for number, frame in enumerate(frames):
        held = jpegs[int(np.flatnonzero(times <= number / 4)[-1])]
        assert np.abs(frame - held).mean() < 20
    # AAC keeps the waveform where the sound is tonal; its delay is taken out by the container.
    heard = heard[: len(sound)]
    assert np.corrcoef(heard, sound[: len(heard)])[0, 1] > 0.8


def shown_picture(jpeg):
    with av.open(io.BytesIO(jpeg), format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)


@pytest.mark.parametrize(("flags", "message"), [
    ({"split": "dev"}, "split is 'dev'"),
    ({"num_clips": 0}, "there is nothing to write"),
    ({"name": "a/b"}, "name is 'a/b'"),
    ({"set": "size=3"}, "--set=size: scenes have no field of this name"),
    ({"set": "seed=3"}, "--set=seed: scenes have no field"),
    ({"set": "picture_size"}, "--set=picture_size: write name=value"),
    ({"set": "picture_size=big"}, "picture_size is 'big': it must be a whole number"),
    ({"set": "max_object_area=0.5"}, "max_object_area is 0.5"),
    ({"only": "dog,cat"}, "--only: there are no sounds of class cat"),
    ({"only": "dog,bell"}, "2 classes: pictures with 3 objects"),
    ({"sounds": "/nowhere"}, "--sounds=/nowhere: No such file"),
    ({"sprites": "/nowhere"}, "--sprites=/nowhere: no such file or folder"),
    ({"classes": "/nowhere.csv"}, "/nowhere.csv"),
    ({"mp4": 7}, "num_mp4 is 7"),
    ({"output": "/proc/scenes"}, "--output=/proc/scenes"),
])
def test_a_mistake_is_one_line(tmp_path, flags, message):
    outcome = make(tmp_path / "out", **flags)
    (line,) = outcome.error_lines()
    assert outcome.status == 1 and message in line and "Traceback" not in outcome.error
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def write_tone(path, frequency, seconds, silence=0.0, rate=44100):
    tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
    samples = np.concatenate([np.zeros(int(silence * rate)), tone, np.zeros(int(silence * rate))])
    samples = np.rint(samples * 32767).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoding.encode_flac(samples, rate))


def write_png(path, colour):
    """A disc on a transparent ground."""
    y, x = np.mgrid[:60, :80] - np.array([30, 40])[:, None, None]
    image = np.zeros((60, 80, 4), np.uint8)
    image[x**2 + y**2 < 400] = (*colour, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 80, 60, "rgba"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        container.mux(stream.encode(None))


@pytest.fixture
def own(tmp_path):
    """Three classes: recordings of many sources, a picture or a folder of them, a table."""
    lines = ["name,label,display_name"]
    for number, name in enumerate(("hum", "beep", "low note")):
        for source in range(24):
            write_tone(tmp_path / "sounds" / name / f"1-{source}-A.flac", 200 * (number + 1), 0.6)
        lines.append(f"{name},/x/{number},Sound {number}")
    write_png(tmp_path / "sprites" / "hum.png", (250, 20, 20))
    write_png(tmp_path / "sprites" / "beep" / "1.png", (20, 250, 20))
    write_png(tmp_path / "sprites" / "low note" / "1.PNG", (20, 20, 250))
    (tmp_path / "classes.csv").write_text("\n".join(lines))
    return {name: tmp_path / name for name in ("sounds", "sprites")} | {
        "classes": tmp_path / "classes.csv"
    }


def test_scenes_of_recordings_and_pictures_of_ones_own(own, tmp_path):
    settings = "picture_size=64,clip_seconds=1,max_objects=1,two_classes_share=0,silent_share=0"
    settings += ",same_class_share=0,switch_share=0,off_screen_share=0,clutter=0"
    outcome = make(tmp_path / "out", **own, set=settings)
    assert outcome.status == 0, outcome.error
    for path in (tmp_path / "out").glob("*.tfrecord"):
        batch = records.scene("flac").parse(payloads(path))
        for i in range(len(batch["id"])):
            number = int(batch["event_labels"].numpy()[i, 0].decode().rsplit("/")[-1])
            start = int(float(batch["event_start_seconds"][i, 0]) * 48000)
            sound = encoding.decode_audio(batch["audio"].numpy()[i], "flac")[start:][:9600]
            # The tone of the class, and the colour of its disc in the box.
            strongest = np.abs(np.fft.rfft(sound)).argmax() * 5
            assert strongest == pytest.approx(200 * (number + 1), abs=10)
            sides = [batch[f"object_{s}"].numpy()[i, 0] for s in ("left", "top", "right", "bottom")]
            centre = [int(64 * (sides[k] + sides[k + 2]) / 2) for k in (1, 0)]
            picture = shown_picture(batch["frames"].numpy()[i, 0])
            assert picture[centre[0], centre[1]].argmax() == number


@pytest.mark.parametrize(("break_it", "message"), [
    (lambda own: (own["sprites"] / "hum.png").unlink(), "holds no hum.png"),
    (lambda own: (own["sprites"] / "hum.png").write_text("?"), "hum.png: cannot be read"),
    (lambda own: own["classes"].write_text("name,label\n"), "no column display_name"),
    (lambda own: own["classes"].write_text("name,label,display_name\nhum,/x/1,\n"),
     "class beep is in no table: give its label by --classes"),
    (lambda own: own["classes"].write_text(
        own["classes"].read_text().replace("/x/1", "/x/0")), "beep and hum share the label /x/0"),
    (lambda own: [p.write_text("?") for p in (own["sounds"] / "hum").iterdir()],
     "nothing is to be heard in it"),
    (lambda own: [p.unlink() for p in list((own["sounds"] / "hum").iterdir())[1:]],
     "none of the 1 recordings of hum falls to the"),
])
def test_mistakes_in_files_of_ones_own_are_one_line(own, tmp_path, break_it, message):
    break_it(own)
    settings = f"{SMALL},max_objects=2"
    outcomes = [make(tmp_path / "out" / split, **own, split=split, set=settings, num_clips=20)
                for split in ("test", "validation")]
    assert any(message in line for outcome in outcomes for line in outcome.error_lines())
    assert all("Traceback" not in outcome.error for outcome in outcomes)
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_a_mended_recording_needs_no_other_name(own, tmp_path):
    settings = f"{SMALL},max_objects=2"
    whole = {path: path.read_bytes() for path in (own["sounds"] / "hum").iterdir()}
    for path in whole:
        path.write_text("?")
    assert make(tmp_path / "out", **own, set=settings, num_clips=20).error_lines()
    for path, content in whole.items():
        path.write_bytes(content)
    recordings.read_audible.cache_clear()
    assert make(tmp_path / "out", **own, set=settings, num_clips=20).status == 0


def test_sources_are_split_whole_and_for_good():
    assert recordings.source_of("a/3-155312-A.ogg") == recordings.source_of("3-155312-B.ogg")
    assert recordings.source_of("bark 2.wav") == "bark 2"
    splits = [recordings.split_of(f"{i}-A.ogg") for i in range(5000)]
    assert splits == [recordings.split_of(f"other/{i}-B.wav") for i in range(5000)]
    shares = {split: splits.count(split) / 5000 for split in set(splits)}
    assert shares == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.02)


def test_silence_around_a_recording_is_left_out(tmp_path):
    write_tone(tmp_path / "a.flac", 440, 0.5, silence=1.0)
    sound = recordings.read_audible(str(tmp_path / "a.flac"))
    assert len(sound) / 48000 == pytest.approx(0.5, abs=0.03)
    source = recordings.Recordings(str(tmp_path), {"a": ("a.flac",)})
    split = recordings.split_of("a.flac")
    long = source.draw_sound("a", 96000, split, np.random.default_rng(0))
    # Repeated: no pause is longer than 0.3 s.
    quiet = np.flatnonzero(np.abs(long) > 0.01)
    assert len(long) == 96000 and np.diff(quiet).max() < 0.32 * 48000
    with pytest.raises(UserError, match="falls to the"):
        source.draw_sound("a", 10, "test" if split != "test" else "train", np.random.default_rng(0))
    write_tone(tmp_path / "b.flac", 440, 0.0, silence=1.0)
    with pytest.raises(UserError, match=r"b\.flac: nothing is to be heard"):
        recordings.read_audible(str(tmp_path / "b.flac"))


def test_a_font_without_the_pictures_is_one_line(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "font.ttf").write_text("no font")
    with pytest.raises(UserError, match="not a colour emoji font"):
        sprite_files.find_pictures(str(tmp_path / "font.ttf"), scene_classes.ESC10)


@pytest.mark.skipif(not os.path.exists(EMOJI), reason="there is no emoji font")
def test_an_emoji_font_has_a_picture_for_every_class():
    pytest.importorskip("PIL")
    classes = scene_classes.ESC10 + scene_classes.OWN
    found = sprite_files.find_pictures(EMOJI, classes)
    images = {}
    for entry in classes:
        image = sprite_files.read_glyph(*found.by_class[entry.name][0])
        assert min(image.shape[:2]) > 60 and image[..., :3].std() > 0.05
        images[entry.character] = image.tobytes()
    assert len(set(images.values())) == len(images) == 17


def test_own_classes_have_both_a_sprite_and_a_sound():
    names = [entry.name for entry in scene_classes.OWN]
    assert names == sorted(sprites.NAMES) == sorted(synthesis.NAMES)
    for table in (scene_classes.OWN, scene_classes.ESC10):
        assert len({entry.label for entry in table}) == len(table) == 10
        assert all(entry.character for entry in table)


@pytest.mark.real_data
def test_labels_are_those_of_the_ontology(real_data):
    ontology = json.loads((real_data / "metadata" / "ontology.json").read_text())
    names = {entry["id"]: entry["name"] for entry in ontology}
    for entry in (*scene_classes.OWN, *scene_classes.ESC10):
        assert names[entry.label] == entry.display_name


@pytest.mark.real_data
def test_scenes_of_esc10(real_data, tmp_path):
    for name in (entry.name for entry in scene_classes.ESC10):
        write_png(tmp_path / "sprites" / f"{name}.png", (200, 100, 50))
    outcome = make(tmp_path / "out", sounds=real_data / "esc10", sprites=tmp_path / "sprites",
                   num_clips=30, clips_per_shard=30, split="test",
                   set="picture_size=32,clip_seconds=2,clutter=0,ambient_dbfs=-120")
    assert outcome.status == 0, outcome.error
    batch = records.scene("flac").parse(payloads(*(tmp_path / "out").glob("*.tfrecord")))
    labels = {entry.label for entry in scene_classes.ESC10}
    for i in range(30):
        sound = encoding.decode_audio(batch["audio"].numpy()[i], "flac")
        assert len(sound) == 96000
        for k in range(int(batch["num_events"][i])):
            assert batch["event_labels"].numpy()[i, k].decode() in labels
            start = int(float(batch["event_start_seconds"][i, k]) * 48000)
            assert np.abs(sound[start : start + 24000].astype(int)).max() > 100


@pytest.mark.real_data
def test_no_field_recording_of_esc10_is_in_two_splits(real_data):
    found = recordings.find_recordings(str(real_data / "esc10"))
    assert list(found) == [entry.name for entry in scene_classes.ESC10]
    everything = recordings.Recordings(str(real_data / "esc10"), found)
    for name, paths in found.items():
        own = {s: everything.of_split(name, s) for s in ("train", "validation", "test")}
        assert sum(map(len, own.values())) == len(paths) == 40
        sources = {s: {recordings.source_of(path) for path in own[s]} for s in own}
        assert not sources["train"] & sources["test"]
        assert not sources["validation"] & (sources["train"] | sources["test"])
        assert len(own["test"]) >= 4


def test_a_set_from_before_a_field_goes_on_with_its_default(tmp_path):
    make(tmp_path)
    saved = json.loads((tmp_path / "train.json").read_text())
    assert saved.pop("grid_click_dbfs") == -120
    (tmp_path / "train.json").write_text(json.dumps(saved))
    (tmp_path / "train-00001-of-00002.tfrecord").unlink()
    again = make(tmp_path)
    assert again.status == 0 and "1 of which were there" in again.out
    other = make(tmp_path, set=f"{SMALL},grid_click_dbfs=-40")
    assert other.status == 1 and "grid_click_dbfs: -120.0 -> -40.0" in other.error_lines()[0]
