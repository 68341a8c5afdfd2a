"""Regularised linear CCA in closed form: the baseline that a network has to beat.

Canonical correlation analysis (Hotelling 1936; ridge-regularised, Vinod 1976) finds the
linear projections of two modalities that correlate most, without labels and without a
step of training. It needs the first two moments of the data alone, so a set of any size
is read once in batches, and the whole fit is one singular value decomposition.

CCA does best on features of length 1 (`normalise`). The default ridges and the default
power were chosen, with such features, on a held-out tenth of YouTube-8M training videos;
Recall@K is flat around them.
"""

import dataclasses
import io
import zipfile

import numpy as np
import scipy.linalg
import tensorflow as tf

from crossmodal import files
from crossmodal.errors import UserError


class Moments:
    """Means and covariances of paired features, gathered batch by batch in float64."""

    def __init__(self):
        """Starts empty; the first batch sets the sizes."""
        self.count = 0

    def add(self, visual: np.ndarray, audio: np.ndarray) -> None:
        """Takes in a batch.

        Args:
          visual: [batch, visual_size], finite.
          audio: [batch, audio_size], finite.

        Raises:
          UserError: the two differ in length, or a value is not finite.
        """
        if len(visual) != len(audio):
            raise UserError(f"{len(visual)} visual and {len(audio)} audio rows do not pair up")
        both = np.concatenate([visual, audio], axis=1, dtype=np.float64)
        if not np.isfinite(both.sum()):
            raise UserError("a batch of features has a NaN or Inf: check the records first")
        if not len(both):
            return
        if not self.count:
            self.visual_size = np.shape(visual)[1]
            # Products of values far from zero lose digits; those around a first mean do not.
            self.origin = both.mean(axis=0)
            self.sums = np.zeros_like(self.origin)
            self.products = np.zeros((both.shape[1], both.shape[1]))
        both -= self.origin
        self.count += len(both)
        self.sums += both.sum(axis=0)
        self.products += both.T @ both

    def mean(self) -> np.ndarray:
        """Means of the visual and then the audio values, [visual_size + audio_size]."""
        return self.origin + self.sums / self.count

    def covariance(self) -> np.ndarray:
        """Covariance (divided by count - 1) of the values in the order of `mean`."""
        centred = self.products - np.outer(self.sums, self.sums) / self.count
        return centred / (self.count - 1)


@dataclasses.dataclass(frozen=True)
class Cca:
    """A fitted projection of both modalities into one space.

    Attributes:
      visual_mean: float64 [visual_size].
      audio_mean: float64 [audio_size].
      visual_projection: float64 [visual_size, components].
      audio_projection: float64 [audio_size, components].
      correlations: float64 [components], falling; of the regularised problem.
    """

    visual_mean: np.ndarray
    audio_mean: np.ndarray
    visual_projection: np.ndarray
    audio_projection: np.ndarray
    correlations: np.ndarray

    def project_visual(self, visual: np.ndarray) -> np.ndarray:
        """Canonical variables of visual features [batch, visual_size], float64."""
        return (np.asarray(visual, np.float64) - self.visual_mean) @ self.visual_projection

    def project_audio(self, audio: np.ndarray) -> np.ndarray:
        """Canonical variables of audio features [batch, audio_size], float64."""
        return (np.asarray(audio, np.float64) - self.audio_mean) @ self.audio_projection

    def embed_visual(self, visual: np.ndarray, power: float = 0.5) -> np.ndarray:
        """L2-normalised embeddings, float32 [batch, components].

        Args:
          visual: [batch, visual_size].
          power: each component is weighted by its correlation to this power, so that
            those which hardly correlate don't drown the others; 0 weights none.
        """
        return normalise(self.project_visual(visual) * self.correlations**power)

    def embed_audio(self, audio: np.ndarray, power: float = 0.5) -> np.ndarray:
        """L2-normalised embeddings of [batch, audio_size], as `embed_visual`."""
        return normalise(self.project_audio(audio) * self.correlations**power)

    def save(self, path: str) -> None:
        """Writes an .npz file, whole or not at all."""
        buffer = io.BytesIO()
        np.savez(buffer, **dataclasses.asdict(self))
        with files.whole_file(path) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(buffer.getvalue())


def load(path: str) -> Cca:
    """Reads what `Cca.save` wrote.

    Raises:
      UserError: the file cannot be read or is something else.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            content = io.BytesIO(file.read())
        with np.load(content) as arrays:
            return Cca(**{field.name: arrays[field.name] for field in dataclasses.fields(Cca)})
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    except (KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is not a saved CCA ({error})") from error


def fit(
    moments: Moments,
    components: int | None = None,
    visual_regularization: float = 1.0,
    audio_regularization: float = 0.3,
) -> Cca:
    """Solves CCA from the moments of a training set.

    Args:
      moments: of at least two videos.
      components: canonical pairs kept, strongest first; None keeps all.
      visual_regularization: added to the visual covariance's diagonal, in units of its
        mean variance.
      audio_regularization: the same for audio.

    Raises:
      UserError: too few videos or too many components, or a covariance that is singular.
    """
    if moments.count < 2:
        raise UserError(f"CCA needs at least 2 videos, got {moments.count}")
    split = moments.visual_size
    mean, covariance = moments.mean(), moments.covariance()
    most = min(split, len(mean) - split)
    components = most if components is None else components
    if not 1 <= components <= most:
        raise UserError(f"CCA has 1 to {most} components, asked for {components}")
    visual_root = _root("visual", covariance[:split, :split], visual_regularization)
    audio_root = _root("audio", covariance[split:, split:], audio_regularization)
    # With whitened modalities, the singular vectors of what they share are the answer.
    shared = scipy.linalg.solve_triangular(visual_root, covariance[:split, split:], lower=True)
    shared = scipy.linalg.solve_triangular(audio_root, shared.T, lower=True).T
    left, correlations, right = scipy.linalg.svd(shared, full_matrices=False)
    unwhiten = {"trans": "T", "lower": True}
    return Cca(
        visual_mean=mean[:split],
        audio_mean=mean[split:],
        visual_projection=scipy.linalg.solve_triangular(
            visual_root, left[:, :components], **unwhiten
        ),
        audio_projection=scipy.linalg.solve_triangular(
            audio_root, right[:components].T, **unwhiten
        ),
        correlations=correlations[:components],
    )


def _root(name: str, covariance: np.ndarray, regularization: float) -> np.ndarray:
    """Lower Cholesky factor of a covariance with its ridge."""
    ridge = regularization * np.trace(covariance) / len(covariance)
    try:
        return scipy.linalg.cholesky(covariance + ridge * np.eye(len(covariance)), lower=True)
    except scipy.linalg.LinAlgError as error:
        raise UserError(
            f"the {name} covariance is singular: raise {name}_regularization "
            f"(now {regularization}) or use more videos"
        ) from error


def normalise(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1 as float32 [rows, size]; a row of zeros stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(norms, 1e-12)).astype(np.float32)
