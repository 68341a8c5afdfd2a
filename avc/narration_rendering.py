"""Picture and sound of a narrated video, and the records that hold them."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from avc import encoding, records, scene_pictures, shapes, sprites, words
from avc.backgrounds import draw_background
from avc.narrations import (
    COLOURS,
    NarrationConfig,
    Shot,
    Spoken,
    draw_shots,
    draw_talk,
    random_stream,
)
from avc.scenes import draw_from_band

_PICTURE, _SOUND = 1, 2  # numbers of random streams
_LONGEST_WORD = 1.15 * words.WORD_SECONDS
_PEAK = 0.9


@dataclasses.dataclass(frozen=True, eq=False)
class Narration:
    """A narrated video.

    Attributes:
      video: its id.
      shots: what is shown.
      spoken: what is said.
      frames: uint8 [height, width, 3], one for each step of the grid.
      samples: int16 [num_samples].
    """

    video: str
    shots: tuple[Shot, ...]
    spoken: tuple[Spoken, ...]
    frames: tuple[np.ndarray, ...]
    samples: np.ndarray


def draw_narration(config: NarrationConfig, index: int) -> Narration:
    """Draws video number `index` of a split: the same arguments give the same video."""
    shots = draw_shots(config, index)
    spoken = draw_talk(config, shots, index, _LONGEST_WORD)
    return Narration(
        f"{config.split}-{config.seed}-{index:06d}",
        shots,
        spoken,
        tuple(_draw_frames(config, shots, index)),
        _draw_soundtrack(config, shots, spoken, index),
    )


def serialize(config: NarrationConfig, narration: Narration) -> Iterator[bytes]:
    """The records of a video, pieces of `clip_seconds`; see `avc.records.clip`.

    Labels are the colours and shapes that a piece shows, whether they are spoken of or not.
    """
    step = 1 / config.frames_per_second
    times = np.arange(len(narration.frames)) * step
    schema, rate = records.clip(config.audio_encoding), config.sample_rate_hz
    for number in range(config.clips_per_video):
        start = number * config.clip_seconds
        end = start + config.clip_seconds
        # A piece begins with what is shown then, also between two steps of the grid.
        first = int(np.searchsorted(times, start + 1e-6, side="right")) - 1
        inside = [first, *(i for i in range(first + 1, len(times)) if times[i] < end - 1e-6)]
        samples = narration.samples[round(start * rate) : round(end * rate)]
        shown = [s for s in narration.shots if s.start_seconds < end and s.end_seconds > start]
        audio = samples.astype("<i2").tobytes()
        if config.audio_encoding == "flac":
            audio = encoding.encode_flac(samples, rate)
        name = f"{narration.video}_{round(1000 * start):09d}"
        yield schema.serialize(
            {
                "id": name,
                "video": narration.video,
                "file": f"{narration.video}.mp4",
                "labels": sorted({word for shot in shown for word in (shot.colour, shot.shape)}),
                "start_seconds": [start],
                "frames": [
                    encoding.encode_jpeg(narration.frames[i], config.jpeg_quality) for i in inside
                ],
                "frame_seconds": [max(float(times[i]) - start, 0.0) for i in inside],
                "audio": audio,
                "sample_rate_hz": [rate],
                "num_samples": [len(samples)],
            }
        )


def _draw_frames(
    config: NarrationConfig, shots: tuple[Shot, ...], index: int
) -> Iterator[np.ndarray]:
    size = config.picture_size
    count = int(np.ceil(config.video_seconds * config.frames_per_second - 1e-9))
    times = np.arange(count) / config.frames_per_second
    for number, shot in enumerate(shots):
        rng = random_stream(config, index, _PICTURE, number)
        hue, roughness = (draw_from_band(config.split, rng) for _ in range(2))
        ground = draw_background(size, config.clutter, hue, roughness, rng)
        # Grey, so that what has a colour is the object.
        ground = np.repeat(ground.mean(-1, keepdims=True), 3, -1)
        image = draw_object(config, shot, rng)
        shown = (times >= shot.start_seconds - 1e-6) & (times < shot.end_seconds - 1e-6)
        for _ in range(shown.sum()):
            top, left = (rng.integers(0, size - side + 1) for side in image.shape[:2])
            picture = ground.copy()
            part = picture[top : top + image.shape[0], left : left + image.shape[1]]
            part *= 1 - image[..., 3:]
            part += image[..., :3]
            yield np.rint(picture * 255).clip(0, 255).astype(np.uint8)


def draw_object(config: NarrationConfig, shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """The shot's shape in its colour: colours times opacity and opacity, [height, width, 4]."""
    image = sprites.draw_sprite(shot.shape, rng)
    grey = image[..., :3] @ np.float32([0.3, 0.6, 0.1])
    hue = COLOURS[shot.colour] + rng.uniform(-0.015, 0.015)
    colour = shapes.hsv(hue % 1, rng.uniform(0.85, 1), rng.uniform(0.85, 1))
    image[..., :3] = (0.35 + 0.65 * grey[..., None]) * colour
    opaque = image[..., 3] > 0.5
    rows, columns = (np.flatnonzero(opaque.any(axis=axis)) for axis in (1, 0))
    image = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = image.shape[:2]
    area = rng.uniform(config.min_object_area, config.max_object_area) * config.picture_size**2
    scale = min(np.sqrt(area / (height * width)), 0.9 * config.picture_size / max(height, width))
    return scene_pictures.resize(image, max(3, int(height * scale)), max(3, int(width * scale)))


def _draw_soundtrack(
    config: NarrationConfig, shots: tuple[Shot, ...], spoken: tuple[Spoken, ...], index: int
) -> np.ndarray:
    rng, rate = random_stream(config, index, _SOUND), config.sample_rate_hz
    total = rng.standard_normal(round(config.video_seconds * rate), np.float32)
    total *= np.float32(10 ** (config.ambient_dbfs / 20))
    # One narrator a video.
    pitch, throat = draw_from_band(config.split, rng), draw_from_band(config.split, rng)
    level = 10 ** (rng.uniform(config.min_level_dbfs, config.max_level_dbfs) / 20)
    for each in spoken:
        word = words.speak(each.word, rate, pitch, throat, rng)
        word *= np.float32(min(level, _PEAK / np.abs(word).max()))
        start = round(each.start_seconds * rate)
        word = word[max(0, -start) : len(total) - start]
        total[max(0, start) : max(0, start) + len(word)] += word
    return np.rint(total.clip(-1, 1) * 32767).astype(np.int16)
