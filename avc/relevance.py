"""How relevant videos are to each other, by how near their classes are in the ontology.

Objects that Sound (Arandjelovic and Zisserman 2018), appendix A.2: one class has to
another the relevance C - d, where d is the length of the shortest path between them in
AudioSet's ontology, up or down; two videos have the largest among the pairs of their
labels. C is 20, "the longest possible distance".

All labels of a video count, not only those by which it was chosen: the paper's chance
level of .407 lies near that of all labels (.35 on the balanced train list, instruments,
exponential gain), and far from that of the instrument labels alone (.19).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from avc.ontology import Ontology
from crossmodal.configuration import check_range
from crossmodal.errors import UserError
from crossmodal.label_sets import SetRelevance


@dataclasses.dataclass(frozen=True)
class RelevanceConfig:
    """How far is how relevant.

    Attributes:
      offset: C; what is farther away has relevance 0.
      common_root: joins the ontology's seven top classes under one root. Without it, the
        few classes that have several parents join them, and the longest distance is 21,
        near the paper's C; with it, 11.
    """

    offset: float = 20.0
    common_root: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("offset", self.offset, 0, 1000)


def class_distances(
    ontology: Ontology, classes: Sequence[str], common_root: bool = False
) -> np.ndarray:
    """Length of the shortest path between classes, up or down.

    Args:
      ontology: that has them.
      classes: names or ids.
      common_root: whether the top classes are joined under one root.

    Returns:
      float64 [classes, classes], symmetric; inf where no path leads.

    Raises:
      UserError: there is no such class.
    """
    below = {child for children in ontology.children.values() for child in children}
    top = [identifier for identifier in ontology.names if identifier not in below]
    ids = [ontology.find(name) for name in classes]
    distances = np.full((len(classes), len(classes)), np.inf)
    to_root = np.full(len(classes), np.inf)
    for row, name in enumerate(classes):
        reached = ontology.distances(name)
        distances[row] = [reached.get(other, np.inf) for other in ids]
        to_root[row] = 1 + min(reached.get(other, np.inf) for other in top)
    return np.minimum(distances, to_root + to_root[:, None]) if common_root else distances


def between_videos(
    ontology: Ontology,
    labels: Sequence[Sequence[str]],
    config: RelevanceConfig = RelevanceConfig(),
) -> SetRelevance:
    """Relevance between videos.

    Args:
      ontology: that has their labels.
      labels: names or ids of the classes of each video; none is valid.
      config: how far is how relevant.

    Raises:
      UserError: a label is not in the ontology; names it and its video.
    """
    numbers: dict[str, int] = {}
    rows = []
    for video, own in enumerate(labels):
        ids = [ontology.find(label) for label in own]
        if None in ids:
            raise UserError(
                f"label {own[ids.index(None)]!r} of video {video} is neither the name nor the id"
                " of a class of the ontology: relevance needs AudioSet's labels"
            )
        rows.append([numbers.setdefault(identifier, len(numbers)) for identifier in ids])
    distances = class_distances(ontology, list(numbers), config.common_root)
    return SetRelevance(rows, np.maximum(config.offset - distances, 0.0))
