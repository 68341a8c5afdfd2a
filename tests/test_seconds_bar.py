"""The bar of seconds, at whose end rounding must not be an error."""

import warnings

import pytest

from launch.seconds_bar import seconds_bar


@pytest.mark.parametrize("seconds", [2.978, 0.3, 0.0, None])
def test_it_goes_neither_back_nor_beyond_its_end(seconds, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with seconds_bar("write", seconds) as tell:
            for step in range(1, 31):
                tell(0.1 * step)
            tell(0.0)
    shown = capsys.readouterr().err
    last = shown.strip().rpartition("\r")[2]
    assert last.startswith("write")
    if seconds:
        assert f"{seconds:.1f}/{seconds:.1f} s" in last
