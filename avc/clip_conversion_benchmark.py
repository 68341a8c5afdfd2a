"""Speed of the conversion: beside bare decoding and encoding, and of two processes."""

import os
import shutil
from collections.abc import Sequence

import av

from avc import clip_conversion, pictures
from avc.clip_conversion import Conversion
from avc.clip_shards import ClipConfig
from avc.splits import SplitConfig
from crossmodal import benchmark, files
from crossmodal.beam_conversion import Execution
from crossmodal.benchmark import Comparison


def copy_videos(source: str, folder: str, number: int) -> list[str]:
    """Copies the files of a folder until there are `number`, so that there is enough to do.

    Raises:
      UserError: the folder is empty.
    """
    paths = files.expand_patterns(os.path.join(source, "*"), "videos")
    os.makedirs(folder, exist_ok=True)
    copies = []
    for index in range(number):
        path = paths[index % len(paths)]
        copies.append(os.path.join(folder, f"{index:04}_{os.path.basename(path)}"))
        shutil.copyfile(path, copies[-1])
    return copies


def decode_and_encode(paths: Sequence[str], config: ClipConfig) -> None:
    """What any converter must do: decode all; scale and encode the pictures of the grid.

    Nothing is checked, timed, resampled, cut or written.
    """
    media = config.media
    for path in paths:
        encoder = pictures.PictureEncoder(media.shorter_side, media.jpeg_quality)
        shown = -1
        with av.open(path) as container:
            for frame in container.decode(container.streams.best("video")):
                slot = int((frame.time or 0.0) * media.frames_per_second)
                if slot != shown:
                    encoder.encode(frame, 1.0)
                shown = slot
        with av.open(path) as container:
            for _ in container.decode(container.streams.best("audio")):
                pass


def convert_copies(folder: str, workers: int) -> str:
    """Converts the copies in a folder; returns the folder of the clips.

    Raises:
      UserError: they cannot be converted.
    """
    output = os.path.join(folder, f"clips_{workers}")
    shutil.rmtree(output, ignore_errors=True)
    clip_conversion.convert(
        Conversion(os.path.join(folder, "videos"), output, num_shards=4),
        ClipConfig(),
        SplitConfig(0.0),
        Execution(num_workers=workers, progress=False),
    )
    return output


def compare_conversion(folder: str, copies: Sequence[str], rounds: int) -> list[Comparison]:
    """Times the conversion of copies, on one and on two processes.

    A process takes some seconds to start, so that two of them need some minutes of work
    to be twice as fast.

    Args:
      folder: where the copies are, in `videos`, and the clips go.
      copies: from `copy_videos`.
      rounds: how many times each job is timed.
    """
    jobs = {
        "conversion": lambda: convert_copies(folder, 1),
        "two processes": lambda: convert_copies(folder, 2),
        "decoding and encoding": lambda: decode_and_encode(copies, ClipConfig()),
    }
    times = benchmark.alternate(jobs, rounds, "conversion")
    number, one = len(copies), "conversion"
    peer = "decoding and encoding"
    return [
        benchmark.compare_speed("conversion", times, one, peer, 0.7, number, "videos"),
        benchmark.compare_speed(
            "conversion on two processes", times, "two processes", one, 1.7, number, "videos"
        ),
    ]
