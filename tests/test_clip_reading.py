"""Opening clips: kind and encoding are found, what holds none is told in one line."""

import numpy as np
import pytest

from avc import reading, records
from crossmodal import tfrecord
from crossmodal.errors import ConfigurationError, UserError

CLIP = {
    "id": "v_000000000",
    "video": "v",
    "file": "v.mp4",
    "labels": ["/m/0395lw", "bell"],
    "start_seconds": [0.0],
    "frames": [b"\xff\xd8one", b"\xff\xd8two"],
    "frame_seconds": [0.0, 0.04],
    "audio": b"bytes",
    "sample_rate_hz": [48000],
    "num_samples": [96000],
}
SCENE = {
    **CLIP,
    "background": "stripes 7",
    "object_labels": ["bell", "dog"],
    **{f"object_{side}": [0.25, 0.5] for side in ("left", "top", "right", "bottom")},
    "event_labels": ["bell", "rain"],
    "event_objects": [0, -1],
    "event_start_seconds": [0.0, 1.0],
    "event_end_seconds": [1.0, 2.0],
}


def write(path, schema, *rows) -> str:
    tfrecord.write_records(str(path), [schema.serialize(row) for row in rows])
    return str(path)


@pytest.mark.parametrize("encoding", records.AUDIO_ENCODINGS)
@pytest.mark.parametrize(("kind", "values"), [("clip", CLIP), ("scene", SCENE)])
def test_kind_and_encoding_are_read_off_the_records(tmp_path, kind, values, encoding):
    schema = getattr(records, kind)(encoding)
    path = write(tmp_path / "a.tfrecord", schema, values, {**values, "id": "other"})
    found, audio, opened = reading.open_clips(path, "pattern", progress=False)
    assert (found, audio, opened.count()) == (kind, encoding, 2)
    (batch,) = (schema.parse(tfrecord_payloads(path)),)
    first = next(schema.rows({name: value.numpy() for name, value in batch.items()}))
    for name, value in values.items():
        assert [as_text(v) for v in np.ravel(first[name])] == [as_text(v) for v in np.ravel(value)]
    assert len(opened.shards[0].offsets) == 2


def test_bytes_of_a_pair_are_those_of_its_records_shared(tmp_path):
    schema = records.clip("flac")
    rows = [{**CLIP, "id": f"c{i}", "audio": b"x" * 1000 * (i + 1)} for i in range(3)]
    sizes = [len(schema.serialize(row)) + 16 for row in rows]
    path = write(tmp_path / "a.tfrecord", schema, *rows)
    opened = reading.open_clips(path, "pattern", progress=False)[2]
    assert reading.bytes_per_pair(opened, 4) == pytest.approx(sum(sizes) / 3 / 4)


def tfrecord_payloads(path):
    with open(path, "rb") as file:
        data = file.read()
    return [data[start : start + length] for start, length in tfrecord.salvage(data)[0]]


def as_text(value) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    return value if isinstance(value, str) else f"{float(value):.6g}"


def test_one_encoding_is_never_read_as_the_other(tmp_path):
    written = records.clip("pcm16").serialize(CLIP)
    assert "feature audio is missing" in records.clip("flac").problem(written)


def test_a_scene_tells_objects_and_events_that_disagree_in_number(tmp_path):
    with pytest.raises(UserError, match="object_labels has 2 entries but object_left has 1"):
        records.scene().serialize({**SCENE, "object_left": [0.5]})


def test_what_holds_no_clips_is_told_in_one_line(tmp_path, testdata):
    with pytest.raises(UserError, match=r"holds no clips; make some with launch.convert_clips"):
        reading.open_clips(str(testdata / "yt8m/frame/*.tfrecord"), "pattern", progress=False)
    with pytest.raises(UserError, match=r"--eval_pattern=.*no file matches"):
        reading.open_clips(str(tmp_path / "*"), "eval_pattern", progress=False)
    (tmp_path / "page.tfrecord").write_text("<html>")
    with pytest.raises(UserError, match="HTML"):
        reading.open_clips(str(tmp_path / "page.tfrecord"), "pattern", progress=False)


def test_an_unknown_encoding_names_the_choices():
    with pytest.raises(ConfigurationError, match="flac, pcm16"):
        records.clip("mp3")
