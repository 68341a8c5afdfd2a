import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats

from crossmodal import configuration
from crossmodal.errors import ConfigurationError
from crossmodal.retrieval import DIRECTIONS, rank_pairs
from yt8m_embed.topic_model import (
    TopicModel,
    TopicModelConfiguration,
    load_topic_model,
    round_floats,
)

SMALL = TopicModelConfiguration(
    seed=3,
    latent_size=3,
    topic_size=2,
    num_topics=6,
    num_groups=2,
    mean_labels=1.5,
    visual_size=6,
    audio_size=4,
    visual_private_size=2,
    audio_private_size=1,
    silent_share=0.0,
)
# Between the toy above and the bundled one: enough to retrieve, cheap to repeat.
MEDIUM = dataclasses.replace(
    SMALL,
    latent_size=10,
    visual_size=30,
    audio_size=20,
    visual_private_size=5,
    audio_private_size=5,
    distortion=(0.3, 1.0),
    silent_share=0.01,
)


def recall(visual, audio, k, gallery=200):
    """Mean Recall@k of both directions over disjoint galleries, [galleries]."""
    values = []
    for start in range(0, len(visual), gallery):
        part = slice(start, start + gallery)
        ranks = rank_pairs(visual[part], audio[part])
        values.append(np.mean([ranks[direction].hits(k).mean() for direction in DIRECTIONS]))
    return np.array(values)


def joint_covariance(model):
    cross = model.visual.shared @ model.audio.shared.T
    return np.block([[model.visual.covariance, cross], [cross.T, model.audio.covariance]])


def test_dot_products_are_the_pointwise_mutual_information():
    model = TopicModel(SMALL)
    videos = model.sample(20, seed=0)
    visual_embeddings, audio_embeddings = model.optimal_embeddings(videos.visual, videos.audio)
    mean = np.concatenate([model.visual.mean, model.audio.mean])
    joint = stats.multivariate_normal(mean, joint_covariance(model))
    visual = stats.multivariate_normal(model.visual.mean, model.visual.covariance)
    audio = stats.multivariate_normal(model.audio.mean, model.audio.covariance)
    expected = np.array([
        [
            joint.logpdf(np.concatenate([v, a])) - visual.logpdf(v) - audio.logpdf(a)
            for a in videos.audio
        ]
        for v in videos.visual
    ])
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(visual_embeddings @ audio_embeddings.T, expected, atol=1e-9)


def test_videos_have_the_moments_that_the_ceiling_assumes():
    model = TopicModel(SMALL)
    videos = model.sample(200_000, seed=0)
    features = np.concatenate([videos.visual, videos.audio], axis=1)
    mean = np.concatenate([model.visual.mean, model.audio.mean])
    np.testing.assert_allclose(features.mean(axis=0), mean, atol=0.004)
    expected = joint_covariance(model)
    np.testing.assert_allclose(np.cov(features.T), expected, atol=0.02 * np.abs(expected).max())
    shown, heard, correlations = model.canonical
    u, w = videos.visual @ shown, videos.audio @ heard
    measured = np.corrcoef(u.T, w.T)
    np.testing.assert_allclose(measured[:3, 3:], np.diag(correlations), atol=0.02)
    np.testing.assert_allclose(measured[:3, :3], np.eye(3), atol=0.02)


def test_scores_give_the_posterior_of_brute_force():
    """One feature per modality, z integrated numerically, silence among the candidates."""
    model = TopicModel(
        dataclasses.replace(
            SMALL,
            latent_size=1,
            topic_size=1,
            visual_size=1,
            audio_size=1,
            visual_private_size=0,
            audio_private_size=0,
            silent_share=0.2,
            visual_shares=(0.9, 0.0, 0.1),
            audio_shares=(0.8, 0.0, 0.2),
            distortion=(0.3, 0.3),
        )
    )

    def show(modality, x, z):
        noise = np.sqrt(modality.private[0] @ modality.private[0] + modality.white[0] ** 2)
        return stats.norm.pdf(x, modality.mean[0] + modality.shared[0, 0] * z, noise)

    def hear(a, z):
        """Mass for silence, density for the rest: the measure is the same for all rows."""
        return 0.2 if a == model.silence[0] else 0.8 * show(model.audio, a, z)

    def average(function):
        return integrate.quad(lambda z: function(z) * stats.norm.pdf(z), -9, 9, epsabs=1e-12)[0]

    videos = model.sample(6, seed=5)
    gallery = videos.audio.copy()
    gallery[2] = model.silence
    marginals = [average(lambda z, a=a: hear(a, z)) for a in gallery[:, 0]]
    posterior = np.zeros((6, 6))
    for i, v in enumerate(videos.visual[:, 0]):
        for j, a in enumerate(gallery[:, 0]):
            pair = average(lambda z, v=v, a=a: show(model.visual, v, z) * hear(a, z))
            posterior[i, j] = pair * np.prod(np.delete(marginals, j))
    posterior /= posterior.sum(axis=1, keepdims=True)
    visual, audio = model.optimal_embeddings(videos.visual, gallery)
    odds = np.exp(visual @ audio.T)
    assert posterior.max() > 0.3
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), posterior, rtol=1e-6)


def perturbed(model, videos):
    """Other scorers by name, each with knowledge of the true parameters."""
    visual, audio = model.optimal_embeddings(videos.visual, videos.audio)
    d = len(model.canonical[2])
    shown, heard, r = model.canonical
    u, w = (videos.visual - model.visual.mean) @ shown, (videos.audio - model.audio.mean) @ heard
    noise = np.random.default_rng(0).standard_normal((d, d))
    yield "without the terms of one modality", visual[:, :d], audio[:, :d]
    yield "canonical variates", u, w
    yield "cosine of weighted variates", unit(u * np.sqrt(r)), unit(w * np.sqrt(r))
    yield "turned a little", visual, np.c_[audio[:, :d] @ (np.eye(d) + 0.1 * noise), audio[:, d:]]
    yield "own terms doubled", np.c_[visual[:, :d], 2 * visual[:, d:-1], visual[:, -1:]], np.c_[
        audio[:, :-1], 2 * audio[:, -1:]
    ]


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 10])
def test_no_other_scorer_reaches_the_ceiling(k):
    model = TopicModel(MEDIUM)
    videos = model.sample(20_000, seed=1)
    ceiling = recall(*model.optimal_embeddings(videos.visual, videos.audio), k)
    assert 2 * k / 200 < ceiling.mean() < 0.98
    for name, visual, audio in perturbed(model, videos):
        loss = ceiling - recall(visual, audio, k)
        # Paired over galleries: three standard errors.
        assert loss.mean() > 3 * loss.std() / np.sqrt(len(loss)), name


def test_silent_audio_is_one_tie_with_score_zero():
    model = TopicModel(dataclasses.replace(MEDIUM, silent_share=0.5))
    videos = model.sample(400, seed=2)
    assert 150 < videos.silent.sum() < 250
    assert len(np.unique(videos.audio[videos.silent], axis=0)) == 1
    assert len(np.unique(videos.audio[~videos.silent], axis=0)) == (~videos.silent).sum()
    visual, audio = model.optimal_embeddings(videos.visual, videos.audio)
    assert not audio[videos.silent].any() and audio[~videos.silent].any(axis=1).all()
    # A silent query cannot tell the pictures apart: its match is anywhere.
    ranks = rank_pairs(visual, audio)["audio_to_visual"]
    np.testing.assert_array_equal(ranks.ties[videos.silent], 399)


def test_topics_are_a_function_of_the_latent():
    model = TopicModel(SMALL)
    latent = np.random.default_rng(0).standard_normal((500, 3))
    for z, chosen in zip(latent, model.topics(latent), strict=True):
        margins = {t: model.topic_vectors[t] @ z[:2] - model.thresholds[t] for t in range(6)}
        passed = [t for t in margins if margins[t] > 0]
        assert list(chosen) == (passed or [max(margins, key=margins.get)])
    capped = TopicModel(dataclasses.replace(SMALL, max_labels=1)).topics(latent)
    assert {len(topics) for topics in capped} == {1}
    share = np.mean([0 in topics for topics in model.sample(20_000, 0).topics])
    assert share > np.mean([5 in topics for topics in model.sample(20_000, 0).topics])


def test_same_seed_same_videos():
    one, two = (TopicModel(SMALL).sample(5, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.visual, two.visual)
    assert one.topics == two.topics
    other = TopicModel(SMALL).sample(5, seed=2)
    assert (one.visual != other.visual).all() and (one.audio != other.audio).all()


def test_round_floats_keeps_eight_bits():
    x = np.random.default_rng(0).standard_normal(10_000)
    rounded = round_floats(x)
    assert rounded.dtype == np.float32
    assert not (rounded.view(np.uint32) & 0xFFFF).any()
    assert np.abs(rounded / x - 1).max() <= 2**-8
    np.testing.assert_array_equal(round_floats([1 + 2**-8, 1 + 3 * 2**-8, -3.0]), [1, 1.015625, -3])


def test_configuration_round_trip(tmp_path):
    path = str(tmp_path / "topic_model.json")
    configuration.save(path, configuration.to_dict(SMALL))
    loaded = load_topic_model(path)
    assert loaded.configuration == SMALL
    np.testing.assert_array_equal(loaded.visual.shared, TopicModel(SMALL).visual.shared)


@pytest.mark.parametrize(
    "change",
    [
        {"visual_shares": (0.5, 0.5, 0.5)},
        {"audio_shares": (0.5, 0.5, 0.0)},
        {"silent_share": 1.5},
        {"topic_size": 99},
    ],
)
def test_impossible_configurations_are_refused(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        dataclasses.replace(SMALL, **change)
