"""The commands search and sonorize, with a tiny network that was never trained."""

import dataclasses
import json
import re
import types

import av
import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from scipy.io import wavfile
from test_networks import SMALL

import avc
from avc import networks, queries
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.recipes import AvcConfig
from avc.video_writer import VideoWriter
from crossmodal import checkpoints, configuration

RATE = 16_000


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    config = AvcConfig("small", network=SMALL, frames=FrameConfig(SMALL.image_size, 0.875),
                       pairs=PairConfig(sample_rate_hz=RATE, segment_seconds=0.25))
    checkpoints.save_best(str(folder), networks.build(config.network).training, 1, {"accuracy": 1})
    saved = {"avc": configuration.to_dict(config)}
    configuration.save(str(folder / "configuration.json"), saved)
    return folder


def picture(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (4, 6, 3))
    return np.kron(noise, np.ones((16, 16, 1))).astype(np.uint8)


def write_video(path, seed, seconds=2.0, sound=True):
    with VideoWriter(str(path), 10, RATE) as writer:
        for step in range(round(seconds * 10)):
            writer.add_picture(picture(seed + step // 10), step / 10)
        if sound:
            rng = np.random.default_rng(seed)
            writer.add_sound(rng.integers(-9000, 9000, round(seconds * RATE)).astype(np.int16))


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Three videos and their embeddings; a silent video, a picture, a sound, and a text."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "in").mkdir()
    for number in range(3):
        write_video(folder / "in" / f"v{number}.mp4", 10 * number)
    write_video(folder / "silent.mp4", 50, sound=False)
    tf.io.write_file(str(folder / "p.png"), tf.io.encode_png(picture(10)))
    wavfile.write(folder / "s.wav", RATE, np.random.default_rng(1).integers(
        -9000, 9000, 2 * RATE).astype(np.int16))
    (folder / "text.txt").write_text("text\n")
    return folder


@pytest.fixture(scope="module")
def database(media, workdir):
    path = media / "database.npz"
    outcome = launch("embed_avc", workdir=workdir, input=media / "in", output=path)
    assert outcome.status == 0, outcome.error
    return path


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def found_in(outcome):
    return re.findall(r"^\| \d+ +\| (\S+)", outcome.out, re.MULTILINE)


def test_a_file_as_the_query_is_what_the_network_says(workdir, media, database, tmp_path):
    held = dict(np.load(database))
    output = tmp_path / "found.json"
    outcome = launch("search", "--moments", database=database, workdir=workdir, output=output,
                     query_sound=media / "s.wav", direction="audio_to_audio", results=4)
    assert outcome.status == 0, outcome.error
    network = avc.load(str(workdir))
    samples = wavfile.read(media / "s.wav")[1]
    parts = np.stack([samples[k * RATE : k * RATE + RATE // 4] for k in (0, 1)])
    query = unit(unit(network.embed_audio(parts)).mean(0))
    scores = unit(held["audio"]) @ query
    order = np.argsort(-scores, kind="stable")[:4]
    report = json.loads(output.read_text())
    assert [r["id"] for r in report["results"]] == [held["ids"][i].decode() for i in order]
    np.testing.assert_allclose([r["score"] for r in report["results"]], scores[order], atol=1e-4)
    assert found_in(outcome) == [held["ids"][i].decode() for i in order]
    assert "mean of the unit vectors of 2 moments" in outcome.out and "by cosine" in outcome.out
    # A video among those that are searched in: by its pictures; itself, unless left out.
    video = media / "in" / "v1.mp4"
    outcome = launch("search", database=database, workdir=workdir, query_video=video,
                     query_seconds=1.2, direction="visual_to_visual", output=tmp_path / "f.html")
    assert found_in(outcome)[0] == "v1.mp4@1.125" and "at 1.12 s" in outcome.out, outcome.error
    page = (tmp_path / "f.html").read_text()
    assert "<td>v1.mp4@1.125</td>" in page and "http" not in page and page.count("<tr>") == 4
    outcome = launch("search", "--exclude_own", database=database, workdir=workdir,
                     query_video=video, direction="visual_to_visual")
    assert {name[:2] for name in found_in(outcome)} == {"v0", "v2"}
    outcome = launch("search", database=database, workdir=workdir, query_image=media / "p.png")
    assert len(found_in(outcome)) == 3 and "visual_to_audio by cosine" in outcome.out


def test_items_as_queries(media, database):
    held = dict(np.load(database))
    cross = unit(held["visual"]) @ unit(held["audio"]).T
    place = 3
    others = [i for i in np.argsort(-cross[place], kind="stable")
              if held["video"][i] != held["video"][place]]
    best = list({held["video"][i]: held["ids"][i].decode() for i in others[::-1]}.values())[::-1]
    for given in ({"query_id": held["ids"][place].decode()},
                  {"query_npz": database, "query_row": place}):
        outcome = launch("search", database=database, **given)
        assert sorted(found_in(outcome)) == sorted(best), outcome.error
        assert found_in(outcome)[0] == held["ids"][others[0]].decode()
    outcome = launch("search", "--noexclude_own", database=database, query_id="v0",
                     direction="visual_to_visual")
    assert "mean of the unit vectors of 2 moments" in outcome.out
    mine = held["video"] == b"v0"
    scores = unit(held["visual"]) @ unit(held["visual"][mine]).mean(0)
    assert found_in(outcome)[0] == held["ids"][scores.argmax()].decode()
    assert {name[:2] for name in found_in(outcome)} == {"v0", "v1", "v2"}


@pytest.mark.parametrize(("changes", "message"), [
    ({}, "give one of --query_video, --query_image"),
    ({"query_id": "v0", "query_image": "p.png"}, "give one of"),
    ({"query_image": "p.png"}, "needs the network of the database: --workdir"),
    ({"query_id": "v0.mp4@7"}, "has no id v0.mp4@7; spelt alike: v0.mp4@"),
    ({"query_id": "v0", "database": "nowhere.npz"}, "nowhere.npz: no file matches"),
    ({"query_id": "v0", "database": "text.txt"}, "text.txt: is not an .npz file of embeddings"),
    ({"query_id": "v0", "database": "pictures.npz"}, "has no array `audio`"),
    ({"query_id": "v0", "output": "x.txt"}, "must end with .json or .html"),
    ({"query_id": "v0", "query_seconds": 9}, "--query_seconds=9: v0 has moments from 0.12 to 1.12"),
    ({"query_npz": "short.npz"}, "a query of 3 values and a database of 16"),
    ({"query_npz": "nan.npz"}, "nan.npz: visual embedding of row 0 has a NaN or Inf"),
    ({"query_npz": "short.npz", "query_row": 5}, "short.npz: has no row 5"),
    ({"query_id": "a", "database": "one.npz"}, "nothing but the query's own video"),
    ({"query_video": "silent.mp4", "workdir": "", "direction": "audio_to_audio"},
     "silent.mp4: no audio stream"),
    ({"query_video": "text.txt", "workdir": ""}, "text.txt: not a video file"),
    ({"query_sound": "s.wav", "workdir": "", "direction": "visual_to_audio"},
     "does not begin with audio"),
    ({"query_image": "p.png", "workdir": "", "database": "short.npz"}, "16 values and a database"),
])
def test_mistakes_in_a_search_are_one_line(workdir, media, database, tmp_path, changes, message):
    held = dict(np.load(database))
    np.savez(tmp_path / "pictures.npz", ids=held["ids"], video=held["video"],
             visual=held["visual"])
    for name, rows in (("short", np.ones((2, 3))), ("nan", np.full((2, 16), np.nan))):
        np.savez(tmp_path / f"{name}.npz", ids=np.array([b"a", b"b"]), visual=rows, audio=rows)
    np.savez(tmp_path / "one.npz", ids=[b"a"], visual=np.ones((1, 3)), audio=np.ones((1, 3)))
    given = {"database": database, **changes}
    places = {"text.txt": media, "p.png": media, "silent.mp4": media, "s.wav": media}
    for name in ("database", "query_npz", "query_image", "query_video", "query_sound", "output"):
        if name in given:
            given[name] = places.get(given[name], tmp_path) / given[name]
    if given.get("workdir") == "":
        given["workdir"] = workdir
    outcome = launch("search", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]


def test_faiss_says_how_good_it_is(database):
    pytest.importorskip("faiss")
    outcome = launch("search", database=database, query_id="v0", index="faiss", results=2)
    assert outcome.status == 0, outcome.error
    assert "FAISS, flat, 6 items" in outcome.out
    assert "recall@2 of FAISS against exact search: 1.0000, for 6 visual" in outcome.out


def test_networks_say_how_they_rank():
    def of(**changes):
        config = dataclasses.replace(SMALL, **changes)
        return types.SimpleNamespace(config=types.SimpleNamespace(network=config))

    for name in ("l3", "ave", "avol", "resnet18"):
        assert queries.similarity_of(of(network=name)) == "cosine"
    bare = of(network="resnet18", unit_embeddings=False)
    assert queries.similarity_of(bare) == "euclidean"
    assert "distances" in queries.why_similarity(bare)


def streams(path):
    with av.open(str(path)) as container:
        video = [float(f.time) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [(float(f.time), f.samples / f.sample_rate) for f in container.decode(audio=0)]
    return video, sound


def test_sonorize_from_the_command(workdir, media, database, tmp_path):
    output = tmp_path / "out.mp4"
    outcome = launch("sonorize", video=media / "silent.mp4", database=database, workdir=workdir,
                     media=media / "in", output=output, mode="seconds", switch_cost=0)
    assert outcome.status == 0, outcome.error
    report = json.loads((tmp_path / "out.mp4.json").read_text())
    assert report["sources"][0]["begin_seconds"] == 0
    assert report["sources"][-1]["end_seconds"] == report["seconds"] == 2.0
    assert "h264 copied" in report["pictures"] and report["sources"][0]["file"] in outcome.out
    video, sound = streams(output)
    assert len(video) == 20 and video[0] == 0 and abs(sound[0][0]) < 1e-3
    assert abs(sound[-1][0] + sound[-1][1] - 2.0) < 0.05
    outcome = launch("sonorize", audio=media / "s.wav", database=database, workdir=workdir,
                     media=media / "in", output=output, width=96, height=64)
    assert outcome.status == 0, outcome.error
    video, sound = streams(output)
    assert len(video) == 50 and abs(sound[-1][0] + sound[-1][1] - 2.0) < 0.05


@pytest.mark.parametrize(("changes", "message"), [
    ({"audio": "s.wav"}, "give either --video or --audio"),
    ({"output": "x.mov"}, "must end with .mp4"),
    ({"video": "text.txt"}, "text.txt: not a video file"),
    ({"video": "nowhere.mp4"}, "nowhere.mp4: no such file"),
    ({"media": "nowhere"}, "no source of the database can be used: v"),
    ({"fade_seconds": 3}, "--fade_seconds=3 is longer than a moment of 1 s"),
    ({"database": "short.npz"}, "does not tell of which `file` and `seconds`"),
])
def test_mistakes_in_a_sonorisation_are_one_line(
    workdir, media, database, tmp_path, changes, message
):
    np.savez(tmp_path / "short.npz", ids=np.array([b"a"]), audio=np.ones((1, 3)))
    given = {"video": "silent.mp4", "output": "x.mp4", "media": "in", **changes}
    given |= {name: media / given[name] for name in ("video", "audio", "media") if name in given}
    given["output"] = tmp_path / given["output"]
    given["database"] = tmp_path / given["database"] if "database" in given else database
    outcome = launch("sonorize", workdir=workdir, **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["short.npz"]


def pictures(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="gray")) for f in container.decode(video=0)]


@pytest.mark.real_data
def test_a_real_video_gets_the_sound_of_others(workdir, real_data, tmp_path):
    folder = real_data / "media"
    launch("embed_avc", workdir=workdir, input=folder, output=tmp_path / "all.npz")
    for name, copied in (("sintel_5s.mp4", True), ("brbk7n.mpg", False)):
        output = tmp_path / f"{name}.out.mp4"
        outcome = launch("sonorize", video=folder / name, database=tmp_path / "all.npz",
                         media=folder, workdir=workdir, output=output, mode="seconds")
        assert outcome.status == 0, outcome.error
        report = json.loads((tmp_path / f"{name}.out.mp4.json").read_text())
        assert ("copied" in report["pictures"]) == copied
        assert name not in {source["file"] for source in report["sources"]}
        video, sound = streams(output)
        before, after = pictures(folder / name), pictures(output)
        np.testing.assert_allclose(video, [t - before[0][0] for t, _ in before], atol=2e-3)
        if copied:
            for place in (0, len(before) // 2, -1):
                np.testing.assert_array_equal(after[place][1], before[place][1])
        # Both streams begin together, go on without a gap and end together.
        ends = np.array([t + n for t, n in sound])
        assert abs(sound[0][0]) < 1e-3
        np.testing.assert_allclose(ends[:-1], [t for t, _ in sound[1:]], atol=1e-3)
        assert abs(ends[-1] - report["seconds"]) < 0.05
        step = float(np.median(np.diff(video)))
        assert abs(video[-1] + step - report["seconds"]) < step
