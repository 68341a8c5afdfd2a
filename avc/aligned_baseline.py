"""CCA of a network's features: what Objects that Sound aligns L3-Net's two spaces with.

Section 3.1: 128 components, L2-normalised representations. How CCA is regularised the paper
does not say; here that is chosen on a tenth of the training videos, by Recall@10.
"""

import hashlib

import numpy as np

from avc.retrieval_scores import first_components, project
from crossmodal import cca, galleries
from crossmodal.errors import UserError

COMPONENTS = 128
# In units of the mean variance of each modality.
RIDGES = (0.01, 0.1, 1.0, 10.0)
LARGEST_GALLERY = 512


def fit(
    visual: np.ndarray,
    audio: np.ndarray,
    videos: np.ndarray,
    components: int = COMPONENTS,
    seed: int = 0,
) -> tuple[cca.Cca, dict[str, float]]:
    """Fits CCA on training clips.

    Args:
      visual: features `[n, d]`.
      audio: `[n, e]`, row i from the same clip.
      videos: names `[n]`; clips of one video stay together in the choice of the ridges.
      components: kept at the most.
      seed: of the galleries of the choice.

    Returns:
      The CCA of all clips, for L2-normalised features, and what was chosen:
      `visual_regularization`, `audio_regularization` and `components`.

    Raises:
      UserError: too few clips.
    """
    visual, audio = cca.normalise(visual), cca.normalise(audio)
    tenth = np.array([_digest(video) % 10 == 0 for video in videos])
    size = min(int(tenth.sum()), LARGEST_GALLERY)
    if size < 2 or len(tenth) - tenth.sum() < 2:
        raise UserError(
            f"CCA needs more than {len(videos)} training clips: some of a tenth of their videos"
            " are kept apart to choose its regularisation by"
        )
    components = min(components, visual.shape[1], audio.shape[1])
    moments = _moments(visual[~tenth], audio[~tenth])
    best, best_score = (RIDGES[0], RIDGES[0]), -1.0
    for visual_ridge in RIDGES:
        for audio_ridge in RIDGES:
            fitted = first_components(cca.fit(moments, None, visual_ridge, audio_ridge), components)
            system = project(fitted, visual[tenth], audio[tenth])
            scores = galleries.evaluate(system.visual, system.audio, [size], 10, seed)
            score = np.mean([s.per_gallery["recall@10"].mean() for s in scores.values()])
            if score > best_score:
                best, best_score = (visual_ridge, audio_ridge), score
    chosen = {
        "visual_regularization": best[0],
        "audio_regularization": best[1],
        "components": components,
    }
    return cca.fit(_moments(visual, audio), components, *best), chosen


def _moments(visual: np.ndarray, audio: np.ndarray) -> cca.Moments:
    moments = cca.Moments()
    moments.add(visual, audio)
    return moments


def _digest(video: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"cca" + bytes(video)).digest()[:8], "big")
