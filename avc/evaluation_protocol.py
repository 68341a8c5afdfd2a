"""How audio-visual networks are measured: the choices, saved with every result."""

import dataclasses

from avc.evaluation import MOMENTS
from avc.relevance import RelevanceConfig
from avc.scene_truth import TruthConfig
from crossmodal import galleries
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import UserError
from crossmodal.localization import LocalizationConfig
from crossmodal.ndcg import NdcgConfig


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How networks are measured.

    Attributes:
      seed: of moments, galleries and resampling.
      moment: `random` (section 3.1 of Objects that Sound) or `middle` of each clip; the swap
        test and VGG-SS take the middle in any case.
      clips_per_video: in retrieval `one` of each video, drawn by the seed, or `all`.
      gallery_sizes: clips in a gallery; 0 stands for all; empty for those of the usual ones
        that the set reaches, or else all.
      num_galleries: random galleries of each size.
      num_permutations: of classes, for the spread of nDCG without alignment; 0 for none.
      ndcg: gain, and whether the query itself is a candidate.
      relevance: of one clip to another.
      localization: how maps become predictions.
      truth: what counts as seen and heard in scenes.
    """

    seed: int = 0
    moment: str = "random"
    clips_per_video: str = "one"
    gallery_sizes: tuple[int, ...] = ()
    num_galleries: int = 50
    num_permutations: int = 0
    ndcg: NdcgConfig = dataclasses.field(default_factory=NdcgConfig)
    relevance: RelevanceConfig = dataclasses.field(default_factory=RelevanceConfig)
    localization: LocalizationConfig = dataclasses.field(default_factory=LocalizationConfig)
    truth: TruthConfig = dataclasses.field(default_factory=TruthConfig)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_choice("moment", self.moment, MOMENTS)
        check_choice("clips_per_video", self.clips_per_video, ("one", "all"))
        check_range("num_galleries", self.num_galleries, 1, 1_000_000)
        check_range("num_permutations", self.num_permutations, 0, 1_000_000)

    def sizes(self, clips: int) -> list[int]:
        """The gallery sizes for a set of that many clips.

        Raises:
          UserError: one that was asked for is larger.
        """
        if not self.gallery_sizes:
            return [size for size in galleries.SIZES if size <= clips] or [clips]
        sizes = [size or clips for size in self.gallery_sizes]
        if max(sizes) > clips:
            raise UserError(
                f"--gallery_sizes: a gallery of {max(sizes)} needs as many clips, there are {clips}"
            )
        return sizes
