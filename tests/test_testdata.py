import csv
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from yt8m_embed import records
from yt8m_embed.topic_model import load_topic_model

FOLDER = pathlib.Path(__file__).parents[1] / "testdata"
YT8M = FOLDER / "yt8m"


def examples(pattern, message=tf.train.Example):
    """Records parsed by the protocol message itself, not by the schema that wrote them."""
    paths = sorted(str(path) for path in YT8M.glob(pattern))
    return [message.FromString(r) for r in tf.data.TFRecordDataset(paths).as_numpy_iterator()]


def video_level(split):
    features = [e.features.feature for e in examples(f"{split}/*.tfrecord")]
    return {
        "id": [f["id"].bytes_list.value[0] for f in features],
        "labels": [list(f["labels"].int64_list.value) for f in features],
        "mean_rgb": np.array([f["mean_rgb"].float_list.value for f in features], np.float32),
        "mean_audio": np.array([f["mean_audio"].float_list.value for f in features], np.float32),
    }


@pytest.fixture(scope="module")
def train():
    return video_level("train")


@pytest.fixture(scope="module")
def dev():
    return video_level("dev")


@pytest.fixture(scope="module")
def frame_level():
    return examples("frame/*.tfrecord", tf.train.SequenceExample)


@pytest.fixture(scope="module")
def segment_level():
    return examples("segment/*.tfrecord", tf.train.SequenceExample)


@pytest.fixture(scope="module")
def make_yt8m():
    spec = importlib.util.spec_from_file_location("make_yt8m", FOLDER / "make_yt8m.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_the_committed_files(make_yt8m, tmp_path):
    make_yt8m.write_data_set(str(tmp_path), load_topic_model(str(YT8M / "topic_model.json")))
    committed = {p.relative_to(YT8M) for p in YT8M.rglob("*") if p.is_file()}
    written = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    assert written == committed
    for path in sorted(committed):
        assert (tmp_path / path).read_bytes() == (YT8M / path).read_bytes(), path


def test_shapes_and_ranges(train, dev):
    assert (len(train["id"]), len(dev["id"])) == (3000, 800)
    for split in (train, dev):
        for name, size in (("mean_rgb", 1024), ("mean_audio", 128)):
            assert split[name].shape == (len(split["id"]), size)
            assert np.abs(split[name]).max() < 2
            assert 0.2 < split[name].std() < 0.7
        for labels in split["labels"]:
            assert 1 <= len(labels) <= 6 and labels == sorted(set(labels))
        assert 2.5 < np.mean([len(labels) for labels in split["labels"]]) < 3.5


def test_ids_are_unique_across_all_shards(train, dev, frame_level, segment_level):
    ids = train["id"] + dev["id"]
    ids += [e.context.feature["id"].bytes_list.value[0] for e in frame_level + segment_level]
    assert len(ids) == 3830 == len(set(ids))
    assert all(len(i) == 4 and i.isalnum() for i in ids)


def test_labels_are_in_the_vocabulary(train, dev):
    with open(YT8M / "vocabulary.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    used = np.concatenate(train["labels"] + dev["labels"])
    counts = {int(row["Index"]): int(row["TrainVideoCount"]) for row in rows}
    assert set(used) == set(counts) and len({row["Name"] for row in rows}) == 40
    assert min(counts) == 0 and max(counts) == 3861
    labels, times = np.unique(np.concatenate(train["labels"]), return_counts=True)
    assert counts == dict(zip(labels.tolist(), times.tolist(), strict=True))
    assert records.read_vocabulary(str(YT8M / "vocabulary.csv"))[0] == rows[0]["Name"]


def test_about_one_video_in_a_hundred_is_silent(train, dev):
    audio = np.concatenate([train["mean_audio"], dev["mean_audio"]])
    unique, counts = np.unique(audio, axis=0, return_counts=True)
    assert 0.005 < counts.max() / len(audio) < 0.02
    assert len(unique) == len(audio) - counts.max() + 1
    model = load_topic_model(str(YT8M / "topic_model.json"))
    np.testing.assert_array_equal(unique[counts.argmax()], model.silence)


def test_frames_average_to_the_video_level_vectors(frame_level, make_yt8m):
    model = load_topic_model(str(YT8M / "topic_model.json"))
    videos = model.sample(len(frame_level), make_yt8m.FRAME_SEED)
    lengths = set()
    for i, example in enumerate(frame_level):
        for name, expected in (("rgb", videos.visual[i]), ("audio", videos.audio[i])):
            entries = example.feature_lists.feature_list[name].feature
            raw = [np.frombuffer(e.bytes_list.value[0], np.uint8) for e in entries]
            frames = np.array(raw) * (4 / 255) + 4 / 512 - 2
            lengths.add(len(frames))
            error = np.abs(frames.mean(axis=0) - expected)
            # A step is 0.016; clipping at the ends of the range may add to that.
            assert np.quantile(error, 0.99) < 0.01 and error.max() < 0.05
            assert frames.std(axis=0).mean() > 0.05 or videos.silent[i]
    assert len(frame_level) == 24 and min(lengths) >= 10 and 30 < max(lengths) <= 40


def test_segments_lie_in_their_videos(segment_level):
    assert len(segment_level) == 6
    scores = []
    for example in segment_level:
        context = example.context.feature
        starts = context["segment_start_times"].int64_list.value
        labels = context["segment_labels"].int64_list.value
        scores += context["segment_scores"].float_list.value
        assert len(starts) == len(labels) == 2 and starts[0] < starts[1]
        assert set(labels) <= set(context["labels"].int64_list.value)
        num_frames = len(example.feature_lists.feature_list["rgb"].feature)
        assert all(start % 5 == 0 and start + 5 <= num_frames for start in starts)
    assert set(scores) == {0.0, 1.0}


def test_the_configuration_is_the_default_one(make_yt8m):
    """Else a run of the script without arguments would write other files."""
    saved = json.loads((YT8M / "topic_model.json").read_text())
    default = make_yt8m.configuration.to_dict(make_yt8m.TopicModelConfiguration())
    assert saved == default


def mean_recall(visual, audio):
    """Recall@1 and @10 of both directions in galleries of 256, by comparing all scores."""
    rng = np.random.default_rng(0)
    recalls = []
    for _ in range(6):
        part = rng.choice(len(visual), 256, replace=False)
        scores = visual[part] @ audio[part].T
        for matrix in (scores, scores.T):
            above = (matrix > np.diag(matrix)[:, None]).sum(axis=1)
            level = (matrix == np.diag(matrix)[:, None]).sum(axis=1)
            recalls.append([np.clip((k - above) / level, 0, 1).mean() for k in (1, 10)])
    return np.mean(recalls, axis=0)


def ridge_whitening(x):
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    return vectors / np.sqrt(values + values.mean())


def test_learning_shows_between_chance_and_the_ceiling(train, dev):
    model = load_topic_model(str(YT8M / "topic_model.json"))
    ceiling = mean_recall(*model.optimal_embeddings(dev["mean_rgb"], dev["mean_audio"]))
    assert 0.5 < ceiling[0] < 0.65 and 0.85 < ceiling[1] < 0.95
    # Canonical correlation analysis of the training shards, regularised by the mean variance.
    visual, audio = (train[k] - train[k].mean(axis=0) for k in ("mean_rgb", "mean_audio"))
    shown, heard = ridge_whitening(visual), ridge_whitening(audio)
    cross = visual.T @ audio / len(visual)
    left, r, right = np.linalg.svd(shown.T @ cross @ heard, full_matrices=False)
    u = (dev["mean_rgb"] - train["mean_rgb"].mean(axis=0)) @ (shown @ left[:, :32]) * r[:32]
    w = (dev["mean_audio"] - train["mean_audio"].mean(axis=0)) @ (heard @ right[:32].T) * r[:32]
    learnt = mean_recall(
        u / np.linalg.norm(u, axis=1, keepdims=True), w / np.linalg.norm(w, axis=1, keepdims=True)
    )
    assert (learnt < ceiling - 0.1).all()
    assert (learnt > 10 * np.array([1, 10]) / 256).all()
