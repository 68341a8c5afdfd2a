"""DAVEnet from narrated videos to its tables: every command once, on a tiny network."""

import json

import numpy as np
import pytest
import tensorflow as tf
from launching import launch

import avc
from avc import evaluation_tables, map_similarity, reading, triplet
from avc.evaluation import embed_pairs
from avc.matchmap_config import MatchmapConfig
from crossmodal import galleries

TINY = (
    "image_size=32,width=0.03125,embedding_dim=8,segment_seconds=1,hop_seconds=0.02,"
    "negatives_within=4,pairs_per_read=2,similarity=sima"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("davenet")
    for split, videos in (("train", 3), ("test", 2)):
        outcome = launch(
            "make_narrations", output=folder / "data", split=split, num_videos=videos, mp4=1,
            set="video_seconds=12,clip_seconds=4,picture_size=40,clutter=1",
        )
        assert outcome.status == 0, outcome.error
    outcome = launch(
        "train_avc", train_pattern=folder / "data" / "train-*", workdir=folder / "run",
        eval_pattern=folder / "data" / "test-*", recipe="davenet_small", set=TINY, batch_size=8,
        max_steps=2, steps_per_call=2, evaluate_every_steps=2,
    )
    assert outcome.status == 0, outcome.error
    return folder


def test_a_run_is_evaluated_by_its_own_similarity(trained):
    rows = list(map(json.loads, (trained / "run" / "metrics.jsonl").read_text().splitlines()))
    steps = [row for row in rows if "loss" in row]
    assert {"random_impostors", "semi_hard_negatives", "accuracy"} <= steps[0].keys()
    assert all(np.isfinite(row["loss"]) for row in steps)
    outcome = launch(
        "evaluate_avc", workdir=trained / "run", eval_pattern=trained / "data" / "test-*",
        clips_per_video="all", gallery_sizes="all", output=trained / "report.json",
    )
    assert outcome.status == 0, outcome.error
    assert "| system" in outcome.out and "Audio R@10 %" in outcome.out
    assert "Val 1000) | 1000 |" in outcome.out and " 18.2 |" in outcome.out
    network = avc.load(trained / "run")
    _, encoding, records = reading.open_clips(str(trained / "data" / "test-*"), "x", progress=False)
    found = embed_pairs(network.network, records, encoding, network.config)
    assert found.similarity.shape == (6, 6) and found.product
    # Half precision of the maps alone is between the two.
    own = network.compare(
        **{k: v for k, v in pairs_of(records, encoding, network).items()}
    )["similarity"]
    scale = np.abs(found.similarity).max()
    np.testing.assert_allclose(np.diagonal(found.similarity), own, atol=2e-2 * scale)
    wanted = galleries.evaluate_scores(found.similarity, [6], 1, 0)
    report = json.loads((trained / "report.json").read_text())["recall"]["systems"]
    mine = report["davenet_small"]["visual_to_audio/6/mrr"]["mean"]
    assert mine == pytest.approx(wanted["visual_to_audio/6"].per_gallery["mrr"][0])
    assert found.take(np.array([4, 1])).similarity[0, 1] == found.similarity[4, 1]


def pairs_of(records, encoding, network) -> dict:
    """What an evaluation shows, as a client sends it."""
    from avc.evaluation import evaluation_batches

    (batch,) = evaluation_batches(records, encoding, network.config)
    frames = np.rint(batch["frame"] * 255).astype(np.uint8)
    return {"frames": frames, "waveforms": batch["waveform"], "num_samples": batch["num_samples"]}


@pytest.mark.slow
def test_a_run_is_shown_embedded_and_exported(trained, tmp_path):
    (video,) = (trained / "data" / "test_mp4").iterdir()
    for source in (trained / "run", trained / "run" / "export"):
        if source.name == "export":
            outcome = launch("export_avc", workdir=trained / "run")
            assert outcome.status == 0, outcome.error
        outcome = launch(
            "localize_avc", workdir=source, video=video, output=tmp_path / "map.mp4",
            frames_per_second=4, over="moment", shorter_side=40,
        )
        assert outcome.status == 0 and "48 frames, 12.0" in outcome.out, outcome.error
        outcome = launch(
            "embed_avc", workdir=source, output=tmp_path / f"{source.name}.npz",
            input_pattern=trained / "data" / "test-*", moments="middle",
        )
        assert outcome.status == 0, outcome.error
    ours, theirs = (np.load(tmp_path / f"{name}.npz") for name in ("run", "export"))
    assert ours["visual"].shape == ours["audio"].shape == (6, 8)
    np.testing.assert_allclose(ours["audio"], theirs["audio"], rtol=1e-3, atol=1e-4)
    serve = tf.saved_model.load(str(trained / "run" / "export")).signatures
    specs = {k: v.dtype for k, v in serve["embed_audio"].structured_input_signature[1].items()}
    assert specs == {"waveform": tf.float32, "num_samples": tf.int32}


def test_blocks_of_maps_give_what_all_at_once_give():
    rng = np.random.default_rng(0)
    visual = rng.normal(size=(19, 2, 2, 3)).astype(np.float16)
    audio = rng.normal(size=(35, 4, 4)).astype(np.float16)
    audio[..., -1] = np.arange(4) < rng.integers(1, 5, 35)[:, None]
    for kind in ("misa", "sima", "soft"):
        wanted = triplet.map_similarities(visual, audio, kind, 0.3)
        config = MatchmapConfig(kind, instance_temperature=0.3)
        found = map_similarity.all_similarities(visual, audio, config)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_papers_table_names_its_directions():
    chance = galleries.chance([1000])
    interval = {"estimate": 0.25, "low": 0.2, "high": 0.3}
    other = {"estimate": 0.125, "low": 0.1, "high": 0.15}
    own = {"visual_to_audio/1000/recall@10": interval, "audio_to_visual/1000/recall@10": other}
    table = evaluation_tables.recall_at_ten_table({"chance": chance}, {"mine": own})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert rows[0][2] == "Audio R@10 %" and rows[0][4] == "Visual R@10 %"
    assert rows[2] == ["chance", "1000", "1.0", "-", "1.0", "-"]
    assert rows[3] == ["mine", "1000", "25.0", "20.0 to 30.0", "12.5", "10.0 to 15.0"]
    assert rows[4][2::2] == ["18.2", "18.3"] and rows[5][2::2] == ["20.3", "19.4"]
