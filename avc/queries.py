"""Pictures, sounds and videos of files as queries: embedded as a collection is.

A video or a long sound is many moments. `crossmodal.index.mean_embedding` makes one query of
them.
"""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from avc import clip_sources, localized_picture
from avc.clip_sources import MomentConfig, Unit
from avc.embedding import TrainedNetwork
from crossmodal.configuration import check_range
from crossmodal.errors import UserError

# Moments that go through the network at once.
_ROWS = 64


@dataclasses.dataclass(frozen=True)
class QueryConfig:
    """How a file is cut into moments.

    Attributes:
      hop_seconds: from one moment to the next.
      shorter_side: pixels to which pictures are scaled, as the collection's were.
    """

    hop_seconds: float = 1.0
    shorter_side: int = 256

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value out of range."""
        check_range("hop_seconds", self.hop_seconds, 0.01, 1e6)
        check_range("shorter_side", self.shorter_side, 16, 4096)


def similarity_of(network: TrainedNetwork) -> str:
    """How a network itself ranks: "euclidean" where it compares vectors of any length.

    The distance of unit vectors orders as their cosine does. L3 compares by dense layers and
    AVOL by the best place of a picture, which no single vector tells; theirs are ranked by
    cosine, as evaluation ranks them (`avc.retrieval_scores.normalised`).
    """
    config = network.config.network
    return "euclidean" if config.network == "resnet18" and not config.unit_embeddings else "cosine"


def why_similarity(network: TrainedNetwork) -> str:
    """The reason of `similarity_of`, as a clause."""
    name = network.config.network.network
    if similarity_of(network) == "euclidean":
        return f"a network `{name}` with embeddings of any length compares distances"
    if name == "l3":
        return "`l3` has no distance of its own; evaluation ranks it by cosine, too"
    if name == "avol":
        return "`avol` scores single places; its mean over the picture is ranked as in evaluation"
    return f"`{name}` compares unit vectors, whose distance orders as the cosine does"


def check_network(network: TrainedNetwork) -> None:
    """Raises UserError for a network that sees motion: files are embedded frame by frame."""
    if not network.sees_one_frame:
        raise UserError(
            f"{network.source}: a network `{network.config.network.network}` sees motion; search"
            " is for networks that see one frame"
        )


def embed_picture(network: TrainedNetwork, path: str) -> np.ndarray:
    """The embedding of a picture, float32 `[1, d]`.

    Raises:
      UserError: the file is no JPEG, PNG, BMP or GIF.
    """
    check_network(network)
    return network.embed_visual(localized_picture.read_picture(path)[None])


def embed_moments(
    network: TrainedNetwork,
    path: str,
    modality: str,
    config: QueryConfig | None = None,
    tell: Callable[[int], object] = lambda moments: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The moments of one modality of a file.

    Args:
      network: a trained one.
      path: a media file; of "visual" it needs no sound, of "audio" no picture.
      modality: `visual` or `audio`.
      config: where the moments are.
      tell: called with how many new moments there are.

    Returns:
      seconds: float64 `[n]`, of the moments, rising, from the file's beginning.
      embeddings: float32 `[n, d]`.

    Raises:
      UserError: the file has none, or cannot be read to its end.
    """
    check_network(network)
    config = config or QueryConfig()
    unit = Unit(os.path.basename(path) or path, path, {})
    taken = MomentConfig(
        modality, False, config.hop_seconds, config.shorter_side,
        network.config.network.segment_samples, network.sample_rate_hz,
    )
    seconds: list[float] = []
    parts: list[np.ndarray] = []
    held: list[np.ndarray] = []
    for row in clip_sources.rows_of_file(unit, taken):
        item = row.frame if modality == "visual" else row.waveform
        # Pictures of another size go through the network by themselves.
        if held and (len(held) == _ROWS or held[0].shape != item.shape):
            parts.append(_embed(network, modality, held))
            held = []
        held.append(item)
        seconds.append(row.seconds)
        tell(1)
    if not held:
        raise UserError(f"{path}: holds no moment")
    parts.append(_embed(network, modality, held))
    return np.array(seconds), np.concatenate(parts)


def _embed(network: TrainedNetwork, modality: str, items: list[np.ndarray]) -> np.ndarray:
    embed = network.embed_visual if modality == "visual" else network.embed_audio
    return embed(np.stack(items))
