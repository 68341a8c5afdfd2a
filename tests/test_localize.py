"""Overlays of known maps, and videos with them: what is written is read back with PyAV."""

import dataclasses

import av
import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from scipy import ndimage
from scipy.io import wavfile
from test_networks import SMALL

from avc import embedding, localized_picture, localized_video, networks, overlays
from avc.clips import Clip
from avc.frames import FrameConfig
from avc.localized_video import Look
from avc.pair_config import PairConfig
from avc.recipes import AvcConfig
from avc.video_writer import VideoWriter
from crossmodal import checkpoints, configuration
from crossmodal.errors import ConfigurationError, UserError

RATE = 48_000
SECOND = 48_000


# Colours and overlays


def test_colours_are_a_fixed_scale_that_rises():
    values = np.linspace(0, 1, 101)
    colours = overlays.colour(values)
    light = colours @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all() and light[0] < 15 and light[-1] > 230
    assert colours.min() >= 0 and colours.max() <= 255
    # The same probability has the same colour, whatever else is in the map.
    black = np.zeros((8, 8, 3), np.uint8)
    weak, strong = np.full((2, 2), 0.1), np.array([[0.1, 0.1], [0.1, 1.0]])
    first, second = (overlays.overlay(black, map_, 1.0, 1.0) for map_ in (weak, strong))
    np.testing.assert_array_equal(first[0, 0], second[0, 0])
    np.testing.assert_array_equal(first[0, 0], np.rint(overlays.colour(np.array(0.1))))
    grey = np.full((8, 8, 3), 200, np.uint8)
    np.testing.assert_array_equal(overlays.overlay(grey, strong, 1.0, 0.0), grey)
    assert (overlays.stretch(strong) == [[0, 0], [0, 1]]).all()
    assert (overlays.stretch(weak) == 0).all()


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (50, 50), (41, 64)])
@pytest.mark.parametrize("share", [1.0, 0.875, 0.6])
def test_the_map_lies_on_the_middle_square(shape, share):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    heatmap = rng.random((4, 5))
    found = overlays.overlay(picture, heatmap, share, 0.3).astype(float)
    side = round(share * min(shape))
    grid = [(np.arange(side) + 0.5) * cells / side - 0.5 for cells in (4, 5)]
    resized = ndimage.map_coordinates(
        heatmap, np.meshgrid(*grid, indexing="ij"), order=1, mode="nearest"
    )
    expected = picture * overlays.DIMMED
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = np.s_[top : top + side, left : left + side]
    weight = np.power(0.3, 2 - resized)[..., None]
    expected[square] = (1 - weight) * picture[square] + weight * overlays.colour(resized)
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_impossible_maps_and_opacities():
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="outside of 0 to 1"):
        overlays.overlay(picture, np.full((2, 2), np.nan), 1.0)
    with pytest.raises(ConfigurationError, match="opacity is 2"):
        overlays.overlay(picture, np.zeros((2, 2)), 1.0, 2)


def test_the_peak_is_told_in_pixels():
    heatmap = np.zeros((4, 4))
    heatmap[1, 3] = 1
    assert localized_picture.peak(heatmap, (40, 80, 3), 1.0) == (20 + 35, 15)
    assert localized_picture.peak(heatmap, (40, 80), 0.5) == (30 + 17, 10 + 7)


def test_a_second_is_cut_around_its_middle():
    samples = np.arange(1, 101, dtype=np.int16)
    assert localized_picture.cut_second(samples, 10).tolist() == list(range(46, 56))
    early = localized_picture.cut_second(samples, 10, 2).tolist()
    assert early == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert localized_picture.cut_second(samples, 10, 99).tolist()[-5:] == [100, 0, 0, 0, 0]
    for middle in (-1, 100):
        with pytest.raises(UserError, match="--at_seconds"):
            localized_picture.cut_second(samples, 10, middle)


# Moments of consecutive clips


def test_sounds_go_on_over_the_borders_of_clips():
    def clip(start, frames, times, first, count):
        samples = np.arange(first, first + count).astype(np.int16)
        return Clip(start, frames, np.array(times), samples, 100)

    clips = [clip(0.0, [b"a", b"b"], [0.0, 0.2], 1, 100), clip(1.0, [b"c"], [0.0], 101, 100),
             clip(2.0, [b"d"], [0.0], 201, 7)]
    found = [m for _, moments in localized_video.by_clip(clips, 10.0, 20) for m in moments]
    assert [round(m.seconds, 6) for m in found] == [i / 10 for i in range(21)]
    assert b"".join(m.frame for m in found) == b"aa" + b"b" * 8 + b"c" * 10 + b"d"
    everything = np.concatenate([np.zeros(10), np.arange(1, 208), np.zeros(20)])
    for moment in found:
        start = round(moment.seconds * 100)
        np.testing.assert_array_equal(moment.waveform, everything[start : start + 20])


# Videos


def write_video(path, seconds=2.0, rate=24, size=(96, 64), begin=0.0):
    """White flashes of one frame, each with a click at its time, on grey with faint noise."""
    flashes = {round(s * rate) for s in (0.5, 1.0, 1.5, 10.2) if s < seconds}
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 30, round(seconds * RATE))
    for step in flashes:
        start = round(step / rate * RATE)
        samples[start : start + 480] += 12000 * np.sin(np.arange(480) * 0.4)
    with VideoWriter(str(path), rate, RATE) as writer:
        for step in range(round(seconds * rate)):
            level = 255 if step in flashes else 90
            picture = np.full((size[1], size[0], 3), level, np.uint8)
            writer.add_picture(picture, begin + step / rate)
        writer.add_sound(samples.astype(np.int16))
    return sorted(step / rate for step in flashes)


def read_back(path):
    """Times and middle brightness of pictures, their length, and the sound."""
    with av.open(str(path)) as container:
        frames = [(float(f.time), f.to_ndarray(format="gray")) for f in container.decode(video=0)]
        stream = container.streams.video[0]
        length = float(stream.duration * stream.time_base)
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        parts = [(float(f.time), f.to_ndarray()[0]) for f in container.decode(audio=0)]
    sound = np.concatenate([samples for _, samples in parts])
    # Time stamps without a gap: what is concatenated here a player plays so, too.
    due = parts[0][0] + np.cumsum([0] + [len(samples) for _, samples in parts[:-1]]) / rate
    np.testing.assert_allclose([t for t, _ in parts], due, atol=1e-4)
    return [t for t, _ in frames], np.stack([p for _, p in frames]), length, parts[0][0], sound


def lag_samples(first, second):
    number = min(len(first), len(second))
    spectra = [np.fft.rfft(x[:number], 2 * number) for x in (first, second)]
    lag = int(np.fft.irfft(spectra[0].conj() * spectra[1]).argmax())
    return lag if lag < number else lag - 2 * number


# Files are read in clips of 10 s.
@pytest.mark.parametrize(("rate", "seconds"), [(24, 2.0), (10, 10.6), (30000 / 1001, 2.0)])
def test_frames_and_sound_stay_in_sync(tmp_path, rate, seconds):
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    flashes = write_video(source, seconds, rate)
    heard = []

    def loudness(pictures, waveforms):
        """A level map: how bright the frame is and how loud the middle of its sound."""
        assert pictures.dtype == np.uint8 and waveforms.dtype == np.float32
        middle = np.abs(waveforms[:, SECOND // 2 : SECOND // 2 + 240]).max(1)
        bright = pictures.mean((1, 2, 3)) / 255
        heard.extend(zip(bright, middle, strict=True))
        return np.repeat((middle > 0.1).astype(float), 4).reshape(-1, 2, 2)

    told = []
    look = Look(1.0, opacity=1.0, shorter_side=64)
    written = localized_video.write(
        str(source), str(output), loudness, SECOND, RATE, look, told.append
    )
    times, pictures, length, begin, sound = read_back(output)
    before = read_back(source)
    assert written.frames == len(times) == len(before[0]) == len(heard) and not written.damage
    np.testing.assert_allclose(times, before[0], atol=1e-4)
    assert abs(length - before[2]) < 1 / rate and told == sorted(told)
    assert begin == before[3] == 0 and abs(len(sound) - len(before[4])) <= 1024
    for part in (slice(None), slice(10 * RATE, None)):
        if len(sound[part]):
            assert lag_samples(before[4][part], sound[part]) == 0
    # What the network saw and heard of each frame belongs together ...
    bright = np.array([b > 0.8 for b, _ in heard])
    assert np.array_equal(bright, np.array([m > 0.1 for _, m in heard]))
    assert bright.sum() == len(flashes) >= 3
    # ... and its map is on that very frame.
    shown = pictures[:, 32, 48] > 128
    np.testing.assert_allclose(np.array(times)[shown], flashes, atol=1e-3)
    assert (pictures[~shown][:, 32, 48] < 40).all() and pictures.shape[1:] == (64, 96)


def test_what_is_damaged_is_written_up_to_there(tmp_path, monkeypatch):
    from avc import media
    from avc.media_files import MediaError

    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    write_video(source, seconds=1.0)

    def broken(path, config):
        yield from clips(path, config)
        raise MediaError(path, "cut off or damaged after 1.0 s")

    clips = media.read_clips
    monkeypatch.setattr(media, "read_clips", broken)

    def level(pictures, waveforms):
        return np.zeros((len(pictures), 2, 2))

    written = localized_video.write(str(source), str(output), level, SECOND, RATE, Look(1.0))
    assert written.frames == 24 and "damaged after" in written.damage and output.exists()

    def nothing(path, config):
        raise MediaError(path, "cut off or damaged after 0.0 s")
        yield

    monkeypatch.setattr(media, "read_clips", nothing)
    with pytest.raises(UserError, match=r"in\.mp4: cut off"):
        localized_video.write(
            str(source), str(tmp_path / "none.mp4"), level, SECOND, RATE, Look(1.0)
        )
    assert not (tmp_path / "none.mp4").exists()


# The command


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Work folders of networks that were never trained."""
    folder = tmp_path_factory.mktemp("networks")
    for name in ("avol", "ave", "davenet"):
        masks = "mask" if name == "davenet" else "surround"
        config = AvcConfig(
            name,
            network=dataclasses.replace(SMALL, network=name),
            frames=FrameConfig(SMALL.image_size),
            pairs=PairConfig(
                sample_rate_hz=16_000, segment_seconds=SMALL.segment_seconds, short_sounds=masks
            ),
        )
        model = networks.build(config.network).training
        checkpoints.save_best(str(folder / name), model, 1, {"accuracy": 0.5})
        saved = {"avc": configuration.to_dict(config)}
        configuration.save(str(folder / name / "configuration.json"), saved)
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A picture, a sound, a video, and files that are none."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (60, 90, 3)).astype(np.uint8)
    tf.io.write_file(str(folder / "picture.png"), tf.io.encode_png(picture))
    sound = (3000 * rng.normal(size=24_000)).astype(np.int16)
    wavfile.write(folder / "sound.wav", 16_000, sound)
    write_video(folder / "video.mp4", seconds=0.5)
    (folder / "text.txt").write_text("neither\n")
    (folder / "empty.wav").write_bytes(b"")
    with VideoWriter(str(folder / "silent.mp4"), 10, RATE) as writer:
        for step in range(3):
            writer.add_picture(np.zeros((64, 64, 3), np.uint8), step / 10)
    return folder


def test_a_picture_and_a_sound(workdirs, inputs, tmp_path):
    output = tmp_path / "map.png"
    outcome = launch(
        "localize_avc", workdir=workdirs / "avol", image=inputs / "picture.png",
        sound=inputs / "sound.wav", output=output, at_seconds=0.5, opacity=1,
    )
    assert outcome.status == 0, outcome.error
    picture = tf.io.decode_png(tf.io.read_file(str(inputs / "picture.png"))).numpy()
    samples = wavfile.read(inputs / "sound.wav")[1]
    network = embedding.load(str(workdirs / "avol"))
    heatmap = network.localize(picture[None], samples[None, 8000 - 2000 : 8000 + 2000])[0]
    found = tf.io.decode_png(tf.io.read_file(str(output))).numpy()
    np.testing.assert_array_equal(found, overlays.overlay(picture, heatmap, 0.875, 1.0))
    assert f"{heatmap.max():.3f}" in outcome.out
    launch(
        "localize_avc", "--stretch", workdir=workdirs / "avol", image=inputs / "picture.png",
        sound=inputs / "sound.wav", output=output, at_seconds=0.5, opacity=1,
    )
    stretched = tf.io.decode_png(tf.io.read_file(str(output))).numpy()
    expected = overlays.overlay(picture, overlays.stretch(heatmap), 0.875, 1.0)
    np.testing.assert_array_equal(stretched, expected)


def test_a_davenets_maps(workdirs, inputs, tmp_path):
    network = embedding.load(str(workdirs / "davenet"))
    picture = tf.io.decode_png(tf.io.read_file(str(inputs / "picture.png"))).numpy()
    samples = wavfile.read(inputs / "sound.wav")[1]
    output = tmp_path / "map.png"
    # At the very beginning only half of the sound is there.
    for over in ("all", "moment"):
        outcome = launch(
            "localize_avc", workdir=workdirs / "davenet", image=inputs / "picture.png",
            sound=inputs / "sound.wav", output=output, at_seconds=0, opacity=1, over=over,
        )
        assert outcome.status == 0, outcome.error
        alone = network.functions["localize"](
            {"frame": picture[None], "waveform": samples[None, :2000].astype(np.float32) / 32768,
             "num_samples": np.array([2000], np.int32)}
        )
        # 25 columns are 2 steps: the first one is heard at the beginning.
        wanted = alone["heatmap"][0] if over == "all" else alone["heatmaps"][0, 0]
        found = tf.io.decode_png(tf.io.read_file(str(output))).numpy()
        expected = overlays.overlay(picture, wanted, 0.875, 1.0)
        assert np.abs(found.astype(int) - expected).max() <= 1
    output = tmp_path / "map.mp4"
    outcome = launch(
        "localize_avc", workdir=workdirs / "davenet", video=inputs / "video.mp4", output=output,
        shorter_side=64, frames_per_second=30, over="moment",
    )
    assert outcome.status == 0 and "15 frames, 0.50 s" in outcome.out, outcome.error
    times, *_ = read_back(output)
    np.testing.assert_allclose(times, np.arange(15) / 30, atol=1e-3)
    outcome = launch(
        "localize_avc", workdir=workdirs / "avol", video=inputs / "video.mp4", output=output,
        over="moment",
    )
    assert outcome.status == 1 and "has no matchmap" in outcome.error


def test_only_samples_of_the_video_are_inside():
    def clip(start, count):
        frame = np.array([0.0])
        return Clip(start, [b"a"], frame, np.ones(count, np.int16), 100)

    clips = [clip(0.0, 30), clip(0.3, 30), clip(0.6, 7)]
    found = [m for _, moments in localized_video.by_clip(clips, 20.0, 40) for m in moments]
    for moment in found:
        there = np.zeros(40, bool)
        there[slice(*moment.inside)] = True
        np.testing.assert_array_equal(moment.waveform != 0, there)


def test_a_video(workdirs, inputs, tmp_path):
    output = tmp_path / "map.mp4"
    outcome = launch(
        "localize_avc", workdir=workdirs / "avol", video=inputs / "video.mp4", output=output,
        shorter_side=64,
    )
    assert outcome.status == 0 and "12 frames, 0.50 s" in outcome.out, outcome.error
    times, pictures, *_ = read_back(output)
    assert len(times) == 12 and pictures.shape[1:] == (64, 96)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sound": ""}, "give either --image and --sound or --video"),
        ({"video": "video.mp4"}, "give either --image and --sound or --video"),
        ({"output": "map.jpg"}, "its name must end with .png"),
        ({"image": "text.txt"}, "text.txt: is not a picture"),
        ({"image": "nowhere.png"}, "nowhere.png: cannot be read"),
        ({"sound": "text.txt"}, "text.txt: not a sound file"),
        ({"sound": "empty.wav"}, "empty.wav: empty file"),
        ({"sound": "nowhere.wav"}, "nowhere.wav: no such file"),
        ({"sound": "picture.png"}, "picture.png: "),
        ({"at_seconds": 5}, "--at_seconds lies beyond"),
        ({"opacity": 2}, "opacity is 2"),
        ({"workdir": "ave"}, "its network has no heat map"),
        ({"workdir": "nowhere"}, "nowhere"),
        ({"image": "", "sound": "", "video": "silent.mp4", "output": "m.mp4"}, "silent.mp4: no "),
        ({"image": "", "sound": "", "video": "text.txt", "output": "m.mp4"}, "not a video file"),
    ],
)
def test_mistakes_are_one_line(workdirs, inputs, tmp_path, changes, message):
    given = {"workdir": "avol", "image": "picture.png", "sound": "sound.wav", "output": "map.png"}
    given |= changes
    places = {"workdir": workdirs, "output": tmp_path, "image": inputs, "sound": inputs,
              "video": inputs}
    given = {k: places[k] / v if k in places and v else v for k, v in given.items()}
    outcome = launch("localize_avc", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not list(tmp_path.iterdir())
