"""What a record holds: one object that writes, parses and judges records.

A `Schema` is a tuple of `Feature`s. It serialises a record (tf.train.Example,
or SequenceExample when a feature has one entry a frame), parses a whole batch
of records in the graph and says in plain Python why a single record is bad.
Nobody else needs to know how a feature lies on disk.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from crossmodal import parsing
from crossmodal.errors import UserError
from crossmodal.feature import Feature

__all__ = ["Feature", "Schema"]


@dataclasses.dataclass(frozen=True)
class Schema:
    """The features of one kind of record, in a fixed order."""

    features: tuple[Feature, ...]

    @property
    def sequence(self) -> bool:
        """Whether records are SequenceExamples rather than Examples."""
        return any(feature.per_frame for feature in self.features)

    @property
    def block_size(self) -> int:
        """Records to parse at once: enough for the vectorised parser, few enough for memory."""
        if any(feature.form == "bytes" and feature.variable for feature in self.features):
            return 8  # such as pictures: megabytes a record
        return 32 if self.sequence else 512  # frames are hundreds of times a video's features

    def serialize(self, values: Mapping[str, object]) -> bytes:
        """Writes one record; the same values always give the same bytes.

        Args:
          values: by feature name: bytes or str; a sequence of ints or floats; for raw
            features the decoded floats [size] (the stored values with `keep_raw`);
            [time, size] per frame. An optional feature may be left out. Other entries
            (such as `num_frames`) are ignored.

        Raises:
          UserError: a required value is missing, or one has the wrong length, is NaN or
            Inf, is outside its limit or does not fit the raw type: nothing is clipped.
        """
        record = tf.train.SequenceExample() if self.sequence else tf.train.Example()
        context = record.context if self.sequence else record.features
        try:
            for feature in self.features:
                value = values.get(feature.name)
                if value is None:
                    continue
                key = feature.names_on_disk[0]
                if feature.per_frame:
                    entries = [feature.entry(row) for row in value]
                    record.feature_lists.feature_list[key].feature.extend(entries)
                else:
                    context.feature[key].CopyFrom(feature.entry(value))
            reason = self._reason(record)
            if reason:
                raise UserError(reason)
        except UserError as error:
            raise UserError(f"cannot write record {values.get('id')!r}: {error}") from None
        return record.SerializeToString(deterministic=True)

    def parse(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses records in the graph, all at once.

        Args:
          serialized: string tensor [batch].

        Returns:
          By feature name: bytes as string [batch]; ints as int64 [batch, size], a
          variable number padded with -1; floats as float32 [batch, size], a variable
          number padded with 0.0; raw features as float32 [batch, size], or in their own
          type with `keep_raw`; per frame [batch, time, size], zeros after the last
          frame; and each `count` as int32 [batch].

        Raises:
          tf.errors.InvalidArgumentError: a record is bad. The graph does not know its
            place in a file; `problem` and crossmodal.shards.diagnose do.
        """
        return parsing.parse_batch(self.features, serialized)

    def parse_one(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parses one record of an Example in the graph, without padding or copies for it.

        Args:
          serialized: scalar string.

        Returns:
          What `parse` returns, without the batch dimension; a variable number of values is
          not padded.

        Raises:
          tf.errors.InvalidArgumentError: the record is bad.
        """
        return parsing.parse_one(self.features, serialized)

    def problem(self, serialized: bytes) -> str | None:
        """Says in one clause why a record is bad; None when it is good."""
        message = tf.train.SequenceExample if self.sequence else tf.train.Example
        try:
            return self._reason(message.FromString(serialized))
        except DecodeError:
            return f"not a tf.train.{message.__name__}"

    def rows(self, batch: Mapping[str, np.ndarray]) -> Iterator[dict[str, object]]:
        """Splits a parsed batch into values for `serialize`, without the padding.

        Args:
          batch: what `parse` returned, as NumPy arrays.
        """
        for i in range(len(batch[self.features[0].name])):
            row = {}
            for feature in self.features:
                value = batch[feature.name][i]
                if feature.count:
                    value = value[: batch[feature.count][i]]
                elif feature.variable:
                    value = value[value >= 0]
                row[feature.name] = value
            yield row

    def _reason(self, record: tf.train.Example | tf.train.SequenceExample) -> str | None:
        context = (record.context if self.sequence else record.features).feature
        lists = record.feature_lists.feature_list if self.sequence else {}
        counts: dict[str, tuple[str, int]] = {}
        for feature in self.features:
            held = lists if feature.per_frame else context
            reason = feature.problem(held)
            if reason:
                return reason
            if feature.count:
                number = feature.number_of_entries(held)
                other, expected = counts.setdefault(feature.count, (feature.name, number))
                if number != expected:
                    return f"{other} has {expected} entries but {feature.name} has {number}"
        return None
