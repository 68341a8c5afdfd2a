"""Joint embeddings that are trained: do they learn what they should, and only that?"""

import itertools
import json
import re
import shutil

import numpy as np
import pytest
import short_embeddings
import tensorflow as tf
from short_embeddings import losses, read_videos, rows, train, write_videos

import yt8m_embed
from crossmodal.configuration import override
from crossmodal.errors import BadRecordError, ConfigurationError, UserError
from crossmodal.training import load_latest
from yt8m_embed import configuration, embedding
from yt8m_embed.reading import open_records
from yt8m_embed.training import find_workdir_data, fit_starts, open_data

SMALL = {"visual_layers": 32, "audio_layers": 32, "embedding_dim": 16, "class_weight_step": 7}


@pytest.fixture(scope="module")
def shards(testdata):
    return testdata / "yt8m" / "train"


def recall(workdir, pattern, size: int = 256) -> float:
    """Mean Recall@10 of both directions on galleries of `size`."""
    scores = yt8m_embed.evaluate(yt8m_embed.load(str(workdir)), str(pattern), (size,), 8)
    return np.mean([v["mean"] for k, v in scores.items() if k.endswith("recall@10")])


def weights(workdir) -> list[np.ndarray]:
    config = yt8m_embed.load(str(workdir)).config
    model = embedding.build_model(config.model)
    load_latest(str(workdir), model)
    return model.get_weights()


def cut_back(workdir, step: int) -> None:
    """Makes a run one that was killed after a checkpoint: the later ones do not exist."""
    for folder in (workdir / "checkpoints").iterdir():
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder)


def test_a_short_run_beats_chance_tenfold(trained, testdata):
    assert recall(trained, testdata / "yt8m" / "dev" / "*") > 10 * 10 / 256


def test_pairs_that_are_no_pairs_teach_nothing(shards, testdata, tmp_path):
    """Each picture with another video's sound: what is still found would be a leak.

    The linear paths start at a CCA of these pairs, which is a start at nothing too.
    """
    videos = read_videos(shards / "*")
    order = np.random.default_rng(0).permutation(len(videos))
    shuffled = [
        {**video, "mean_audio": videos[i]["mean_audio"], "labels": []}
        for video, i in zip(videos, order, strict=True)
    ]
    write_videos(tmp_path / "train" / "a.tfrecord", shuffled)
    train(tmp_path / "train", tmp_path / "run", changes={
        **short_embeddings.CHANGES, "classifier": False, "class_weight": 0.0,
    })
    found = recall(tmp_path / "run", testdata / "yt8m" / "dev" / "*", size=400)
    # The spread of 8 galleries of 400 queries each way is about 0.004.
    assert abs(found - 10 / 400) < 0.02
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]


@pytest.mark.parametrize("recipe", ["authors", "contrastive", "paper"])
def test_some_steps_lower_the_loss(shards, tmp_path, recipe):
    changes = {**SMALL, "class_weight_step": 0, "learning_rate": 2e-3, "num_classes": 3862}
    if recipe == "contrastive":
        changes |= {"cca_visual_ridge": 1.0, "visual_layers": 64, "warmup_steps": 2}
    train(shards, tmp_path, recipe, changes, {"max_steps": 40}, {"holdout_percent": 0})
    values = losses(tmp_path, "embedding_loss")
    assert np.isfinite(values).all() and len(values) == 8
    assert np.mean(values[-2:]) < 0.97 * np.mean(values[:2])
    if recipe != "contrastive":
        classes = losses(tmp_path, "class_loss")
        assert classes[-1] < 0.99 * classes[0]


def test_lambda_counts_from_its_step_on_through_a_resume(shards, tmp_path):
    """Steps count from 0, so the 8th is the first with lambda; killed after the 6th."""
    changes = {**SMALL, "class_weight": 0.25}
    run = {"max_steps": 12, "steps_per_call": 1, "checkpoint_every_steps": 3,
           "keep_checkpoints": 9, "batch_size": 64}
    data = {"holdout_percent": 0}
    train(shards, tmp_path / "whole", "paper", changes, run, data)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    expected = [0.0] * 7 + [0.25] * 5
    assert losses(tmp_path / "whole", "lambda") == expected
    cut_back(tmp_path / "parts", 6)
    train(shards, tmp_path / "parts", "paper", changes, run, data)
    assert losses(tmp_path / "parts", "lambda") == expected
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for ours, theirs in zip(weights(tmp_path / "parts"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for row in rows(tmp_path / "whole"):
        total = row["embedding_loss"] + row["lambda"] * row["class_loss"] + row["regularization"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)


def test_the_best_and_the_last_checkpoint_are_told_apart(shards, tmp_path):
    run = {"max_steps": 2, "steps_per_call": 1, "evaluate_every_steps": 1, "batch_size": 32}
    train(shards, tmp_path, "paper", SMALL, run)
    (best,) = (tmp_path / "best").iterdir()
    # Whichever step was best: make the last checkpoint one of other weights.
    cut_back(tmp_path, 0)
    train(shards, tmp_path / "longer", "paper", SMALL, {**run, "max_steps": 4})
    shutil.copytree(tmp_path / "longer" / "checkpoints", tmp_path / "checkpoints",
                    dirs_exist_ok=True)
    features = np.ones((1, 1024), np.float32)
    vectors = [yt8m_embed.load(str(tmp_path), which).embed_visual(features)
               for which in ("best", "last")]
    own = yt8m_embed.load(str(tmp_path / "longer"), "last").embed_visual(features)
    assert best.name in ("step-1", "step-2")
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-4
    np.testing.assert_array_equal(vectors[1], own)


def test_a_run_may_go_on_for_longer_unless_its_rate_depends_on_the_end(shards, tmp_path):
    run = {"max_steps": 2, "steps_per_call": 1, "batch_size": 32}
    longer = {**run, "max_steps": 3}
    assert train(shards, tmp_path / "paper", "paper", SMALL, run).step == 2
    assert train(shards, tmp_path / "paper", "paper", SMALL, longer).step == 3
    changes = {**SMALL, "schedule": "cosine"}
    train(shards, tmp_path / "cosine", "paper", changes, run)
    with pytest.raises(ConfigurationError, match="max_steps"):
        train(shards, tmp_path / "cosine", "paper", changes, longer)


@pytest.mark.parametrize(("recipe", "cache"), [
    ("paper", "none"),
    pytest.param("contrastive", "memory", marks=pytest.mark.slow),
    pytest.param("paper", "memory", marks=pytest.mark.slow),
    pytest.param("contrastive", "none", marks=pytest.mark.slow),
])
def test_a_run_that_was_killed_ends_as_one_that_was_not(shards, tmp_path, recipe, cache):
    changes = {**SMALL, "ema_decay": 0.9} if recipe == "paper" else short_embeddings.CHANGES
    run = {"max_steps": 36, "checkpoint_every_steps": 12, "keep_checkpoints": 9,
           "evaluate_every_steps": 18}
    data = {"cache": cache, "shuffle_window": 500}
    train(shards, tmp_path / "whole", recipe, changes, run, data)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    cut_back(tmp_path / "parts", 24)  # an epoch has 21 steps: the second one is under way
    resumed = train(shards, tmp_path / "parts", recipe, changes, run, data)
    assert resumed.step == 36
    for ours, theirs in zip(weights(tmp_path / "parts"), weights(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_goes_nearly_the_same_way(shards, tmp_path, precision):
    run = {"max_steps": 6, "steps_per_call": 2, "batch_size": 64}
    for name in ("float32", precision):
        train(shards, tmp_path / name, "paper", {**SMALL, "class_weight_step": 0},
              {**run, "precision": name}, {"holdout_percent": 0})
    half, full = losses(tmp_path / precision), losses(tmp_path / "float32")
    assert half != full and half == pytest.approx(full, rel=1e-3)
    found = yt8m_embed.load(str(tmp_path / precision)).embed_visual(np.ones((3, 1024)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_held_out_videos_are_not_trained_on(trained, shards):
    config = yt8m_embed.load(str(trained)).config
    kept, held_out, _ = open_data(config, find_workdir_data(str(trained)), str(trained), False)
    ids = [
        {i for part in yt8m_embed.load(str(trained)).embed_blocks(each) for i in part.ids}
        for each in (kept, held_out)
    ]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == {video["id"] for video in read_videos(shards / "*")}


def test_loading_takes_the_weights_that_were_evaluated_best(trained):
    """Those of the moving average: what is loaded scores what was noted."""
    noted = [row for row in rows(trained) if "evaluation" in row]
    best = max(noted, key=lambda row: row["evaluation"]["recall@10"])
    loaded = yt8m_embed.load(str(trained))
    data = find_workdir_data(str(trained))
    _, held_out, _ = open_data(loaded.config, data, str(trained), False)
    found = loaded.embed_records(held_out)
    from crossmodal import galleries

    scores = galleries.summarise(galleries.evaluate(
        found.visual, found.audio, [data.gallery_size], data.num_galleries, seed=0
    ))
    assert len(noted) == 2
    for key, entry in scores.items():
        assert entry["mean"] == pytest.approx(best["evaluation"][key], abs=1e-6)


def test_starts_are_those_of_the_training_data(shards):
    """Means and deviations of normalised features by plain NumPy."""
    config = override(configuration.recipe("contrastive"), short_embeddings.CHANGES)
    _, opened = open_records(f"{shards}/*", 3862, "p", progress=False)
    starts = fit_starts(opened, config.model)
    videos = read_videos(shards / "*")
    for modality, name in (("visual", "mean_rgb"), ("audio", "mean_audio")):
        values = np.stack([video[name] for video in videos]).astype(np.float64)
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        np.testing.assert_allclose(starts[modality].mean, values.mean(0), atol=1e-7)
        deviation = np.sqrt(values.var(axis=0, ddof=1).mean())
        assert starts[modality].deviation == pytest.approx(deviation, rel=1e-5)
        assert starts[modality].projection.shape == (values.shape[1], 16)


def test_frame_level_records_train_and_are_embedded(testdata, tmp_path):
    frames = testdata / "yt8m" / "frame"
    for recipe in ("paper", "contrastive"):
        changes = {**SMALL, "class_weight_step": 0} if recipe == "paper" else {
            **short_embeddings.CHANGES, "linear_dim": 4, "warmup_steps": 0}
        workdir = tmp_path / recipe
        train(frames, workdir, recipe, changes, {"batch_size": 8, "max_steps": 15},
              {"holdout_percent": 0, "cache": "none"})
        values = losses(workdir, "embedding_loss")
        assert values[-1] < values[0]
        loaded = yt8m_embed.load(str(workdir))
        assert loaded.config.model.feature_level == "frame"
        _, opened = open_records(f"{frames}/*", 3862, "p", progress=False)
        assert loaded.embed_records(opened).visual.shape[0] == 24
        with pytest.raises(ConfigurationError, match="takes frame-level records, these are video"):
            loaded.check_kind("compact_uint8")


def test_levels_that_differ_are_refused(testdata, tmp_path):
    with pytest.raises(ConfigurationError, match="holds video-level records, --eval_pattern frame"):
        train(testdata / "yt8m" / "train", tmp_path, "paper", SMALL,
              data={"eval_pattern": str(testdata / "yt8m" / "frame" / "*")})


@pytest.fixture
def corrupted(shards, tmp_path):
    """A shard with a flipped bit and a NaN; and which of its videos are left."""
    folder = tmp_path / "shards"
    videos = read_videos(shards / "train0000.tfrecord")[:300]
    path = folder / "train.tfrecord"
    write_videos(path, videos)
    lengths = [12 + len(p) + 4 for p in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]
    starts = [0, *itertools.accumulate(lengths)]
    data = bytearray(path.read_bytes())
    for index in (11, 200):
        data[starts[index] + 500] ^= 4
    path.write_bytes(data)
    return folder, [v["id"] for i, v in enumerate(videos) if i not in (11, 200)]


def test_damage_is_named_or_left_out_and_reported_at_the_end(corrupted, tmp_path, capsys):
    folder, good = corrupted
    small = {"batch_size": 32, "max_steps": 20}
    with pytest.raises(BadRecordError, match=r"train.tfrecord: record 11 \(byte \d+\)"):
        train(folder, tmp_path / "run", "paper", SMALL, small)
    for cache in ("none", "memory"):
        workdir = tmp_path / cache
        capsys.readouterr()
        train(folder, workdir, "paper", SMALL, small, {"on_bad_record": "skip", "cache": cache,
                                                      "holdout_percent": 0})
        lines = capsys.readouterr().out.splitlines()
        assert lines[-3] == "left out 2 bad records of 1 files, 298 records kept"
        assert [re.search(r"record (\d+)", line)[1] for line in lines[-2:]] == ["11", "200"]
        _, opened = open_records(f"{folder}/*", 3862, "p", "skip", progress=False)
        found = yt8m_embed.load(str(workdir)).embed_records(opened)
        assert found.ids.tolist() == good


@pytest.mark.parametrize("cache", ["none", "memory"])
@pytest.mark.parametrize("recipe", ["paper", "contrastive"])
def test_a_bad_content_is_named_wherever_it_is_met(shards, tmp_path, recipe, cache):
    videos = read_videos(shards / "train0000.tfrecord")[:100]
    path = tmp_path / "shards" / "train.tfrecord"
    write_videos(path, videos)
    payloads = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    example = tf.train.Example.FromString(payloads[42])
    del example.features.feature["mean_rgb"].float_list.value[7:]
    payloads[42] = example.SerializeToString()
    short_embeddings.tfrecord.write_records(str(path), payloads)
    changes = SMALL if recipe == "paper" else short_embeddings.CHANGES
    with pytest.raises(BadRecordError, match=r"record 42 \(byte \d+\): .*mean_rgb.*1024"):
        train(tmp_path / "shards", tmp_path / "run", recipe, changes,
              {"batch_size": 50, "max_steps": 4}, {"cache": cache})


def test_too_few_videos_to_hold_any_out_are_refused_at_once(shards, tmp_path):
    write_videos(tmp_path / "few" / "a.tfrecord", read_videos(shards / "train0000.tfrecord")[2:5])
    with pytest.raises(UserError, match="holds out no video"):
        train(tmp_path / "few", tmp_path / "run", "paper", SMALL, {"batch_size": 2},
              {"holdout_percent": 1})


def test_another_configuration_is_refused_by_its_field(trained, shards):
    with pytest.raises(ConfigurationError, match=r"embedding.loss.temperature: 0.07 -> 0.1"):
        train(shards, trained, changes={**short_embeddings.CHANGES, "temperature": 0.1})
    with pytest.raises(ConfigurationError, match=r"data.holdout_percent: 10 -> 20"):
        train(shards, trained, data={"holdout_percent": 20})


def test_the_work_folder_says_everything(trained):
    saved = json.loads((trained / "configuration.json").read_text())
    assert set(saved) == {"embedding", "data", "training"}
    assert saved["training"]["seed"] == 3 and saved["data"]["holdout_percent"] == 10
    assert list((trained / "tensorboard").iterdir())
    for row in rows(trained):
        if "evaluation" not in row:
            assert {"step", "loss", "embedding_loss", "class_loss", "lambda",
                    "learning_rate"} <= set(row)
