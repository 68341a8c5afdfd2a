"""The systems that a retrieval table compares: networks, features from files, and their CCA."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avc import aligned_baseline, clip_features
from avc.evaluation import Evaluated
from avc.retrieval_scores import System, normalised, project
from crossmodal.cca import Cca
from crossmodal.errors import UserError

# Compared by the product of unit vectors.
NORMALISED: Mapping = {}


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Features that are aligned by CCA.

    Attributes:
      fitted: on training clips.
      visual, audio: the features of the clips to evaluate on.
      chosen: how it is regularised.
    """

    fitted: Cca
    visual: np.ndarray
    audio: np.ndarray
    chosen: dict[str, float]


@dataclasses.dataclass
class Systems:
    """Systems on the same clips, in the order of the table.

    Attributes:
      rows: of all clips, those that take part.
      ids: of these.
      seed: of the choice of regularisation.
      systems: by name.
      baselines: by the name of the system.
    """

    rows: np.ndarray
    ids: Sequence[bytes]
    seed: int = 0
    systems: dict[str, System] = dataclasses.field(default_factory=dict)
    baselines: dict[str, Baseline] = dataclasses.field(default_factory=dict)

    def add_network(self, name: str, found: Evaluated, train: Evaluated | None = None) -> None:
        """A network and, where there are training clips, the CCA of its features."""
        visual, audio = found.visual_embedding[self.rows], found.audio_embedding[self.rows]
        given = (train.visual_embedding, train.audio_embedding, train.video) if train else None
        similarity = found.similarity
        if similarity is not None:
            similarity = similarity[np.ix_(self.rows, self.rows)]
        own = {"products": (visual, audio) if found.product else None, "similarity": similarity}
        self._add(name, visual, audio, given, own)

    def add_file(self, name: str, path: str, train_path: str = "") -> None:
        """Features of an .npz file, and their CCA where there is one of training clips.

        Raises:
          UserError: a file is something else, or lacks a clip; or CCA is to align pictures
            with no sounds.
        """
        visual, audio = clip_features.align_features(path, self.ids)
        train = None
        if train_path:
            ids, *features = clip_features.read_features(train_path)
            for file, sounds in ((path, audio), (train_path, features[1])):
                if not sounds.shape[1]:
                    raise UserError(f"{file}: has no features `audio`, which CCA is to align")
            train = (*features, ids)
        self._add(name, visual, audio, train)

    def _add(
        self, name: str, visual: np.ndarray, audio: np.ndarray, train: tuple | None,
        own: Mapping = NORMALISED,
    ) -> None:
        while name in self.systems:
            name += " (2)"
        self.systems[name] = dataclasses.replace(normalised(visual, audio), **own)
        if train:
            fitted, chosen = aligned_baseline.fit(*train, seed=self.seed)
            self.systems[f"{name} + CCA"] = project(fitted, visual, audio)
            self.baselines[f"{name} + CCA"] = Baseline(fitted, visual, audio, chosen)
