"""What the explorer finds, against NumPy; and what wrong files and flags are told."""

import dataclasses
import socket
import sys

import numpy as np
import pytest
import tensorflow as tf
from explorer_world import COLOURS, RATE, make_explorer, planted, tone, workdir, world  # noqa: F401
from launching import launch
from scipy.io import wavfile

import avc
from avc import explorer, explorer_page, localized_picture, overlays, shown_items
from avc.encoding import encode_jpeg
from avc.shown_moments import Extent
from crossmodal import collection
from crossmodal.errors import UserError
from crossmodal.ndcg import DIRECTIONS


@pytest.fixture(scope="module")
def made(world, planted, workdir):  # noqa: F811
    return make_explorer(world, planted, workdir)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def parts(world):  # noqa: F811
    """The picture, and the sounds of the moments of s.wav."""
    picture = tf.io.decode_png(tf.io.read_file(str(world / "p.png"))).numpy()
    samples = wavfile.read(world / "s.wav")[1]
    return picture, np.stack([samples[k * RATE : k * RATE + RATE // 4] for k in (0, 1)])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_what_is_found_is_what_numpy_finds(made, world, workdir, direction):  # noqa: F811
    network, held = avc.load(str(workdir)), dict(np.load(world / "items.npz"))
    picture, sounds = parts(world)
    of, to = direction.split("_to_")
    if of == "visual":
        path, query = world / "p.png", unit(network.embed_visual(picture[None]))[0]
    else:
        path, query = world / "s.wav", unit(unit(network.embed_audio(sounds)).mean(0))
    scores = unit(held[to]) @ query
    best = {}
    for row in np.argsort(-scores, kind="stable"):
        best.setdefault(held["video"][row], row)
    rows = list(best.values())[:3]
    answer = made.explore(str(path), direction)
    query_card, *cards = answer.groups[0].cards
    assert [card.name.encode() for card in cards] == held["ids"][rows].tolist()
    shown = [float(card.lines[0].removeprefix("score ")) for card in cards]
    np.testing.assert_allclose(shown, scores[rows], atol=1e-4)
    assert path.name in answer.facts[0] and ("2 moments" in answer.facts[0]) == (of == "audio")
    assert (query_card.picture is not None) == (of == "visual")
    assert (query_card.sound is not None) == (of == "audio")
    assert all(card.picture and card.sound and card.heatmap for card in cards)


def test_maps_are_of_the_sound_that_is_named(made, world, planted, workdir):  # noqa: F811
    network, (picture, _) = avc.load(str(workdir)), parts(world)
    answer = made.explore(str(world / "p.png"), "visual_to_audio")
    assert len(answer.groups) == 2 and len(answer.groups[1].cards) == 3
    for found, card in zip(answer.groups[0].cards[1:], answer.groups[1].cards, strict=True):
        number = int(found.name.split("@")[0][-1])
        middle = round((float(found.name.split("@")[1]) - 10) * RATE)
        heard = tone(number)[middle - RATE // 8 : middle + RATE // 8]
        heatmap = network.localize(picture[None], heard[None])[0]
        wanted = encode_jpeg(overlays.overlay(picture, heatmap, 0.875), 80)
        assert card.heatmap.content == wanted and card.name == found.name
        assert card.picture.content == encode_jpeg(picture, 80)
        assert f"highest {heatmap.max():.2f}" in " ".join(card.lines)
    # Of pictures that a sound finds: the middle of that sound, and no second group.
    answer = made.explore(str(world / "s.wav"), "audio_to_visual")
    (group,) = answer.groups
    heard = wavfile.read(world / "s.wav")[1][RATE : RATE + RATE // 4]
    pixels = np.full((48, 64, 3), COLOURS[0], np.uint8)
    maps = [network.localize((pixels // halved)[None], heard[None])[0].max() for halved in (1, 2)]
    for card in group.cards[1:]:
        assert "the query's sound" in " ".join(card.lines)
        if card.name.startswith("clip0"):
            assert any(f"highest {each:.2f}" in " ".join(card.lines) for each in maps)
    assert group.cards[0].heatmap is None and group.cards[0].picture is None


def test_a_video_is_a_query_by_what_is_seen_and_what_is_heard(made, world):  # noqa: F811
    for direction in DIRECTIONS:
        query = made.explore(str(world / "v.mp4"), direction).groups[0].cards[0]
        assert query.picture and query.sound and query.heatmap and "at 1.12 s" in query.lines
    one = made.explore(str(world / "v.mp4"), "audio_to_audio", 0.1)
    assert one.facts == ("Query: the sound of v.mp4 at 0.12 s.",)
    silent = made.explore(str(world / "silent.mp4"), "visual_to_audio").groups[0].cards[0]
    assert silent.picture and silent.sound is None and silent.heatmap is None


def test_a_direction_that_a_file_can_have(made):
    assert made.suited("a.wav", "visual_to_audio") == "audio_to_visual"
    assert made.suited("a.JPG", "audio_to_audio") == "visual_to_audio"
    assert made.suited("a.mp4", "audio_to_audio") == "audio_to_audio"
    assert made.directions[:2] == ("visual_to_audio", "audio_to_visual")


@pytest.mark.parametrize(("name", "direction", "message"), [
    ("p.png", "audio_to_visual", "p.png: a picture has no sound: choose a direction from picture"),
    ("s.wav", "visual_to_audio", "s.wav: a sound has no picture: choose a direction from sound"),
    ("silent.mp4", "audio_to_visual", "silent.mp4: no audio stream"),
    ("broken.mp4", "visual_to_audio", "broken.mp4: cut off or damaged"),
    ("empty.wav", "audio_to_visual", "empty.wav: empty file"),
    ("text.png", "visual_to_audio", "text.png: is not a picture (JPEG, PNG, BMP or GIF)"),
    ("huge.png", "visual_to_audio", "huge.png: picture of 60000 x 60000 is larger than 67108864"),
    ("x.txt", "visual_to_audio", "x.txt: files called .txt are not taken; pictures are .jpg"),
    ("gone.wav", "audio_to_visual", "gone.wav: no such file"),
])
def test_wrong_files_are_told_without_their_folder(
    made, world, name, direction, message  # noqa: F811
):
    with pytest.raises(UserError) as caught:
        made.explore(str(world / name), direction)
    assert str(caught.value).startswith(message) and str(world) not in str(caught.value)


def test_a_long_file_and_a_moment_that_is_not_there(made, world):  # noqa: F811
    config = dataclasses.replace(made.config, most_seconds=1.0)
    short = dataclasses.replace(made, config=config)
    with pytest.raises(UserError, match=r"s.wav: is longer than 1 s: cut it"):
        short.explore(str(world / "s.wav"), "audio_to_audio")
    with pytest.raises(UserError, match=r"s.wav has moments from 0.12 to 1.12 s"):
        made.explore(str(world / "s.wav"), "audio_to_audio", 9.0)


def test_the_file_s_own_video_can_be_left_out(made, world):  # noqa: F811
    path = str(world / "s.wav")
    best = made.explore(path, "audio_to_audio").groups[0].cards[1].name.encode()
    video = made.database.video[made.database.ids == best]
    named = np.where(made.database.video == video, b"s.wav", b"other.mp4")
    other = dataclasses.replace(made, database=dataclasses.replace(made.database, file=named))
    kept = other.explore(path, "audio_to_audio", leave_out=True).groups[0].cards[1:]
    found = {made.database.video[made.database.ids == card.name.encode()][0] for card in kept}
    assert len(kept) == 3 and video[0] not in found


def test_only_files_within_the_folder_are_shown(made, world, tmp_path):  # noqa: F811
    (tmp_path / "media").mkdir()
    for name in ("inside.mp4", "../outside.mp4"):
        (tmp_path / "media" / name).write_bytes((world / "v.mp4").read_bytes())
    (tmp_path / "media" / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    outside = str(tmp_path / "outside.mp4")
    names = ["inside.mp4", "../outside.mp4", outside, "link.mp4"]
    small = collection.Collection(
        (("x", 4),), *(np.array(names, "S") for _ in range(4)), np.full(4, 0.5)
    )
    read = shown_items.of_folder(small, str(tmp_path / "media"), Extent(1.0, 64, RATE))
    shown = read(range(4))
    assert shown[0].picture is not None and len(shown[0].sound) and not shown[0].problems
    for row in (1, 2, 3):
        assert shown[row].picture is None and not len(shown[row].sound), names[row]
        assert shown[row].problems == ("its file lies outside of the folder of media",)


@pytest.mark.parametrize(("arrays", "message"), [
    ({"visual": (1, 3), "audio": (1, 3)}, "its visual embeddings have 3 values, those of"),
    ({"visual": (0, 16), "audio": (0, 16)}, "holds no item"),
    ({}, "has no array `visual`"),
])
def test_a_database_of_something_else(made, tmp_path, arrays, message):
    path = str(tmp_path / "x.npz")
    number = next(iter(arrays.values()), (1,))[0]
    np.savez(path, ids=np.array([b"a"] * number, "S1"), **{
        name: np.ones(shape, np.float32) for name, shape in arrays.items()})
    with pytest.raises(UserError, match=r"x.npz: ") as caught:
        explorer.prepare(made.network, [path], lambda _: None, made.config)
    assert message in str(caught.value)


def test_a_database_of_one_modality_has_its_directions(made, tmp_path):
    path = str(tmp_path / "x.npz")
    np.savez(path, ids=np.array([b"a"]), audio=np.ones((1, 16), np.float32))
    one = explorer.prepare(made.network, [path], lambda _: None, made.config)
    assert one.directions == ("visual_to_audio", "audio_to_audio")
    assert one.suited("a.wav", "visual_to_audio") == "audio_to_audio"


@pytest.mark.parametrize(("changes", "message"), [
    ({"workdir": "nowhere"}, "nowhere"),
    ({"database": "nowhere.npz"}, "--database=nowhere.npz: no file matches"),
    ({"media": "nowhere", "input_pattern": ""}, "--media=nowhere: there is no such folder"),
    ({"media": "x"}, "give either --media or --input_pattern"),
    ({"max_upload_mb": 0}, "max_upload_mb is 0"),
    ({"results": 1000}, "results is 1000"),
])
def test_mistakes_are_one_line(
    world, planted, workdir, tmp_path, monkeypatch, changes, message  # noqa: F811
):
    monkeypatch.chdir(tmp_path)
    given = {"workdir": workdir, "database": world / "items.npz", "port": 0,
             "input_pattern": planted / "clips.tfrecord", **changes}
    outcome = launch("explore", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert "Traceback" not in outcome.error


def test_without_gradio_one_line_says_what_to_install(world, workdir, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "gradio", None)
    outcome = launch("explore", workdir=workdir, database=world / "items.npz", media=world)
    assert outcome.status == 1 and "pip install 'crossmodal[explore]'" in outcome.error


def test_an_address_that_cannot_be_had():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host, wanted in (("127.0.0.1", port), ("203.0.113.1", 0)):
            with (
                pytest.raises(UserError, match=f"--host={host} --port={wanted}: .* choose"),
                explorer_page.listening(host, wanted),
            ):
                pass


def test_the_picture_s_header_is_asked_before_it_is_decoded(tmp_path):
    picture = np.zeros((20, 30, 3), np.uint8)
    for name, encode in (("a.png", tf.io.encode_png), ("a.jpg", tf.io.encode_jpeg)):
        tf.io.write_file(str(tmp_path / name), encode(picture))
        assert localized_picture.read_picture(str(tmp_path / name)).shape == (20, 30, 3)
    for name, start in (("a.gif", b"GIF89a" + b"\xff\xff\xff\xff"),
                        ("a.bmp", b"BM" + bytes(16) + b"\0\0\1\0\0\0\xff\xff")):
        (tmp_path / name).write_bytes(start + bytes(60))
        with pytest.raises(UserError, match=r"picture of 65\d\d\d x 65\d\d\d is larger than"):
            localized_picture.read_picture(str(tmp_path / name))
