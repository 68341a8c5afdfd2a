"""What a network sees of a picture: a square, cut, scaled, mirrored, its colours changed.

Objects that Sound, section 3.3: a 224 x 224 colour image, "random cropping, horizontal
flipping and brightness and saturation jittering"; the sizes are those of the L3-Net.
The square is the same share of every picture, so that things are as large to the network in
use as they were in training. What is decoded stays uint8: the colours are changed on the
accelerator, by `avc.augmentation`, with the numbers that are drawn here.
"""

import dataclasses

import tensorflow as tf

from crossmodal.configuration import check_choice, check_range

# Random numbers that one frame takes, for `decode_frame` and `draw_colours`.
DECODING_CHANCES = 3
COLOUR_CHANCES = 2


@dataclasses.dataclass(frozen=True)
class FrameConfig:
    """How a stored frame becomes the model's picture.

    Attributes:
      image_size: width and height of the model's picture in pixels.
      crop_share: side of the square that is cut out, as a share of the stored picture's shorter
        side. 224 of 256 pixels (paper) are not scaled at all.
      crop: `random` or `centre`.
      flip: whether every second frame is mirrored, left to right.
      brightness: the most that is added to or taken from values in [0, 1].
      saturation_low: the least factor of the saturation; 1 changes nothing.
      saturation_high: the largest factor.
    """

    image_size: int = 224
    crop_share: float = 224 / 256
    crop: str = "random"
    flip: bool = True
    brightness: float = 32 / 255
    saturation_low: float = 0.5
    saturation_high: float = 1.5

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no picture can be."""
        check_range("image_size", self.image_size, 1, 10_000)
        check_range("crop_share", self.crop_share, 1e-3, 1)
        check_choice("crop", self.crop, ("random", "centre"))
        check_range("brightness", self.brightness, 0, 1)
        check_range("saturation_low", self.saturation_low, 0, 10)
        check_range("saturation_high", self.saturation_high, self.saturation_low, 10)

    def evaluation(self) -> "FrameConfig":
        """The same size from the centre, nothing random."""
        return FrameConfig(self.image_size, self.crop_share, "centre", False, 0.0, 1.0, 1.0)


def decode_frame(jpeg: tf.Tensor, config: FrameConfig, chance: tf.Tensor) -> tf.Tensor:
    """Decodes a square part of a picture, and scales it unless it has the model's size.

    Args:
      jpeg: a JPEG file, colour or grey; scalar string.
      config: size, crop and flip.
      chance: three numbers in [0, 1) that decide on top, left and flip; float32 [3].

    Returns:
      uint8 [image_size, image_size, 3].
    """
    corner, side = draw_square(tf.io.extract_jpeg_shape(jpeg)[:2], config, chance)
    window = tf.concat([corner, [side, side]], 0)
    frame = fit_square(tf.io.decode_and_crop_jpeg(jpeg, window, channels=3), config.image_size)
    if config.flip:
        frame = tf.cond(flips(chance), lambda: tf.reverse(frame, [1]), lambda: frame)
    return frame


def draw_square(
    shape: tf.Tensor, config: FrameConfig, chance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Top and left, int32 [2], and the side of what `decode_frame` cuts from a picture.

    Args:
      shape: height and width, int32 [2].
      config, chance: see `decode_frame`.
    """
    side = square_side(shape, config.crop_share)
    return _corner(shape - side, config, chance), side


def flips(chance: tf.Tensor) -> tf.Tensor:
    """Whether `decode_frame` mirrors a picture, where the configuration lets it."""
    return chance[2] < 0.5


def centre_squares(pictures: tf.Tensor, config: FrameConfig) -> tf.Tensor:
    """The part of decoded pictures that `decode_frame` gives of a JPEG file in an evaluation.

    Args:
      pictures: uint8 [batch, height, width, 3].
      config: size and share of the crop.

    Returns:
      uint8 [batch, image_size, image_size, 3].
    """
    (top, left), side = centre_square(tf.shape(pictures)[1:3], config)
    return fit_square(pictures[:, top : top + side, left : left + side], config.image_size)


def centre_square(shape: tf.Tensor, config: FrameConfig) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Top and left, and side of the part in the middle of a picture of a height and width."""
    side = square_side(shape, config.crop_share)
    return tf.unstack((shape - side) // 2), side


def square_side(shape: tf.Tensor, crop_share: float) -> tf.Tensor:
    """Pixels a side of the square that is cut from a picture; see `avc.centre_crop`.

    Args:
      shape: height and width, int32 [2].
      crop_share: of the shorter one.
    """
    # In double precision and to even numbers, as Python rounds.
    side = tf.round(tf.cast(tf.reduce_min(shape), tf.float64) * crop_share)
    return tf.maximum(tf.cast(side, tf.int32), 1)


def fit_square(square: tf.Tensor, size: int) -> tf.Tensor:
    """Scales squares; those of the right size are left as they are.

    Args:
      square: uint8 [..., side, side, 3].
      size: pixels a side.

    Returns:
      uint8 [..., size, size, 3]: bilinear, over as many pixels as become one.
    """

    def scaled() -> tf.Tensor:
        resized = tf.image.resize(square, [size, size], antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    fitted = tf.cond(tf.equal(tf.shape(square)[-2], size), lambda: square, scaled)
    return tf.ensure_shape(fitted, [*square.shape[:-3], size, size, 3])


def _corner(room: tf.Tensor, config: FrameConfig, chance: tf.Tensor) -> tf.Tensor:
    if config.crop == "centre":
        return room // 2
    return tf.cast(chance[:2] * tf.cast(room + 1, tf.float32), tf.int32)


def draw_colours(config: FrameConfig, chance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the changes of colour for frames.

    Args:
      config: how far they may go.
      chance: numbers in [0, 1); float32 [n, 2].

    Returns:
      brightness and saturation, float32 [n] each: what `avc.augmentation` takes.
    """
    brightness = (chance[:, 0] * 2 - 1) * config.brightness
    width = config.saturation_high - config.saturation_low
    return brightness, config.saturation_low + chance[:, 1] * width
