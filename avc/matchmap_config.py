"""The choices of DAVEnet that no other network has."""

import dataclasses

from crossmodal.configuration import check_choice, check_range

SIMILARITIES = ("sisa", "misa", "sima", "max", "soft")


@dataclasses.dataclass(frozen=True)
class MatchmapConfig:
    """How DAVEnet compares, and what its picture's trunk begins with.

    Attributes:
      similarity: of a matchmap: `sisa`, the mean over picture and time, which is the product
        of the mean-pooled maps (the paper's); `misa`, the largest over the picture, its mean
        over time; `sima`, the largest over time, its mean over the picture. Or that of a bag
        of instances, see avc.instance_pooling, which the paper names as future work: `max`,
        the one place and step that fit best, and `soft`, between this and the mean.
      instance_temperature: of `soft`, in units of the matchmap.
      image_weights: of the VGG16: `none`, `imagenet` or a file; see avc.vgg16_weights. Read
        where a training starts; a trained network has its own.
      image_normalization: whether each of its convolutions is followed by batch
        normalisation, which the paper's VGG16 has not; without trained weights it learns far
        sooner.
    """

    similarity: str = "sisa"
    instance_temperature: float = 1.0
    image_weights: str = "none"
    image_normalization: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("similarity", self.similarity, SIMILARITIES)
        check_range("instance_temperature", self.instance_temperature, 1e-6, 1e6)
