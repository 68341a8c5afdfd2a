"""A linear classifier on frozen features of sounds, fold by fold, as features are compared.

The protocol of the L3 paper and of Objects that Sound on ESC-50: a clip is some windows;
features are z-scored; one linear SVM a class against all others learns from windows; a clip's
score is the mean over its windows. The papers do not say how C is chosen: here on the
training folds alone, which are divided again such that no recording is on both sides.
"""

import dataclasses
import warnings

import numpy as np

from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError


@dataclasses.dataclass(frozen=True)
class SvmConfig:
    """How the classifier is trained.

    Attributes:
      penalties: candidates of C, in units of 1 / number of features: z-scored features grow
        in length with their number, and one list is to do for all.
      inner_folds: into which the training folds are divided to choose among them.
      max_iterations: of the solver.
      seed: of the division and of the solver.
    """

    penalties: tuple[float, ...] = (0.1, 1.0, 10.0)
    inner_folds: int = 3
    max_iterations: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        if not self.penalties:
            raise ConfigurationError("penalties is empty: name at least one")
        for penalty in self.penalties:
            check_range("penalties", penalty, 1e-9, 1e9)
        check_range("inner_folds", self.inner_folds, 2, 1000)
        check_range("max_iterations", self.max_iterations, 1, 10_000_000)
        check_range("seed", self.seed, 0, 2**32 - 1)


@dataclasses.dataclass(frozen=True)
class Probed:
    """What became of each fold.

    Attributes:
      scores: of each clip while its fold was tested, float64 `[clips, classes]`; -inf for a
        class that was not in the training folds.
      penalties: chosen, by the fold that was tested.
      converged: whether every solver came to its end.
    """

    scores: np.ndarray
    penalties: dict[int, float]
    converged: bool


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
      mean, deviation: of the training windows, `[d]`.
      weights: `[d, classes]`.
      bias: `[classes]`.
      converged: whether the solver came to its end.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    converged: bool

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Means over windows: `[clips, windows, d]` to `[clips, classes]`."""
        # Linear throughout: the mean of the scores is the score of the mean.
        mean = features.mean(1, dtype=np.float64)
        return (mean - self.mean) / self.deviation @ self.weights + self.bias


def probe(
    features: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    sources: np.ndarray,
    config: SvmConfig,
) -> Probed:
    """Tests each fold on a classifier of the others.

    Args:
      features: `[clips, windows, d]`.
      labels: classes 0, 1, ..., int `[clips]`.
      folds: `[clips]`.
      sources: recordings `[clips]`, each of one fold.
      config: how.

    Raises:
      UserError: scikit-learn is not installed, or the training folds are too small to divide.
    """
    found = np.full((len(labels), labels.max() + 1), -np.inf)
    chosen, converged = {}, True
    for fold in np.unique(folds):
        test, train = folds == fold, np.flatnonzero(folds != fold)
        penalty = choose_penalty(features[train], labels[train], sources[train], config)
        classifier = fit(features[train], labels[train], found.shape[1], penalty, config)
        found[test] = classifier.scores(features[test])
        chosen[int(fold)] = penalty
        converged = converged and classifier.converged
    return Probed(found, chosen, converged)


def choose_penalty(
    features: np.ndarray, labels: np.ndarray, sources: np.ndarray, config: SvmConfig
) -> float:
    """The penalty with which most clips are right; of equals the smallest.

    Raises:
      UserError: as `inner_parts`.
    """
    if len(config.penalties) == 1:
        return config.penalties[0]
    classes = labels.max() + 1
    parts = inner_parts(labels, sources, config)
    right = {}
    for penalty in sorted(config.penalties):
        right[penalty] = sum(
            int((fit(features[train], labels[train], classes, penalty, config)
                 .scores(features[test]).argmax(1) == labels[test]).sum())
            for train, test in parts
        )
    return max(right, key=right.get)


def inner_parts(
    labels: np.ndarray, sources: np.ndarray, config: SvmConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divides clips by their recordings, classes as evenly as that allows.

    Returns:
      Rows to learn from and to test on, `inner_folds` times.

    Raises:
      UserError: scikit-learn is not installed; there are too few recordings.
    """
    try:
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `probe`") from error
    splitter = StratifiedGroupKFold(config.inner_folds, shuffle=True, random_state=config.seed)
    try:
        with warnings.catch_warnings():
            # A class of few recordings is missing in some part: no fault.
            warnings.simplefilter("ignore", UserWarning)
            parts = list(splitter.split(labels, labels, sources))
    except ValueError:
        parts = []
    usable = [len(test) and len(np.unique(labels[train])) > 1 for train, test in parts]
    if not parts or not all(usable):
        raise UserError(
            f"the training folds, {len(np.unique(sources))} recordings, cannot be divided into"
            f" inner_folds={config.inner_folds} with two classes to learn in each: take fewer, or"
            " one of penalties"
        )
    return parts


def fit(
    features: np.ndarray, labels: np.ndarray, classes: int, penalty: float, config: SvmConfig
) -> Classifier:
    """Trains on all windows.

    Args:
      features: `[clips, windows, d]`.
      labels: `[clips]`.
      classes: how many there are; those that `labels` lack score -inf.
      penalty: see SvmConfig.
      config: the rest.

    Raises:
      UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise UserError(f"{error}: install the package with its extra `probe`") from error
    windows = features.reshape(-1, features.shape[-1])
    mean, deviation = windows.mean(0, dtype=np.float64), windows.std(0, dtype=np.float64)
    # A feature that never changes says nothing; rounding must not make it say something.
    deviation = np.where(deviation > 1e-6 * np.maximum(1, np.abs(mean)), deviation, np.inf)
    machine = LinearSVC(
        C=penalty / windows.shape[1], max_iter=config.max_iterations, random_state=config.seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit((windows - mean) / deviation, np.repeat(labels, features.shape[1]))
    weights, bias = np.zeros((windows.shape[1], classes)), np.full(classes, -np.inf)
    known, normals, shifts = machine.classes_, machine.coef_, machine.intercept_
    if len(known) == 2:  # one machine tells both
        normals, shifts = (np.concatenate([-x, x]) for x in (normals, shifts))
    weights[:, known], bias[known] = normals.T, shifts
    converged = bool(machine.n_iter_ < config.max_iterations)
    return Classifier(mean, deviation, weights, bias, converged)
