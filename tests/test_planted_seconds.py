"""Planted records: are single seconds what the topic model says, and do they hang together?"""

import numpy as np
import planted_videos
import pytest

from crossmodal.errors import ConfigurationError
from yt8m_embed.planted_seconds import SecondsConfiguration, draw_videos, slow
from yt8m_embed.reading import open_records
from yt8m_embed.records import dequantize_array
from yt8m_embed.topic_model import TopicModel, TopicModelConfiguration


def test_walks_are_standard_normal_and_forget_at_the_given_rate():
    config = SecondsConfiguration(video_share=0.3, change_seconds=4.0)
    rng = np.random.default_rng(0)
    walks = np.stack([slow(rng.standard_normal(200), 12, config, rng) for _ in range(400)])
    flat = walks.transpose(1, 0, 2).reshape(12, -1)
    covariance = flat @ flat.T / flat.shape[1]
    lags = np.abs(np.arange(12)[:, None] - np.arange(12))
    np.testing.assert_allclose(covariance, 0.3 + 0.7 * np.exp(-lags / 4), atol=0.02)


def test_seconds_have_the_covariance_of_the_topic_model():
    model = TopicModel(TopicModelConfiguration(
        visual_size=8, audio_size=6, latent_size=3, topic_size=2, visual_private_size=2,
        audio_private_size=2, num_topics=4, num_groups=2, mean_labels=1.5,
    ))
    config = SecondsConfiguration(min_seconds=1, max_seconds=1)
    drawn = list(draw_videos(model, config, 6000, seed=0))
    both = [np.concatenate([getattr(v, m)[0] for v in drawn]).reshape(6000, -1)
            for m in ("rgb", "audio")]
    visual, audio = (dequantize_array(values) for values in both)
    found = np.cov(visual.T, audio.T)
    cross = model.visual.shared @ model.audio.shared.T
    expected = np.block([[model.visual.covariance, cross], [cross.T, model.audio.covariance]])
    np.testing.assert_allclose(found, expected, atol=0.005)
    assert np.abs(cross).max() > 0.01  # so that the tolerance can tell


def test_records_are_the_data_sets_and_a_shuffled_control_has_the_same_seconds(tmp_path):
    for name, flags in (("true", ()), ("shuffled", ("--shuffled",))):
        planted_videos.write(tmp_path / name, 3, 2, *flags)
    blocks = {}
    for name in ("true", "shuffled"):
        kind, opened = open_records(f"{tmp_path}/{name}/*.tfrecord", 3862, "p", progress=False)
        assert kind == "frame" and opened.count() == 5
        blocks[name] = list(draw_videos(
            TopicModel(TopicModelConfiguration()),
            SecondsConfiguration(shuffled=name == "shuffled"), 3, 0,
        ))
    for one, other in zip(blocks["true"], blocks["shuffled"], strict=True):
        assert 20 <= len(one.rgb) <= 40
        np.testing.assert_array_equal(one.rgb, other.rgb)
        assert (one.audio != other.audio).any()
        np.testing.assert_array_equal(*(
            np.array(sorted(map(bytes, video.audio))) for video in (one, other)
        ))


@pytest.mark.parametrize(("changes", "message"), [
    ({"min_seconds": 50}, "min_seconds=50 exceeds max_seconds=40"),
    ({"max_seconds": 301}, "max_seconds is 301"),
    ({"video_share": 1.5}, "video_share is 1.5"),
])
def test_impossible_videos_name_the_field(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        SecondsConfiguration(**changes)
