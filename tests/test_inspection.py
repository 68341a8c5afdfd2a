"""The inspector's numbers against a count in plain Python, over the bytes of the records."""

import collections
import io
import json
import re
import statistics

import av
import pytest
import tensorflow as tf
from launching import launch
from page_parsing import Grouped, check_is_alone, pixels, sound

from avc import records
from avc.encoding import encode_jpeg
from crossmodal import tfrecord


@pytest.fixture(scope="module")
def counted(testdata):
    """Every record of the training scenes, by tf.train.Example alone."""
    rows = []
    for path in sorted((testdata / "scenes").glob("train*.tfrecord")):
        for content in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(content)
            rows.append({
                key: list(getattr(value, value.WhichOneof("kind")).value)
                for key, value in example.features.feature.items() if value.WhichOneof("kind")
            })
    return rows


def test_numbers_are_those_of_a_plain_count(testdata, counted, tmp_path):
    path = tmp_path / "n.json"
    outcome = launch("inspect_records", "--contents", output=path,
                     input_pattern=testdata / "scenes" / "train*.tfrecord")
    assert outcome.status == 0, outcome.error
    found = json.loads(path.read_text())
    assert found["clips"] == len(counted) == 8
    assert found["videos"] == len({row["video"][0] for row in counted})
    labels = collections.Counter(label.decode() for row in counted for label in set(row["labels"]))
    assert found["labels"] == dict(labels)
    listed = re.findall(r"^\| (/m/\S+) +\| +(\d+) +\|$", outcome.out, re.MULTILINE)[: len(labels)]
    wanted = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    assert [(name, int(number)) for name, number in listed] == wanted
    events = collections.Counter(
        label.decode() for row in counted for label in set(row.get("event_labels", [])))
    assert found["events"] == dict(events)
    seconds = [row["num_samples"][0] / row["sample_rate_hz"][0] for row in counted]
    assert found["seconds"] == {"least": min(seconds), "median": statistics.median(seconds),
                                "largest": max(seconds)}
    assert found["hours"] == pytest.approx(sum(seconds) / 3600)
    frames = [len(row["frames"]) for row in counted]
    assert found["frames"] == {"least": min(frames), "median": statistics.median(frames),
                               "largest": max(frames)}
    rates = collections.Counter(str(row["sample_rate_hz"][0]) for row in counted)
    assert found["sample_rates_hz"] == dict(rates)
    with av.open(io.BytesIO(counted[0]["frames"][0])) as picture:
        stream = picture.streams.video[0]
        assert found["frame_sizes"] == {f"{stream.width} x {stream.height}": 8}
    assert found["problems"] == found["damage"] == []


def row(number, **changes):
    samples = (100 * number * tf.ones(8000, tf.int32)).numpy().astype("<i2")
    frame = encode_jpeg(tf.zeros([32, 32, 3], tf.uint8))
    return {
        "id": f"c{number}", "video": f"v{number}", "file": "<b>.mp4", "labels": ["a", "a&b"],
        "start_seconds": [0.0], "frames": [frame, frame], "frame_seconds": [0.0, 0.5],
        "audio": samples.tobytes(), "sample_rate_hz": [8000], "num_samples": [8000], **changes,
    }


@pytest.fixture
def odd(tmp_path):
    """Six clips: one good, four with wrong contents, one that is damaged."""
    rows = [
        row(0), row(1, frames=[b"no", encode_jpeg(tf.zeros([32, 32, 3], tf.uint8))]),
        row(2, num_samples=[9000]), row(3, labels=[], frame_seconds=[0.5, 0.25]),
        row(4, frame_seconds=[0.0, 1.5]), row(5),
    ]
    schema = records.clip("pcm16")
    path = tmp_path / "odd.tfrecord"
    tfrecord.write_records(str(path), [schema.serialize(each) for each in rows])
    content = bytearray(path.read_bytes())
    content[-30] ^= 255
    path.write_bytes(bytes(content))
    return path


def test_what_is_wrong_is_named(odd, tmp_path):
    outcome = launch("inspect_records", input_pattern=odd)
    assert outcome.status == 1 and "record 5" in outcome.error_lines()[0]
    path = tmp_path / "n.json"
    outcome = launch("inspect_records", "--contents", input_pattern=odd, on_bad_record="skip",
                     output=path)
    assert outcome.status == 0, outcome.error
    found = json.loads(path.read_text())
    assert found["clips"] == 5 and found["unlabelled"] == 1
    assert found["labels"] == {"a": 4, "a&b": 4}
    assert found["frame_sizes"] == {"32 x 32": 4, "no JPEG": 1}
    assert [(p["id"], p["reason"]) for p in found["problems"]] == [
        ("c1", "1 of its 2 frames are no JPEG pictures"),
        ("c2", "its sound has 8000 samples, num_samples says 9000"),
        ("c3", "its frames are not in the order of time"),
        ("c4", "a frame at 1.50 s is after its end at 1.00 s"),
    ]
    assert "odd.tfrecord: record 5" in outcome.out and "record 5" in found["damage"][1]


def test_the_page_shows_the_records(odd, testdata, counted, tmp_path):
    path = tmp_path / "p.html"
    outcome = launch("inspect_records", input_pattern=odd, on_bad_record="skip", output=path,
                     sound="wav", number=9)
    assert outcome.status == 0, outcome.error
    check_is_alone(path.read_text())
    groups = Grouped(path.read_text()).groups
    assert [group.title.strip() for group in groups] == [f"c{n}" for n in range(5)]
    for n, group in enumerate(groups):
        assert any("of <b>.mp4" in text for text in group.cards[0]["texts"])
        kind, samples, rate = sound(group.cards[3]["audio"])
        assert (kind, rate) == ("audio/wav", 8000) and set(samples * 32768) == {100 * n}
        assert ("frame" in group.cards[0]) == (n != 1)
    assert any("not a JPEG" in text for text in groups[1].cards[0]["texts"])
    assert "silent" in groups[0].cards[3]["texts"]
    outcome = launch("inspect_records", output=path, number=3, seed=1,
                     jpeg_quality=100, input_pattern=testdata / "scenes" / "train*.tfrecord")
    groups = Grouped(path.read_text()).groups
    ids = [each["id"][0].decode() for each in counted]
    drawn = [ids.index(group.title.strip()) for group in groups]
    assert len(drawn) == 3 and drawn == sorted(set(drawn))
    for group, place in zip(groups, drawn, strict=True):
        first = tf.io.decode_jpeg(counted[place]["frames"][0]).numpy()
        assert abs(pixels(group.cards[0]["frame"]).astype(int) - first).mean() < 4
        assert any(text.startswith("heard: ") for text in group.cards[0]["texts"])


@pytest.mark.parametrize(("changes", "message"), [
    ({"output": "p.txt"}, "must end with .html or .json"),
    ({"input_pattern": "nowhere"}, "no file matches"),
    ({"output": "p.html", "most_megabytes": 0.01}, "larger than 0.01 MB: lower --number"),
])
def test_mistakes_are_one_line(testdata, tmp_path, changes, message):
    given = {"input_pattern": testdata / "scenes" / "train*.tfrecord", **changes}
    if "output" in given:
        given["output"] = tmp_path / given["output"]
    outcome = launch("inspect_records", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not list(tmp_path.iterdir())
