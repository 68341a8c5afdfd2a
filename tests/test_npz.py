"""Archives written row by row against those that NumPy writes."""

import numpy as np
import pytest

from crossmodal import npz


def chunks(rng, sizes):
    for size in sizes:
        ids = [bytes(rng.integers(97, 123, rng.integers(1, 9)).astype(np.uint8))
               for _ in range(size)]
        yield {
            "ids": np.array(ids, object),
            "visual": rng.standard_normal((size, 5)).astype(np.float32),
            "frames": rng.integers(256, size=(size, 2, 3)).astype(np.uint8),
            "steps": rng.integers(-9, 9, size),
        }


def write(path, parts):
    with npz.Writer(str(path)) as writer:
        for part in parts:
            writer.append(**part)
    return np.load(path)


@pytest.mark.parametrize("sizes", [[3], [4, 1, 7, 2], [1] * 40, [0, 5, 0], [700, 512, 9]])
def test_archive_equals_that_of_numpy(tmp_path, sizes):
    parts = list(chunks(np.random.default_rng(0), sizes))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    whole["ids"] = whole["ids"].astype("S")
    np.savez(tmp_path / "numpy.npz", **whole)
    ours, theirs = write(tmp_path / "ours.npz", parts), np.load(tmp_path / "numpy.npz")
    assert set(ours.files) == set(theirs.files)
    for name in theirs.files:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_rows_laid_out_in_another_order_come_out_right(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    parts = [{"a": np.asfortranarray(array)}, {"a": array[::-1]}, {"a": array[:, ::-1]}]
    expected = np.concatenate([array, array[::-1], array[:, ::-1]])
    np.testing.assert_array_equal(write(tmp_path / "a.npz", parts)["a"], expected)


def test_nothing_appended_gives_an_archive_without_arrays(tmp_path):
    assert write(tmp_path / "empty.npz", []).files == []


def test_arrays_without_rows_keep_their_form(tmp_path):
    loaded = write(tmp_path / "none.npz", chunks(np.random.default_rng(0), [0, 0]))
    assert loaded["visual"].shape == (0, 5) and loaded["frames"].dtype == np.uint8
    assert loaded["ids"].shape == (0,) and loaded["ids"].dtype.kind == "S"


def test_longer_ids_in_a_later_chunk_are_kept_whole(tmp_path):
    parts = [{"ids": np.array([b"a"], object)}, {"ids": np.array([b"much longer"], object)}]
    assert write(tmp_path / "ids.npz", parts)["ids"].tolist() == [b"a", b"much longer"]


@pytest.mark.parametrize("older", [False, True])
def test_an_error_in_the_middle_leaves_what_was_there(tmp_path, older):
    path = tmp_path / "a.npz"
    if older:
        np.savez(path, old=np.ones(2))

    def broken():
        yield {"a": np.zeros((2, 3))}
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write(path, broken())
    assert [file.name for file in tmp_path.iterdir()] == (["a.npz"] if older else [])
    if older:
        assert np.load(path)["old"].tolist() == [1, 1]


@pytest.mark.parametrize("second", [np.zeros((1, 4)), np.zeros((1, 3), np.float32)])
def test_a_change_of_form_is_refused(tmp_path, second):
    with pytest.raises(ValueError, match="array a changed"):
        write(tmp_path / "a.npz", [{"a": np.zeros((2, 3))}, {"a": second}])
    assert not list(tmp_path.iterdir())
