"""The choices that make a network: what the papers give, and what they leave open.

Objects that Sound (Arandjelovic & Zisserman 2018), figures 2 and 4. Numbers that the paper
does not give are marked (open). `resnet18` is of Feng et al. 2020, Self-Supervised
Audio-Visual Representation Learning for in-the-wild Videos, which gives no more than its kind,
the size of its embeddings and the distance. `davenet` is of Boggust et al. 2019, Grounding Spoken
Words in Unlabeled Video.
"""

import dataclasses

from avc.matchmap_config import MatchmapConfig
from avc.spectrogram import SpectrogramConfig
from avc.visual_inputs import VisualInputs
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError

NETWORKS = ("l3", "ave", "avol", "ave_mf", "ave_of", "resnet18", "davenet")
POOLINGS = ("max", "soft")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A network and its sizes.

    Attributes:
      network: one of NETWORKS.
      image_size: pixels a side of the frame.
      width: filters of the four blocks, as multiples of 64, 128, 256 and 512; of `davenet` as
        multiples of those of `avc.davenet_trunks`.
      visual_blocks: of the picture's trunk. The paper's four see 133 pixels around a place,
        60 % of its picture; of a picture of 96 pixels that is all, and a place that sees all
        need not be where the object is. Three see 61.
      audio_blocks: of the sound's trunk. Of `resnet18` blocks are the stages.
      segment_seconds: length of the waveform.
      audio: how it becomes a log-spectrogram.
      num_frames: that `ave_mf` sees, on the pairs' grid around the moment.
      temporal_kernel: of its convolutions, in steps (open).
      temporal_stride: of its first one (open).
      temporal_pool: of its pooling after all blocks but the last (open).
      subtract_mean_frame: whether `ave_mf` sees what differs from the mean of its frames, so that
        what stands still is zero and motion need not be found beneath it (open).
      num_flows: fields of optical flow that `ave_of` sees, around the moment.
      flow_reach: what their largest byte stands for; that of the records, see avc.flow.
      embedding_dim: of the fully connected layers; for L3 of the layer after the fusion; for
        `davenet` of the last convolutions.
      unit_embeddings: whether `resnet18` compares unit vectors, as AVE does, so that distances
        and with them the sigmoid's inputs are bounded, and a search by cosine ranks as the
        distance does (open).
      pooling: of AVOL's scores over the picture: `max` (paper) or `soft`, their mean weighted
        by their softmax, the attention that section 5 names as future work.
      temperature: of that softmax.
      score_scale: the initial slope of the last layer, with the sign that makes a small
        distance, or a large product, mean that picture and sound correspond (appendix B; its
        size is open).
      score_threshold: the distance, or score, at which the network is undecided at first
        (open).
      matchmap: of `davenet`.
      batch_norm_momentum: of the moving statistics (open).
      initializer: of convolutions and dense layers (open).
      l2: half the sum of the squares of all kernels times this is added to the loss: the
        weight decay of section 3.3, which in 2018 meant this. Decoupled from the gradient it
        is `weight_decay` of the optimiser.
    """

    network: str = "ave"
    image_size: int = 224
    width: float = 1.0
    visual_blocks: int = 4
    audio_blocks: int = 4
    segment_seconds: float = 1.0
    audio: SpectrogramConfig = dataclasses.field(default_factory=SpectrogramConfig)
    num_frames: int = 25
    temporal_kernel: int = 3
    temporal_stride: int = 2
    temporal_pool: int = 2
    subtract_mean_frame: bool = False
    num_flows: int = 10
    flow_reach: float = 1 / 16
    embedding_dim: int = 128
    unit_embeddings: bool = True
    pooling: str = "max"
    temperature: float = 1.0
    score_scale: float = 3.0
    score_threshold: float = 1.0
    matchmap: MatchmapConfig = dataclasses.field(default_factory=MatchmapConfig)
    batch_norm_momentum: float = 0.9
    initializer: str = "he_normal"
    l2: float = 1e-5

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no network can be."""
        check_choice("network", self.network, NETWORKS)
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("initializer", self.initializer, ("he_normal", "he_uniform", "glorot_uniform"))
        check_range("image_size", self.image_size, 32, 4096)
        check_range("width", self.width, 1 / 64, 16)
        check_range("visual_blocks", self.visual_blocks, 1, 4)
        check_range("audio_blocks", self.audio_blocks, 1, 4)
        if self.network == "l3" and self.visual_blocks != self.audio_blocks:
            raise ConfigurationError(
                f"visual_blocks is {self.visual_blocks} and audio_blocks {self.audio_blocks}: an"
                " L3-Net's features of picture and sound must be of one length"
            )
        check_range("num_frames", self.num_frames, 1, 1000)
        check_range("temporal_kernel", self.temporal_kernel, 1, 100)
        check_range("temporal_stride", self.temporal_stride, 1, 100)
        check_range("temporal_pool", self.temporal_pool, 1, 100)
        check_range("num_flows", self.num_flows, 1, 1000)
        check_range("flow_reach", self.flow_reach, 1e-3, 1)
        if self.network == "ave_of" and self.visual_blocks < 2:
            raise ConfigurationError(
                "visual_blocks is 1: the last block of `ave_of` joins two streams of the others"
            )
        if self.matchmap.image_weights != "none" and self.width != 1:
            raise ConfigurationError(
                f"width is {self.width}: image_weights={self.matchmap.image_weights} are those of"
                " a VGG16, of width 1"
            )
        check_range("embedding_dim", self.embedding_dim, 1, 65_536)
        check_range("temperature", self.temperature, 1e-6, 1e6)
        check_range("score_scale", self.score_scale, 1e-6, 1e6)
        check_range("score_threshold", self.score_threshold, -1e6, 1e6)
        check_range("batch_norm_momentum", self.batch_norm_momentum, 0, 1)
        check_range("l2", self.l2, 0, 1e3)
        if self.audio.num_frames(self.segment_samples) < 24:
            raise ConfigurationError(
                f"segment_seconds is {self.segment_seconds}: too short"
            )

    @property
    def visual(self) -> VisualInputs:
        """What the network takes beside the sound."""
        if self.network == "ave_mf":
            return VisualInputs(False, num_frames=self.num_frames)
        flows = self.num_flows if self.network == "ave_of" else 0
        return VisualInputs(num_flows=flows, flow_reach=self.flow_reach)

    @property
    def masks_sound(self) -> bool:
        """Whether the network takes `num_samples`: how long each sound of a batch is."""
        return self.network == "davenet"

    @property
    def heard(self) -> tuple[str, ...]:
        """The names of what the network takes of the sound."""
        return ("waveform", "num_samples") if self.masks_sound else ("waveform",)

    @property
    def segment_samples(self) -> int:
        """Length of the waveform."""
        return round(self.segment_seconds * self.audio.sample_rate_hz)

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters of the four blocks."""
        return tuple(max(1, round(self.width * n)) for n in (64, 128, 256, 512))
