"""Frame-level videos with a planted truth: what is seen in a second is what is heard in it.

Every second is a draw of a TopicModel, but not an independent one: its latent z, which
both modalities show, and what only one of them shows are each a constant of the video
plus a slow walk through the video,

    z_t = sqrt(video_share) z + sqrt(1 - video_share) u_t,
    u_t = r u_(t-1) + sqrt(1 - r^2) e_t,     r = exp(-1 / change_seconds),

and so is the noise; white noise is drawn anew each second. All are standard normal, so a
single second has exactly the distribution of a video of the TopicModel, and its optimal
embeddings are the best that one pair of seconds alone can say.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError
from yt8m_embed import records
from yt8m_embed.topic_model import Modality, TopicModel


@dataclasses.dataclass(frozen=True)
class SecondsConfiguration:
    """How the seconds of a planted video hang together.

    Attributes:
      video_share: share of the variance that stays the same through a video.
      change_seconds: time over which the rest forgets itself.
      min_seconds, max_seconds: lengths of videos, uniform between the two.
      shuffled: put each sound in a random order: a control without synchrony.
    """

    video_share: float = 0.3
    change_seconds: float = 4.0
    min_seconds: int = 20
    max_seconds: int = 40
    shuffled: bool = False

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          ConfigurationError: a value is outside its range.
        """
        check_range("video_share", self.video_share, 0, 1)
        check_range("change_seconds", self.change_seconds, 1e-3, 1e6)
        check_range("min_seconds", self.min_seconds, 1, records.MAX_FRAMES)
        check_range("max_seconds", self.max_seconds, 1, records.MAX_FRAMES)
        if self.min_seconds > self.max_seconds:
            raise ConfigurationError(
                f"min_seconds={self.min_seconds} exceeds max_seconds={self.max_seconds}"
            )


@dataclasses.dataclass(frozen=True)
class PlantedVideo:
    """A drawn video.

    Attributes:
      rgb: uint8 `[seconds, visual_size]`, quantised as the data set does.
      audio: uint8 `[seconds, audio_size]`.
      topics: of the constant part of its latent, ascending.
      latent: what both modalities show in each second, `[seconds, latent_size]`; of the
        picture where sounds are shuffled.
    """

    rgb: np.ndarray
    audio: np.ndarray
    topics: tuple[int, ...]
    latent: np.ndarray


def draw_videos(
    model: TopicModel, config: SecondsConfiguration, count: int, seed: int
) -> Iterator[PlantedVideo]:
    """Draws independent videos.

    Args:
      model: the distribution of a single second.
      config: how seconds hang together.
      count: how many videos.
      seed: another seed gives other videos of the same model.
    """
    size = model.configuration.latent_size
    for number in range(count):
        rng = np.random.default_rng([model.configuration.seed, 4, seed, number])
        length = int(rng.integers(config.min_seconds, config.max_seconds + 1))
        constant = rng.standard_normal(size)
        latent = slow(constant, length, config, rng)
        rgb = show(model.visual, latent, config, rng)
        audio = show(model.audio, latent, config, rng)
        if config.shuffled:
            rng.shuffle(audio)
        (topics,) = model.topics(constant[None])
        yield PlantedVideo(rgb, audio, topics, latent)


def slow(
    constant: np.ndarray, length: int, config: SecondsConfiguration, rng: np.random.Generator
) -> np.ndarray:
    """Standard normal rows `[length, size]` that share a constant and change slowly."""
    keep = np.exp(-1 / config.change_seconds)
    fresh = rng.standard_normal((length, len(constant)))
    walk = fresh.copy()
    for i in range(1, length):
        walk[i] = keep * walk[i - 1] + np.sqrt(1 - keep**2) * fresh[i]
    return np.sqrt(config.video_share) * constant + np.sqrt(1 - config.video_share) * walk


def show(
    modality: Modality, latent: np.ndarray, config: SecondsConfiguration, rng: np.random.Generator
) -> np.ndarray:
    """What a modality shows of the latents, quantised: uint8 `[length, size]`."""
    noises = modality.private.shape[1]
    noise = slow(rng.standard_normal(noises), len(latent), config, rng)
    white = rng.standard_normal((len(latent), len(modality.mean))) * modality.white
    values = modality.mean + latent @ modality.shared.T + noise @ modality.private.T + white
    return np.rint((values - records.OFFSET) / records.SCALE).clip(0, 255).astype(np.uint8)
