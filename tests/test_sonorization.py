"""Tones as sources: what is heard, and seen, in the file that comes out."""

import dataclasses

import av
import numpy as np
import odd_media
import pytest
from scipy.io import wavfile

from avc import illustration, pictures, remux, sonorization, source_sounds
from avc.illustration import IllustrateConfig
from avc.sonorization import SonorizeConfig
from avc.source_choice import ChoiceConfig
from avc.source_files import Sources
from avc.video_writer import VideoWriter
from crossmodal.collection import Collection
from crossmodal.errors import UserError

RATE = 48_000
TONES = {"a.mp4": 400, "b.mp4": 700, "deep/c.mp4": 1100, "d.mp4": 1700}
COLOURS = {"a.mp4": 30, "b.mp4": 90, "deep/c.mp4": 150, "d.mp4": 220}


def tone(hertz, seconds, level=0.3):
    times = np.arange(round(seconds * RATE)) / RATE
    return np.rint(32767 * level * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def write_video(path, seconds, samples, level, rate=10):
    channels = 1 if samples is None or samples.ndim == 1 else len(samples)
    with VideoWriter(str(path), rate, RATE, channels) as writer:
        for step in range(round(seconds * rate)):
            picture = np.full((48, 64, 3), level, np.uint8)
            picture[:, : step % 48] = 255 - level
            writer.add_picture(picture, step / rate)
        if samples is not None:
            writer.add_sound(samples)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    (folder / "deep").mkdir()
    for name, hertz in TONES.items():
        write_video(folder / name, 4.0, tone(hertz, 4.0), COLOURS[name])
    write_video(folder / "silent.mp4", 3.5, None, 60)
    write_video(folder / "quiet.mp4", 4.0, np.zeros(4 * RATE, np.int16), 60)
    both = np.stack([tone(500, 1.4), tone(900, 1.4)], axis=1)
    wavfile.write(folder / "stereo.wav", RATE, both)
    return folder


def sources(media, files, modality="audio", similarity="cosine"):
    """Four moments of each file, all alike: one direction of space for each file."""
    number = len(files)
    file = np.repeat(np.array(files, "S"), 4)
    rows = np.repeat(np.eye(number, dtype=np.float32), 4, axis=0)
    seconds = np.tile(np.arange(4) + 0.5, number)
    ids = np.array([f"{f}@{s}" for f, s in zip(file, seconds, strict=True)], "S")
    held = Collection((("x.npz", len(ids)),), ids, file, file, np.full(len(ids), b"", "S1"),
                      seconds, **{modality: rows})
    return Sources(held, modality, similarity, str(media))


def wish(*places, number=4):
    """Moments that are like one file each, and a little like the next one."""
    return np.stack([np.eye(number)[p] + 0.5 * np.eye(number)[(p + 1) % number] for p in places])


def run(media, tmp_path, embeddings, taken_from, name="silent.mp4", **choices):
    config = SonorizeConfig(**choices) if choices else SonorizeConfig()
    output = tmp_path / "out.mp4"
    moments = np.arange(len(embeddings)) + 0.5
    shown = remux.look(str(media / name))
    taken = sonorization.sonorize(shown, moments, embeddings.astype(np.float32), 1.0, taken_from,
                                  str(output), config)
    return taken, shown, output


def heard(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
    assert abs(float(frames[0].time)) < 1e-3
    return np.concatenate([f.to_ndarray() for f in frames], axis=1)


def hertz(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def seen(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def assert_same_pictures(before, after):
    one, two = seen(before), seen(after)
    np.testing.assert_allclose([t for t, _ in two], [t - one[0][0] for t, _ in one], atol=1e-4)
    for (_, first), (_, second) in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def loudest_step(samples):
    return np.abs(np.diff(samples)).max()


def test_the_best_source_lies_under_the_untouched_pictures(media, tmp_path):
    taken, shown, output = run(media, tmp_path, wish(2, 2, 2), sources(media, list(TONES)))
    assert not shown.recoded_because and shown.codec == "h264" and not taken.skipped
    assert_same_pictures(media / "silent.mp4", output)
    samples = heard(output)
    # The last packet of AAC is filled up; the container says where the sound ends.
    with av.open(str(output)) as container:
        stream = container.streams.audio[0]
        assert abs(float(stream.duration * stream.time_base) - 3.5) < 0.1
        assert abs(container.duration / av.time_base - 3.5) < 0.1
        assert len(container.streams) == 2
    for second in range(3):
        assert abs(hertz(samples[0, second * RATE : (second + 1) * RATE]) - 1100) < 2
    # AAC's noise makes steps a little larger than the tone's own; a click's are many times that.
    assert loudest_step(samples[0, : int(3.4 * RATE)]) < 0.3 * 2 * np.pi * 1100 / RATE * 1.3
    assert [s.rows[0] // 4 for s in taken.segments] == [2]
    assert taken.segments[0].end == 3.5
    assert not list(tmp_path.glob(".*"))


def test_second_by_second_every_second_has_its_own(media, tmp_path):
    choice = ChoiceConfig("seconds", 0.05)
    held = sources(media, list(TONES))
    taken, _, output = run(media, tmp_path, wish(0, 2, 1), held, choice=choice)
    samples = heard(output)[0]
    for second, expected in enumerate((400, 1100, 700)):
        middle = samples[round((second + 0.2) * RATE) : round((second + 0.8) * RATE)]
        assert abs(hertz(middle) - expected) < 4
    assert [(s.begin, s.end) for s in taken.segments] == [(0, 1), (1, 2), (2, 3.5)]
    # A click would be a step that neither tone nor fade makes.
    assert loudest_step(samples[: int(3.4 * RATE)]) < 0.3 * 2 * np.pi * 1100 / RATE * 1.3
    power = [np.sqrt((samples[i : i + 960] ** 2).mean()) for i in range(2000, 3 * RATE, 480)]
    assert min(power) > 0.1
    # A switch that costs more than it gains is not made.
    dear = dataclasses.replace(choice, switch_cost=10.0)
    taken, *_ = run(media, tmp_path, wish(0, 2, 1), held, choice=dear)
    assert len(taken.segments) == 1 and len(taken.segments[0].rows) == 3
    assert np.diff(held.collection.seconds[list(taken.segments[0].rows)]).tolist() == [1, 1]


def test_short_sources_are_repeated_and_stereo_is_kept(media, tmp_path):
    held = sources(media, ["stereo.wav"])
    held = dataclasses.replace(held, collection=Collection(
        (("x.npz", 1),), np.array([b"s"]), np.array([b"s"]), np.array([b"stereo.wav"]),
        np.array([b""]), np.array([0.5]), audio=np.ones((1, 4), np.float32)))
    taken, _, output = run(media, tmp_path, wish(0, 0, 0), held)
    samples = heard(output)
    assert len(samples) == 2
    for start in (0.2, 1.0, 2.2, 2.9):
        part = samples[:, round(start * RATE) : round((start + 0.5) * RATE)]
        assert abs(hertz(part[0]) - 500) < 4 and abs(hertz(part[1]) - 900) < 4
    assert loudest_step(samples[:, : int(3.4 * RATE)]) < 0.3 * 2 * np.pi * 900 / RATE * 1.5
    assert len(taken.segments) == 1


def test_what_cannot_be_used_is_skipped_with_a_line(media, tmp_path):
    files = ["gone.mp4", "silent.mp4", "quiet.mp4", "d.mp4"]
    for mode in ("whole", "seconds"):
        # The query is a copy somewhere else under another name.
        write_video(tmp_path / "query.mp4", 2.0, None, 60)
        config = SonorizeConfig(ChoiceConfig(mode))
        like = np.array([[4, 3, 2, 1]] * 2, np.float32)
        taken = sonorization.sonorize(
            remux.look(str(tmp_path / "query.mp4")), np.array([0.5, 1.5]), like, 1.0,
            sources(media, files), str(tmp_path / "out.mp4"), config,
        )
        assert [line.split(" from")[0] for line in taken.skipped[:3]] == [
            "gone.mp4: no such file", "silent.mp4: no audio stream", "quiet.mp4: silent",
        ]
        assert {row // 4 for s in taken.segments for row in s.rows} == {3}
        assert abs(hertz(heard(tmp_path / "out.mp4")[0, RATE // 2 : RATE]) - 1700) < 4
    with pytest.raises(UserError, match=r"no source .* can be used: gone.mp4: no such file"):
        sonorization.sonorize(
            remux.look(str(tmp_path / "query.mp4")), np.array([0.5, 1.5]), like[:, :3], 1.0,
            sources(media, files[:3]), str(tmp_path / "none.mp4"), config,
        )
    assert not (tmp_path / "none.mp4").exists()


def test_its_own_sound_is_not_taken(media, tmp_path):
    held = sources(media, ["a.mp4", "b.mp4"])
    like = np.array([[1, 0.1]] * 4)
    taken, *_ = run(media, tmp_path, like, held, "a.mp4")
    assert taken.segments[0].rows[0] // 4 == 1
    taken, *_ = run(media, tmp_path, like, held, "a.mp4", allow_own=True)
    assert taken.segments[0].rows[0] // 4 == 0
    with pytest.raises(UserError, match="no sound of another video"):
        run(media, tmp_path, like[:, :1], sources(media, ["a.mp4"]), "a.mp4")
    with pytest.raises(UserError, match="different models"):
        run(media, tmp_path, like[:, :1], held, "a.mp4")


def test_pictures_that_mp4_cannot_take_are_coded_anew(media, tmp_path):
    with av.open(str(tmp_path / "old.mpg"), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 2_000_000
        for step in range(50):
            picture = np.full((48, 64, 3), 100 if step < 25 else 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = step
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = remux.look(str(tmp_path / "old.mpg"))
    assert "mpeg2video" in shown.recoded_because and abs(shown.seconds - 2) < 0.05
    sonorization.sonorize(shown, np.array([0.5, 1.5]), wish(1, 1).astype(np.float32), 1.0,
                          sources(media, list(TONES)), str(tmp_path / "out.mp4"), SonorizeConfig())
    found = seen(tmp_path / "out.mp4")
    assert len(found) == 50 and abs(found[-1][0] - 1.96) < 0.01
    assert abs(hertz(heard(tmp_path / "out.mp4")[0, :RATE]) - 700) < 4
    levels = [p.mean() for _, p in found]
    assert max(levels[:25]) < 115 and min(levels[25:]) > 185


@pytest.mark.parametrize("made", [odd_media.rotated, odd_media.variable_rate,
                                  odd_media.late_sound, odd_media.late_picture])
def test_pictures_are_copied_with_their_times_and_turned_as_they_were(tmp_path, made):
    path, output = str(made(tmp_path)), tmp_path / "out.mp4"
    shown = remux.look(path)
    assert not shown.recoded_because
    sound = np.zeros((1, round(shown.seconds * RATE)), np.float32)
    remux.write(shown, str(output), sound, RATE)
    assert_same_pictures(path, output)
    turned = []
    for file in (path, str(output)):
        with av.open(file) as container:
            turned.append(pictures.display_matrix(next(container.decode(video=0))))
            stream = container.streams.video[0]
            length = stream.duration and float(stream.duration * stream.time_base)
    assert turned[0] == turned[1] and (turned[0] != (1, 0, 0, 1)) == (made is odd_media.rotated)
    assert abs(length - shown.seconds) < 0.04


@pytest.mark.parametrize("begin", [0.0, 0.25, 2.5, 3.9])
def test_a_stretch_is_what_the_whole_holds(media, begin):
    path = str(media / "deep" / "c.mp4")
    whole = source_sounds.read_stretch(path, 0.0, None, RATE)
    part = source_sounds.read_stretch(path, begin, begin + 0.4, RATE)
    first = part.first - whole.first
    assert part.first == round(begin * RATE)
    there = whole.samples[:, first : first + part.samples.shape[1]]
    np.testing.assert_allclose(part.samples, there, atol=0.01)
    assert abs(hertz(whole.samples[0, RATE : 2 * RATE]) - 1100) < 2
    late = source_sounds.read_stretch(path, 9.0, 10.0, RATE)
    assert late.samples.shape[1] == 0


@pytest.mark.parametrize(("mode", "kind"), [("whole", "moving"), ("seconds", "stills"),
                                            ("seconds", "moving")])
def test_pictures_for_a_sound(media, tmp_path, mode, kind):
    files = ["a.mp4", "b.mp4", "gone.mp4", "d.mp4"]
    held = sources(media, files, "visual")
    sound = np.stack([tone(500, 2.6), tone(900, 2.6)]).astype(np.float32) / 32768
    config = IllustrateConfig(ChoiceConfig(mode), kind, 10.0, 96, 48)
    places = (2, 1, 3) if mode == "seconds" else (2, 2, 2)
    taken = illustration.illustrate("sound.wav", sound, np.arange(3) + 0.5,
                                    wish(*places).astype(np.float32), 1.0, held,
                                    str(tmp_path / "out.mp4"), config)
    assert taken.skipped == ("gone.mp4: no such file",)
    found, samples = seen(tmp_path / "out.mp4"), heard(tmp_path / "out.mp4")
    assert len(found) == 26 and found[0][1].shape == (48, 96, 3)
    assert abs(samples.shape[1] - 2.6 * RATE) < 2048
    assert abs(hertz(samples[0, RATE : 2 * RATE]) - 500) < 2
    assert abs(hertz(samples[1, RATE : 2 * RATE]) - 900) < 2
    # The second best of the file that is gone is d; 16 columns on both sides are black.
    order = [files[(p + 1) % 4] if p == 2 else files[p] for p in places]
    for number, (_, picture) in enumerate(found):
        name = order[min(number // 10, 2)] if mode == "seconds" else "d.mp4"
        assert abs(picture[24, 78].mean() - COLOURS[name]) < 12, number
        assert picture[:, :14].max() < 20
    edges = [int((np.abs(p[24, 16:80].mean(1) - p[24, 78].mean()) > 40).sum())
             for _, p in found[:10]]
    if kind == "moving":
        # The bar grows by a column a picture, as in the source.
        assert np.diff(edges[1:]).min() >= 0 and edges[9] - edges[1] in (7, 8, 9)
    else:
        assert max(edges) - min(edges) <= 1
