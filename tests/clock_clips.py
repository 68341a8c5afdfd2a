"""Clips that tell the time: in black and white squares on the picture, and in the sound."""

import numpy as np
import tensorflow as tf

from avc.encoding import encode_flac, encode_jpeg
from avc.frames import FrameConfig
from avc.records import clip

RATE = 4800  # a tenth of the usual one, so that many clips can be drawn quickly
GRID = 0.04
WHOLE_FRAME = FrameConfig(image_size=16, crop_share=1.0).evaluation()


def picture(step):
    """16 x 16 pixels: the number of the grid's step as eight bits."""
    bits = (step >> np.arange(8)) & 1
    squares = np.kron(bits.reshape(2, 4) * 255, np.ones((8, 4)))
    return encode_jpeg(squares[..., None].repeat(3, -1).astype(np.uint8), quality=95)


def seen_seconds(frames):
    """The times that pictures [..., 16, 16, 3] show."""
    frames = np.asarray(frames)
    squares = frames.reshape(*frames.shape[:-3], 2, 8, 4, 4, 3).mean((-4, -2, -1)) > 128
    return (squares.reshape(*frames.shape[:-3], 8) * 2 ** np.arange(8)).sum(-1) * GRID


def sound(seconds, rate=RATE):
    """Samples that count up, from 1 on, one step in 1/2400 s."""
    return (1 + np.arange(round(seconds * rate)) // (rate // 2400)).astype(np.int16)


def heard_seconds(samples):
    """The times at which samples were; -1 for silence."""
    samples = np.asarray(samples).astype(int)
    return np.where(samples > 0, (samples - 1) / 2400, -1.0)


def parsed(seconds=10.0, encoding="pcm16", rate=RATE, steps=None, name="a", video="v"):
    """One clip, written and parsed as the pipeline does it.

    Args:
      seconds: length of the sound.
      encoding: `flac` or `pcm16`.
      rate: samples a second.
      steps: of the grid, at which there are frames; all of the sound if None.
      name: of the clip.
      video: of its video.
    """
    samples = sound(seconds, rate)
    steps = range(int(np.ceil(seconds / GRID))) if steps is None else steps
    schema = clip(encoding)
    record = schema.serialize(
        {
            "id": name,
            "video": video,
            "file": "clock.mp4",
            "start_seconds": [0.0],
            "frames": [picture(step) for step in steps],
            "frame_seconds": [step * GRID for step in steps],
            "audio": samples.tobytes() if encoding == "pcm16" else encode_flac(samples, rate),
            "sample_rate_hz": [rate],
            "num_samples": [len(samples)],
        }
    )
    return {key: value[0] for key, value in schema.parse(tf.constant([record])).items()}
