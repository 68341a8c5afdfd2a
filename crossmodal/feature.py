"""One feature of a record: how it lies on disk, written and judged in plain Python.

`crossmodal.schema` puts features together; `crossmodal.parsing` reads them in
the graph, a batch at a time, under the same rules.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from crossmodal.errors import UserError

KINDS = {"bytes": "bytes_list", "ints": "int64_list", "floats": "float_list", "raw": "bytes_list"}
RAW_TYPES = {"uint8": np.dtype("u1"), "float16": np.dtype("<f2")}


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named value of a record.

    Attributes:
      name: its name in batches.
      form: how it lies on disk: "bytes" (one string; with a `count` a list of them),
        "ints" (int64 list), "floats" (float list) or "raw" (one bytes string that holds
        `size` values of `raw_type`).
      size: number of values (of one frame if `per_frame`); None for a variable number
        of ints, floats or strings, padded in batches with -1, 0.0 and "".
      keys: names on disk in order of preference, the first is written; () means
        (name,). Only a single string may have several; each record may use another.
      raw_type: "uint8" or "float16" (little-endian) for the form "raw".
      per_frame: a feature list of a SequenceExample, one entry a frame.
      required: a record without it is bad. An optional one (bytes, or a variable number
        of values) reads as empty.
      scale: for raw uint8, value = q * scale + offset.
      offset: see `scale`.
      keep_raw: batches hold the values of `raw_type` instead of decoded float32.
      limit: ints must be in [0, limit).
      max_frames: a record with more frames is bad.
      count: the name under which batches hold the number of entries, int32 [batch];
        features that share the name must agree in it ("num_frames", "num_segments").
    """

    name: str
    form: str
    size: int | None = None
    keys: tuple[str, ...] = ()
    raw_type: str = ""
    per_frame: bool = False
    required: bool = True
    scale: float = 1.0
    offset: float = 0.0
    keep_raw: bool = False
    limit: int | None = None
    max_frames: int | None = None
    count: str = ""

    def __post_init__(self):
        """Rejects definitions that no reader could follow."""
        wrong = {
            "unknown form or raw_type": self.form not in KINDS
            or (self.form == "raw") != (self.raw_type in RAW_TYPES),
            "several keys are for a single string only": len(self.keys) > 1
            and (self.form != "bytes" or self.variable),
            "needs a size": self.size is None and (self.form == "raw" or self.per_frame),
            "needs a count, or a limit, to tell padding": not self.count
            and (self.per_frame or (self.variable and self.limit is None)),
            "one that varies in number is optional": self.required and self.variable,
            "one that does not vary is required": not self.required
            and not self.variable
            and self.form != "bytes",
        }
        for reason in (reason for reason, holds in wrong.items() if holds):
            raise ValueError(f"feature {self.name}: {reason}")

    @property
    def names_on_disk(self) -> tuple[str, ...]:
        """The keys under which a record may hold the feature."""
        return self.keys or (self.name,)

    @property
    def variable(self) -> bool:
        """Whether the number of values differs from record to record."""
        listed = self.form in ("ints", "floats") or (self.form == "bytes" and self.count != "")
        return listed and self.size is None

    def entry(self, value: object) -> tf.train.Feature:
        """Writes the value of one record (of one frame if `per_frame`).

        Raises:
          UserError: the value does not fit the raw type, or is not of the right kind.
        """
        if self.form == "bytes":
            strings = [self._string(each) for each in (value if self.variable else [value])]
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=strings))
        array = np.asarray(value)
        if self.form == "ints":
            if array.size and array.dtype.kind not in "iu":
                raise UserError(f"feature {self.name} needs integers, not {array.dtype}")
            return tf.train.Feature(int64_list=tf.train.Int64List(value=array.ravel().tolist()))
        if self.form == "floats":
            return tf.train.Feature(float_list=tf.train.FloatList(value=array.ravel().tolist()))
        raw = array if self.keep_raw else quantize(self, array)
        if raw.dtype != RAW_TYPES[self.raw_type]:
            raise UserError(f"feature {self.name} needs {self.raw_type}, not {raw.dtype}")
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[raw.tobytes()]))

    def _string(self, value: object) -> bytes:
        value = value.encode() if isinstance(value, str) else value
        if not isinstance(value, bytes):
            raise UserError(f"feature {self.name} needs a string, not {type(value).__name__}")
        return value

    def problem(self, held: Mapping) -> str | None:
        """Says why what a record holds of the feature is bad; None when it is good.

        Args:
          held: the record's features by key, or its feature lists if `per_frame`.
        """
        keys = [key for key in self.names_on_disk if _is_set(held, key)]
        if not keys:
            names = ", ".join(sorted(held)) or "nothing"
            kind = "feature list" if self.per_frame else "feature"
            return f"{kind} {self.name} is missing (found {names})" if self.required else None
        if not self.per_frame:
            return self._context_problem([held[key] for key in keys])
        return self._frames_problem(held[keys[0]].feature)

    def number_of_entries(self, held: Mapping) -> int:
        """How many frames, or how many of a variable number of values, a record holds."""
        key = self.names_on_disk[0]
        if key not in held:
            return 0
        if self.per_frame:
            return len(held[key].feature)
        return len(getattr(held[key], KINDS[self.form]).value)

    def _context_problem(self, entries: Sequence[tf.train.Feature]) -> str | None:
        # The graph's parser reads every key that is there, and so each must be sound.
        subject = f"feature {self.name}"
        for entry in entries:
            reason = self._entry_problem(entry, subject)
            if reason:
                return reason
        if self.form == "bytes" and self.required:
            empty = not any(entry.bytes_list.value[0] for entry in entries)
            return f"{subject} is empty" if empty else None
        return None

    def _frames_problem(self, entries: Sequence[tf.train.Feature]) -> str | None:
        if not entries:
            return f"feature list {self.name} has no frame"
        if self.max_frames is not None and len(entries) > self.max_frames:
            number = f"{len(entries)} frames, at most {self.max_frames} allowed"
            return f"feature {self.name} has {number}"
        for i, entry in enumerate(entries):
            reason = self._entry_problem(entry, f"feature {self.name}, frame {i},")
            if reason:
                return reason
        return None

    def _entry_problem(self, entry: tf.train.Feature, subject: str) -> str | None:
        kind = entry.WhichOneof("kind")
        expected = KINDS[self.form]
        if kind != expected:
            return f"{subject} is a {kind or 'feature without values'}, expected a {expected}"
        values = getattr(entry, kind).value
        if self.form == "bytes" and self.variable:
            return None
        if self.form in ("bytes", "raw"):
            if len(values) != 1:
                return f"{subject} has {len(values)} strings, expected 1"
            return self._string_problem(values[0], subject)
        array = np.array(values, np.int64 if self.form == "ints" else np.float32)
        return self._values_problem(array, subject)

    def _string_problem(self, string: bytes, subject: str) -> str | None:
        if self.form == "bytes":
            return None
        dtype = RAW_TYPES[self.raw_type]
        if len(string) != self.size * dtype.itemsize:
            return f"{subject} has {len(string)} bytes, expected {self.size * dtype.itemsize}"
        return self._values_problem(np.frombuffer(string, dtype), subject)

    def _values_problem(self, array: np.ndarray, subject: str) -> str | None:
        if self.size is not None and array.size != self.size:
            return f"{subject} has {array.size} values, expected {self.size}"
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"{subject} has a NaN or Inf at position {np.argmin(np.isfinite(array))}"
        if self.limit is not None and array.size:
            outside = array[(array < 0) | (array >= self.limit)]
            if outside.size:
                return f"{self.name.removesuffix('s')} {outside[0]} is outside [0, {self.limit})"
        return None


def quantize(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Floats as the raw type of a feature, rounded to nearest; never clipped.

    Raises:
      UserError: a value is NaN, Inf or farther than half a step from the raw range.
    """
    values = np.asarray(values, np.float64)
    dtype = RAW_TYPES[feature.raw_type]
    highest = np.iinfo(dtype).max if dtype.kind == "u" else np.finfo(dtype).max
    stored = (values - feature.offset) / feature.scale
    stored = np.rint(stored) if dtype.kind == "u" else stored
    lowest = 0 if dtype.kind == "u" else -highest
    fits = (stored >= lowest) & (stored <= highest)
    if not fits.all():
        low, high = (q * feature.scale + feature.offset for q in (lowest, highest))
        where = int(np.argmin(fits))
        raise UserError(
            f"feature {feature.name}: {values.ravel()[where]:.6g} at position {where} is outside"
            f" [{low:.6g}, {high:.6g}], the range of its {feature.raw_type} form"
        )
    return stored.astype(dtype)


def _is_set(held: Mapping, key: str) -> bool:
    # A feature without a kind is how protocol buffers spell an absent one; the
    # graph's parser reads it so too.
    if key not in held:
        return False
    entry = held[key]
    return not isinstance(entry, tf.train.Feature) or entry.WhichOneof("kind") is not None
