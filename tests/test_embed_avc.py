"""Embeddings of collections, against frames and seconds cut by hand."""

import dataclasses
import itertools

import av
import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from scipy.io import wavfile
from test_networks import SMALL

import avc
from avc import clip_embedding, clip_features, clip_sources, evaluation, networks, records
from avc.clip_embedding import EmbeddingSettings
from avc.clip_moments import moments_of
from avc.clip_sources import MomentConfig
from avc.clips import Clip
from avc.encoding import encode_jpeg
from avc.frames import FrameConfig
from avc.media_files import MediaError
from avc.pair_config import PairConfig
from avc.reading import open_clips
from avc.recipes import AvcConfig
from avc.video_writer import VideoWriter
from crossmodal import checkpoints, configuration, tfrecord
from crossmodal.errors import UserError

RATE = 16_000
SEGMENT = SMALL.segment_samples
CONFIG = AvcConfig(
    "small",
    network=SMALL,
    frames=FrameConfig(SMALL.image_size, 0.875),
    pairs=PairConfig(sample_rate_hz=RATE, segment_seconds=SMALL.segment_seconds),
)
# The sound of a moment is a quarter of a second.
HALF = SMALL.segment_seconds / 2


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    model = networks.build(CONFIG.network).training
    checkpoints.save_best(str(folder), model, 1, {"accuracy": 0.5})
    saved = {"avc": configuration.to_dict(CONFIG)}
    configuration.save(str(folder / "configuration.json"), saved)
    return folder


@pytest.fixture(scope="module")
def network(workdir):
    return avc.load(workdir)


def picture(seed, height=64, width=96):
    """Large squares, which JPEG hardly changes."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3))
    return np.kron(noise, np.ones((16, 16, 1))).astype(np.uint8)


def sound(seconds, seed=0):
    """Noise that is another one every second."""
    rng = np.random.default_rng(seed)
    return rng.integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)


def write_clips(path, numbers, seconds=3.3, start=10.0):
    """Clips with a picture of its own for every second, and what they hold."""
    schema, held = records.clip("pcm16"), {}
    for n in numbers:
        frames = [encode_jpeg(picture(100 * n + k)) for k in range(int(np.ceil(seconds)))]
        samples = sound(seconds, n)
        held[f"v{n}_0".encode()] = frames, samples
        row = {
            "id": f"v{n}_0", "video": f"v{n}", "file": f"v{n}.mp4", "labels": ["a", "b"][: n % 3],
            "start_seconds": [start], "frames": frames,
            "frame_seconds": [float(k) for k in range(len(frames))],
            "audio": samples.tobytes(), "sample_rate_hz": [RATE], "num_samples": [len(samples)],
        }
        held.setdefault("payloads", []).append(schema.serialize(row))
    tfrecord.write_records(str(path), held.pop("payloads"))
    return held


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def decoded(jpeg):
    return tf.io.decode_jpeg(jpeg, channels=3).numpy()


# Moments


@pytest.mark.parametrize("hop", [0.04, 0.1, 1 / 3, 0.25, 1.0, 2.7])
@pytest.mark.parametrize("lengths", [[500, 500, 137], [333], [1000, 1], [24], [700, 700]])
def test_moments_are_those_of_the_whole_sound(hop, lengths):
    rate, segment = 100, 25
    rng = np.random.default_rng(1)
    everything = rng.integers(-99, 99, sum(lengths)).astype(np.int16)
    shown = {}  # the picture at every sample
    clips, first = [], 0
    for number, length in enumerate(lengths):
        times = [0] + sorted(rng.choice(np.arange(1, max(length, 4)), 3, False).tolist())
        times = [t for t in times if t < length]
        names = [f"{number}.{t}".encode() for t in times]
        for sample in range(length):
            shown[first + sample] = names[np.searchsorted(times, sample, side="right") - 1]
        part = everything[first : first + length]
        clips.append(Clip(3.0 + first / rate, names, np.array(times) / rate, part, rate))
        first += length
    found = list(moments_of(clips, segment, hop))
    starts = [round(k * hop * rate) for k in range(10_000)]
    starts = [s for s in starts if s + segment <= len(everything)]
    if not starts:
        padded = np.pad(everything, 50)
        middle = len(everything) // 2
        wanted = [(middle, padded[50 + middle - 12 :][:25])]
    else:
        wanted = [(s + 12, everything[s : s + segment]) for s in starts]
    assert len(found) == len(wanted)
    for pair, (middle, samples) in zip(found, wanted, strict=True):
        assert pair.seconds == pytest.approx(3.0 + middle / rate)
        assert pair.frame == shown[middle]
        np.testing.assert_array_equal(pair.waveform, samples)


# Records


def test_records_give_what_their_frames_and_seconds_give(workdir, network, tmp_path):
    held = write_clips(tmp_path / "a.tfrecord", [1]) | write_clips(tmp_path / "b.tfrecord", [2, 3])
    output = tmp_path / "found.npz"
    outcome = launch("embed_avc", workdir=workdir, input_pattern=tmp_path / "*.tfrecord",
                     output=output)
    assert outcome.status == 0, outcome.error
    found = arrays(output)
    # 3.3 s hold the quarters of a second that begin at 0, 1, 2 and 3.
    rows = list(itertools.product(held, range(4)))
    assert found["ids"].tolist() == [name + f"@{10 + k + HALF}".encode() for name, k in rows]
    np.testing.assert_allclose(found["seconds"], [10 + k + HALF for _, k in rows])
    frames = np.stack([decoded(held[name][0][k]) for name, k in rows])
    waveforms = np.stack([held[name][1][k * RATE :][:SEGMENT] for name, k in rows])
    for name, wanted in (
        ("visual", network.embed_visual(frames)), ("audio", network.embed_audio(waveforms)),
        ("corresponds", network.compare(frames, waveforms)["corresponds"]),
    ):
        np.testing.assert_allclose(found[name], wanted, atol=1e-5, rtol=1e-5)
    assert np.abs(np.diff(found["visual"], axis=0)).max(1).min() > 1e-3
    assert found["labels"].tolist() == [b"a"] * 4 + [b"a;b"] * 4 + [b""] * 4
    assert found["video"][-1] == b"v3" and found["file"][0] == b"v1.mp4"
    assert not (tmp_path / "found.npz.parts").exists()


def test_middles_are_those_of_evaluation(workdir, network, tmp_path):
    held = write_clips(tmp_path / "a.tfrecord", range(5), seconds=1.7)
    output = tmp_path / "found.npz"
    launch("embed_avc", workdir=workdir, input_pattern=tmp_path / "*.tfrecord", output=output,
           moments="middle")
    _, encoding, clips = open_clips(str(tmp_path / "a.tfrecord"), "x", progress=False)
    wanted = evaluation.embed_pairs(network.network, clips, encoding, CONFIG, 0, "middle")
    order = list(held)[::-1]
    visual, audio = clip_features.align_features(str(output), order)
    np.testing.assert_allclose(visual[::-1], wanted.visual_embedding, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(audio[::-1], wanted.audio_embedding, atol=1e-5, rtol=1e-5)


# Files


def write_video(path, seconds, samples=None, rate=10):
    """A picture of its own every second; without samples silent."""
    with VideoWriter(str(path), rate, RATE) as writer:
        for step in range(round(seconds * rate)):
            writer.add_picture(picture(step // rate), step / rate)
        if samples is not None:
            writer.add_sound(samples)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    (folder / "deep").mkdir()
    write_video(folder / "deep" / "both.mp4", 3.5, sound(3.5))
    write_video(folder / "silent.mp4", 2.0)
    wavfile.write(folder / "sound.wav", RATE, sound(1.5, 4))
    (folder / "text.txt").write_text("neither\n")
    return folder


def test_files_of_every_kind(workdir, network, media, tmp_path):
    found, told = {}, {}
    for modality in ("both", "visual", "audio"):
        outcome = launch("embed_avc", workdir=workdir, input=media, modality=modality,
                         output=tmp_path / f"{modality}.npz", shorter_side=64, hop_seconds=0.5)
        assert outcome.status == 0, outcome.error
        found[modality] = arrays(tmp_path / f"{modality}.npz")
        told[modality] = outcome.out
    times = {
        "deep/both.mp4": [0.5 * k + HALF for k in range(7)],
        "silent.mp4": [0.5 * k + HALF for k in range(4)],
        "sound.wav": [0.5 * k + HALF for k in range(3)],
    }
    for modality, lone in (("both", []), ("visual", ["silent.mp4"]), ("audio", ["sound.wav"])):
        wanted = [(name.encode(), t) for name in ["deep/both.mp4", *lone] for t in times[name]]
        assert found[modality]["file"].tolist() == [name for name, _ in wanted]
        np.testing.assert_allclose(found[modality]["seconds"], [t for _, t in wanted])
        assert "left out: text.txt: not a video file" in told[modality]
    assert "left out: silent.mp4: no audio stream" in told["both"]
    assert "left out: sound.wav: no video stream" in told["visual"]
    for name in ("visual", "audio"):
        np.testing.assert_allclose(found[name][name][:7], found["both"][name], atol=1e-5)
    # By hand, from PyAV's pictures and the samples that were written without loss.
    with av.open(str(media / "deep" / "both.mp4")) as container:
        shown = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    by_hand = network.embed_visual(np.stack([decoded(encode_jpeg(f)) for _, f in shown]))
    for seconds, vector in zip(found["both"]["seconds"], found["both"]["visual"], strict=True):
        distances = np.abs(by_hand - vector).max(1)
        nearest = {int(t) for (t, _), d in zip(shown, distances, strict=True)
                   if d < distances.min() + 1e-4}
        assert int(seconds) in nearest and distances.min() < 0.05 * np.abs(vector).max()
        assert distances[[int(t) != int(seconds) for t, _ in shown]].min() > 2 * distances.min()
    samples = sound(1.5, 4)
    cut = np.stack([samples[k * RATE // 2 :][:SEGMENT] for k in range(3)])
    heard = found["audio"]["audio"][found["audio"]["file"] == b"sound.wav"]
    np.testing.assert_allclose(heard, network.embed_audio(cut), atol=1e-5, rtol=1e-5)


def test_what_is_finished_is_not_done_again(network, tmp_path):
    for n in (1, 2, 3):
        write_clips(tmp_path / f"{n}.tfrecord", [n])
    _, encoding, clips = open_clips(str(tmp_path / "*.tfrecord"), "x", progress=False)
    settings = EmbeddingSettings()
    config = MomentConfig("both", False, 1.0, 64, SEGMENT, RATE)
    asked, stop_at = [], ["2"]

    def read(unit):
        asked.append(unit.name[-10:-9])
        rows = clip_sources.rows_of_shard(unit, clips, encoding, config)
        yield next(rows)
        if asked[-1] in stop_at:
            raise KeyboardInterrupt
        yield from rows

    units = clip_sources.shard_units(clips)
    output = str(tmp_path / "found.npz")
    with pytest.raises(KeyboardInterrupt):
        clip_embedding.embed_collection(network, units, read, settings, output)
    assert asked == ["1", "2"] and not (tmp_path / "found.npz").exists()
    other = dataclasses.replace(settings, hop_seconds=2.0)
    with pytest.raises(UserError, match=r"unfinished work of other settings \(hop_seconds: 1.0 ->"):
        clip_embedding.embed_collection(network, units, read, other, output)
    stop_at.clear()
    clip_embedding.embed_collection(network, units, read, settings, output)
    assert asked == ["1", "2", "2", "3"]
    whole = str(tmp_path / "whole.npz")
    clip_embedding.embed_collection(network, units, read, settings, whole)
    one, two = arrays(output), arrays(whole)
    assert one.keys() == two.keys() and len(one["ids"]) == 12
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name])


def test_a_damaged_file_keeps_what_came_before(network, tmp_path):
    held = write_clips(tmp_path / "1.tfrecord", [1])
    _, encoding, clips = open_clips(str(tmp_path / "*.tfrecord"), "x", progress=False)
    config = MomentConfig("both", False, 1.0, 64, SEGMENT, RATE)

    def read(unit):
        yield from itertools.islice(
            clip_sources.rows_of_shard(unit, clips, encoding, config), 2
        )
        raise MediaError(unit.path, "cut off or damaged after 2.0 s")

    done = clip_embedding.embed_collection(
        network, clip_sources.shard_units(clips), read, EmbeddingSettings(),
        str(tmp_path / "found.npz"),
    )
    assert done.rows == 2 and len(held) == 1
    assert done.left_out[0].endswith("damaged after 2.0 s; what came before is embedded")


@pytest.mark.parametrize(("changes", "message"), [
    ({"input": "/nowhere"}, "--input=/nowhere: there is no such folder"),
    ({"input": "EMPTY"}, "holds no file"),
    ({"input": "text.txt"}, "nothing can be embedded: text.txt: not a video file"),
    ({"input": "silent.mp4"}, "nothing can be embedded: silent.mp4: no audio stream"),
    ({"hop_seconds": 0}, "hop_seconds is 0.0"),
    ({"hop_seconds": "nan"}, "hop_seconds is nan"),
    ({"output": "nowhere/found.npz"}, "there is no folder"),
    ({"output": "found.txt"}, "its name must end with .npz"),
    ({"input_pattern": "x"}, "give either --input or --input_pattern"),
    ({"moments": "middle"}, "--moments=middle is for records"),
    ({"workdir": "/nowhere"}, "/nowhere"),
])
def test_mistakes_are_one_line(workdir, media, tmp_path, changes, message):
    (tmp_path / "EMPTY").mkdir()
    given = {"workdir": workdir, "input": media, "output": "found.npz", **changes}
    if given["input"] == "EMPTY":
        given["input"] = tmp_path / "EMPTY"
    given["input"], given["output"] = media / given["input"], tmp_path / given["output"]
    outcome = launch("embed_avc", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["EMPTY"]


@pytest.mark.real_data
def test_real_videos(workdir, real_data, tmp_path):
    for modality in ("both", "audio"):
        outcome = launch("embed_avc", workdir=workdir, input=real_data / "media",
                         output=tmp_path / f"{modality}.npz", modality=modality)
        assert outcome.status == 0, outcome.error
    both, audio = (arrays(tmp_path / f"{m}.npz") for m in ("both", "audio"))
    names = sorted(path.name.encode() for path in (real_data / "media").iterdir())
    assert sorted(set(both["file"].tolist())) == names and "left out" not in outcome.out
    for name in names:
        seconds = both["seconds"][both["file"] == name]
        np.testing.assert_allclose(seconds, np.arange(len(seconds)) + HALF)
        with av.open(str(real_data / "media" / name.decode())) as container:
            length = container.duration / av.time_base
        assert abs(len(seconds) + HALF - length) < 1.2
    # The sound alone counts from the first picture, too.
    places = {row: place for place, row in enumerate(audio["ids"].tolist())}
    rows = [places[row] for row in both["ids"].tolist()]
    np.testing.assert_allclose(audio["audio"][rows], both["audio"], atol=1e-5)
