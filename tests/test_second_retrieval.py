"""Retrieval and matching of seconds, against counting by hand and by brute force."""

import itertools

import numpy as np
import pytest

from crossmodal.errors import UserError
from yt8m_embed import second_matching
from yt8m_embed.embedded import VideoSeconds
from yt8m_embed.second_retrieval import (
    SecondProtocol,
    across_videos,
    evaluate,
    hit_probability,
    recalls,
    within_video,
)

RNG = np.random.default_rng(6)


def units(*shape):
    values = RNG.normal(size=shape)
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def video(name: str, length: int, noise: float | None = None) -> VideoSeconds:
    """Sound that follows the picture up to some noise, or has nothing to do with it."""
    visual = units(length, 6)
    audio = units(length, 6) if noise is None else visual + noise * units(length, 6)
    return VideoSeconds(name.encode(), visual, audio.astype(np.float32))


@pytest.mark.parametrize(("greater", "ties", "correct", "k"), [
    (0, 0, 1, 1), (2, 0, 1, 2), (2, 1, 2, 4), (0, 3, 2, 2), (1, 4, 1, 3), (0, 4, 3, 9),
])
def test_ties_have_the_mean_over_all_orders(greater, ties, correct, k):
    hits = [
        any(places[place] for place in range(max(0, min(k - greater, ties + correct))))
        for places in set(itertools.permutations([True] * correct + [False] * ties))
    ]
    assert hit_probability(greater, ties, correct, k) == pytest.approx(np.mean(hits), abs=1e-12)


def test_recall_is_that_of_sorting():
    scores = RNG.normal(size=(20, 20)).astype(np.float32)
    second = np.arange(20)
    right = np.abs(second[:, None] - second) <= 1
    found = recalls(scores, right, (1, 5))
    for i, k in enumerate((1, 5)):
        for row in range(20):
            assert found[0, i, row] == right[row, np.argsort(-scores[row])[:k]].any()
            wrong = 20 - right[row].sum()
            misses = np.prod([(wrong - j) / (20 - j) for j in range(k)])
            assert found[1, i, row] == pytest.approx(1 - misses)


def test_constant_embeddings_score_exactly_chance():
    """A model that hears nothing gets what guessing gets, not more by the order of items."""
    flat = VideoSeconds(b"v", np.ones((30, 4), np.float32), units(1, 4).repeat(30, 0))
    for tolerance in (0, 2):
        for values in within_video(flat, tolerance).values():
            np.testing.assert_allclose(values[0], values[1], atol=1e-9)
    assert within_video(flat, 0)["audio_to_visual"][1, 0] == pytest.approx(1 / 30)


def test_perfect_seconds_are_found_and_unrelated_ones_as_often_as_by_chance():
    protocol = SecondProtocol(gallery_sizes=(100,), num_galleries=10)
    perfect = evaluate([video(str(i), 20 + i, noise=0.0) for i in range(12)], protocol)
    assert len(perfect) == 12
    assert all(entry["mean"] == 1 for entry in perfect.values())
    found = evaluate([video(str(i), 20 + i) for i in range(60)], protocol)
    for name, entry in found.items():
        assert entry["videos"] == 60, name
        assert abs(entry["mean"] - entry["chance"]) < 0.03, name
        assert entry["low"] <= entry["mean"] <= entry["high"]
    assert found["across_videos/100/audio_to_visual/recall@5"]["chance"] == pytest.approx(0.05)


def test_galleries_hold_the_true_second_and_count_neighbours_within_the_tolerance():
    videos = [video(str(i), 8) for i in range(3)]
    protocol = SecondProtocol(tolerance_seconds=8, num_galleries=3)
    found = across_videos(videos, 24, protocol)["visual_to_audio"]
    # The whole set: any second of the own video is right, 8 of 24.
    np.testing.assert_allclose(found[1, 0], 1 / 3)
    scores = np.concatenate([v.visual for v in videos]) @ np.concatenate(
        [v.audio for v in videos]).T
    hits = (scores.argmax(1) // 8 == np.arange(24) // 8).reshape(3, 8).mean(1)
    np.testing.assert_allclose(found[0, 0], hits)


def test_short_videos_are_left_out_and_none_is_an_error():
    videos = [video("a", 5, 0.0), video("b", 12, 0.0)]
    found = evaluate(videos, SecondProtocol(gallery_sizes=()))
    assert {entry["videos"] for entry in found.values()} == {1}
    with pytest.raises(UserError, match="no video has the 10 seconds"):
        evaluate(videos[:1], SecondProtocol())


@pytest.mark.parametrize("block", [3, 2048])
@pytest.mark.parametrize(("modality", "other"), [("visual", "audio"), ("audio", "visual")])
def test_matches_are_those_of_brute_force(monkeypatch, block, modality, other):
    monkeypatch.setattr(second_matching, "BLOCK", block)
    collection = [video(str(i), length) for i, length in enumerate((4, 1, 9, 6))]
    queries = [collection[2], video("elsewhere", 3)]
    found = second_matching.match_seconds(queries, iter(collection), modality, top=3)
    expected = []
    for query in queries:
        for second, vector in enumerate(getattr(query, modality)):
            items = sorted(
                (-float(vector @ item), place, moment)
                for place, other_video in enumerate(collection) if other_video.id != query.id
                for moment, item in enumerate(getattr(other_video, other))
            )
            expected += [(query.id.decode(), second, rank, str(place), moment)
                         for rank, (_, place, moment) in enumerate(items[:3], start=1)]
    assert [(m.query_video, m.query_start_seconds, m.rank, m.found_video, m.found_start_seconds)
            for m in found] == expected
    assert not any(m.query_video == m.found_video for m in found)


def test_too_few_other_seconds_are_named():
    one = video("a", 4)
    with pytest.raises(UserError, match="video 'a' meets fewer than 2 seconds"):
        second_matching.match_seconds([one], [one, video("b", 1)], top=2)
