"""Decoded, cropped and recoloured frames, against Pillow and hand-made pictures."""

import colorsys
import io

import numpy as np
import PIL.Image
import PIL.ImageEnhance
import pytest
import tensorflow as tf

from avc import augmentation
from avc.frames import FrameConfig, centre_squares, decode_frame, draw_colours
from crossmodal.errors import ConfigurationError

RNG = np.random.default_rng(5)


def jpeg(pixels, quality=95):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def noise(*shape):
    return RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)


def decode(data, config, chance):
    return decode_frame(tf.constant(data), config, tf.constant(chance, tf.float32)).numpy()


def assert_same_picture(actual, expected):
    """Equal but for the rounding of two decoders; of noise, one pixel aside is 80 away."""
    assert np.abs(actual.astype(int) - expected).mean() < 2


def opened(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def share_of(number, shape):
    """The share that is so many pixels of the shorter side."""
    return number / min(shape)


@pytest.mark.parametrize("shape", [(100, 180), (181, 99), (64, 64), (65, 200)])
@pytest.mark.parametrize("chance", [(0, 0, 0.9), (0.5, 0.25, 0.1), (0.999, 0.999, 0.6)])
def test_the_crop_is_the_part_that_the_chances_choose(shape, chance):
    data = jpeg(noise(*shape))
    top, left = (int(c * (side - 64 + 1)) for c, side in zip(chance, shape, strict=False))
    expected = opened(data)[top : top + 64, left : left + 64]
    if chance[2] < 0.5:
        expected = expected[:, ::-1]
    actual = decode(data, FrameConfig(64, share_of(64, shape)), chance)
    assert actual.dtype == np.uint8 and actual.shape == (64, 64, 3)
    assert_same_picture(actual, expected)


@pytest.mark.parametrize("shape", [(96, 96), (97, 140), (260, 131), (33, 50), (5, 64), (1, 1)])
@pytest.mark.parametrize("share", [1.0, 0.875, 0.5, 1 / 3])
def test_other_sizes_are_scaled_as_pillow_does(shape, share):
    side = max(1, round(share * min(shape)))
    data = jpeg(noise(*shape))
    top, left = (length - side for length in shape)
    decoded = tf.io.decode_jpeg(data, channels=3).numpy()
    part = PIL.Image.fromarray(decoded[top:, left:][:side, :side])
    # Pillow's bilinear filter widens where a picture becomes smaller.
    expected = np.asarray(part.resize((64, 64), PIL.Image.Resampling.BILINEAR))
    actual = decode(data, FrameConfig(64, share), (0.99999, 0.99999, 0.9))
    assert actual.dtype == np.uint8 and actual.shape == (64, 64, 3)
    # Pillow rounds between rows and columns, too.
    np.testing.assert_allclose(actual.astype(int), expected, atol=1)


@pytest.mark.parametrize("shape", [(256, 341), (99, 181), (64, 64), (65, 40), (3, 4)])
@pytest.mark.parametrize("config", [
    FrameConfig(), FrameConfig(64, 1.0), FrameConfig(32, 0.875), FrameConfig(48, 0.3)
])
def test_use_shows_what_evaluation_shows(shape, config):
    data = jpeg(noise(*shape))
    wanted = decode(data, config.evaluation(), (0, 0, 0))
    picture = tf.io.decode_jpeg(data, channels=3)
    found = centre_squares(picture[None], config).numpy()[0]
    np.testing.assert_array_equal(found, wanted)


def test_offsets_are_uniform_and_reach_both_ends():
    rows, columns = np.mgrid[:40, :50] * 5
    data = jpeg(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8))
    config = FrameConfig(32, crop_share=0.8)
    chances = tf.random.stateless_uniform([2000, 3], [1, 2])
    decoded = tf.data.Dataset.from_tensor_slices(chances).map(
        lambda chance: decode_frame(tf.constant(data), config, chance)
    )
    frames = np.stack(list(decoded.as_numpy_iterator())).astype(int)
    flipped = frames[:, 16, 0, 0] > frames[:, 16, -1, 0]
    assert abs(flipped.mean() - 0.5) < 0.05
    left = np.rint(frames[..., 0].mean((1, 2)) / 5 - 15.5).astype(int)
    top = np.rint(frames[..., 1].mean((1, 2)) / 5 - 15.5).astype(int)
    # 18 and 8 degrees of freedom; their 99.99 % quantiles.
    for offsets, number, quantile in ((left, 19, 49), (top, 9, 32)):
        counts = np.bincount(offsets, minlength=number)
        assert len(counts) == number
        expected = 2000 / number
        assert ((counts - expected) ** 2 / expected).sum() < quantile


def test_evaluation_is_the_centre_whatever_the_chances():
    config = FrameConfig(64, 64 / 101).evaluation()
    data = jpeg(noise(101, 180))
    expected = opened(data)[18:82, 58:122]
    for chance in ((0, 0, 0), (0.9, 0.9, 0.9)):
        assert_same_picture(decode(data, config, chance), expected)
    brightness, saturation = draw_colours(config, tf.random.uniform([50, 2]))
    assert set(brightness.numpy()) == {0.0} and set(saturation.numpy()) == {1.0}


def test_the_paper_cuts_224_of_a_shorter_side_of_256():
    data = jpeg(noise(256, 341))
    actual = decode(data, FrameConfig(), (31.5 / 33, 0.0, 0.7))
    assert_same_picture(actual, opened(data)[31:255, :224])


def test_a_grey_jpeg_has_three_equal_channels():
    grey = RNG.integers(0, 255, (70, 80), dtype=np.uint8)
    actual = decode(jpeg(grey), FrameConfig(64, 64 / 70), (0, 0, 0.9))
    assert actual.shape == (64, 64, 3)
    assert (actual == actual[..., :1]).all()
    assert_same_picture(actual, opened(jpeg(grey))[:64, :64])


def test_colours_are_drawn_over_the_whole_range():
    chance = tf.random.stateless_uniform([20_000, 2], [3, 4])
    brightness, saturation = (v.numpy() for v in draw_colours(FrameConfig(), chance))
    for values, low, high in ((brightness, -32 / 255, 32 / 255), (saturation, 0.5, 1.5)):
        assert low <= values.min() < low + 0.001 * (high - low)
        assert high - 0.001 * (high - low) < values.max() <= high
        quarter = np.histogram(values, 4, (low, high))[0]
        assert np.abs(quarter - 5000).max() < 300
    assert abs(np.corrcoef(brightness, saturation)[0, 1]) < 0.03


def recoloured(pixels, brightness, saturation):
    frame = np.asarray(pixels, np.uint8).reshape(1, 1, -1, 3)
    values = augmentation.adjust_colours(frame, np.float32([brightness]), np.float32([saturation]))
    return np.asarray(values)[0, 0]


PIXELS = RNG.integers(40, 215, (200, 3), dtype=np.uint8)


def test_no_change_of_colour_is_a_scale_to_one():
    every = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    np.testing.assert_allclose(recoloured(every, 0, 1), every / 255.0, atol=1e-7)
    np.testing.assert_allclose(recoloured(PIXELS, 0, 1), PIXELS / 255.0, atol=1e-6)


def test_saturation_equals_pillows_and_keeps_the_hue():
    image = PIL.Image.fromarray(PIXELS[None])
    for factor in (0.0, 0.5, 1.3):
        expected = np.asarray(PIL.ImageEnhance.Color(image).enhance(factor))[0] / 255
        np.testing.assert_allclose(recoloured(PIXELS, 0, factor), expected, atol=2.1 / 255)
    for before, after in zip(PIXELS / 255, recoloured(PIXELS, 0, 0.5), strict=True):
        assert abs(colorsys.rgb_to_hsv(*before)[0] - colorsys.rgb_to_hsv(*after)[0]) < 1e-3


def test_brightness_is_added_and_what_leaves_the_range_is_clipped():
    expected = np.clip(PIXELS / 255 + 0.3, 0, 1)
    np.testing.assert_allclose(recoloured(PIXELS, 0.3, 1), expected, atol=1e-6)
    assert recoloured(PIXELS, 1.0, 1.0).min() == 1.0
    assert recoloured(PIXELS, -1.0, 1.0).max() == 0.0
    np.testing.assert_array_equal(recoloured([[250, 5, 5]], 0, 1.5), [[1, 0, 0]])


def test_every_frame_has_its_own_colours():
    frames = RNG.integers(0, 255, (3, 8, 9, 3), dtype=np.uint8)
    changes = np.float32([[0.1, 0.5], [-0.1, 1.5], [0.0, 1.0]])
    whole = np.asarray(augmentation.adjust_colours(frames, changes[:, 0], changes[:, 1]))
    assert whole.shape == frames.shape
    for frame, (brightness, saturation), values in zip(frames, changes, whole, strict=True):
        expected = recoloured(frame.reshape(-1, 3), brightness, saturation)
        np.testing.assert_allclose(values.reshape(-1, 3), expected, atol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [{"image_size": 0}, {"crop_share": 0.0}, {"crop_share": 1.1}, {"crop": "corner"},
     {"brightness": 1.5}, {"saturation_high": 0.1}],
)
def test_refuses_what_no_picture_can_be(fields):
    with pytest.raises(ConfigurationError, match=next(iter(fields))):
        FrameConfig(**fields)
