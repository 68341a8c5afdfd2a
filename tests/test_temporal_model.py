"""Towers over the seconds of a video: shapes, and that what is no second never counts."""

import keras
import numpy as np
import planted_videos
import pytest

from crossmodal.configuration import override
from crossmodal.errors import ConfigurationError
from yt8m_embed import configuration, embedding, model
from yt8m_embed.temporal_layers import AttentionPooling

RNG = np.random.default_rng(2)
POOLINGS = ("mean", "gru", "lstm", "attention")
LENGTHS = np.array([7, 3, 1, 0], np.int32)


def small(pooling: str, **changes):
    changes = {"temporal_pooling": pooling, **planted_videos.SMALL, **changes}
    return override(configuration.recipe("temporal"), changes)


def videos(time: int = 7) -> dict[str, np.ndarray]:
    """Bytes after a video's end are noise, which must not be seen."""
    return {
        "rgb": RNG.integers(0, 256, (4, time, 1024), dtype=np.uint8),
        "audio": RNG.integers(0, 256, (4, time, 128), dtype=np.uint8),
        "num_frames": LENGTHS,
    }


@pytest.fixture(scope="module", params=POOLINGS)
def made(request):
    keras.utils.set_random_seed(1)
    config = small(request.param)
    return config, model.build_model(config.model)


def test_videos_and_seconds_have_unit_embeddings_and_the_rest_zeros(made):
    _, network = made
    given = videos()
    outputs = {name: np.asarray(value) for name, value in network(given).items()}
    exists = np.arange(7) < LENGTHS[:, None]
    for modality in ("visual", "audio"):
        assert outputs[f"{modality}_embedding"].shape == (4, 8)
        seconds = outputs[f"frame_{modality}_embedding"]
        assert seconds.shape == (4, 7, 8)
        norms = np.linalg.norm(seconds, axis=-1)
        np.testing.assert_allclose(norms[exists], 1, atol=1e-4)
        np.testing.assert_array_equal(norms[~exists], 0)
        norms = np.linalg.norm(outputs[f"{modality}_embedding"], axis=-1)
        np.testing.assert_allclose(norms[:3], 1, atol=1e-4)
        assert np.isfinite(outputs[f"{modality}_embedding"]).all()
        # Seconds differ from each other: nothing was averaged away.
        assert np.abs(seconds[0, 0] - seconds[0, 1]).max() > 1e-3


def test_padding_changes_nothing(made):
    _, network = made
    given = videos()
    plain = network(given)
    longer = {k: np.concatenate([v, v[:, :5]], 1) if v.ndim == 3 else v for k, v in given.items()}
    longer["rgb"][1, 3:], longer["audio"][1, 3:] = 255, 255
    padded = network(longer)
    for name, value in plain.items():
        found = np.asarray(padded[name])
        if name.startswith("frame_"):
            assert not found[:, 7:].any()
            found = found[:, :7]
        np.testing.assert_allclose(found, value, atol=1e-5, err_msg=name)


def test_a_short_video_alone_is_embedded_as_among_longer_ones(made):
    config, network = made
    given = videos()
    together = embedding.of_model(network, config)
    alone = {name: value[1:2, :3] if value.ndim == 3 else value[1:2]
             for name, value in given.items()}
    for modality, name in (("visual", "rgb"), ("audio", "audio")):
        whole = together.embed(modality, given[name], LENGTHS)
        np.testing.assert_allclose(
            together.embed(modality, alone[name], alone["num_frames"]), whole[1:2], atol=1e-5
        )


def test_the_order_of_seconds_counts_for_recurrent_layers_only(made):
    config, network = made
    given = videos()
    turned = {name: value[:1, ::-1] if value.ndim == 3 else value[:1]
              for name, value in given.items()}
    difference = np.abs(
        np.asarray(network(turned)["visual_embedding"])
        - np.asarray(network(given)["visual_embedding"])[:1]
    ).max()
    assert (difference > 1e-3) == (config.model.temporal_pooling in ("gru", "lstm"))


def test_a_one_way_recurrent_layer_hears_nothing_of_what_comes():
    network = model.build_model(small("gru", bidirectional=False).model)
    both_ways = model.build_model(small("gru").model)
    given = videos()
    changed = {name: value.copy() for name, value in given.items()}
    changed["audio"][0, 5] = 0
    for made_network, sees in ((network, False), (both_ways, True)):
        one, other = (
            np.asarray(made_network(x)["frame_audio_embedding"])[0] for x in (given, changed)
        )
        assert np.abs(one[5] - other[5]).max() > 1e-4
        assert (np.abs(one[:5] - other[:5]).max() > 1e-4) == sees


def test_attention_pooling_is_the_softmax_of_learned_queries():
    layer = AttentionPooling(6, 2)
    values = RNG.normal(size=(3, 5, 4)).astype("float32")
    lengths = np.array([5, 2, 0])
    found = np.asarray(layer(values, np.arange(5) < lengths[:, None]))
    for row, length in enumerate(lengths):
        expected = []
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            kept = values[row, :length]
            scores = kept @ np.asarray(layer.key.kernel)[:, part] @ np.asarray(layer.query)[head]
            weights = np.exp(scores / np.sqrt(3))
            spoken = kept @ np.asarray(layer.value.kernel)[:, part]
            spoken = spoken + np.asarray(layer.value.bias)[part]
            total = (weights[:, None] * spoken).sum(0) / max(weights.sum(), 1e-9)
            expected.append(total if length else np.zeros(3))
        np.testing.assert_allclose(found[row], np.concatenate(expected), atol=1e-5)


@pytest.mark.parametrize(("changes", "message"), [
    ({"temporal_pooling": "max"}, "temporal_pooling is 'max'"),
    ({"feature_level": "video"}, "temporal_pooling=gru needs frame-level records"),
    ({"feature_level": "video", "temporal_pooling": "mean"}, "synchronous_weight above 0 needs"),
    ({"num_towers": 2}, "one tower a modality"),
    ({"attention_heads": 3}, "cannot be divided among attention_heads=3"),
    ({"embedding_loss": "cosine"}, "needs embedding_loss=contrastive"),
    ({"seconds_per_video": 0}, "seconds_per_video is 0"),
])
def test_impossible_choices_name_the_field(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        override(configuration.recipe("temporal"), changes)
