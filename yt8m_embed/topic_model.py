"""A linear-Gaussian topic model of video-level features, and its best possible Recall@K.

Learnt embeddings are compared with chance below them and with this ceiling
above them. A video has a latent z ~ N(0, I) that both of its modalities show:

    visual = mean_v + V (z + distortion_v) + P_v private_v + white_v
    audio  = mean_a + A (z + distortion_a) + P_a private_a + white_a

with independent Gaussian noises of known sizes: a distortion of the latent
itself, a low-rank private part (what one sees but does not hear) and a little
white noise. The labels are the topics whose score T z passes a threshold, so
they depend on z alone and (visual, audio) stays exactly jointly Gaussian. As in
YouTube-8M about one video in a hundred is silent: its audio is one fixed vector.

The best score. A gallery holds the match of the query v at a place drawn
uniformly, and N - 1 independent draws from p(a). Given v and the gallery, the
posterior probability that candidate j is the match is in proportion to
p(v, a_j) prod_{i != j} p(a_i), hence to exp pmi(v, a_j) with the pointwise mutual
information pmi(v, a) = log p(v, a) / (p(v) p(a)). The expected Recall@K of any
ranking is the expected sum of the posteriors of its first K candidates; no sum is
larger than that of the K largest posteriors, and ranking by pmi attains it: for
every K, and in both directions because pmi is symmetric. Candidates of equal
posterior may come in any order without changing the expectation, so counting ties
by their expected rank is exact too. So no scorer of (query, gallery), learnt or
not, does better in expectation; on a finite number of galleries one may by luck.
A method that assigns all queries of a gallery jointly sees more than one query
and is outside this statement.

The score as an inner product. In canonical variates u = U^T (v - mean_v) and
w = W^T (a - mean_a), pairwise correlated by r_i and otherwise independent and of
unit variance, the pmi of a Gaussian pair is

    sum_i r_i u_i w_i / (1 - r_i^2) - r_i^2 (u_i^2 + w_i^2) / (2 (1 - r_i^2)) - log(1 - r_i^2) / 2

= [f(v), g(v), 1] . [h(a), 1, k(a)]: one embedding per modality, measured by the same
retrieval evaluator as learnt ones. Silence says nothing of v: its pmi is exactly
0, and its embedding the zero vector.
"""

import dataclasses
import functools

import numpy as np
from scipy import linalg, special

from crossmodal import configuration
from crossmodal.errors import ConfigurationError


@dataclasses.dataclass(frozen=True)
class TopicModelConfiguration:
    """All that the parameters of a TopicModel follow from.

    Attributes:
      seed: draws the parameters; videos have seeds of their own.
      latent_size: length of z.
      topic_size: topics depend on the first `topic_size` coordinates of z; the rest is
        what makes a video different from others of its topics.
      num_topics: topics, in order of falling popularity.
      num_groups: groups of topics that tend to occur together.
      mean_labels: topics above their threshold in a video, on average.
      max_labels: at most so many become labels; at least one does.
      popularity_decay: a topic's share falls with rank ** -popularity_decay.
      silent_share: probability that a video is silent.
      visual_size: length of the visual vector.
      audio_size: length of the audio vector.
      distortion: standard deviation of the distortion of the first and the last
        coordinate of z, and linearly in between.
      latent_decay: coordinate i of z is shown with weight exp(-latent_decay i).
      visual_private_size: rank of the visual private part.
      audio_private_size: rank of the audio private part.
      visual_shares: parts of the visual variance that are the distorted latent, private
        and white; they sum to 1.
      audio_shares: the same for audio.
      deviation: mean standard deviation of a feature; it falls along the vector from
        1.2 to 0.8 times this, as principal components do.
    """

    seed: int = 8
    latent_size: int = 32
    topic_size: int = 20
    num_topics: int = 40
    num_groups: int = 8
    mean_labels: float = 2.9
    max_labels: int = 6
    popularity_decay: float = 0.5
    silent_share: float = 0.012
    visual_size: int = 1024
    audio_size: int = 128
    distortion: tuple[float, float] = (0.4, 1.8)
    latent_decay: float = 0.03
    visual_private_size: int = 100
    audio_private_size: int = 40
    visual_shares: tuple[float, float, float] = (0.2, 0.4, 0.4)
    audio_shares: tuple[float, float, float] = (0.5, 0.35, 0.15)
    deviation: float = 0.28

    def __post_init__(self):
        """Rejects numbers that define no distribution."""
        for name in ("visual_shares", "audio_shares"):
            shares = getattr(self, name)
            if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0 or shares[2] == 0:
                raise ConfigurationError(
                    f"{name}={shares}: give shares that sum to 1, the last above 0"
                )
        if not 0 <= self.silent_share < 1:
            raise ConfigurationError(f"silent_share={self.silent_share} is outside [0, 1)")
        if self.topic_size > self.latent_size:
            raise ConfigurationError(
                f"topic_size={self.topic_size} exceeds latent_size={self.latent_size}"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Modality:
    """How one modality shows the latent: x = mean + shared z + private n + white * e.

    Attributes:
      mean: [size].
      shared: loadings of z, [size, latent_size].
      private: loadings of noises that only this modality has, the distortion of z
        among them, [size, noises].
      white: standard deviation of each feature's own noise, [size].
    """

    mean: np.ndarray
    shared: np.ndarray
    private: np.ndarray
    white: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the features, [size, size]."""
        loadings = np.concatenate([self.shared, self.private], axis=1)
        return loadings @ loadings.T + np.diag(self.white**2)

    def draw(self, latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Features [count, size] of videos with the given latents [count, latent_size]."""
        noise = rng.standard_normal((len(latent), self.private.shape[1]))
        white = rng.standard_normal((len(latent), len(self.mean))) * self.white
        return self.mean + latent @ self.shared.T + noise @ self.private.T + white


@dataclasses.dataclass(frozen=True, eq=False)
class Videos:
    """Videos drawn from a TopicModel.

    Attributes:
      visual: float32 [count, visual_size].
      audio: float32 [count, audio_size].
      topics: for each video its topics in ascending order.
      silent: whether the audio is the model's silence, bool [count].
    """

    visual: np.ndarray
    audio: np.ndarray
    topics: tuple[tuple[int, ...], ...]
    silent: np.ndarray


class TopicModel:
    """The distribution of videos that a TopicModelConfiguration defines.

    Only draws, products and sums in float64 define the parameters and the videos,
    no factorisation: machines differ in the last bits at most, and rounding the
    features to 8 significant bits removes those.

    Attributes:
      configuration: what everything follows from.
      visual: how the picture shows the latent.
      audio: how the sound does.
      silence: the audio of every silent video, float32 [audio_size].
      topic_vectors: unit vectors [num_topics, topic_size].
      thresholds: the score above which a topic becomes a label, [num_topics].
    """

    def __init__(self, configuration: TopicModelConfiguration):
        """Draws the parameters."""
        c = self.configuration = configuration
        rng = np.random.default_rng([c.seed, 0])
        self.topic_vectors = _topic_vectors(c, rng)
        weights = np.arange(1, c.num_topics + 1) ** -c.popularity_decay
        self.thresholds = -special.ndtri(c.mean_labels * weights / weights.sum())
        self.visual = _modality(c, c.visual_size, c.visual_private_size, c.visual_shares, rng)
        self.audio = _modality(c, c.audio_size, c.audio_private_size, c.audio_shares, rng)
        self.silence = round_floats(c.deviation * rng.standard_normal(c.audio_size))

    def sample(self, count: int, seed: int) -> Videos:
        """Draws independent videos, their features rounded by `round_floats`.

        Args:
          count: how many.
          seed: another seed gives other videos of the same model.
        """
        rng = np.random.default_rng([self.configuration.seed, 1, seed])
        latent = rng.standard_normal((count, self.configuration.latent_size))
        visual = round_floats(self.visual.draw(latent, rng))
        audio = round_floats(self.audio.draw(latent, rng))
        silent = rng.random(count) < self.configuration.silent_share
        audio[silent] = self.silence
        return Videos(visual, audio, self.topics(latent), silent)

    def topics(self, latent: np.ndarray) -> tuple[tuple[int, ...], ...]:
        """The topics of latents [count, latent_size]: those that pass their thresholds.

        A video with none gets the nearest one, a video with many keeps the clearest.
        """
        margins = latent[:, : self.configuration.topic_size] @ self.topic_vectors.T
        margins -= self.thresholds
        counts = np.clip((margins > 0).sum(axis=1), 1, self.configuration.max_labels)
        order = np.argsort(-margins, axis=1, kind="stable")
        chosen = zip(order, counts, strict=True)
        return tuple(tuple(sorted(row[:n].tolist())) for row, n in chosen)

    @functools.cached_property
    def canonical(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directions U [visual_size, d], W [audio_size, d] and correlations r [d]."""
        visual = linalg.cholesky(self.visual.covariance, lower=True)
        audio = linalg.cholesky(self.audio.covariance, lower=True)
        # cov(visual, audio) = V A^T; whitened on both sides, its SVD is the answer.
        shown = linalg.solve_triangular(visual, self.visual.shared, lower=True)
        heard = linalg.solve_triangular(audio, self.audio.shared, lower=True)
        left, correlations, right = linalg.svd(shown @ heard.T, full_matrices=False)
        d = min(self.visual.shared.shape[1], len(correlations))
        return (
            linalg.solve_triangular(visual, left[:, :d], lower=True, trans="T"),
            linalg.solve_triangular(audio, right[:d].T, lower=True, trans="T"),
            correlations[:d],
        )

    def optimal_embeddings(
        self, visual: np.ndarray, audio: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings whose dot products are the pmi, so that no others retrieve better.

        They are not of unit length: score them by dot product, not by cosine.

        Args:
          visual: [n, visual_size], as drawn by `sample` or read from its shards.
          audio: [m, audio_size].

        Returns:
          float64 [n, d + 2] and [m, d + 2] with d canonical pairs; zeros for silence.
        """
        shown, heard, r = self.canonical
        u, w = (visual - self.visual.mean) @ shown, (audio - self.audio.mean) @ heard
        gain, loss = r / (1 - r**2), -0.5 * r**2 / (1 - r**2)
        constant = -0.5 * np.log1p(-(r**2)).sum()
        visual_own, audio_own = u**2 @ loss + constant, w**2 @ loss
        visual_embedding = np.column_stack([u * gain, visual_own, np.ones(len(u))])
        audio_embedding = np.column_stack([w, np.ones(len(w)), audio_own])
        audio_embedding[(np.asarray(audio) == self.silence).all(axis=1)] = 0
        return visual_embedding, audio_embedding


def load_topic_model(path: str) -> TopicModel:
    """Rebuilds the model whose configuration lies in a JSON file.

    Raises:
      UserError: the file cannot be read.
      ConfigurationError: it is not JSON, or has unknown fields.
    """
    values = configuration.load(path)
    return TopicModel(configuration.from_dict(TopicModelConfiguration, values, path))


def round_floats(values: np.ndarray) -> np.ndarray:
    """Rounds to 8 significant bits, those of bfloat16, as float32.

    The error, at most 0.4 % of a value, is far below the model's white noise: the
    ceiling, which is exact for unrounded features, does not feel it. The two zero
    bytes left in each number make the files compress well, and results that differ
    in the last bits of float64 come out the same.
    """
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32)


def _topic_vectors(c: TopicModelConfiguration, rng: np.random.Generator) -> np.ndarray:
    groups = rng.standard_normal((c.num_groups, c.topic_size))
    own = rng.standard_normal((c.num_topics, c.topic_size))
    vectors = own + 0.4 * groups[np.arange(c.num_topics) % c.num_groups]
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))


def _modality(
    c: TopicModelConfiguration,
    size: int,
    private_size: int,
    shares: tuple[float, float, float],
    rng: np.random.Generator,
) -> Modality:
    rows = c.deviation * np.linspace(1.2, 0.8, size)
    weights = np.exp(-c.latent_decay * np.arange(c.latent_size))
    distortion = np.linspace(*c.distortion, c.latent_size)
    weights *= np.sqrt(shares[0] / (weights**2 * (1 + distortion**2)).sum())
    shared = rows[:, None] * rng.standard_normal((size, c.latent_size)) * weights
    own = rng.standard_normal((size, private_size)) * np.sqrt(shares[1] / max(private_size, 1))
    return Modality(
        mean=0.1 * c.deviation * rng.standard_normal(size),
        shared=shared,
        private=np.concatenate([shared * distortion, rows[:, None] * own], axis=1),
        white=rows * np.sqrt(shares[2]),
    )
