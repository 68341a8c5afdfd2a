"""A set of narrated videos as shards: gone on with after a break, always whole."""

import dataclasses
import os

import tensorflow as tf
from tqdm import tqdm

from avc.narration_rendering import Narration, draw_narration, serialize
from avc.narrations import NarrationConfig
from avc.video_writer import VideoWriter
from crossmodal import configuration, files, tfrecord
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class NarrationSet:
    """What is to be written.

    Attributes:
      config: of the videos.
      folder: for the shards.
      name: of the shards: NAME-00000-of-00004.tfrecord.
      num_videos: how many; all pieces of a video are in one shard.
      videos_per_shard: the last one may hold fewer.
      num_mp4: how many of the first are also written as mp4, in the folder NAME_mp4.
    """

    config: NarrationConfig
    folder: str
    name: str
    num_videos: int
    videos_per_shard: int = 20
    num_mp4: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for sets that cannot be written."""
        check_range("num_videos", self.num_videos, 1, 10**7)
        check_range("videos_per_shard", self.videos_per_shard, 1, 10**6)
        check_range("num_mp4", self.num_mp4, 0, self.num_videos)
        if not self.name or "/" in self.name:
            raise ConfigurationError(f"name is {self.name!r}: it must begin file names")

    @property
    def shards(self) -> list[tuple[str, range]]:
        """Paths, and numbers of the videos in each."""
        size, count = self.videos_per_shard, -(-self.num_videos // self.videos_per_shard)
        return [
            (
                os.path.join(self.folder, f"{self.name}-{i:05}-of-{count:05}.tfrecord"),
                range(i * size, min((i + 1) * size, self.num_videos)),
            )
            for i in range(count)
        ]


def make_narrations(narrations: NarrationSet) -> str:
    """Writes all shards that are not there yet; says what was written.

    Raises:
      UserError: the folder holds a set of another configuration, or cannot be written.
    """
    config = narrations.config
    _save_configuration(narrations)
    kept = 0
    with tqdm(total=narrations.num_videos, unit="video") as bar:
        for path, numbers in narrations.shards:
            if tf.io.gfile.exists(path):  # a shard appears only when it is whole
                kept += 1
            else:
                videos = (draw_narration(config, number) for number in numbers)
                records = (record for video in videos for record in serialize(config, video))
                tfrecord.write_records(path, records)
            bar.update(len(numbers))
    for number in range(narrations.num_mp4):
        video = draw_narration(config, number)
        folder = os.path.join(narrations.folder, f"{narrations.name}_mp4")
        tf.io.gfile.makedirs(folder)
        write_mp4(os.path.join(folder, f"{video.video}.mp4"), config, video)
    total = narrations.num_videos * config.clips_per_video
    there = f", {kept} of which were there" if kept else ""
    return (
        f"{total} clips of {narrations.num_videos} videos in {len(narrations.shards)} shards"
        f" {os.path.join(narrations.folder, narrations.name)}*{there}"
    )


def write_mp4(path: str, config: NarrationConfig, video: Narration) -> None:
    """Writes a video as H.264 and AAC, whole or not at all, on the local file system."""
    even = config.picture_size // 2 * 2
    rate = config.frames_per_second
    with (
        files.whole_file(path) as temporary,
        VideoWriter(temporary, rate, config.sample_rate_hz) as writer,
    ):
        for number, frame in enumerate(video.frames):
            writer.add_picture(frame[:even, :even], number / rate)
        writer.add_sound(video.samples)


def _save_configuration(narrations: NarrationSet) -> None:
    path = os.path.join(narrations.folder, f"{narrations.name}.json")
    values = configuration.to_dict(narrations.config) | {
        "num_videos": narrations.num_videos,
        "videos_per_shard": narrations.videos_per_shard,
    }
    begun = tf.io.gfile.glob(os.path.join(narrations.folder, f"{narrations.name}-*.tfrecord"))
    if begun and tf.io.gfile.exists(path):
        changes = configuration.differences(configuration.load(path), values)
        if changes:
            raise ConfigurationError(
                f"{path}: there are other videos of this name ({'; '.join(changes)}):"
                " give another --name or --output"
            )
        return
    files.check_writable(path, "output")
    configuration.save(path, values)
