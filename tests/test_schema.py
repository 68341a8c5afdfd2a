"""Schemas against hand-built protocol messages and TensorFlow's one-record parser."""

import numpy as np
import pytest
import tensorflow as tf

from crossmodal.errors import UserError
from crossmodal.schema import Feature, Schema

ID = Feature("id", "bytes", keys=("id", "video_id"))
LABELS = Feature("labels", "ints", required=False, limit=10)
UINT8 = dict(form="raw", raw_type="uint8", per_frame=True, max_frames=5, count="num_frames")
FLAT = Schema((ID, LABELS, Feature("mean", "floats", 4)))
HALF = Schema((ID, Feature("mean", "raw", 4, raw_type="float16")))
BYTE = Schema((ID, Feature("mean", "raw", 4, raw_type="uint8", scale=0.5, offset=-10.0)))
FRAMES = Schema(
    (
        ID,
        LABELS,
        Feature("rgb", size=3, keep_raw=True, **UINT8),
        Feature("audio", size=2, keep_raw=True, **UINT8),
    )
)
SEGMENTS = Schema(
    (
        ID,
        Feature("classes", "ints", required=False, count="num_segments"),
        Feature("scores", "floats", required=False, count="num_segments"),
    )
)

# TensorFlow quotes what is no Example in its message, and may trip over the quotation.
REFUSALS = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


def bytes_of(*values: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def ints_of(*values: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats_of(*values: float) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def example(**features: tf.train.Feature | None) -> bytes:
    held = {key: value for key, value in features.items() if value is not None}
    return tf.train.Example(features=tf.train.Features(feature=held)).SerializeToString()


def flat(**changes: tf.train.Feature | None) -> bytes:
    """A good record of FLAT, with some features replaced or (None) left out."""
    good = {"id": bytes_of(b"abcd"), "labels": ints_of(3, 0), "mean": floats_of(1, -2, 0.5, 0)}
    return example(**{**good, **changes})


def sequence(lists: dict[str, list[tf.train.Feature]], **context: tf.train.Feature) -> bytes:
    return tf.train.SequenceExample(
        context=tf.train.Features(feature={"id": bytes_of(b"abcd"), **context}),
        feature_lists=tf.train.FeatureLists(
            feature_list={k: tf.train.FeatureList(feature=v) for k, v in lists.items()}
        ),
    ).SerializeToString()


def frames(rgb: list[bytes], audio: list[bytes]) -> bytes:
    return sequence({"rgb": [bytes_of(b) for b in rgb], "audio": [bytes_of(b) for b in audio]})


def parse(schema: Schema, *records: bytes) -> dict[str, np.ndarray]:
    """Parses in a graph whose batch size is not known, as in a pipeline."""
    graph = tf.function(schema.parse, input_signature=[tf.TensorSpec([None], tf.string)])
    return {k: v.numpy() for k, v in graph(tf.constant(records, tf.string)).items()}


def assert_bad(schema: Schema, bad: bytes, good: bytes, reason: str) -> None:
    """Plain Python names the reason and the graph refuses a batch that holds the record."""
    assert schema.problem(good) is None
    parse(schema, good, good)
    assert reason in schema.problem(bad)
    with pytest.raises(REFUSALS):
        parse(schema, good, bad, good)


def test_parse_of_hand_built_records_that_differ_in_everything_allowed():
    batch = parse(
        FLAT,
        flat(),
        flat(id=None, video_id=bytes_of(b"old")),
        flat(labels=None),
        flat(labels=ints_of(), video_id=bytes_of(b"second choice")),
        flat(labels=ints_of(9, 1, 4), id=bytes_of(b""), video_id=bytes_of(b"old")),
    )
    assert batch["id"].tolist() == [b"abcd", b"old", b"abcd", b"abcd", b"old"]
    assert batch["labels"].tolist() == [[3, 0, -1], [3, 0, -1], [-1] * 3, [-1] * 3, [9, 1, 4]]
    assert batch["labels"].dtype == np.int64
    assert batch["mean"].tolist() == [[1, -2, 0.5, 0]] * 5
    assert set(batch) == {"id", "labels", "mean"}
    assert FLAT.problem(flat(id=bytes_of(b""), video_id=bytes_of(b"old"))) is None


def test_parse_of_no_record_keeps_types_and_sizes():
    batch = parse(FLAT)
    assert batch["mean"].shape == (0, 4)
    assert batch["labels"].shape[0] == batch["id"].shape[0] == 0
    assert parse(HALF)["mean"].shape == (0, 4)


def test_serialize_is_read_by_tensorflow_one_record_at_a_time():
    values = {"id": "abcd", "labels": [7, 2], "mean": np.array([0.1, 2, -3, 4])}
    parsed = tf.io.parse_single_example(
        FLAT.serialize(values),
        {
            "id": tf.io.FixedLenFeature([], tf.string),
            "labels": tf.io.VarLenFeature(tf.int64),
            "mean": tf.io.FixedLenFeature([4], tf.float32),
        },
    )
    assert parsed["id"].numpy() == b"abcd"
    assert parsed["labels"].values.numpy().tolist() == [7, 2]
    assert np.array_equal(parsed["mean"], np.float32([0.1, 2, -3, 4]))


def test_serialize_gives_the_bytes_of_a_hand_built_record():
    values = {"labels": np.array([3, 0]), "mean": [1, -2, 0.5, 0], "id": b"abcd"}
    assert tf.train.Example.FromString(FLAT.serialize(values)) == tf.train.Example.FromString(
        flat()
    )
    shuffled = dict(reversed(values.items()))
    assert FLAT.serialize(values) == FLAT.serialize(shuffled)


@pytest.mark.parametrize("schema", [FLAT, HALF, BYTE, FRAMES, SEGMENTS])
def test_rows_of_a_batch_are_what_was_written(schema):
    rng = np.random.default_rng(0)
    values = [
        {
            "id": b"%d" % i,
            "labels": rng.integers(10, size=i),
            "mean": rng.integers(-20, 20, 4) / 2,
            "rgb": rng.integers(256, size=(i + 1, 3)).astype(np.uint8),
            "audio": rng.integers(256, size=(i + 1, 2)).astype(np.uint8),
            "classes": rng.integers(-3, 3, size=i),
            "scores": rng.integers(-3, 3, size=i),
        }
        for i in range(5)
    ]
    batch = parse(schema, *(schema.serialize(v) for v in values))
    rows = list(schema.rows(batch))
    assert len(rows) == 5
    for row, expected in zip(rows, values, strict=True):
        assert set(row) == {feature.name for feature in schema.features}
        assert all(np.array_equal(row[name], expected[name]) for name in row)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mean": None}, "feature mean is missing (found id, labels)"),
        ({"mean": tf.train.Feature()}, "feature mean is missing"),
        ({"mean": floats_of(1, 2, 3)}, "feature mean has 3 values, expected 4"),
        ({"mean": floats_of(*range(5))}, "feature mean has 5 values, expected 4"),
        ({"mean": ints_of(1, 2, 3, 4)}, "feature mean is a int64_list, expected a float_list"),
        ({"mean": bytes_of(b"1234")}, "feature mean is a bytes_list, expected a float_list"),
        ({"mean": floats_of(0, np.nan, 1, 1)}, "feature mean has a NaN or Inf at position 1"),
        ({"mean": floats_of(0, 0, 0, -np.inf)}, "feature mean has a NaN or Inf at position 3"),
        ({"mean": floats_of(np.inf, 0, 0, -np.inf)}, "feature mean has a NaN or Inf"),
        ({"labels": ints_of(1, 10)}, "label 10 is outside [0, 10)"),
        ({"labels": ints_of(-1, 2)}, "label -1 is outside [0, 10)"),
        ({"labels": floats_of(1.0)}, "feature labels is a float_list, expected a int64_list"),
        ({"id": None}, "feature id is missing"),
        ({"id": bytes_of(b"")}, "feature id is empty"),
        ({"id": bytes_of(b"a", b"b")}, "feature id has 2 strings, expected 1"),
        ({"id": ints_of(5)}, "feature id is a int64_list"),
        ({"id": ints_of(5), "video_id": bytes_of(b"a")}, "feature id is a int64_list"),
        ({"video_id": ints_of(5)}, "feature id is a int64_list"),
        ({"id": bytes_of(b""), "video_id": bytes_of(b"")}, "feature id is empty"),
    ],
)
def test_bad_record_is_named_and_refused(changes, reason):
    assert_bad(FLAT, flat(**changes), flat(), reason)


@pytest.mark.parametrize("junk", [b"a,b,c\n1,2,3\n", b"\xff" * 20, flat()[:-3]])
def test_what_is_no_example_is_named_and_refused(junk):
    assert_bad(FLAT, junk, flat(), "not a tf.train.Example")
    assert "not a tf.train.SequenceExample" in FRAMES.problem(b"\xff" * 20)


def test_record_of_another_kind_says_what_it_has():
    assert_bad(FRAMES, flat(), frames([b"abc"], [b"ab"]), "feature list rgb is missing")
    video_level = frames([b"abc"], [b"ab"])
    assert_bad(FLAT, video_level, flat(), "feature mean is missing (found id)")


def test_finite_values_with_an_infinite_sum_are_good():
    record = flat(mean=floats_of(3e38, 3e38, 3e38, 3e38))
    assert FLAT.problem(record) is None
    assert parse(FLAT, record)["mean"].tolist() == [[np.float32(3e38)] * 4]


def test_graph_and_plain_python_agree_on_random_records():
    rng = np.random.default_rng(1)
    good = 0
    for _ in range(400):
        record = flat(
            **{
                str(key): [
                    None,
                    bytes_of(rng.bytes(int(rng.integers(3)))),
                    ints_of(*rng.integers(-1, 12, rng.integers(3)).tolist()),
                    floats_of(
                        *rng.choice([0, 1, 3e38, np.nan], rng.integers(3, 6), p=[0.3] * 3 + [0.1])
                    ),
                ][rng.integers(4)]
                for key in rng.choice(["id", "video_id", "labels", "mean"], rng.integers(3))
            }
        )
        try:
            FLAT.parse(tf.constant([record]))
            accepted = True
        except REFUSALS:
            accepted = False
        assert accepted == (FLAT.problem(record) is None), FLAT.problem(record)
        good += accepted
    assert 50 < good < 250


def test_frames_are_padded_and_counted():
    batch = parse(FRAMES, frames([b"abc", b"def"], [b"12", b"34"]), frames([b"xyz"], [b"\xff\x00"]))
    assert batch["rgb"].dtype == np.uint8
    assert batch["rgb"].tolist() == [[list(b"abc"), list(b"def")], [list(b"xyz"), [0, 0, 0]]]
    assert batch["audio"].tolist() == [[list(b"12"), list(b"34")], [[255, 0], [0, 0]]]
    assert batch["num_frames"].tolist() == [2, 1]
    assert batch["num_frames"].dtype == np.int32


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (frames([b"abc", b"abcd"], [b"12"] * 2), "feature rgb, frame 1, has 4 bytes, expected 3"),
        (frames([b"abc", b""], [b"12"] * 2), "feature rgb, frame 1, has 0 bytes, expected 3"),
        (frames([b"abc"] * 2, [b"12"]), "rgb has 2 entries but audio has 1"),
        (frames([b"abc"] * 6, [b"12"] * 6), "feature rgb has 6 frames, at most 5 allowed"),
        (frames([], []), "feature list rgb has no frame"),
        (sequence({"rgb": [bytes_of(b"abc")]}), "feature list audio is missing (found rgb)"),
        (
            sequence({"rgb": [bytes_of(b"abc")], "audio": [floats_of(1, 2)]}),
            "feature audio, frame 0, is a float_list, expected a bytes_list",
        ),
    ],
)
def test_bad_frames_are_named_and_refused(bad, reason):
    assert_bad(FRAMES, bad, frames([b"abc"] * 5, [b"12"] * 5), reason)


def test_decoded_frames_are_zero_after_the_last_one():
    schema = Schema((ID, Feature("rgb", size=2, scale=0.5, offset=-10.0, **UINT8)))
    records = [sequence({"rgb": [bytes_of(b"\x00\x02")] * n}) for n in (1, 2)]
    batch = parse(schema, *records)
    assert batch["rgb"].tolist() == [[[-10, -9], [0, 0]], [[-10, -9], [-10, -9]]]


def test_float_frames_are_checked_and_padded():
    schema = Schema((ID, Feature("rgb", "floats", 2, per_frame=True, count="num_frames")))
    one, two = (sequence({"rgb": [floats_of(1, 2)] * n}) for n in (1, 2))
    assert parse(schema, one, two)["rgb"].tolist() == [[[1, 2], [0, 0]], [[1, 2], [1, 2]]]
    written = schema.serialize({"id": b"abcd", "rgb": np.array([[1, 2], [1, 2]])})
    assert tf.train.SequenceExample.FromString(written) == tf.train.SequenceExample.FromString(two)
    nan = sequence({"rgb": [floats_of(1, 2), floats_of(1, np.nan)]})
    assert_bad(schema, nan, two, "feature rgb, frame 1, has a NaN or Inf at position 1")
    short = sequence({"rgb": [floats_of(1, 2), floats_of(1)]})
    assert_bad(schema, short, two, "feature rgb, frame 1, has 1 values, expected 2")


def test_parallel_features_must_agree_in_number():
    good = example(id=bytes_of(b"a"), classes=ints_of(-4, 7), scores=floats_of(0, 1))
    none = example(id=bytes_of(b"b"))
    batch = parse(SEGMENTS, good, none)
    assert batch["num_segments"].tolist() == [2, 0]
    assert batch["classes"].tolist() == [[-4, 7], [-1, -1]]
    assert batch["scores"].tolist() == [[0, 1], [0, 0]]
    uneven = example(id=bytes_of(b"a"), classes=ints_of(4, 7), scores=floats_of(0))
    assert_bad(SEGMENTS, uneven, good, "classes has 2 entries but scores has 1")
    missing = example(id=bytes_of(b"a"), scores=floats_of(0))
    assert_bad(SEGMENTS, missing, good, "classes has 0 entries but scores has 1")


def test_float16_strings_hold_the_nearest_half():
    values = np.array([1 / 3, -1.9921875, 65504, 1e-7])
    batch = parse(HALF, HALF.serialize({"id": "a", "mean": values}))
    assert batch["mean"].dtype == np.float32
    assert np.array_equal(batch["mean"][0], values.astype("<f2").astype(np.float32))
    by_hand = example(id=bytes_of(b"a"), mean=bytes_of(values.astype("<f2").tobytes()))
    assert np.array_equal(parse(HALF, by_hand)["mean"], batch["mean"])


def test_uint8_strings_hold_the_nearest_step_over_the_whole_range():
    steps = np.arange(256) * 0.5 - 10
    for values in np.concatenate([steps, steps + 0.2, steps - 0.2]).reshape(-1, 4):
        batch = parse_eagerly(BYTE, BYTE.serialize({"id": "a", "mean": values}))
        assert np.abs(batch["mean"][0] - values).max() <= 0.25
    by_hand = example(id=bytes_of(b"a"), mean=bytes_of(bytes([0, 1, 254, 255])))
    assert parse(BYTE, by_hand)["mean"].tolist() == [[-10, -9.5, 117, 117.5]]


def parse_eagerly(schema: Schema, *records: bytes) -> dict[str, tf.Tensor]:
    return schema.parse(tf.constant(records))


@pytest.mark.parametrize("schema", [HALF, BYTE])
def test_strings_of_another_length_are_refused(schema):
    good = schema.serialize({"id": "a", "mean": [1, 2, 3, 4]})
    size = 8 if schema is HALF else 4
    for length in (0, size - 1, size + 1, 2 * size):
        bad = example(id=bytes_of(b"a"), mean=bytes_of(bytes(length)))
        assert_bad(schema, bad, good, f"feature mean has {length} bytes, expected {size}")


def test_float16_string_with_a_nan_is_refused():
    good = HALF.serialize({"id": "a", "mean": [1, 2, 3, 4]})
    for value in (np.nan, np.inf, -np.inf):
        string = np.array([1, 2, value, 4], "<f2").tobytes()
        bad = example(id=bytes_of(b"a"), mean=bytes_of(string))
        assert_bad(HALF, bad, good, "feature mean has a NaN or Inf at position 2")
    kept = Schema((ID, Feature("mean", "raw", 4, raw_type="float16", keep_raw=True)))
    assert parse(kept, good)["mean"].dtype == np.float16
    assert_bad(kept, bad, good, "NaN or Inf")


@pytest.mark.parametrize(
    ("schema", "changes", "reason"),
    [
        (BYTE, {"mean": [0, 0, -10.3, 0]}, "-10.3 at position 2 is outside [-10, 117.5]"),
        (BYTE, {"mean": [117.8, 0, 0, 0]}, "117.8 at position 0 is outside [-10, 117.5]"),
        (BYTE, {"mean": [0, np.nan, 0, 0]}, "nan at position 1"),
        (HALF, {"mean": [0, 70000.0, 0, 0]}, "70000 at position 1 is outside [-65504, 65504]"),
        (HALF, {"mean": [0, 0, 0, np.inf]}, "inf at position 3"),
        (HALF, {"mean": [0, 0, 0]}, "has 6 bytes, expected 8"),
        (HALF, {"mean": None}, "feature mean is missing"),
        (FLAT, {"mean": [0, 0, 0, np.nan]}, "NaN or Inf at position 3"),
        (FLAT, {"mean": [0, 0, 0, 1e39]}, "NaN or Inf at position 3"),
        (FLAT, {"labels": [10]}, "label 10 is outside [0, 10)"),
        (FLAT, {"labels": [1, -1]}, "label -1 is outside [0, 10)"),
        (FLAT, {"labels": [1.5]}, "feature labels needs integers, not float64"),
        (FLAT, {"id": ""}, "feature id is empty"),
        (FLAT, {"id": 5}, "feature id needs a string, not int"),
        (FRAMES, {"rgb": np.full((2, 3), 256)}, "feature rgb needs uint8, not int64"),
        (FRAMES, {"rgb": np.zeros((3, 3), np.uint8)}, "rgb has 3 entries but audio has 2"),
    ],
)
def test_what_does_not_fit_is_not_written(schema, changes, reason):
    good = {
        "id": "abcd",
        "labels": [3],
        "mean": np.ones(4),
        "rgb": np.ones((2, 3), np.uint8),
        "audio": np.ones((2, 2), np.uint8),
    }
    assert schema.problem(schema.serialize(good)) is None
    with pytest.raises(UserError) as error:
        schema.serialize({**good, **changes})
    assert reason in str(error.value)
    assert str(error.value).startswith("cannot write record ")


@pytest.mark.parametrize(
    "definition",
    [
        {"form": "text"},
        {"form": "raw", "size": 3},
        {"form": "raw", "size": 3, "raw_type": "int7"},
        {"form": "raw", "raw_type": "uint8"},
        {"form": "floats", "size": 3, "raw_type": "uint8"},
        {"form": "floats", "size": 3, "keys": ("a", "b")},
        {"form": "floats", "size": 3, "per_frame": True},
        {"form": "ints", "required": False},
        {"form": "ints", "limit": 5},
        {"form": "floats", "size": 3, "required": False},
    ],
)
def test_feature_that_no_reader_could_follow_is_rejected(definition):
    with pytest.raises(ValueError, match="feature x: "):
        Feature("x", **definition)


STRINGS = Schema(
    (
        ID,
        Feature("frames", "bytes", required=False, count="num_frames"),
        Feature("times", "floats", required=False, count="num_frames"),
    )
)


def test_lists_of_strings_are_written_and_parsed_with_their_number():
    records = [
        example(
            id=bytes_of(b"a"), frames=bytes_of(b"\xff\x00", b"", b"xyz"), times=floats_of(0, 1, 2)
        ),
        example(id=bytes_of(b"b"), frames=bytes_of(b"q"), times=floats_of(5)),
        example(id=bytes_of(b"c")),
    ]
    batch = parse(STRINGS, *records)
    assert batch["num_frames"].tolist() == [3, 1, 0]
    assert batch["frames"].tolist() == [[b"\xff\x00", b"", b"xyz"], [b"q", b"", b""], [b""] * 3]
    assert [STRINGS.serialize(row) for row in STRINGS.rows(batch)][:2] == [
        tf.train.Example.FromString(r).SerializeToString(deterministic=True) for r in records[:2]
    ]
    written = STRINGS.serialize({"id": "é", "frames": ["x", b"y"], "times": [1.0, 2.0]})
    held = tf.train.Example.FromString(written).features.feature
    assert list(held["frames"].bytes_list.value) == [b"x", b"y"]


def test_lists_of_strings_that_differ_in_number_or_kind_are_bad():
    good = example(id=bytes_of(b"a"), frames=bytes_of(b"x"), times=floats_of(1))
    longer = example(id=bytes_of(b"a"), frames=bytes_of(b"x", b"y"), times=floats_of(1))
    assert_bad(STRINGS, longer, good, "frames has 2 entries but times has 1")
    wrong = example(id=bytes_of(b"a"), frames=ints_of(1), times=floats_of(1))
    assert_bad(STRINGS, wrong, good, "feature frames is a int64_list, expected a bytes_list")
    with pytest.raises(UserError, match="feature frames needs a string, not int"):
        STRINGS.serialize({"id": "a", "frames": [1], "times": [1.0]})
    with pytest.raises(ValueError, match="single string only"):
        Feature("frames", "bytes", keys=("a", "b"), required=False, count="n")


def test_one_record_parses_as_in_a_batch_without_its_padding():
    schemas = {
        FLAT: [flat(), flat(labels=ints_of()), flat(labels=None)],
        HALF: [HALF.serialize({"id": "a", "mean": np.arange(4.0)})],
        STRINGS: [
            example(id=bytes_of(b"a"), frames=bytes_of(b"x", b"yy"), times=floats_of(1, 2)),
            example(id=bytes_of(b"b")),
        ],
        SEGMENTS: [example(id=bytes_of(b"a"), classes=ints_of(4, 5), scores=floats_of(1, 0))],
    }
    for schema, records in schemas.items():
        one = tf.function(schema.parse_one, input_signature=[tf.TensorSpec([], tf.string)])
        for record in records:
            found = {name: value.numpy() for name, value in one(tf.constant(record)).items()}
            expected = parse(schema, record)
            assert found.keys() == expected.keys()
            for name, value in expected.items():
                np.testing.assert_array_equal(found[name], value[0])
                assert np.asarray(found[name]).dtype.kind == np.asarray(value[0]).dtype.kind


def test_one_bad_record_is_refused():
    longer = example(id=bytes_of(b"a"), frames=bytes_of(b"x", b"y"), times=floats_of(1))
    bad = {STRINGS: longer, FLAT: flat(labels=ints_of(10)), SEGMENTS: example()}
    for schema, record in bad.items():
        with pytest.raises(REFUSALS):
            tf.function(schema.parse_one)(tf.constant(record))
