"""YouTube-8M's records against hand-built messages, plain arithmetic and the real data."""

import pickle

import numpy as np
import pytest
import tensorflow as tf

from crossmodal.errors import UserError
from yt8m_embed import records

VIDEO_LEVEL_SCHEMAS = [records.video_level, records.compact_float16, records.compact_uint8]
# Half a step of each form over the features' range, [-1.992, 2.008].
LARGEST_ERROR = {
    records.video_level: 0.0,
    records.compact_float16: 2**-10,
    records.compact_uint8: 2 / 255,
}


def parse(schema, *serialized: bytes) -> dict[str, np.ndarray]:
    graph = tf.function(schema.parse, input_signature=[tf.TensorSpec([None], tf.string)])
    return {k: v.numpy() for k, v in graph(tf.constant(serialized, tf.string)).items()}


def plain_dequantize(quantized: int) -> float:
    return quantized * 4 / 255 + 4 / 512 - 2


def video(seed: int = 0, **changes) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    return {
        "id": b"abcd",
        "labels": [0, 17],
        "mean_rgb": np.float32(rng.uniform(-1.992, 2.0078, 1024)),
        "mean_audio": np.float32(rng.uniform(-1.992, 2.0078, 128)),
        **changes,
    }


def frames(time: int, seed: int = 0, **changes) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    return {
        "id": b"abcd",
        "labels": [3],
        "rgb": rng.integers(256, size=(time, 1024)).astype(np.uint8),
        "audio": rng.integers(256, size=(time, 128)).astype(np.uint8),
        **changes,
    }


def float_lists(array: np.ndarray) -> tf.train.FeatureList:
    return tf.train.FeatureList(
        feature=[tf.train.Feature(float_list=tf.train.FloatList(value=row)) for row in array]
    )


@pytest.mark.parametrize("make_schema", VIDEO_LEVEL_SCHEMAS)
def test_video_level_forms_keep_ids_and_labels_and_bound_the_error(make_schema):
    schema = make_schema(3862)
    values = [video(i, id=b"%d" % i, labels=list(range(0, 3862, 1000))[:i]) for i in range(6)]
    batch = parse(schema, *(schema.serialize(v) for v in values))
    for row, expected in zip(schema.rows(batch), values, strict=True):
        assert row["id"] == expected["id"]
        assert row["labels"].tolist() == expected["labels"]
        for name in ("mean_rgb", "mean_audio"):
            error = np.abs(row[name] - expected[name]).max()
            assert error <= LARGEST_ERROR[make_schema] * (1 + 1e-4)  # float32


@pytest.mark.parametrize("make_schema", VIDEO_LEVEL_SCHEMAS)
def test_ends_of_the_features_range_can_be_written(make_schema):
    schema = make_schema()
    ends = np.float32(np.resize([plain_dequantize(0), plain_dequantize(255)], 1024))
    batch = parse(schema, schema.serialize(video(mean_rgb=ends)))
    assert np.abs(batch["mean_rgb"][0] - ends).max() < 1e-3


@pytest.mark.parametrize("value", [-2.01, 2.02])
def test_uint8_form_refuses_what_lies_outside(value):
    features = video()["mean_audio"]
    features[5] = value
    with pytest.raises(UserError, match=r"mean_audio: .* at position 5 is outside"):
        records.compact_uint8().serialize(video(mean_audio=features))
    records.compact_float16().serialize(video(mean_audio=features))


def test_compact_forms_lie_on_disk_as_documented():
    values = video()
    half = tf.train.Example.FromString(records.compact_float16().serialize(values))
    (string,) = half.features.feature["mean_rgb"].bytes_list.value
    assert string == values["mean_rgb"].astype("<f2").tobytes()
    byte = tf.train.Example.FromString(records.compact_uint8().serialize(values))
    (string,) = byte.features.feature["mean_audio"].bytes_list.value
    nearest = [
        min(range(256), key=lambda q: abs(plain_dequantize(q) - value))
        for value in values["mean_audio"]
    ]
    assert list(string) == nearest
    assert byte.features.feature["labels"].int64_list.value == [0, 17]
    assert byte.features.feature["id"].bytes_list.value == [b"abcd"]


@pytest.mark.parametrize("num_classes", [4716, 3862, 1000, 7])
def test_any_number_of_classes(num_classes):
    schemas = [make(num_classes) for make in VIDEO_LEVEL_SCHEMAS]
    for schema, values in [(s, video) for s in schemas] + [
        (records.frame_level(num_classes), lambda **changes: frames(2, **changes))
    ]:
        schema.serialize(values(labels=[num_classes - 1]))
        with pytest.raises(UserError, match=rf"outside \[0, {num_classes}\)"):
            schema.serialize(values(labels=[num_classes]))


def test_frame_level_record_by_hand():
    values = frames(3)
    by_hand = tf.train.SequenceExample(
        context=tf.train.Features(
            feature={
                "video_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"abcd"])),
                "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
            }
        ),
        feature_lists=tf.train.FeatureLists(
            feature_list={
                name: tf.train.FeatureList(
                    feature=[
                        tf.train.Feature(bytes_list=tf.train.BytesList(value=[row.tobytes()]))
                        for row in values[name]
                    ]
                )
                for name in ("rgb", "audio")
            }
        ),
    ).SerializeToString()
    schema = records.frame_level()
    written = schema.serialize(frames(2, seed=1))
    batch = parse(schema, by_hand, written)
    assert batch["rgb"].dtype == batch["audio"].dtype == np.uint8
    assert batch["id"].tolist() == [b"abcd", b"abcd"]
    assert batch["num_frames"].tolist() == [3, 2]
    assert np.array_equal(batch["rgb"][0], values["rgb"])
    assert np.array_equal(batch["audio"][0], values["audio"])
    # Read back without the library: one string a second.
    _, lists, lengths = tf.io.parse_sequence_example(
        [written],
        sequence_features={"rgb": tf.io.FixedLenSequenceFeature([], tf.string)},
    )
    assert lengths["rgb"].numpy().tolist() == [2]
    assert lists["rgb"].numpy()[0].tolist() == [r.tobytes() for r in frames(2, seed=1)["rgb"]]


def test_frame_level_takes_300_frames_and_no_more():
    schema = records.frame_level()
    assert parse(schema, schema.serialize(frames(300)))["num_frames"].tolist() == [300]
    with pytest.raises(UserError, match="301 frames, at most 300"):
        schema.serialize(frames(301))
    longer = records.frame_level(max_frames=400)
    assert parse(longer, longer.serialize(frames(301)))["num_frames"].tolist() == [301]


def test_segment_level_record():
    schema = records.segment_level()
    segments = {
        "segment_labels": [12, 12, 40],
        "segment_start_times": [0, 45, 45],
        "segment_scores": [1.0, 0.0, 1.0],
    }
    batch = parse(
        schema, schema.serialize(frames(60, **segments)), schema.serialize(frames(4, labels=[]))
    )
    assert batch["segment_labels"].tolist() == [[12, 12, 40], [-1, -1, -1]]
    assert batch["segment_start_times"].tolist() == [[0, 45, 45], [-1, -1, -1]]
    assert batch["segment_scores"].tolist() == [[1, 0, 1], [0, 0, 0]]
    assert batch["num_segments"].tolist() == [3, 0]
    assert batch["num_frames"].tolist() == [60, 4]
    with pytest.raises(UserError, match="segment_label 3862 is outside"):
        schema.serialize(frames(60, **{**segments, "segment_labels": [1, 2, 3862]}))
    with pytest.raises(UserError, match="has 3 entries but segment_scores has 2"):
        schema.serialize(frames(60, **{**segments, "segment_scores": [1.0, 0.0]}))


@pytest.mark.parametrize("key", ["clip/media_id", "clip/data_path", None])
def test_mediapipe_record_with_modalities_of_different_length(key):
    rng = np.random.default_rng(0)
    rgb, audio = (np.float32(rng.normal(0, 3, (time, n))) for time, n in ((5, 1024), (4, 128)))
    context = {"clip/end/timestamp": tf.train.Feature(int64_list=tf.train.Int64List(value=[5]))}
    if key:
        context[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"/videos/a.mp4"]))
    record = tf.train.SequenceExample(
        context=tf.train.Features(feature=context),
        feature_lists=tf.train.FeatureLists(
            feature_list={
                "RGB/feature/floats": float_lists(rgb),
                "AUDIO/feature/floats": float_lists(audio),
            }
        ),
    ).SerializeToString()
    schema = records.mediapipe()
    assert schema.problem(record) is None
    batch = parse(schema, record)
    assert np.array_equal(batch["rgb"][0], rgb)
    assert np.array_equal(batch["audio"][0], audio)
    assert batch["num_rgb_frames"].tolist() == [5]
    assert batch["num_audio_frames"].tolist() == [4]
    assert batch["id"].tolist() == [b"/videos/a.mp4" if key else b""]
    assert batch["labels"].shape == (1, 0)


def test_dequantize_every_byte_and_mask():
    quantized = np.arange(256, dtype=np.uint8).reshape(1, 2, 128).repeat(3, axis=0)
    values, mask = (np.asarray(x) for x in records.dequantize(quantized, np.array([2, 1, 0])))
    expected = np.array([plain_dequantize(q) for q in range(256)]).reshape(2, 128)
    assert values.dtype == np.float32
    assert np.abs(values[0] - expected).max() < 1e-6
    assert np.abs(values[1, 0] - expected[0]).max() < 1e-6
    assert mask.tolist() == [[True, True], [True, False], [False, False]]
    assert not values[1, 1].any() and not values[2].any()
    assert round(float(values[0, 0, 0]), 3) == -1.992
    assert round(float(values[0, 1, 127]), 3) == 2.008
    assert np.abs(records.dequantize_array(quantized[0]) - expected).max() < 1e-6


def test_dequantize_in_a_graph_of_unknown_length():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 128], tf.uint8)])
    def first_frames(quantized):
        return records.dequantize(quantized, tf.ones([tf.shape(quantized)[0]], tf.int32))

    values, mask = first_frames(tf.zeros([2, 3, 128], tf.uint8))
    assert mask.numpy().tolist() == [[True, False, False]] * 2
    assert np.count_nonzero(values) == 2 * 128


def check_mean_pooling(values: dict[str, object]) -> None:
    schema = records.frame_level()
    batch = parse(schema, schema.serialize(values), schema.serialize(frames(200)))
    for name in ("rgb", "audio"):
        decoded, mask = records.dequantize(batch[name], batch["num_frames"])
        pooled = np.sum(decoded, 1) / np.sum(mask, 1, keepdims=True)
        raw = np.asarray(values[name], np.float64)
        expected = [plain_dequantize(column.mean()) for column in raw.T]
        assert np.abs(pooled[0] - expected).max() < 1e-5
        mean = records.dequantize_array(values[name]).mean(axis=0, dtype=np.float64)
        assert np.abs(mean - expected).max() < 1e-6


def test_mean_pooling_ignores_the_padding():
    check_mean_pooling(frames(170, seed=3))


def test_vocabulary(tmp_path):
    path = tmp_path / "vocabulary.csv"
    path.write_text(
        "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl\n"
        '0,788288,/m/03bt1gh,Game,https://x\n7,12,/m/0abc,"Rock, hard",\n9,5,/m/0xyz,,\n'
    )
    assert records.read_vocabulary(str(path)) == {0: "Game", 7: "Rock, hard", 9: "/m/0xyz"}
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"vocabulary.csv: line 2 is not a class"):
        records.read_vocabulary(str(path))


@pytest.mark.real_data
def test_real_vocabulary_names_every_class(real_data):
    names = records.read_vocabulary(str(real_data / "yt8m" / "vocabulary.csv"))
    assert sorted(names) == list(range(3862))
    assert names[0] == "Game"
    assert all(names.values())


@pytest.mark.real_data
def test_real_frame_level_record_survives_writing_and_parsing(real_data):
    with open(real_data / "yt8m" / "frame_level_example.pkl", "rb") as file:
        real = pickle.load(file)
    values = {
        "id": real[b"video"],
        "labels": real[b"label"],
        "rgb": real[b"feature"],
        "audio": real[b"audio"],
    }
    schema = records.frame_level()
    batch = parse(schema, schema.serialize(values))
    assert batch["num_frames"].tolist() == [real[b"nframes"]]
    (row,) = schema.rows(batch)
    assert all(np.array_equal(row[name], values[name]) for name in values)
    check_mean_pooling(values)


@pytest.mark.real_data
@pytest.mark.parametrize("make_schema", VIDEO_LEVEL_SCHEMAS)
def test_real_video_level_records_survive_every_form(real_data, make_schema):
    path = sorted((real_data / "yt8m" / "train").glob("*.tfrecord"))[0]
    serialized = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    video_level, schema = records.video_level(), make_schema()
    assert [video_level.problem(record) for record in serialized] == [None] * len(serialized)
    batch = parse(video_level, *serialized)
    for i, record in enumerate(serialized):
        features = tf.train.Example.FromString(record).features.feature
        assert batch["id"][i] == features["id"].bytes_list.value[0]
        labels = batch["labels"][i]
        assert labels[labels >= 0].tolist() == list(features["labels"].int64_list.value)
        for name in ("mean_rgb", "mean_audio"):
            assert np.array_equal(batch[name][i], np.float32(features[name].float_list.value))
    written = parse(schema, *map(schema.serialize, video_level.rows(batch)))
    assert np.array_equal(written["id"], batch["id"])
    assert np.array_equal(written["labels"], batch["labels"])
    for name in ("mean_rgb", "mean_audio"):
        error = np.abs(written[name] - batch[name]).max()
        assert error <= LARGEST_ERROR[make_schema] * (1 + 1e-4)  # float32
