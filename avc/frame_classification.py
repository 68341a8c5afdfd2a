"""Posteriors of classes for the frames of a folder of videos, one frame a second.

What is finished of a file is kept in a folder beside the output until all are, so that a job
that was ended goes on. The output is what `avc.posteriors` reads.
"""

import collections
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from avc import csv_rows, decoder
from avc.clip_files import InputFile
from avc.clip_shards import local_file
from avc.clips import Clip, MediaConfig
from avc.frame_classifier import FrameClassifier
from avc.label_tables import video_name
from avc.media_files import MediaError
from avc.posteriors import COLUMNS
from crossmodal import configuration, files
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError

SETTINGS = "settings.json"


@dataclasses.dataclass(frozen=True)
class ClassificationConfig:
    """What is classified.

    Attributes:
      model, weights, class_names: see `frame_classifier.load`.
      frames_per_second: the grid of frames.
      top_classes: how many of the likeliest classes are written of a frame.
      batch_size: frames that are classified at once.
    """

    model: str = "ResNet50"
    weights: str = "imagenet"
    class_names: str = ""
    frames_per_second: float = 1.0
    top_classes: int = 5
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its range."""
        check_range("frames_per_second", self.frames_per_second, 0.1, 100)
        check_range("top_classes", self.top_classes, 1, 100_000)
        check_range("batch_size", self.batch_size, 1, 10_000)


@dataclasses.dataclass(frozen=True)
class Classified:
    """What became of a folder: frames, and a line for each file that was not read to its end."""

    frames: int
    left_out: tuple[str, ...]


def classify(
    inputs: Sequence[InputFile],
    classifier: FrameClassifier,
    config: ClassificationConfig,
    output: str,
    tell: Callable[[InputFile, int, bool], None] = lambda file, frames, finished: None,
) -> Classified:
    """Classifies the frames of files and writes one CSV file, whole or not at all.

    Args:
      inputs: the files; what holds no picture is left out.
      classifier: what gives posteriors.
      config: which frames, and what the classifier was made of.
      output: the file. What is finished is kept in the folder OUTPUT.parts until all is.
      tell: called with a file, how many frames are new, and whether it is finished.

    Raises:
      UserError: two files are of one video, the folder of parts is of other settings, or no
        file holds a picture.
    """
    _check_names(inputs)
    folder = f"{output}.parts"
    _keep_settings(folder, config)
    parts = []
    for file in inputs:
        path = os.path.join(folder, f"{_digest(file)}.json")
        if not tf.io.gfile.exists(path):
            rows: list[list] = []
            problem = _classify_file(file, classifier, config, rows, tell)
            configuration.save(path, {"rows": rows, "problem": problem})
        parts.append(configuration.load(path))
        tell(file, 0, True)
    left_out = tuple(
        f"{file.name}: {part['problem']}"
        for file, part in zip(inputs, parts, strict=True)
        if part["problem"]
    )
    rows = [row for part in parts for row in part["rows"]]
    if not rows:
        tf.io.gfile.rmtree(folder)
        raise UserError(f"no file holds a picture: {left_out[0]} (of {len(inputs)} files)")
    files.write_text(output, csv_rows.to_csv(COLUMNS, iter(rows)))
    tf.io.gfile.rmtree(folder)
    return Classified(len({(row[0], row[1]) for row in rows}), left_out)


def _classify_file(
    file: InputFile,
    classifier: FrameClassifier,
    config: ClassificationConfig,
    rows: list[list],
    tell: Callable[[InputFile, int, bool], None],
) -> str:
    """Adds the rows of a file; returns why it was not read, or not to its end."""
    if file.problem:
        return file.problem
    video = video_name(file.name)
    media = MediaConfig(
        config.frames_per_second, classifier.image_size, sample_rate_hz=4000,
        clip_seconds=max(10.0, config.batch_size / config.frames_per_second),
    )
    try:
        with local_file(file.path) as path, decoder.borrow() as process:
            for clip in process.read_single("pictures", path, media):
                found = [
                    row for batch in _batches(clip, classifier, config)
                    for row in _rows(video, batch, classifier, config)
                ]
                rows += found
                tell(file, len({row[1] for row in found}), False)
    except MediaError as error:
        return error.reason + ("; what came before is classified" if rows else "")
    return ""


def _batches(
    clip: Clip, classifier: FrameClassifier, config: ClassificationConfig
) -> Iterator[tuple[list[float], np.ndarray]]:
    """Moments of the grid and the posteriors of what is shown then."""
    frames = clip.frames
    shown = [_square(frame, classifier.image_size) for frame in frames]
    known = [
        classifier.posteriors(np.stack(shown[i : i + config.batch_size]))
        for i in range(0, len(shown), config.batch_size)
    ]
    if not known:
        return
    posteriors = np.concatenate(known)
    seconds = len(clip.samples) / clip.sample_rate_hz
    steps = int(np.ceil(seconds * config.frames_per_second - 1e-6))
    grid = np.arange(steps) / config.frames_per_second
    # A picture that stays is there once, at the first of its moments.
    place = np.searchsorted(clip.frame_seconds, grid + 1e-6, side="right") - 1
    there = place >= 0
    yield (clip.start_seconds + grid[there]).tolist(), posteriors[place[there]]


def _rows(
    video: str,
    batch: tuple[list[float], np.ndarray],
    classifier: FrameClassifier,
    config: ClassificationConfig,
) -> Iterator[list]:
    for seconds, posteriors in zip(*batch, strict=True):
        likeliest = np.argsort(-posteriors, kind="stable")[: config.top_classes]
        for number in likeliest.tolist():
            value = f"{float(posteriors[number]):.6f}"
            yield [video, f"{seconds:.3f}".rstrip("0").rstrip("."), classifier.classes[number],
                   value]


def _square(jpeg: bytes, size: int) -> np.ndarray:
    """The middle of a picture whose shorter side has `size` pixels."""
    rgb = tf.io.decode_jpeg(jpeg, channels=3).numpy()
    top, left = (rgb.shape[0] - size) // 2, (rgb.shape[1] - size) // 2
    return rgb[top : top + size, left : left + size]


def _check_names(inputs: Sequence[InputFile]) -> None:
    count = collections.Counter(video_name(file.name) for file in inputs)
    twice = [video for video, number in count.items() if number > 1]
    if twice:
        raise UserError(
            f"{count[twice[0]]} files of the input are of video {twice[0]}: give a video one file"
        )


def _keep_settings(folder: str, config: ClassificationConfig) -> None:
    path = os.path.join(folder, SETTINGS)
    # Batches give the same posteriors, whatever their size.
    saved = {k: v for k, v in configuration.to_dict(config).items() if k != "batch_size"}
    if not tf.io.gfile.exists(path):
        configuration.save(path, saved)
    elif changed := configuration.differences(configuration.load(path), saved):
        raise ConfigurationError(
            f"{folder} holds unfinished work of other settings ({'; '.join(changed)}): remove it,"
            " or name another --output"
        )


def _digest(file: InputFile) -> str:
    known = json.dumps([file.name, file.description], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:32]
