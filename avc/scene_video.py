"""A scene as an mp4 file: to watch, or to try the conversion of videos on."""

import fractions

import av
import numpy as np

from avc.scene_rendering import Scene
from avc.scenes import SceneConfig
from avc.synthesis import SAMPLE_RATE_HZ
from crossmodal import files


def write_video(path: str, scene: Scene, config: SceneConfig) -> None:
    """Writes H.264 and AAC, whole or not at all.

    Args:
      path: of the file, on the local file system.
      scene: what to write; its pictures' sides are cut to even numbers, which H.264 needs.
      config: its rate of frames.
    """
    rate = fractions.Fraction(config.frames_per_second).limit_denominator(1000)
    count = int(np.ceil(config.clip_seconds * config.frames_per_second - 1e-9))
    shown = np.searchsorted(scene.frame_seconds, np.arange(count) / float(rate) + 1e-6) - 1
    with files.whole_file(path) as temporary, av.open(temporary, "w", format="mp4") as container:
        even = config.picture_size // 2 * 2
        video = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        video.width = video.height = even
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for number, place in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(scene.frames[place][:even, :even], format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(scene.samples[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = SAMPLE_RATE_HZ, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
