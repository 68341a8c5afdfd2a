"""Scenes and clips with optical flow, and networks on them from drawing to evaluation."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from avc_runs import RUN, tiny
from clock_clips import RATE, WHOLE_FRAME, picture, seen_seconds
from test_clip_conversion import CONFIG as CLIPS
from test_clip_conversion import ONE_PROCESS, write_video
from test_flow import example, numbered

from avc import evaluation, networks, scene_pictures, scene_world, training
from avc.clip_conversion import Conversion, convert
from avc.flow import FlowConfig, decode_field, encode_flows
from avc.pair_config import PairConfig
from avc.reading import open_clips
from avc.scene_shards import SceneSet, make_scenes
from avc.scenes import Cast, Event, SceneConfig
from avc.splits import SplitConfig
from avc.visual_inputs import VisualInputs
from crossmodal import pipeline
from crossmodal.reading import blocks
from crossmodal.training import TrainingConfig

NAMES = ("bell", "rain", "siren")
FILES = scene_world.WorldFiles(only=NAMES)
WORLD = scene_world.open_world(FILES)
CONFIG = SceneConfig(
    classes=NAMES, picture_size=48, clip_seconds=0.6, frames_per_second=12.5, max_objects=2,
    two_classes_share=0.0, same_class_share=0.0, switch_share=0.0, off_screen_share=0.0,
    silent_share=0.0, min_sounding_share=1.0, motion="by_class", looks="any", motion_range=0.05,
    flow=True, flow_shorter_side=48, audio_encoding="pcm16",
)


def test_what_sounds_swings_along_the_line_of_its_class():
    config = dataclasses.replace(CONFIG, picture_size=200, clip_seconds=2.0, frames_per_second=25)
    angles = []
    for index, name in enumerate(NAMES):
        cast = Cast("one", ("bell", name), (Event(name, 1, 0.0, 2.0),))
        seconds = np.arange(50) / 25
        rng = np.random.default_rng(index)
        still, moving = scene_pictures._draw_motion(config, cast, seconds, rng)
        assert not still.any()
        assert 9 < np.hypot(*moving.T).max() < 11 and len(np.unique(moving, axis=0)) > 8
        # It goes there and back, by no more than a few pixels at once.
        assert np.abs(np.diff(moving, axis=0)).max() < 10
        rows, columns = np.abs(moving).astype(float).T
        angles.append(np.degrees(np.arctan2(rows.sum(), columns.sum())))
    np.testing.assert_allclose(angles, [0, 45, 90], atol=2)


def test_no_picture_tells_what_sounds():
    def painted(name, rng):
        image = np.full((40, 40, 4), NAMES.index(name) / 2, np.float32)
        image[..., 3] = 1
        return image

    world = dataclasses.replace(WORLD, draw_sprite=painted)
    config = dataclasses.replace(CONFIG, motion="none", max_objects=1, clutter=0)

    def shades(looks):
        changed = dataclasses.replace(config, looks=looks)
        seen = []
        for index in range(60):
            cast = Cast("one", ("rain",), (Event("rain", 0, 0.0, 0.6),))
            frames, _, boxes = scene_pictures.draw_frames(changed, world, cast, 0, index)
            left, top, right, bottom = np.rint(boxes[0] * 48).astype(int)
            seen.append(frames[0][(top + bottom) // 2, (left + right) // 2, 0])
        return np.bincount(np.rint(np.array(seen) / 127.5).astype(int), minlength=3)

    assert shades("own").tolist() == [0, 60, 0]
    assert shades("any").min() > 8


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("scenes"))
    make_scenes(SceneSet(CONFIG, FILES, folder, "train", 6))
    return f"{folder}/train-*.tfrecord"


def test_a_scene_holds_the_flow_of_its_frames(scenes):
    _, _, records = open_clips(scenes, "p", progress=False)
    record = records.schema.parse_one(next(iter(blocks(records).unbatch())))
    frames, flows = record["frames"].numpy().tolist(), record["flow"].numpy().tolist()
    assert len(flows) == len(frames) - 1 > 2
    assert record["flow_reach"].numpy().tolist() == [1 / 16]
    assert flows == encode_flows(frames, FlowConfig(48))
    left, top, right, bottom = (
        int(48 * record[f"object_{s}"].numpy()[record["event_objects"].numpy()[0]])
        for s in ("left", "top", "right", "bottom")
    )
    field = np.abs([decode_field(flow, 1 / 16) for flow in flows]).max((0, 3))
    inside = field[top:bottom, left:right].mean()
    assert inside > 0.3 and inside > 3 * field.mean()


@pytest.mark.parametrize("recipe", ["ave_mf", "ave_of"])
def test_networks_that_see_motion_train_and_are_judged(scenes, recipe):
    config = tiny(recipe, num_frames=3, num_flows=4, crop_share=1.0)
    _, encoding, records = open_clips(scenes, "p", progress=False)
    opened = pipeline.open_training(
        records, training.pipeline_config(config, TrainingConfig(**{**RUN, "batch_size": 4})), 0, 1
    )
    batch = next(iter(training.draw_batches(opened, config, encoding)))
    network = networks.build(config.network, training.mismatches(config))
    taken = {name: batch[name] for name in network.training.input}
    assert {"frames"} <= set(taken) if recipe == "ave_mf" else {"frame", "flow"} <= set(taken)
    if recipe == "ave_of":
        assert (batch["flow"].numpy() != 128).mean() > 0.05
    losses = training.batch_losses(config)
    with tf.GradientTape() as tape:
        loss = losses(network.training(taken, training=True), batch, 0)["loss"]
    gradients = tape.gradient(loss, [w.value for w in network.training.trainable_weights])
    assert all(np.isfinite(g).all() for g in gradients)
    for moment in evaluation.MOMENTS:
        found = evaluation.embed_pairs(network, records, encoding, config, moment=moment)
        assert found.logits.shape == (6, 2) and np.isfinite(found.visual_embedding).all()
    assert 0 <= evaluation.score(found, 6)["accuracy"] <= 1


def test_conversion_stores_flow_where_it_is_asked_to(tmp_path):
    write_video(tmp_path / "in" / "a.mp4", 1.0)
    conversion = Conversion(str(tmp_path / "in"), str(tmp_path / "out"))
    config = dataclasses.replace(CLIPS, flow=FlowConfig(16, 0.25, 2))
    assert config.settings().items() >= {"flow_shorter_side": 16, "flow_reach": 0.25}.items()
    assert not any(name.startswith("flow") for name in CLIPS.settings())
    convert(conversion, config, SplitConfig(0.0), ONE_PROCESS)
    _, _, records = open_clips(f"{tmp_path}/out/train-*", "p", progress=False)
    record = records.schema.parse_one(next(iter(blocks(records).unbatch())))
    flows = record["flow"].numpy().tolist()
    assert len(flows) == int(record["num_frames"]) - 1 > 10
    assert flows == encode_flows(record["frames"].numpy().tolist(), config.flow)
    assert tf.io.decode_png(flows[0]).shape[0] == 16


def test_the_middle_has_the_motion_of_its_surroundings():
    steps = tuple(range(100))
    given = example([picture(s) for s in steps], [numbered(s % 60) for s in steps[1:]], steps)
    settings = PairConfig(sample_rate_hz=RATE)
    visual = VisualInputs(num_frames=3, num_flows=2)
    found = evaluation.draw_middle(given, settings, WHOLE_FRAME, "pcm16", visual)
    assert seen_seconds(found["frame"]) == pytest.approx(2.0)
    np.testing.assert_allclose(seen_seconds(found["frames"]), [1.96, 2.0, 2.04], atol=1e-6)
    assert (found["flow"].numpy()[8, 8, 0::2].astype(int) - 128).tolist() == [50, 51]
    alone = evaluation.draw_middle(given, settings, WHOLE_FRAME, "pcm16")
    assert set(alone) == {*found} - {"frames", "flow"}
    np.testing.assert_array_equal(alone["frame"], found["frame"])
