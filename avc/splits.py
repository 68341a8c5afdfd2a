"""Which split a video is in: its public test split if it has one, else by a digest of its id.

Objects that Sound (Arandjelovic and Zisserman, 2018), section 2: the public training videos
are split 90 to 10 into training and validation. A digest of the id keeps all clips of a
video together and never changes when videos are added, moved or lost.
"""

import dataclasses
import hashlib
from collections.abc import Iterable

from crossmodal.configuration import check_range

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """How videos without a public test split are split.

    Attributes:
      validation_percent: how many of 100 videos are for validation.
      seed: another seed gives another split.
    """

    validation_percent: float = 10.0
    seed: int = 0

    def __post_init__(self):
        """Checks the ranges."""
        check_range("validation_percent", self.validation_percent, 0, 100)


def draw(video: str, config: SplitConfig) -> str:
    """The split of a video that is in no public test split: "train" or "validation"."""
    digest = hashlib.sha256(f"{config.seed}\n{video}".encode()).digest()
    fraction = int.from_bytes(digest[:7], "big") / 256**7
    return VALIDATION if 100 * fraction < config.validation_percent else TRAIN


def assign(
    videos: Iterable[tuple[str, str | None]], config: SplitConfig
) -> tuple[dict[str, str], set[str]]:
    """Gives each video one split.

    Args:
      videos: ids, as often as there are clips, with "test", "train" or None, as a table
        says. A video that is in the public test split is in it with all its clips.
      config: how the others are split.

    Returns:
      The split of each video, and the videos that tables put into the test split and
      elsewhere.
    """
    public: dict[str, set[str | None]] = {}
    for video, split in videos:
        public.setdefault(video, set()).add(split)
    chosen = {v: TEST if TEST in said else draw(v, config) for v, said in public.items()}
    both = {video for video, said in public.items() if TEST in said and len(said) > 1}
    return chosen, both
