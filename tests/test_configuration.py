"""Configurations: nested dataclasses as JSON, and their fields replaced by name."""

import dataclasses
import json

import pytest

from crossmodal.configuration import check_range, from_dict, override, to_dict
from crossmodal.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Window:
    length: int = 4
    kind: str = "hann"


@dataclasses.dataclass(frozen=True)
class Sound:
    rate: float = 8.0
    window: Window = dataclasses.field(default_factory=Window)
    kind: str = "mono"


@dataclasses.dataclass(frozen=True)
class Limits:
    low: int = 0
    high: int = 1

    def __post_init__(self):
        check_range("low", self.low, 0, self.high)


@dataclasses.dataclass(frozen=True)
class Whole:
    sound: Sound = dataclasses.field(default_factory=Sound)
    limits: Limits = dataclasses.field(default_factory=Limits)
    layers: tuple[int, ...] = (2, 3)
    kind: str = "plain"


def test_nested_parts_survive_json():
    whole = Whole(Sound(window=Window(9)), Limits(2, 5), (7,))
    assert from_dict(Whole, json.loads(json.dumps(to_dict(whole)))) == whole
    with pytest.raises(ConfigurationError, match="file: unknown field size of Window"):
        from_dict(Whole, {"sound": {"window": {"size": 3}}}, "file")


def test_fields_are_replaced_at_any_depth_and_the_nearest_name_wins():
    changed = override(Whole(), {"length": 6, "rate": 2, "kind": "x", "window.kind": "hamming"})
    assert changed == Whole(Sound(2.0, Window(6, "hamming")), kind="x")


def test_fields_that_fit_only_together_are_replaced_together():
    for changes in ({"low": 4, "high": 9}, {"high": 9, "low": 4}):
        assert override(Whole(), changes).limits == Limits(4, 9)


def test_a_name_of_none_or_of_several_is_told(monkeypatch):
    with pytest.raises(ConfigurationError, match="no configuration field is called pitch"):
        override(Whole(), {"pitch": 1})
    with pytest.raises(ConfigurationError, match="length is 'long': it must be a whole number"):
        override(Whole(), {"length": "long"})

    @dataclasses.dataclass(frozen=True)
    class Two:
        first: Window = dataclasses.field(default_factory=Window)
        second: Window = dataclasses.field(default_factory=Window)

    with pytest.raises(ConfigurationError, match=r"write first\.length or second\.length"):
        override(Two(), {"length": 1})
    assert override(Two(), {"second.length": 1}).second.length == 1
