"""Tables of whole videos: their lengths by subset, and the language of their metadata.

Boggust et al. 2019, section 4, table 1 and the choice of "English videos from the YouTube-8M
dataset using their YouTube metadata audio language tag".
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from avc import csv_rows
from crossmodal import configuration
from crossmodal.errors import UserError


def read_lengths(path: str) -> dict[str, dict[str, float]]:
    """Lengths of videos in seconds, by subset and video.

    Args:
      path: CSV with the columns `video`, `split` and `seconds`; a `manifest.csv` of
        launch/convert_clips.py is one. Of several rows of a video, such as its clips, the
        one that ends last counts; rows of a manifest that are not `written` do not.

    Raises:
      UserError: a row cannot be read, a video is in two subsets, or there is none.
    """
    found: dict[str, dict[str, float]] = {}
    splits: dict[str, str] = {}
    columns = ("video", "split", "seconds")
    for line, row in csv_rows.read(path, columns, ("start_seconds", "status")):
        if row.get("status", "written") != "written":
            continue
        end = csv_rows.number(path, line, row, "seconds")
        if row.get("start_seconds"):
            end += csv_rows.number(path, line, row, "start_seconds")
        video = row["video"]
        if splits.setdefault(video, row["split"]) != row["split"]:
            reason = f"video {video} is in {row['split']} here and in {splits[video]} before"
            csv_rows.fail(path, line, reason)
        own = found.setdefault(row["split"], {})
        own[video] = max(own.get(video, 0.0), end)
    if not found:
        raise UserError(f"{path}: holds no video")
    return found


def read_languages(path: str, video: str = "video", language: str = "language") -> dict[str, str]:
    """Language tags by video; an empty one where the metadata has none.

    Args:
      path: CSV with a header, or JSON (.json): a list of objects, or objects by video.
      video, language: names of the columns, or of the objects' fields.

    Raises:
      UserError: the file cannot be read, a row has no video, or two contradict each other.
    """
    found: dict[str, str] = {}
    for place, name, tag in _rows(path, video, language):
        if not name:
            raise UserError(f"{path}: {place}: {video} is empty")
        if found.setdefault(name, tag) != tag:
            raise UserError(
                f"{path}: {place}: video {name} has {language} {tag!r}, and {found[name]!r} before"
            )
    if not found:
        raise UserError(f"{path}: holds no video")
    return found


def _rows(path: str, video: str, language: str) -> Iterable[tuple[str, str, str]]:
    if not path.endswith(".json"):
        for line, row in csv_rows.read(path, (video, language)):
            yield f"line {line}", row[video], row[language]
        return
    values = configuration.load(path)
    if isinstance(values, Mapping):
        values = [
            {video: name, **fields} if isinstance(fields, Mapping) else fields
            for name, fields in values.items()
        ]
    for number, fields in enumerate(values if isinstance(values, list) else [values], 1):
        if not isinstance(fields, Mapping):
            raise UserError(f"{path}: entry {number} is no object with {video} and {language}")
        yield f"entry {number}", str(fields.get(video) or ""), str(fields.get(language) or "")


@dataclasses.dataclass(frozen=True)
class Chosen:
    """What a choice by language keeps.

    Attributes:
      kept: videos, in the order of the metadata.
      dropped: how many videos of other languages, by tag, the most frequent first.
      without: videos whose metadata says no language; they are not kept.
    """

    kept: tuple[str, ...]
    dropped: dict[str, int]
    without: tuple[str, ...]


def choose_languages(languages: Mapping[str, str], wanted: Sequence[str]) -> Chosen:
    """Keeps videos of some languages.

    Args:
      languages: tags by video, such as `en` or `en-GB`.
      wanted: tags; one without a region keeps all its regions, and case does not matter.
    """
    tags = tuple(tag.lower().replace("_", "-") for tag in wanted)
    kept, without = [], []
    dropped: collections.Counter[str] = collections.Counter()
    for video, language in languages.items():
        own = language.lower().replace("_", "-")
        if not own:
            without.append(video)
        elif any(own == tag or own.startswith(f"{tag}-") for tag in tags):
            kept.append(video)
        else:
            dropped[language] += 1
    order = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    return Chosen(tuple(kept), dict(order), tuple(without))
