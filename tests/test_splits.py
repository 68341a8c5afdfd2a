import hashlib
import itertools
import random

import pytest

from avc import splits
from avc.splits import SplitConfig
from crossmodal.errors import ConfigurationError


def test_the_draw_is_the_fraction_of_a_sha256_digest():
    for video, seed in itertools.product(["a", "ünï", "--PJHxphWEs"], [0, 7]):
        number = int(hashlib.sha256(f"{seed}\n{video}".encode()).hexdigest()[:14], 16)
        share = 100 * number / 16**14
        below = SplitConfig(validation_percent=share - 1e-9, seed=seed)
        above = SplitConfig(validation_percent=share + 1e-9, seed=seed)
        assert (splits.draw(video, below), splits.draw(video, above)) == ("train", "validation")


def test_shares_are_as_asked_and_seeds_are_independent():
    videos = [f"video{i}" for i in range(20000)]
    chosen = {s: [splits.draw(v, SplitConfig(10, s)) for v in videos] for s in (0, 1)}
    for draws in chosen.values():
        # Four standard deviations of a binomial.
        assert abs(draws.count("validation") - 2000) < 4 * (20000 * 0.1 * 0.9) ** 0.5
    both = sum(a == b == "validation" for a, b in zip(*chosen.values(), strict=True))
    assert abs(both - 200) < 4 * 200**0.5
    assert {splits.draw(v, SplitConfig(0)) for v in videos} == {"train"}
    assert {splits.draw(v, SplitConfig(100)) for v in videos} == {"validation"}


def test_no_video_is_in_two_splits_whatever_tables_say():
    rng = random.Random(0)
    for trial in range(50):
        videos = [f"v{i}" for i in range(30)]
        said = [(rng.choice(videos), rng.choice(["train", "test", None])) for _ in range(60)]
        chosen, both = splits.assign(said, SplitConfig(30, trial))
        assert set(chosen) == {video for video, _ in said}
        for video, split in chosen.items():
            marks = [mark for name, mark in said if name == video]
            assert (split == "test") == ("test" in marks)
            assert (video in both) == ("test" in marks and set(marks) != {"test"})
        # Other videos, another order and more clips change nothing.
        again, _ = splits.assign([*said[::-1], *said, ("new", None)], SplitConfig(30, trial))
        assert {video: again[video] for video in chosen} == chosen


def test_percent_has_a_range():
    with pytest.raises(ConfigurationError, match="validation_percent is 101"):
        SplitConfig(101)
