"""Optical flow: computed of pictures moved by known amounts, stored, cut, mirrored, drawn."""

import functools
import hashlib
import pathlib
import re

import numpy as np
import pytest
import tensorflow as tf
from clock_clips import GRID, RATE, WHOLE_FRAME, picture, seen_seconds, sound
from scipy.ndimage import gaussian_filter

from avc import motion, pairs
from avc.flow import FlowConfig, decode_field, encode_field, encode_flows
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from avc.reading import open_clips
from avc.records import clip
from avc.visual_inputs import VisualInputs
from crossmodal.errors import ConfigurationError
from crossmodal.reading import blocks

SCENES = pathlib.Path(__file__).parents[1] / "testdata" / "scenes"
REACH = 1 / 16
SIX = VisualInputs(num_flows=6)


def jpeg(values: np.ndarray) -> bytes:
    """A grey picture [height, width] of 0 to 255."""
    return tf.io.encode_jpeg(np.rint(values).astype(np.uint8)[..., None], quality=98).numpy()


@functools.cache
def texture() -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).random((160, 200)), 2)
    return 255 * (noise - noise.min()) / np.ptp(noise)


def view(right: int, down: int) -> bytes:
    """96 x 128 pixels of the texture, which has moved so far."""
    return jpeg(texture()[30 - down : 126 - down, 30 - right : 158 - right])


@pytest.mark.parametrize("move", [(3, 0), (-2, 0), (0, 4), (0, -1), (-3, 2)])
def test_flow_of_a_moved_picture_is_the_move(move):
    (field,) = encode_flows([view(0, 0), view(*move)], FlowConfig(96))
    found = decode_field(field, REACH)
    assert found.shape == (96, 128, 2)
    # The steps of the storage are 6 / 127 pixels: half of one, and TV-L1's own error.
    np.testing.assert_allclose(np.median(found[8:-8, 8:-8], (0, 1)), move, atol=6 / 127)


def test_fields_of_half_the_size_move_half_as_far():
    still, moved = encode_flows([view(0, 0), view(0, 0), view(4, -2)], FlowConfig(48))
    assert decode_field(moved, REACH).shape == (48, 64, 2)
    found = np.median(decode_field(moved, REACH)[4:-4, 4:-4], (0, 1))
    np.testing.assert_allclose(found, (2, -1), atol=2 * 3 / 127)
    assert (decode_field(still, REACH) == 0).all()
    assert encode_flows([view(0, 0)], FlowConfig()) == []


def test_storage_keeps_a_step_and_clips():
    rng = np.random.default_rng(1)
    field = rng.uniform(-5, 5, (40, 50, 2))
    found = decode_field(encode_field(field, 1 / 8), 1 / 8)
    np.testing.assert_allclose(found, field, atol=0.5 * 5 / 127 + 1e-6)
    far = decode_field(encode_field(field + 6 * np.sign(field), 1 / 8), 1 / 8)
    np.testing.assert_allclose(far, np.where(field > 0, 5, -5), rtol=1e-6)
    with pytest.raises(ConfigurationError, match="flow_reach"):
        FlowConfig(reach=0)


def example(frames, flows, steps, seconds=4.0, reach=(REACH,)) -> dict:
    schema = clip("pcm16")
    samples = sound(seconds)
    record = schema.serialize({
        "id": "a", "video": "v", "file": "f", "start_seconds": [0.0], "frames": frames,
        "frame_seconds": [GRID * step for step in steps], "audio": samples.tobytes(),
        "sample_rate_hz": [RATE], "num_samples": [len(samples)], "flow": flows,
        "flow_reach": list(reach),
    })
    return schema.parse_one(tf.constant(record))


def numbered(number: int) -> bytes:
    """A field whose bytes tell which one it is: 128 + number to the right, twice that down."""
    steps = np.full((16, 16, 2), (number, 2 * number))
    return encode_field(steps * 16 * REACH / 127, REACH)


STEPS = (0, 2, 3, 10, 11, 12, 40)
CLOCK = example([picture(s) for s in STEPS], [numbered(i) for i in range(1, 7)], STEPS)


def look(visual, moment, config=WHOLE_FRAME, given=CLOCK, chance=(0.9, 0.9, 0.9)):
    step = round(GRID * RATE)
    times = tf.constant([s * step for s in STEPS])
    moments = tf.constant([moment * step])
    found = motion.look(given, times, moments, step, visual, config, tf.constant([chance]))
    return {name: value.numpy()[0] for name, value in found.items()}


@pytest.mark.parametrize("moment", [0, 1, 3, 11, 41])
def test_frames_and_fields_are_those_around_the_moment(moment):
    found = look(VisualInputs(num_frames=5, num_flows=6), moment)
    shown = [max(s for s in STEPS if s <= max(0, moment + k)) for k in (-2, -1, 0, 1, 2)]
    np.testing.assert_allclose(seen_seconds(found["frames"]), np.multiply(GRID, shown), atol=1e-6)
    np.testing.assert_array_equal(found["frame"], found["frames"][2])
    # Field i leads to frame i, in the step before that begins.
    wanted = [max(STEPS.index(moment + k + 1), 0) if moment + k + 1 in STEPS else 0
              for k in range(-3, 3)]
    steps = found["flow"].astype(int)[8, 8] - 128
    np.testing.assert_array_equal(steps[0::2], wanted)
    np.testing.assert_array_equal(steps[1::2], 2 * np.array(wanted))


@pytest.mark.parametrize("size", [20, 32, 56])
def test_flow_has_the_crop_and_the_flip_of_its_frame(size):
    """A ramp of grey and the same ramp as flow, stored at half the size."""
    ramp = np.linspace(20, 230, 96)[None].repeat(64, 0) + np.linspace(0, 20, 64)[:, None]
    coarse = ramp.reshape(32, 2, 48, 2).mean((1, 3))
    # Of -1 to 1; the vertical component is the horizontal one's negative.
    parts = np.stack([coarse / 127.5 - 1, 1 - coarse / 127.5], -1)
    field = encode_field(parts * REACH * 32, REACH)
    frames = [jpeg(ramp)] * len(STEPS)
    given = example(frames, [field] * 6, STEPS)
    config = FrameConfig(size, crop_share=0.5)
    seen = {}
    for flip in (0.1, 0.9):
        for top, left in ((0.0, 0.99), (0.6, 0.3)):
            found = look(SIX, 11, config, given, (top, left, flip))
            grey = found["frame"][..., 0] / 127.5 - 1
            flow = (found["flow"].astype(float) - 128) / 127
            sign = -1 if flip < 0.5 else 1
            seen[top, flip] = found["flow"].astype(int)
            # Grey and flow have steps of 1/127 each, JPEG two levels, the edge half a pixel.
            np.testing.assert_allclose(sign * flow[..., 4], grey, atol=0.05)
            np.testing.assert_allclose(-flow[..., 5], grey, atol=0.05)
            assert np.ptp(grey) > 0.5
    for top in (0.0, 0.6):
        mirrored = seen[top, 0.1][:, ::-1]
        np.testing.assert_array_equal(mirrored[..., 0::2], 256 - seen[top, 0.9][..., 0::2])
        np.testing.assert_array_equal(mirrored[..., 1::2], seen[top, 0.9][..., 1::2])


@pytest.mark.parametrize(("flows", "reach", "message"), [
    ([], (), "clip a has no optical flow from each frame to the next: make the records anew"),
    ([numbered(1)] * 6, (0.125,), "has a flow_reach of 0.125 .*0.0625: set it to that of the"),
])
def test_flow_that_is_not_there_is_named(flows, reach, message):
    given = example([picture(s) for s in STEPS], flows, STEPS, reach=reach)
    settings = PairConfig(sample_rate_hz=RATE)
    seed = tf.constant([0, 0], tf.int64)
    pairs.draw(given, settings, WHOLE_FRAME, "pcm16", seed)
    call = tf.function(lambda: pairs.draw(given, settings, WHOLE_FRAME, "pcm16", seed, SIX))
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        call()
    assert re.search(message, str(pairs.explain(raised.value)))


def test_pairs_show_what_surrounds_their_moment():
    steps = tuple(range(100))
    given = example([picture(s) for s in steps], [numbered(s % 60) for s in steps[1:]], steps)
    settings = PairConfig(sample_rate_hz=RATE, pairs_per_read=6)
    visual = VisualInputs(False, num_frames=3, num_flows=2)
    found = pairs.draw(given, settings, WHOLE_FRAME, "pcm16", tf.constant([1, 2]), visual)
    assert "frame" not in found
    moment = np.rint(found["frame_seconds"].numpy() / GRID).astype(int)
    assert len(set(moment)) > 3
    shown = np.clip(moment[:, None] + [-1, 0, 1], 0, 99)
    np.testing.assert_allclose(seen_seconds(found["frames"]), shown * GRID, atol=1e-6)
    fields = found["flow"].numpy()[:, 8, 8, 0::2].astype(int) - 128
    np.testing.assert_array_equal(fields[:, 0], moment % 60)


# Of the bundled scenes, drawn before networks could see more than one frame.
RECORDED = {
    "in_batch": {
        "audio_start_seconds": "43ca3464d104a362", "brightness": "4f138a060a428f5f",
        "frame": "7cd21c56171a76a1", "frame_seconds": "7795d8c97b9edafc",
        "gain": "71f622e3a989ac39", "id": "0285629f57b99320", "saturation": "7ba68cfae4e7577d",
        "video": "7cdba652a4ad5d84", "waveform": "fea8204576d06ea3",
    },
    "independent": {
        "audio_start_seconds": "27098270104829b2", "brightness": "063af0bdfbe8de53",
        "frame": "ca496bc5836a09d6", "frame_seconds": "e94c47f5934d2dbe",
        "gain": "ae86d032a06a89eb", "id": "f407a5cec46ab23e",
        "other_audio_start_seconds": "52fd229174474287", "other_gain": "81834d95085c28aa",
        "other_mismatches": "709e80c88487a241", "other_waveform": "eb0731b2d7c94d59",
        "saturation": "24a1cd1dcc154ee8", "video": "8171744b7b0a4b01",
        "waveform": "cd759edd1a6990a9",
    },
}


@pytest.mark.parametrize(("kind", "fields"), [
    ("in_batch", {"pairs_per_read": 4}),
    ("independent", {"pairs_per_read": 3, "negatives_from": "any_time",
                     "misalignment_seconds": 0.2}),
])
def test_single_frames_are_drawn_as_they_always_were(kind, fields):
    _, encoding, records = open_clips(f"{SCENES}/train*.tfrecord", "p", progress=False)
    given = records.schema.parse_one(next(iter(blocks(records).unbatch())))
    settings = PairConfig(negatives=kind, **fields)
    frames = FrameConfig(84, 84 / 96)  # not scaled: the same bits on every machine
    found = pairs.draw(given, settings, frames, encoding, tf.constant([3, 4], tf.int64))
    digests = {}
    for name, value in found.items():
        value = value.numpy()
        data = b"\n".join(value.ravel()) if value.dtype == object else value.tobytes()
        digests[name] = hashlib.sha256(data).hexdigest()[:16]
    assert digests == RECORDED[kind]
