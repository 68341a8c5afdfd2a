"""Frames of a record: decoded and cropped in one operation, mirrored, and their colours drawn.

Objects that Sound, section 3.3: a 224 x 224 colour image, "random cropping, horizontal
flipping and brightness and saturation jittering"; the sizes are those of the L3-Net.
What is decoded stays uint8: the colours are changed on the accelerator, by
`avc.augmentation`, with the numbers that are drawn here.
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
      image_size: width and height of the crop in pixels.
      crop: `random` or `centre`.
      flip: whether every second frame is mirrored, left to right.
      brightness: the most that is added to or taken from values in [0, 1].
      saturation_low: the least factor of the saturation; 1 changes nothing.
      saturation_high: the largest factor.
    """

    image_size: int = 224
    crop: str = "random"
    flip: bool = True
    brightness: float = 32 / 255
    saturation_low: float = 0.5
    saturation_high: float = 1.5

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what no picture can be."""
        check_range("image_size", self.image_size, 1, 10_000)
        check_choice("crop", self.crop, ("random", "centre"))
        check_range("brightness", self.brightness, 0, 1)
        check_range("saturation_low", self.saturation_low, 0, 10)
        check_range("saturation_high", self.saturation_high, self.saturation_low, 10)

    def evaluation(self) -> "FrameConfig":
        """The same size from the centre, nothing random."""
        return FrameConfig(self.image_size, "centre", False, 0.0, 1.0, 1.0)


def decode_frame(jpeg: tf.Tensor, config: FrameConfig, chance: tf.Tensor) -> tf.Tensor:
    """Decodes a square part of a picture.

    A picture whose shorter side is less than `image_size` is enlarged to it.

    Args:
      jpeg: a JPEG file, colour or grey; scalar string.
      config: size, crop and flip.
      chance: three numbers in [0, 1) that decide on top, left and flip; float32 [3].

    Returns:
      uint8 [image_size, image_size, 3].
    """
    size = config.image_size
    shape = tf.io.extract_jpeg_shape(jpeg)[:2]
    shorter = tf.reduce_min(shape)

    def cropped():
        window = tf.concat([_corner(shape, config, chance), [size, size]], 0)
        return tf.io.decode_and_crop_jpeg(jpeg, window, channels=3)

    def enlarged():
        # Rounded up, so that neither side falls short.
        larger = -(-shape * size // shorter)
        picture = tf.image.resize(tf.io.decode_jpeg(jpeg, channels=3), larger)
        top, left = tf.unstack(_corner(larger, config, chance))
        picture = picture[top : top + size, left : left + size]
        return tf.cast(tf.round(picture), tf.uint8)

    frame = tf.cond(shorter >= size, cropped, enlarged)
    if config.flip:
        frame = tf.cond(chance[2] < 0.5, lambda: tf.reverse(frame, [1]), lambda: frame)
    return tf.ensure_shape(frame, [size, size, 3])


def _corner(shape: tf.Tensor, config: FrameConfig, chance: tf.Tensor) -> tf.Tensor:
    room = shape - config.image_size
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
