"""Records to tensors in the graph: a block of records per call, never one by one.

The counterpart of `crossmodal.feature`, which judges a single record in plain
Python under the same rules. Checks are a reduction per block, so that they
cost little; they say what is wrong, not which record of which file it is.
"""

from collections.abc import Sequence

import tensorflow as tf

from crossmodal.feature import Feature

Tensors = dict[str, tf.Tensor]
DTYPES = {"bytes": tf.string, "ints": tf.int64, "floats": tf.float32, "raw": tf.string}
PADDING = {"bytes": "", "ints": -1, "floats": 0.0}
Checks = list[tuple[tf.Tensor, str]]  # (what must hold, what it means when it does not)


def parse_batch(features: Sequence[Feature], serialized: tf.Tensor) -> Tensors:
    """Parses a string tensor [batch]; see `crossmodal.schema.Schema.parse`."""
    context = [feature for feature in features if not feature.per_frame]
    frames = [feature for feature in features if feature.per_frame]
    specs = {key: spec for feature in context for key, spec in _context_specs(feature).items()}
    lengths: Tensors = {}
    if frames:
        parsed, lists, lengths = tf.io.parse_sequence_example(
            serialized,
            context_features=specs,
            sequence_features={f.names_on_disk[0]: _frame_spec(f) for f in frames},
        )
        parsed.update(lists)
    else:
        parsed = tf.io.parse_example(serialized, specs)
    batch, counts = {}, {}
    for feature in features:
        read = _read_frames if feature.per_frame else _read_context
        batch[feature.name], count = read(feature, parsed, lengths)
        if feature.count:
            counts.setdefault(feature.count, []).append(tf.cast(count, tf.int32))
    for name, (first, *others) in counts.items():
        batch[name] = _checked(first, _agreement(name, first, others))
    return batch


def parse_one(features: Sequence[Feature], serialized: tf.Tensor) -> Tensors:
    """Parses a string scalar; see `crossmodal.schema.Schema.parse_one`."""
    specs = {key: spec for feature in features for key, spec in _context_specs(feature).items()}
    parsed = tf.io.parse_example(serialized[None], specs)
    flat = {
        key: value.flat_values[None] if isinstance(value, tf.RaggedTensor) else value
        for key, value in parsed.items()
    }
    record, counts = {}, {}
    for feature in features:
        if feature.variable:
            value = flat[feature.names_on_disk[0]]
            value = _checked(value, _value_checks(feature, value))
        else:
            value, _ = _read_context(feature, parsed, {})
        record[feature.name] = tf.squeeze(value, 0)
        if feature.count:
            counts.setdefault(feature.count, []).append(tf.shape(value)[1])
    for name, (first, *others) in counts.items():
        record[name] = _checked(first, _agreement(name, first, others))
    return record


def _agreement(name: str, first: tf.Tensor, others: Sequence[tf.Tensor]) -> Checks:
    message = f"the features that share {name} differ in their number of entries"
    return [(tf.reduce_all(first == other), message) for other in others]


def _context_specs(feature: Feature) -> dict:
    if feature.form == "bytes" and not feature.variable:
        spec = tf.io.FixedLenFeature([], tf.string, default_value="")
        return {key: spec for key in feature.names_on_disk}
    key = feature.names_on_disk[0]
    dtype = DTYPES[feature.form]
    if feature.variable:
        return {key: tf.io.RaggedFeature(dtype)}
    return {key: tf.io.FixedLenFeature([] if feature.form == "raw" else [feature.size], dtype)}


def _frame_spec(feature: Feature) -> tf.io.FixedLenSequenceFeature:
    if feature.form == "raw":
        return tf.io.FixedLenSequenceFeature([], tf.string)
    return tf.io.FixedLenSequenceFeature([feature.size], tf.float32)


def _read_context(
    feature: Feature, parsed: Tensors, lengths: Tensors
) -> tuple[tf.Tensor, tf.Tensor | None]:
    del lengths
    if feature.form == "bytes" and not feature.variable:
        return _first_set(feature, [parsed[key] for key in feature.names_on_disk]), None
    value = parsed[feature.names_on_disk[0]]
    if feature.variable:
        flat = _checked(value.flat_values, _value_checks(feature, value.flat_values))
        value = value.with_flat_values(flat)
        return value.to_tensor(PADDING[feature.form]), value.row_lengths()
    if feature.form == "raw":
        return _decode(feature, _checked(value, _string_checks(feature, value, False))), None
    return _checked(value, _value_checks(feature, value)), None


def _first_set(feature: Feature, candidates: list[tf.Tensor]) -> tf.Tensor:
    value = candidates[-1]
    for other in reversed(candidates[:-1]):
        value = tf.where(tf.not_equal(other, ""), other, value)
    if not feature.required:
        return value
    names = " or ".join(feature.names_on_disk)
    return _checked(value, [(tf.reduce_all(value != ""), f"feature {names} is missing or empty")])


def _decode(feature: Feature, strings: tf.Tensor) -> tf.Tensor:
    # With a fixed length, decode_raw takes an empty batch and padding, and has no float16;
    # it would pad and cut strings of another length, so lengths are checked before.
    half = feature.raw_type == "float16"
    length = feature.size * (2 if half else 1)
    raw = tf.io.decode_raw(strings, tf.uint16 if half else tf.uint8, fixed_length=length)
    raw = tf.bitcast(raw, tf.float16) if half else raw
    raw = tf.ensure_shape(raw, [*strings.shape, feature.size])
    raw = _checked(raw, _value_checks(feature, raw))
    if feature.keep_raw:
        return raw
    value = tf.cast(raw, tf.float32)
    return value * feature.scale + feature.offset if feature.raw_type == "uint8" else value


def _string_checks(feature: Feature, strings: tf.Tensor, exempt: tf.Tensor | bool) -> Checks:
    length = feature.size * tf.as_dtype(feature.raw_type).size
    right = (tf.strings.length(strings) == length) | exempt
    return [(tf.reduce_all(right), f"feature {feature.name} does not have {length} bytes")]


def _read_frames(
    feature: Feature, parsed: Tensors, lengths: Tensors
) -> tuple[tf.Tensor, tf.Tensor]:
    value, count = (source[feature.names_on_disk[0]] for source in (parsed, lengths))
    checks = [(tf.reduce_all(count > 0), f"feature list {feature.name} has no frame")]
    if feature.max_frames is not None:
        message = f"feature {feature.name} has more than {feature.max_frames} frames"
        checks.append((tf.reduce_all(count <= feature.max_frames), message))
    present = tf.sequence_mask(count, tf.shape(value)[1])
    if feature.form == "floats":
        return _checked(value, checks + _value_checks(feature, value)), count
    value = _checked(value, checks + _string_checks(feature, value, ~present))
    value = _decode(feature, value)
    if feature.raw_type == "uint8" and not feature.keep_raw:
        value = tf.where(present[..., None], value, 0.0)
    return value, count


def _value_checks(feature: Feature, value: tf.Tensor) -> Checks:
    if value.dtype.is_floating:
        finite = tf.reduce_all(tf.math.is_finite(value))
        return [(finite, f"feature {feature.name} has a NaN or Inf")]
    if feature.limit is not None:
        inside = tf.reduce_all((value >= 0) & (value < feature.limit))
        return [(inside, f"a {feature.name.removesuffix('s')} is outside [0, {feature.limit})")]
    return []


def _checked(value: tf.Tensor, checks: Checks) -> tf.Tensor:
    asserts = [tf.debugging.Assert(holds, [message]) for holds, message in checks]
    with tf.control_dependencies([op for op in asserts if op is not None]):
        return tf.identity(value)
