"""Picture and sound of a scene, and the record that holds them with their truth."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from avc import encoding, flow, records, scenes
from avc.flow import FlowConfig
from avc.scene_pictures import draw_frames
from avc.scene_world import World
from avc.scenes import Cast, Event, SceneConfig
from avc.synthesis import SAMPLE_RATE_HZ

GRID_SECONDS = 0.04  # between the clicks of `grid_click_dbfs`
_SOUND = 4  # number of the random stream; the picture has others
_FADE_SECONDS = 0.008
_PEAK = 0.45  # of one sound: two of them and the noise do not clip


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A scene as it is seen and heard.

    Attributes:
      id: of the clip.
      video: of the scene; the clips of a swap pair share it.
      cast: what is to be seen and heard.
      frames: uint8 [height, width, 3] each; one that stays is held once.
      frame_seconds: when each begins to show.
      boxes: left, top, right, bottom of each object in parts of the picture, over all
        frames, float [num_objects, 4].
      samples: int16 [num_samples] at 48 kHz.
    """

    id: str
    video: str
    cast: Cast
    frames: tuple[np.ndarray, ...]
    frame_seconds: tuple[float, ...]
    boxes: np.ndarray
    samples: np.ndarray


def draw_scene(config: SceneConfig, world: World, index: int) -> Scene:
    """Draws scene number `index` of a split: the same arguments give the same scene.

    Raises:
      UserError: a picture or a recording cannot be read.
    """
    cast = scenes.draw_cast(config, index)
    video = f"{config.split}-{config.seed}-{index:08d}"
    frames, seconds, boxes = draw_frames(config, world, cast, 0, index)
    samples = draw_soundtrack(config, world, cast, 0, index, 0)
    return Scene(f"{video}_{0:09d}", video, cast, frames, seconds, boxes, samples)


def draw_swap_pair(config: SceneConfig, world: World, index: int) -> Iterator[Scene]:
    """Draws swap pair number `index`: four clips of one picture, in the order of SWAPS.

    Raises:
      UserError: a picture or a recording cannot be read.
    """
    casts = scenes.draw_swap(config, index)
    video = f"{config.split}-{config.seed}-swap-{index:08d}"
    # Objects that move do so alike in all four, else motion would answer.
    frames, seconds, boxes = draw_frames(config, world, casts[-1], 1, index)
    for number, (name, cast) in enumerate(zip(scenes.SWAPS, casts, strict=True)):
        samples = draw_soundtrack(config, world, cast, 1, index, number)
        yield Scene(f"{video}_{name}", video, cast, frames, seconds, boxes, samples)


def serialize(config: SceneConfig, world: World, scene: Scene) -> bytes:
    """The record of a scene; see `avc.records.scene`. Its labels are those of what is heard."""
    events = scene.cast.events
    left, top, right, bottom = scene.boxes.T
    audio = (
        encoding.encode_flac(scene.samples, SAMPLE_RATE_HZ)
        if config.audio_encoding == "flac"
        else scene.samples.astype("<i2").tobytes()
    )
    frames = [encoding.encode_jpeg(frame, config.jpeg_quality) for frame in scene.frames]
    values = {
        "id": scene.id,
        "video": scene.video,
        "file": f"{scene.id}.mp4",
        "labels": list(dict.fromkeys(world.label(event.name) for event in events)),
        "start_seconds": [0.0],
        "frames": frames,
        "frame_seconds": scene.frame_seconds,
        "audio": audio,
        "sample_rate_hz": [SAMPLE_RATE_HZ],
        "num_samples": [len(scene.samples)],
        # Each scene has one of its own, and the clips of a swap pair have the same.
        "background": scene.video,
        "object_labels": [world.label(name) for name in scene.cast.visible],
        "object_left": left,
        "object_top": top,
        "object_right": right,
        "object_bottom": bottom,
        "event_labels": [world.label(event.name) for event in events],
        "event_objects": [event.object for event in events],
        "event_start_seconds": [event.start_seconds for event in events],
        "event_end_seconds": [event.end_seconds for event in events],
    }
    if config.flow:
        settings = FlowConfig(config.flow_shorter_side, config.flow_reach)
        values["flow"] = flow.encode_flows(frames, settings)
        values["flow_reach"] = [config.flow_reach]
    return records.scene(config.audio_encoding).serialize(values)


def draw_soundtrack(
    config: SceneConfig, world: World, cast: Cast, series: int, index: int, variant: int
) -> np.ndarray:
    """The sound of a scene, int16 [num_samples] at 48 kHz.

    Args:
      config: levels, seed and split.
      world: the sounds.
      cast: what is heard.
      series: 0 for scenes, 1 for swap pairs.
      index: of the scene.
      variant: which of the soundtracks of one picture.
    """
    num_samples = round(config.clip_seconds * SAMPLE_RATE_HZ)
    rng = scenes.random_stream(config, series, index, _SOUND, variant)
    total = rng.standard_normal(num_samples, np.float32)
    total *= _amplitude(config.ambient_dbfs)
    total[:: round(GRID_SECONDS * SAMPLE_RATE_HZ)] += _amplitude(config.grid_click_dbfs)
    for event in cast.events:
        start, end = event_samples(event)
        sound = world.draw_sound(event.name, end - start, config.split, rng)
        level = 10 ** (rng.uniform(config.min_level_dbfs, config.max_level_dbfs) / 20)
        total[start:end] += _set_level(sound, level)
    return np.rint(total * 32767).astype(np.int16)


def _amplitude(level_dbfs: float) -> float:
    return 10 ** (level_dbfs / 20) * (level_dbfs > scenes.NO_LEVEL)


def event_samples(event: Event) -> tuple[int, int]:
    """The first sample of a sound, and the one after its last."""
    return round(event.start_seconds * SAMPLE_RATE_HZ), round(event.end_seconds * SAMPLE_RATE_HZ)


def _set_level(sound: np.ndarray, level: float) -> np.ndarray:
    """Scales a sound to a root mean square, or less where peaks are high, and fades its ends."""
    loudness = float(np.sqrt(np.mean(sound**2, dtype=np.float64)))
    peak = float(np.abs(sound).max())
    sound = sound * np.float32(min(level / max(loudness, 1e-9), _PEAK / max(peak, 1e-9)))
    length = min(int(_FADE_SECONDS * SAMPLE_RATE_HZ), len(sound) // 2)
    fade = np.linspace(0, 1, length, dtype=np.float32)
    sound[:length] *= fade
    sound[len(sound) - length :] *= fade[::-1]
    return sound
