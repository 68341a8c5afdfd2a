"""What is in records of clips: counts, labels, lengths and what is wrong, in numbers."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from avc.encoding import decode_audio
from crossmodal import reports
from crossmodal.errors import UserError
from crossmodal.reading import Records, parsed_blocks
from crossmodal.schema import Schema

# Of these only the names are counted, unless contents are asked for.
_LARGE = ("audio", "flow")


@dataclasses.dataclass
class Inspection:
    """Numbers of records.

    Attributes:
      clips: how many records there are.
      videos, files: names that they are from.
      labels: clips by label.
      unlabelled: clips without a label.
      sample_rates_hz, frame_sizes: clips by sample rate, and by width and height of their first
        frame; None where that is no JPEG.
      seconds, frames: of each clip, its length and how many frames it has.
      objects, events: clips by class of an object, and of a sound, of scenes.
      with_flow: clips that have optical flow.
      problems: id and reason of clips whose contents are wrong.
    """

    clips: int = 0
    videos: set[bytes] = dataclasses.field(default_factory=set)
    files: set[bytes] = dataclasses.field(default_factory=set)
    labels: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    unlabelled: int = 0
    sample_rates_hz: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    frame_sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    seconds: list[float] = dataclasses.field(default_factory=list)
    frames: list[int] = dataclasses.field(default_factory=list)
    objects: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    events: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    with_flow: int = 0
    problems: list[tuple[bytes, str]] = dataclasses.field(default_factory=list)

    def add(self, row: Mapping, encoding: str, contents: bool) -> None:
        """Counts one more record of `Schema.rows`.

        Args:
          row: it.
          encoding: of its sound.
          contents: whether its frames and its sound are decoded, too.
        """
        self.clips += 1
        self.videos.add(row["video"])
        self.files.add(row["file"])
        own = {label.decode(errors="replace") for label in row["labels"]}
        self.labels.update(own)
        self.unlabelled += not own
        rate, samples = int(row["sample_rate_hz"][0]), int(row["num_samples"][0])
        self.sample_rates_hz[rate] += 1
        self.seconds.append(samples / rate if rate > 0 else 0.0)
        self.frames.append(len(row["frames"]))
        self.frame_sizes[_size(row["frames"])] += 1
        self.with_flow += bool(len(row.get("flow_reach", ())))
        for name, counter in (("object_labels", self.objects), ("event_labels", self.events)):
            counter.update({label.decode(errors="replace") for label in row.get(name, ())})
        reasons = list(wrong(row, encoding if contents else ""))
        self.problems += [(row["id"], reason) for reason in reasons]

    def to_dict(self) -> dict:
        """The numbers, JSON-compatible."""
        return {
            "clips": self.clips, "videos": len(self.videos), "files": len(self.files),
            "hours": sum(self.seconds) / 3600, "labels": _counts(self.labels),
            "unlabelled": self.unlabelled,
            "sample_rates_hz": {str(rate): n for rate, n in sorted(self.sample_rates_hz.items())},
            "frame_sizes": _counts(self.frame_sizes), "seconds": spread(self.seconds),
            "frames": spread(self.frames), "objects": _counts(self.objects),
            "events": _counts(self.events), "with_flow": self.with_flow,
            "problems": [
                {"id": name.decode(errors="replace"), "reason": reason}
                for name, reason in self.problems
            ],
        }


def inspect(records: Records, encoding: str, contents: bool = False) -> Inspection:
    """Reads records once.

    Args:
      records: of `avc.reading.open_clips`.
      encoding: of their sound.
      contents: whether all frames and sounds are decoded, too, to find those that cannot be.

    Raises:
      BadRecordError: a record does not hold what it should; names file and record.
    """
    found = Inspection()
    features = records.schema.features
    if not contents:
        features = tuple(f for f in features if f.name not in _LARGE)
    few = Schema(features)
    for block in parsed_blocks(dataclasses.replace(records, schema=few)):
        for row in few.rows(block):
            found.add(row, encoding, contents)
    return found


def wrong(row: Mapping, encoding: str = "") -> Iterator[str]:
    """What is wrong with a record of the right form.

    Args:
      row: the record.
      encoding: of its sound, to decode it and the frames; "" to leave them as they are.
    """
    rate, samples = int(row["sample_rate_hz"][0]), int(row["num_samples"][0])
    if rate <= 0:
        yield f"its sample rate is {rate} Hz"
    if samples <= 0:
        yield "it has no sound"
    if not len(row["frames"]):
        yield "it has no frame"
    times = row["frame_seconds"]
    if (np.diff(times) <= 0).any():
        yield "its frames are not in the order of time"
    if rate > 0 and len(times) and times[-1] > samples / rate:
        yield f"a frame at {times[-1]:.2f} s is after its end at {samples / rate:.2f} s"
    if not encoding:
        return
    broken = sum(not _is_jpeg(frame) for frame in row["frames"])
    if broken:
        yield f"{broken} of its {len(row['frames'])} frames are no JPEG pictures"
    try:
        decoded = len(decode_audio(row["audio"], encoding))
    except UserError as error:
        yield str(error)
        return
    if decoded != samples:
        yield f"its sound has {decoded} samples, num_samples says {samples}"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and largest of some values; empty of none."""
    if not values:
        return {}
    low, middle, high = np.percentile(values, [0, 50, 100]).tolist()
    return {"least": low, "median": middle, "largest": high}


def table(numbers: Mapping, most_labels: int = 20) -> str:
    """What `Inspection.to_dict` says, to be printed.

    Args:
      numbers: of `to_dict`.
      most_labels: so many of the most frequent labels are listed, and of objects and sounds.
    """
    rows = [
        ["clips", str(numbers["clips"])],
        ["videos", str(numbers["videos"])],
        ["files", str(numbers["files"])],
        ["hours", f"{numbers['hours']:.3f}"],
        ["seconds a clip", _spread_text(numbers["seconds"], ".2f")],
        ["frames a clip", _spread_text(numbers["frames"], "g")],
        ["sample rate, Hz: clips", _counts_text(numbers["sample_rates_hz"])],
        ["frame size: clips", _counts_text(numbers["frame_sizes"])],
        ["clips with optical flow", str(numbers["with_flow"])],
        ["clips without a label", str(numbers["unlabelled"])],
        ["labels", str(len(numbers["labels"]))],
    ]
    parts = [reports.markdown(["", ""], rows, 2)]
    for title, name in (("label", "labels"), ("object", "objects"), ("sound", "events")):
        shown = [[each, str(n)] for each, n in numbers[name].items()][:most_labels]
        if shown:
            parts.append(reports.markdown([title, "clips"], shown))
        if len(numbers[name]) > len(shown):
            parts.append(f"and {len(numbers[name]) - len(shown)} more {title}s")
    if numbers["problems"]:
        parts.append("\n".join(f"{p['id']}: {p['reason']}" for p in numbers["problems"]))
    return "\n\n".join(parts)


def _size(frames: Sequence[bytes]) -> str:
    if not len(frames):
        return "none"
    try:
        height, width, _ = tf.io.extract_jpeg_shape(frames[0]).numpy().tolist()
    except tf.errors.InvalidArgumentError:
        return "no JPEG"
    return f"{width} x {height}"


def _is_jpeg(content: bytes) -> bool:
    try:
        tf.io.decode_jpeg(content, channels=3)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _counts(counter: collections.Counter) -> dict[str, int]:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in counts.items())


def _spread_text(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name} {value:{form}}" for name, value in values.items())
