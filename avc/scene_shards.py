"""A set of scenes as shards: made in parallel, gone on with after a break, always whole.

A scene depends on nothing but the configuration and its number, so shards may be made in
any order by any process. The configuration lies beside the shards as NAME.json; a shard
that is there and whole is not made again.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
from collections.abc import Iterator

import tensorflow as tf
from tqdm import tqdm

from avc import scene_rendering, scene_video
from avc.scene_world import World, WorldFiles, open_world
from avc.scenes import SWAPS, SceneConfig
from crossmodal import configuration, files, tfrecord
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError


@dataclasses.dataclass(frozen=True)
class SceneSet:
    """What is to be written.

    Attributes:
      config: of the scenes; `classes` are those of the world.
      files: pictures and sounds of the world.
      folder: for the shards.
      name: of the shards: NAME-00000-of-00004.tfrecord.
      num_clips: scenes.
      clips_per_shard: scenes in a shard; the last one may hold fewer.
      swap_pairs: further pictures with four soundtracks each, as shards NAME_swap-....
      num_mp4: how many of the first scenes are also written as mp4, in the folder NAME_mp4.
    """

    config: SceneConfig
    files: WorldFiles
    folder: str
    name: str
    num_clips: int
    clips_per_shard: int = 100
    swap_pairs: int = 0
    num_mp4: int = 0

    def __post_init__(self):
        """Rejects sets that cannot be written."""
        check_range("num_clips", self.num_clips, 0, 10**8)
        check_range("swap_pairs", self.swap_pairs, 0, 10**8)
        check_range("clips_per_shard", self.clips_per_shard, 1, 10**6)
        check_range("num_mp4", self.num_mp4, 0, self.num_clips)
        if not self.num_clips and not self.swap_pairs:
            raise ConfigurationError("there is nothing to write: num_clips and swap_pairs are 0")
        if not self.name or "/" in self.name:
            raise ConfigurationError(f"name is {self.name!r}: it must begin file names")

    @property
    def shards(self) -> tuple["Shard", ...]:
        """All shards, scenes first."""
        # A swap pair is four clips.
        pairs = max(1, self.clips_per_shard // len(SWAPS))
        return (
            *_cut(self.folder, self.name, self.num_clips, self.clips_per_shard, False),
            *_cut(self.folder, f"{self.name}_swap", self.swap_pairs, pairs, True),
        )


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a set.

    Attributes:
      path: of the file.
      first: number of its first scene or pair.
      count: of its scenes or pairs.
      swap: whether it holds swap pairs.
    """

    path: str
    first: int
    count: int
    swap: bool

    @property
    def num_records(self) -> int:
        """Clips in the file."""
        return self.count * (len(SWAPS) if self.swap else 1)


def make_scenes(scenes: SceneSet, num_workers: int = 1) -> str:
    """Writes all shards that are not there yet.

    Args:
      scenes: what to write.
      num_workers: processes.

    Returns:
      A line that says what was written.

    Raises:
      UserError: the folder holds a set of another configuration, cannot be written, or a
        picture or sound cannot be read.
    """
    world = open_world(scenes.files)
    _save_configuration(scenes, world)
    missing = [shard for shard in scenes.shards if not _is_whole(shard)]
    with tqdm(total=sum(s.num_records for s in scenes.shards), unit="clip") as bar:
        bar.update(bar.total - sum(shard.num_records for shard in missing))
        for shard in _write_all(scenes, missing, num_workers):
            bar.update(shard.num_records)
    for index in range(scenes.num_mp4):
        _write_video(scenes, world, index)
    kept = len(scenes.shards) - len(missing)
    return (
        f"{sum(s.num_records for s in scenes.shards)} clips of {len(world.classes)} classes in"
        f" {len(scenes.shards)} shards {os.path.join(scenes.folder, scenes.name)}*"
        + (f", {kept} of which were there" if kept else "")
    )


def write_shard(scenes: SceneSet, world: World, shard: Shard) -> None:
    """Writes one shard, whole or not at all.

    Raises:
      UserError: it cannot be written, or a picture or sound cannot be read.
    """
    folder, name = os.path.split(shard.path)
    # What a killed process left of this shard.
    for path in tf.io.gfile.glob(os.path.join(folder, f".{name}.*.tmp")):
        tf.io.gfile.remove(path)
    tfrecord.write_records(shard.path, _records(scenes.config, world, shard))


def _cut(folder: str, name: str, total: int, size: int, swap: bool) -> Iterator[Shard]:
    count = -(-total // size)
    for number in range(count):
        path = os.path.join(folder, f"{name}-{number:05}-of-{count:05}.tfrecord")
        yield Shard(path, number * size, min(size, total - number * size), swap)


def _records(config: SceneConfig, world: World, shard: Shard) -> Iterator[bytes]:
    for index in range(shard.first, shard.first + shard.count):
        if shard.swap:
            found = scene_rendering.draw_swap_pair(config, world, index)
        else:
            found = [scene_rendering.draw_scene(config, world, index)]
        for scene in found:
            yield scene_rendering.serialize(config, world, scene)


def _write_all(scenes: SceneSet, missing: list[Shard], num_workers: int) -> Iterator[Shard]:
    """Writes shards and yields each when it is there."""
    if num_workers < 2 or len(missing) < 2:
        world = open_world(scenes.files)
        for shard in missing:
            write_shard(scenes, world, shard)
            yield shard
        return
    # Fresh processes: a copy of one that has threads of TensorFlow may hang.
    context = multiprocessing.get_context("spawn")
    workers = min(num_workers, len(missing))
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, initializer=_start_worker, initargs=(scenes.files,)
    ) as pool:
        jobs = {pool.submit(_work, scenes, shard): shard for shard in missing}
        try:
            for job in concurrent.futures.as_completed(jobs):
                job.result()
                yield jobs[job]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_worker_worlds: list[World] = []  # of this process, opened once


def _start_worker(files_of_world: WorldFiles) -> None:
    _worker_worlds.append(open_world(files_of_world))


def _work(scenes: SceneSet, shard: Shard) -> None:
    write_shard(scenes, _worker_worlds[0], shard)


def _save_configuration(scenes: SceneSet, world: World) -> None:
    path = os.path.join(scenes.folder, f"{scenes.name}.json")
    values = configuration.to_dict(scenes.config) | {
        "num_clips": scenes.num_clips,
        "clips_per_shard": scenes.clips_per_shard,
        "swap_pairs": scenes.swap_pairs,
        "labels": {entry.name: entry.label for entry in world.classes},
        "display_names": {entry.name: entry.display_name for entry in world.classes},
        "digests": world.digests,
    }
    # Without a shard it is left of a run that failed, perhaps because of what is now mended.
    kinds = (f"{scenes.name}-*.tfrecord", f"{scenes.name}_swap-*.tfrecord")
    begun = tf.io.gfile.glob([os.path.join(scenes.folder, kind) for kind in kinds])
    if begun and tf.io.gfile.exists(path):
        # What was made before there was a field was made as its default says.
        made = configuration.to_dict(SceneConfig()) | configuration.load(path)
        changes = configuration.differences(made, values)
        if changes:
            raise ConfigurationError(
                f"{path}: there are other scenes of this name ({'; '.join(changes)}):"
                " give another --name or --output"
            )
        return
    files.check_writable(path, "output")
    configuration.save(path, values)


def _is_whole(shard: Shard) -> bool:
    """Whether a file is there with all its records; what is damaged is made again."""
    try:
        with tf.io.gfile.GFile(shard.path, "rb") as file:
            good, damage = tfrecord.salvage(file.read())
    except tf.errors.NotFoundError:
        return False
    except tf.errors.OpError as error:
        raise UserError(f"{shard.path}: {error.message}") from error
    return len(good) == shard.num_records and not damage


def _write_video(scenes: SceneSet, world: World, index: int) -> None:
    scene = scene_rendering.draw_scene(scenes.config, world, index)
    path = os.path.join(scenes.folder, f"{scenes.name}_mp4", f"{scene.id}.mp4")
    if not os.path.exists(path):
        scene_video.write_video(path, scene, scenes.config)
