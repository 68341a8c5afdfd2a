"""The projector's files, read by TensorBoard's own protobuf and its own readers."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from launching import launch
from tensorboard.plugins.projector import ProjectorConfig, projector_plugin
from test_gallery import COLOURS, planted  # noqa: F401

from crossmodal import projector


def read_config(folder):
    return text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())


def test_vectors_and_frames_are_the_databases(planted, tmp_path):  # noqa: F811
    outcome = launch("write_projector", database=planted / "items.npz", output=tmp_path / "p",
                     input_pattern=planted / "clips.tfrecord", sprite_side=20)
    assert outcome.status == 0, outcome.error
    held = dict(np.load(planted / "items.npz"))
    config = read_config(tmp_path / "p")
    assert [e.tensor_name for e in config.embeddings] == ["visual", "audio"]
    for embedding in config.embeddings:
        found = projector_plugin._read_tensor_binary_file(
            str(tmp_path / "p" / embedding.tensor_path), tuple(embedding.tensor_shape))
        np.testing.assert_array_equal(found, held[embedding.tensor_name])
        assert list(embedding.sprite.single_image_dim) == [20, 20]
    lines = (tmp_path / "p" / embedding.metadata_path).read_text().split("\n")
    table = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [row["id"].encode() for row in table] == held["ids"].tolist()
    assert [row["label"] for row in table][:4] == ["dog"] * 4
    assert table[1]["seconds"] == "11.500" and table[2]["labels"] == "dog;cat"
    sprite = tf.io.decode_png((tmp_path / "p" / embedding.sprite.image_path).read_bytes()).numpy()
    # Twelve items in rows of four; the second moment of each clip is dark.
    assert sprite.shape == (60, 80, 3)
    for place in range(12):
        top, left = 20 * (place // 4), 20 * (place % 4)
        mean = sprite[top : top + 20, left : left + 20].mean((0, 1))
        wanted = np.array(COLOURS[place // 2]) // (1 + place % 2)
        np.testing.assert_allclose(mean, wanted, atol=3)


def test_any_rows_without_names_or_pictures(tmp_path):
    rows = np.arange(60, dtype=np.float32).reshape(20, 3)
    np.savez(tmp_path / "a.npz", ids=[f"v{n}".encode() for n in range(20)], visual=rows)
    outcome = launch("write_projector", database=tmp_path / "a.npz", output=tmp_path / "p",
                     number=7, seed=3)
    assert outcome.status == 0, outcome.error
    (embedding,) = read_config(tmp_path / "p").embeddings
    assert list(embedding.tensor_shape) == [7, 3] and not embedding.sprite.image_path
    found = np.fromfile(tmp_path / "p" / embedding.tensor_path, "<f4").reshape(7, 3)
    ids = [line.split("\t")[0] for line in
           (tmp_path / "p" / "metadata.tsv").read_text().splitlines()[1:]]
    assert len(set(ids)) == 7
    np.testing.assert_array_equal(found, rows[[int(name[1:]) for name in ids]])


def test_hostile_texts_stay_in_their_cell():
    texts = ["a\tb", "c\nd\r", "e\\n", "\u2028x\x1e", '"q"', ""]
    table = projector.metadata({"id": texts, "label": texts[::-1]})
    lines = table.splitlines()
    assert len(lines) == 7 and all(line.count("\t") == 1 for line in lines)
    assert lines[1] == "a\\tb\t" and lines[2].startswith("c\\nd\\r\t")
    assert lines[3].startswith("e\\\\n\t") and lines[5].startswith('"q"\t')
    with pytest.raises(ValueError, match="two"):
        projector.metadata({"id": texts})


@pytest.mark.parametrize(("number", "wanted", "side"), [
    (1, 64, 64), (6000, 64, 64), (60_000, 64, 33), (1_000_000, 64, 8),
])
def test_sprites_are_no_larger_than_a_texture(number, wanted, side):
    assert projector.side_of(number, wanted) == side
    assert projector.columns_of(number) * side <= 8192
    assert projector.columns_of(number) ** 2 >= number


@pytest.mark.parametrize(("changes", "message"), [
    ({"media": ".", "input_pattern": "x"}, "not both"),
    ({"media": "."}, "no item has a frame there (no picture:"),
    ({"sprite_side": 0}, "sprite_side"),
    ({"database": "no.npz"}, "no file matches"),
])
def test_mistakes_are_one_line(planted, tmp_path, changes, message):  # noqa: F811
    given = {"database": planted / "items.npz", "output": tmp_path / "p", **changes}
    outcome = launch("write_projector", **given)
    assert outcome.status == 1 and len(outcome.error_lines()) == 1, outcome.error
    assert message in outcome.error_lines()[0]
    assert not (tmp_path / "p" / "projector_config.pbtxt").exists()
