"""Which clips of which files are to be made, and of which split they are.

A row of a label table finds its files by the first of these that exists:

  1. where it names a path with folders: that file, with or without its suffix;
  2. a file that holds just that clip, as downloads of AudioSet and VGGSound are cut:
     `ID_000300.mp4`, `ID_300.mp4` (where it begins, in seconds), `ID_300.000_310.000.mkv`,
     `ID_300_310.mp4` (from, to) or `ID_300000_310000.mp4` (in ms). The clip begins
     at 0 of the file;
  3. a file whose name without the suffix is the video's id, in any folder.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Sequence

from avc import label_tables, splits
from avc.clip_files import InputFile
from avc.clips import Cut
from avc.label_tables import Row
from avc.splits import SplitConfig

_NUMBER = r"\d+(?:\.\d+)?"
_CUT_FROM = re.compile(rf"(.+)_({_NUMBER})")
_CUT_FROM_TO = re.compile(rf"(.+)_({_NUMBER})[_-]({_NUMBER})")


@dataclasses.dataclass
class Video:
    """What is to be made of one file.

    Attributes:
      file: the file.
      key: the id of the video, by which it is split.
      offset_seconds: where the file begins in the video.
      labels: those of the whole file.
      starts: labels by where clips begin in the file, in ms, or by the clip where more is
        said of it; empty to cut all of it.
      video: the id in the records: the key, with folders where several files share it.
      split: where its clips go.
    """

    file: InputFile
    key: str
    offset_seconds: float = 0.0
    labels: list[str] = dataclasses.field(default_factory=list)
    starts: dict[int | Cut, list[str]] = dataclasses.field(default_factory=dict)
    video: str = ""
    split: str = ""

    def source(self) -> dict:
        """The same as JSON values, for the plan."""
        starts = [
            [_begin(clip), [*dict.fromkeys([*labels, *self.labels])], *_rest(clip)]
            for clip, labels in sorted(self.starts.items(), key=lambda item: _order(item[0]))
        ]
        return {
            **self.file.description,
            "file": self.file.name,
            "video": self.video,
            "offset_seconds": self.offset_seconds,
            "labels": self.labels,
            "starts": starts or None,
        }


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What becomes of every file and of every row.

    Attributes:
      videos: what is to be converted, by file name.
      left_out: manifest rows of the rest.
      twice: ids of videos that tables put into the test split and elsewhere.
    """

    videos: list[Video]
    left_out: list[dict]
    twice: set[str]


def assign(
    inputs: Sequence[InputFile],
    rows: Iterable[Row] | None,
    keep: set[str] | None,
    config: SplitConfig,
) -> Assignment:
    """Finds the clips of each file, their labels and their split.

    Args:
      inputs: the files, sorted by name.
      rows: the rows of all label tables; None to convert every file, without labels.
      keep: labels, of which a row must have one; None for no such filter.
      config: how videos are split that no table puts into the test split.
    """
    usable = [file for file in inputs if not file.problem]
    left_out = [
        {"file": file.name, "status": "unreadable", "reason": file.problem}
        for file in inputs
        if file.problem
    ]
    if rows is None:
        videos = [Video(file, label_tables.video_name(file.name)) for file in usable]
        marks = [(video.key, None) for video in videos]
    else:
        rows = list(rows)
        marks = [(row.video, row.split) for row in rows]
        videos, lost = _claim(usable, rows, keep)
        left_out += lost
    chosen, twice = splits.assign(marks, config)
    _name_videos(videos)
    for video in videos:
        video.split = chosen[video.key]
    for row in left_out:
        row["split"] = chosen.get(row.get("video"), "")
    return Assignment(videos, left_out, twice)


def _claim(
    inputs: Sequence[InputFile], rows: Sequence[Row], keep: set[str] | None
) -> tuple[list[Video], list[dict]]:
    """Gives rows to the files they find; the files and rows that are left."""
    names = _Names(inputs)
    videos: dict[str, Video] = {}
    filtered: set[str] = set()
    left_out = []
    for row in rows:
        found, offset, start = names.find(row)
        reason, status = "no file of the input has this name", "missing"
        if keep is not None and keep.isdisjoint(row.labels):
            filtered |= {file.name for file in found}
            reason, status = "has no label that is to be kept", "filtered"
            found = found or [None]
        else:
            claimed = [videos.setdefault(f.name, Video(f, row.video, offset)) for f in found]
            found = [video.file for video in claimed if video.key != row.video]
            if found:
                reason = f"its file is taken by video {videos[found[0].name].key}"
            elif not claimed:
                found = [None]
            for video in claimed:
                if video.key == row.video:
                    _add(video, _clip_of(row, start), row.labels)
        for file in found:
            left_out.append(_left_out(row, file, status, reason))
    for file in inputs:
        if file.name not in videos and file.name not in filtered:
            reason = "no row of the label table finds it"
            left_out.append({"file": file.name, "status": "not_in_table", "reason": reason})
    return [videos[name] for name in sorted(videos)], left_out


def _left_out(row: Row, file: InputFile | None, status: str, reason: str) -> dict:
    return {
        "file": file.name if file else "",
        "video": row.video,
        "start_seconds": row.start_seconds,
        "labels": list(row.labels),
        "status": status,
        "reason": reason,
    }


def _add(video: Video, clip: int | Cut | None, labels: Sequence[str]) -> None:
    known = video.labels if clip is None else video.starts.setdefault(clip, [])
    known += [label for label in labels if label not in known]


def _clip_of(row: Row, start: int | None) -> int | Cut | None:
    """The clip of a row that begins at `start` (ms) of the file."""
    if start is None or (row.seconds is None and row.frame_seconds is None):
        return start
    frame = None
    if row.frame_seconds is not None:
        frame = round(row.frame_seconds - row.start_seconds, 3)
    return Cut(start / 1000, row.seconds, frame)


def _begin(clip: int | Cut) -> float:
    return clip.start_seconds if isinstance(clip, Cut) else clip / 1000


def _rest(clip: int | Cut) -> list[float | None]:
    return [clip.seconds, clip.frame_seconds] if isinstance(clip, Cut) else []


def _order(clip: int | Cut) -> tuple[float, ...]:
    return (_begin(clip), *(-1.0 if value is None else value for value in _rest(clip)))


class _Names:
    """Finds files by the names that rows have for them."""

    def __init__(self, inputs: Sequence[InputFile]) -> None:
        self.paths = {os.path.splitext(file.name)[0]: [file] for file in inputs}
        self.paths |= {file.name: [file] for file in inputs}
        self.cut = collections.defaultdict(list)
        self.stems = collections.defaultdict(list)
        for file in inputs:
            stem = label_tables.video_name(file.name)
            for found in {stem, file.name.rpartition("/")[2]}:
                self.stems[found].append(file)
            for key in _readings(stem):
                self.cut[key].append(file)

    def find(self, row: Row) -> tuple[list[InputFile], float, int | None]:
        """Files, where they begin in the video (s), and where the clip begins in them (ms)."""
        start = None if row.start_seconds is None else round(1000 * row.start_seconds)
        if "/" in row.clip:
            return self.paths.get(row.clip, []), 0.0, start
        cut = self.cut.get((row.video, start), [])
        if cut:
            return cut, row.start_seconds, 0
        return self.stems.get(row.clip, []), 0.0, start


def _readings(stem: str) -> set[tuple[str, int]]:
    """What the name of a cut file may mean: a video and where the file begins, in ms."""
    found = set()
    match = _CUT_FROM.fullmatch(stem)
    if match:
        found.add((match[1], round(1000 * float(match[2]))))
    match = _CUT_FROM_TO.fullmatch(stem)
    if match:
        start, end = float(match[2]), float(match[3])
        # Nobody cuts clips of a quarter of an hour: such numbers are ms.
        found.add((match[1], round(start if end - start >= 1000 else 1000 * start)))
    return found


def _name_videos(videos: Sequence[Video]) -> None:
    """Sets ids that tell files apart that have the same key and begin at the same time."""
    for video in videos:
        video.video = video.key
    for longer in (lambda file: os.path.splitext(file.name)[0], lambda file: file.name):
        count = collections.Counter((video.video, video.offset_seconds) for video in videos)
        for video in videos:
            if count[video.video, video.offset_seconds] > 1:
                video.video = longer(video.file)
