"""Narrated videos: what is said is what is shown, about then; the same bytes each time."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from launching import launch
from scipy import signal

from avc import narration_rendering, narrations, records, words
from avc.encoding import decode_audio
from avc.narrations import ABOUT, ASIDE, COLOURS, SILENT, WORDS, NarrationConfig
from avc.scenes import draw_from_band
from crossmodal.errors import ConfigurationError

CONFIG = NarrationConfig(
    video_seconds=20.0, clip_seconds=4.0, picture_size=48, clutter=2, aside_share=0.3,
    silent_share=0.2,
)
SMALL = "video_seconds=8,clip_seconds=4,picture_size=32,clutter=1"


def test_words_differ_in_their_spelling_and_sound():
    number = len(WORDS) + CONFIG.num_fillers
    spellings = [words.spelling(i) for i in range(number)]
    assert len(set(spellings)) == number and all(len(set(s)) == 3 for s in spellings)
    rate, rng = 16_000, np.random.default_rng(0)

    def picture(word: int, voice: float) -> np.ndarray:
        sound = words.speak(word, rate, voice, voice, rng)
        assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, rel=1e-3)
        assert 0.8 < len(sound) / rate / words.WORD_SECONDS < 1.2
        power = np.abs(np.fft.rfft(sound.astype(float))) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / rate)
        # Little is above what a telephone lets through.
        assert power[hertz > 4000].sum() < 0.02 * power.sum()
        _, _, spectrum = signal.stft(sound, rate, nperseg=400)
        bands = np.stack([np.abs(rows).mean(0) for rows in np.array_split(spectrum[:100], 20)])
        parts = np.stack([p.mean(1) for p in np.array_split(np.log(bands + 1e-3), 9, 1)])
        return (parts - parts.mean()).ravel() / np.linalg.norm(parts - parts.mean())

    same = [picture(w, 0.3) @ picture(w, 0.5) for w in range(12)]
    other = [picture(w, 0.4) @ picture(w + 1, 0.4) for w in range(12)]
    assert np.mean(same) > np.mean(other) + 0.2


def test_what_is_said_is_what_is_shown_about_then():
    kinds = []
    for index in range(30):
        shots = narrations.draw_shots(CONFIG, index)
        spoken = narrations.draw_talk(CONFIG, shots, index, 0.4)
        assert shots[0].start_seconds == 0 and shots[-1].end_seconds == 20.0
        for first, second in itertools.pairwise(shots):
            assert first.end_seconds == second.start_seconds
            assert (first.colour, first.shape) != (second.colour, second.shape)
        times = [each.start_seconds for each in spoken]
        assert all(b - a >= 0.4 - 1e-9 for a, b in itertools.pairwise(times))
        said = [[w.word for w in spoken if w.shot == i] for i in range(len(shots))]
        for number, shot in enumerate(shots):
            kinds.append(shot.talk)
            own = [WORDS.index(shot.colour), WORDS.index(shot.shape)]
            if shot.talk == ABOUT:
                assert said[number] == own * (len(said[number]) // 2)
            if shot.talk == ASIDE:
                assert all(word >= len(WORDS) for word in said[number])
            if shot.talk == SILENT:
                assert not said[number]
        for each in spoken:
            shot = shots[each.shot]
            assert shot.start_seconds - 1 <= each.start_seconds
            assert each.start_seconds + 0.4 <= shot.end_seconds + 1 + 1e-9
    shares = {kind: kinds.count(kind) / len(kinds) for kind in (ABOUT, ASIDE, SILENT)}
    assert shares[ASIDE] == pytest.approx(0.3, abs=0.12)
    assert shares[SILENT] == pytest.approx(0.2, abs=0.12)


def test_frames_show_the_shots_colour_and_sound_is_where_words_are():
    video = narration_rendering.draw_narration(CONFIG, 3)
    assert len(video.frames) == 20 and len(video.samples) == 20 * 16_000
    for second, frame in enumerate(video.frames):
        shot = next(s for s in video.shots if s.start_seconds <= second < s.end_seconds)
        pixels = frame.reshape(-1, 3).astype(float) / 255
        coloured = pixels[np.ptp(pixels, 1) > 0.15]
        assert len(coloured) >= 10
        hues = tf.image.rgb_to_hsv(coloured[:, None]).numpy()[:, 0, 0]
        away = np.abs((hues - COLOURS[shot.colour] + 0.5) % 1 - 0.5)
        assert np.median(away) < 0.03, (second, shot)
    loud = np.zeros(len(video.samples), bool)
    for each in video.spoken:
        start = round(16_000 * each.start_seconds)
        loud[start : start + round(16_000 * 1.15 * words.WORD_SECONDS) + 1] = True
    samples = video.samples.astype(float) / 32768
    assert np.sqrt(np.mean(samples[~loud] ** 2)) == pytest.approx(10 ** (-65 / 20), rel=0.05)
    assert np.sqrt(np.mean(samples[loud] ** 2)) > 0.01


def test_records_are_consecutive_pieces_of_one_video():
    video = narration_rendering.draw_narration(CONFIG, 1)
    found = list(narration_rendering.serialize(CONFIG, video))
    schema, parts = records.clip("pcm16"), []
    assert len(found) == 5
    for number, record in enumerate(found):
        parsed = schema.parse(tf.constant([record]))
        row = next(schema.rows({name: value.numpy() for name, value in parsed.items()}))
        assert row["video"] == video.video.encode() and row["start_seconds"][0] == 4 * number
        np.testing.assert_array_equal(row["frame_seconds"], [0, 1, 2, 3])
        shown = {w for s in video.shots for w in (s.colour, s.shape)
                 if s.start_seconds < 4 * number + 4 and s.end_seconds > 4 * number}
        assert {label.decode() for label in row["labels"]} == shown
        parts.append(decode_audio(row["audio"], "pcm16"))
    np.testing.assert_array_equal(np.concatenate(parts), video.samples)


def test_splits_share_no_voice():
    voices = {
        split: {round(draw_from_band(split, np.random.default_rng(i)), 6) for i in range(200)}
        for split in ("train", "validation", "test")
    }
    bands = {split: {int(v * 20) for v in found} for split, found in voices.items()}
    assert not bands["train"] & bands["test"] and not bands["train"] & bands["validation"]
    first = [narration_rendering.draw_narration(dataclasses.replace(CONFIG, split=split), 0)
             for split in ("train", "test")]
    assert not np.array_equal(first[0].samples, first[1].samples)


def test_the_command_writes_the_same_bytes_and_goes_on(tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        outcome = launch(
            "make_narrations", output=folder, num_videos=3, videos_per_shard=2, set=SMALL, mp4=1
        )
        assert outcome.status == 0, outcome.error
        assert "6 clips of 3 videos in 2 shards" in outcome.out
    contents = [{p.name: p.read_bytes() for p in f.glob("*.*")} for f in folders]
    assert contents[0] == contents[1] and len(contents[0]) == 3
    assert json.loads(contents[0]["train.json"])["num_videos"] == 3
    assert len(list((folders[0] / "train_mp4").iterdir())) == 1
    (folders[0] / "train-00001-of-00002.tfrecord").unlink()
    outcome = launch("make_narrations", output=folders[0], num_videos=3, videos_per_shard=2,
                     set=SMALL)
    assert "1 of which were there" in outcome.out
    shard = folders[0] / "train-00001-of-00002.tfrecord"
    assert shard.read_bytes() == contents[1][shard.name]


@pytest.mark.parametrize(("flags", "message"), [
    ({"set": "clip_seconds=7"}, "must be a multiple of clip_seconds"),
    ({"set": "colour=red"}, "narrated videos have no field of this name"),
    ({"set": "seed=2"}, "narrated videos have no field of this name"),
    ({"num_videos": 0}, "num_videos is 0"),
])
def test_mistakes_are_one_line(tmp_path, flags, message):
    outcome = launch("make_narrations", output=tmp_path / "out", **{"num_videos": 1} | flags)
    assert outcome.status == 1 and message in outcome.error_lines()[0]
    with pytest.raises(ConfigurationError, match="sum to more than 1"):
        NarrationConfig(aside_share=0.7, silent_share=0.7)
