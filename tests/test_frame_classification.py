import csv
import json

import keras
import numpy as np
import odd_media
import pytest
import tensorflow as tf

from avc import clip_files, frame_classification, frame_classifier, posteriors
from avc.frame_classification import ClassificationConfig
from avc.frame_classifier import FrameClassifier
from crossmodal.errors import ConfigurationError, UserError


def sides(frames):
    """Posteriors by brightness: made for frames whose pictures are grey."""
    light = frames.mean(axis=(1, 2, 3)) / 255
    return np.stack([0.25 * light, 1 - light, 0.75 * light], 1).astype(np.float32)


CLASSIFIER = FrameClassifier(("grey", "dark", "light bulb"), 32, sides)
CONFIG = ClassificationConfig(top_classes=2, batch_size=2)


LEVELS = [250, 10, 10, 180, 60, 60]  # of grey, each second
TIMES, PAINTED = [0.0, 1.0, 3.0, 4.0, 4.5], [250, 10, 180, 60, 60]  # the second one stays


def write(path):
    def paint(number, width, height):
        return np.full((height, width, 3), PAINTED[number], np.uint8)

    path.parent.mkdir(parents=True, exist_ok=True)
    return odd_media.write(
        path, 4.6, size=(64, 48), paint=paint, layout="mono", frame_times=TIMES
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    write(folder / "in" / "grey.mp4")
    (folder / "in" / "text.mp4").write_text("no video")
    return folder / "in"


def classify(folder, output, classifier=CLASSIFIER, config=CONFIG):
    return frame_classification.classify(
        clip_files.list_inputs(str(folder)), classifier, config, str(output)
    )


def test_each_second_gets_what_the_classifier_says_of_its_picture(folder, tmp_path):
    done = classify(folder, tmp_path / "p.csv")
    assert done.frames == 6 and len(done.left_out) == 1
    assert done.left_out[0].startswith("text.mp4: ")
    found = posteriors.read([str(tmp_path / "p.csv")])
    assert [(f.video, f.seconds) for f in found.frames] == [("grey", s) for s in range(6)]
    assert not found.has_none
    for frame in found.frames:
        light = LEVELS[int(frame.seconds)] / 255
        expected = {"grey": 0.25 * light, "dark": 1 - light, "light bulb": 0.75 * light}
        likeliest = sorted(expected, key=lambda name: -expected[name])[:2]
        assert list(frame.top(2)) == likeliest
        for name, value in frame.classes:
            assert value == pytest.approx(expected[name], abs=0.02)
    assert not (tmp_path / "p.csv.parts").exists()


def test_an_ended_job_goes_on_with_the_files_that_are_left(folder, tmp_path):
    videos = tmp_path / "in"
    for name in ("a.mp4", "b.mp4"):
        (videos / name).parent.mkdir(exist_ok=True)
        (videos / name).write_bytes((folder / "grey.mp4").read_bytes())
    output, calls = tmp_path / "p.csv", []

    def failing(frames):
        calls.append(len(frames))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return sides(frames)

    # Five pictures of each file in three batches: the second one of the second file fails.
    with pytest.raises(KeyboardInterrupt):
        classify(videos, output, FrameClassifier(CLASSIFIER.classes, 32, failing))
    assert not output.exists()
    with pytest.raises(ConfigurationError, match=r"unfinished work of .*top_classes"):
        classify(videos, output, config=ClassificationConfig(top_classes=3))
    before = len(calls)
    classify(videos, output, FrameClassifier(CLASSIFIER.classes, 32, failing))
    assert len(calls) - before == 3  # the second file alone
    classify(videos, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with open(output, newline="") as file:
        assert {row["video"] for row in csv.DictReader(file)} == {"a", "b"}


def test_files_of_one_video_and_folders_without_pictures_are_refused(folder, tmp_path):
    for name in ("x/grey.mp4", "y/grey.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes((folder / "grey.mp4").read_bytes())
    with pytest.raises(UserError, match="2 files of the input are of video grey"):
        classify(tmp_path, tmp_path.parent / "p.csv")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "t.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"no file holds a picture: t\.mp4"):
        classify(tmp_path / "none", tmp_path / "p.csv")
    assert not list(tmp_path.glob("p.csv*"))


def test_a_model_of_keras_is_loaded_with_its_weights_scaling_and_names(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("olive_oil\nbread\ncrane\ncrane\n\na;b\n")
    reference = keras.applications.MobileNetV2(weights=None, classes=5)
    reference.save_weights(tmp_path / "w.weights.h5")
    path = str(tmp_path / "w.weights.h5")
    loaded = frame_classifier.load("MobileNetV2", path, str(names))
    assert loaded.classes == ("olive oil", "bread", "crane", "crane (2)", "a,b")
    assert loaded.image_size == 224
    frames = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    expected = reference(frames / 127.5 - 1.0, training=False)
    np.testing.assert_allclose(loaded.posteriors(frames), expected, atol=1e-5)
    with pytest.raises(UserError, match="holds no weights of MobileNetV2 with 2 classes"):
        names.write_text("a\nb\n")
        frame_classifier.load("MobileNetV2", path, str(names))


@pytest.mark.parametrize(
    ("model", "weights", "names", "message"),
    [
        ("ResNet5", "none", "", "--model=ResNet5: choose one of ConvNeXtBase, "),
        ("resnet50", "none", "", "--model=resnet50: choose one of"),
        ("ResNet50", "/none.h5", "", "--weights=/none.h5: is neither none nor imagenet nor a"),
        ("ResNet50", "imagenet", "a\n", "1 names, ImageNet has 1000"),
        ("ResNet50", "none", "\n", "holds no name"),
    ],
)
def test_models_that_cannot_be_had_are_one_line(tmp_path, model, weights, names, message):
    path = ""
    if names:
        path = str(tmp_path / "names.txt")
        (tmp_path / "names.txt").write_text(names)
    with pytest.raises(UserError, match=message) as caught:
        frame_classifier.load(model, weights, path)
    assert "\n" not in str(caught.value)


def test_without_a_network_there_is_one_line(monkeypatch, tmp_path):
    def unreachable(*args, **kwargs):
        raise Exception("URL fetch failure on somewhere: None -- [Errno -3]\nmore")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    with pytest.raises(UserError, match=r"class names of ImageNet cannot be .*: give --class_n"):
        frame_classifier.load("ResNet50", "none")
    index = {str(i): [f"n{i}", f"name_{i}"] for i in range(1000)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    monkeypatch.setattr(keras.applications, "ResNet50", unreachable)
    message = r"--weights=imagenet: cannot be had \(URL fetch .*\); name a local file"
    with pytest.raises(UserError, match=message) as caught:
        frame_classifier.load("ResNet50", "imagenet", str(tmp_path / "index.json"))
    assert "\n" not in str(caught.value)


def test_names_in_the_form_of_keras(tmp_path):
    path = tmp_path / "index.json"
    path.write_text('{"1": ["n2", "Granny_Smith"], "0": ["n1", "tench"]}')
    assert frame_classifier.read_class_names(str(path)) == ["tench", "Granny Smith"]
    path.write_text('{"1": ["n2", "Granny_Smith"]}')
    with pytest.raises(UserError, match="is not of the form"):
        frame_classifier.read_class_names(str(path))
    assert tf.io.gfile.exists(str(path))
