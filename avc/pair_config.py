"""How pairs of a frame and a second of sound are drawn: the numbers of `avc.pairs`."""

import dataclasses

from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

NEGATIVES = ("independent", "in_batch")
NEGATIVES_FROM = ("other_video", "any_time")
SHORT_SOUNDS = ("surround", "mask")
MISMATCHED_GRIDS = ("same", "none")


@dataclasses.dataclass(frozen=True)
class PairConfig:
    """How pairs are drawn.

    Attributes:
      sample_rate_hz: of all records.
      segment_seconds: length of the sound.
      grid_seconds: frames and sounds are at multiples of it, in both classes.
      misalignment_seconds: the most that the middle of the sound is away from the
        frame, in both classes; 0 for exact alignment. Objects that Sound: 1.
      short_sounds: what becomes of a sound that is shorter than `segment_seconds`: `surround`,
        silence on both sides; or `mask`: it begins with the first sample, and `num_samples`
        says where it ends.
      gain: share by which loudness is changed at the most.
      negatives: `independent`, as in the paper: each pair is drawn to be true or not, and
        a mismatched one takes a sound that was drawn for this. Or `in_batch`: all pairs
        of a batch are true, and the loss exchanges their sounds by `key`.
      negatives_from: `other_video`, or `any_time`: another moment of the same video is
        a mismatch too (as in the ResNet18 on VGGSound).
      positive_rate: probability of a true pair, for `independent`.
      same_video_share: how many of the mismatched pairs have another moment of the same
        clip, for `independent` with `any_time`. Clips too short for it count as others.
      mismatched_grid: `same`, or `none`: sounds of mismatched pairs begin at any sample. That
        is the flaw of section 3.3, there to be measured, for `independent` with
        `other_video`; never train so.
      pairs_per_read: pairs drawn from a record once it is read.
    """

    sample_rate_hz: int = 48_000
    segment_seconds: float = 1.0
    grid_seconds: float = 0.04
    misalignment_seconds: float = 1.0
    short_sounds: str = "surround"
    gain: float = 0.1
    negatives: str = "in_batch"
    negatives_from: str = "other_video"
    positive_rate: float = 0.5
    same_video_share: float = 0.5
    mismatched_grid: str = "same"
    pairs_per_read: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no pair can be."""
        check_range("sample_rate_hz", self.sample_rate_hz, 1, 1_000_000)
        check_range("grid_seconds", self.grid_seconds, 1 / self.sample_rate_hz, 3600)
        check_range("segment_seconds", self.segment_seconds, 1 / self.sample_rate_hz, 3600)
        check_range("misalignment_seconds", self.misalignment_seconds, 0, 3600)
        check_range("gain", self.gain, 0, 0.99)
        check_choice("short_sounds", self.short_sounds, SHORT_SOUNDS)
        check_choice("negatives", self.negatives, NEGATIVES)
        check_choice("negatives_from", self.negatives_from, NEGATIVES_FROM)
        check_range("positive_rate", self.positive_rate, 0, 1)
        check_range("same_video_share", self.same_video_share, 0, 1)
        check_choice("mismatched_grid", self.mismatched_grid, MISMATCHED_GRIDS)
        check_range("pairs_per_read", self.pairs_per_read, 1, 1000)
        whole = self.negatives == "independent" and self.negatives_from == "other_video"
        if self.mismatched_grid == "none" and not whole:
            raise ConfigurationError(
                "mismatched_grid none needs negatives independent and negatives_from other_video"
            )
        samples = self.grid_seconds * self.sample_rate_hz
        if abs(samples - round(samples)) > 1e-6 * samples:
            raise ConfigurationError(
                f"grid_seconds is {self.grid_seconds}: at {self.sample_rate_hz} Hz that is "
                f"{samples:.6g} samples and must be a whole number"
            )

    @property
    def segment_samples(self) -> int:
        """Length of the sound."""
        return round(self.segment_seconds * self.sample_rate_hz)

    @property
    def grid_samples(self) -> int:
        """Samples from one multiple of the grid to the next."""
        return round(self.grid_seconds * self.sample_rate_hz)

    @property
    def misalignment_steps(self) -> int:
        """The most steps of the grid between the frame and the middle of its sound."""
        return int(self.misalignment_seconds / self.grid_seconds + 1e-6)

    @property
    def own_clip_share(self) -> float:
        """Probability with which a mismatched pair has another moment of the own clip."""
        return self.same_video_share if self.negatives_from == "any_time" else 0.0

    @property
    def apart_steps(self) -> int:
        """Steps between two moments of a clip that make a mismatched pair.

        So many that the sound of the one has nothing in common with any sound that the
        frame of the other could have in a true pair.
        """
        return -(-self.segment_samples // self.grid_samples) + 2 * self.misalignment_steps
