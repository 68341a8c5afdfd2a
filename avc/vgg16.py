"""Features of VGG16, a classifier of pictures, as a baseline of retrieval.

Objects that Sound, section 3.1: the last hidden layer of VGG16 trained on ImageNet with
labels, 4096 numbers a picture, alone between pictures, and aligned by CCA with an L3-Net's
features of sound.
"""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from avc import clip_moments, vgg16_weights
from avc.clips import Clip
from avc.frames import FrameConfig, centre_squares
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.reading import Records, parsed_blocks

LAYER = "fc2"
# Pictures that go through the network at once.
ROWS = 32


@dataclasses.dataclass(frozen=True)
class VggConfig:
    """Which VGG16, and what it sees.

    Attributes:
      weights: `none` (random), `imagenet` (downloaded by Keras, once), or a file of weights or of
        a whole model as Keras writes them, .h5 or .keras, with the 1000 classes of ImageNet.
      image_size: pixels a side; trained weights are for 224.
      crop_share: side of the middle square that is scaled to it, in parts of the shorter one.
      seed: of random weights.
    """

    weights: str = "imagenet"
    image_size: int = 224
    crop_share: float = 224 / 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for values that cannot work."""
        check_range("image_size", self.image_size, 32, 4096)
        check_range("crop_share", self.crop_share, 1e-3, 1)
        check_range("seed", self.seed, 0, 2**32 - 1)
        if self.weights == "imagenet" and self.image_size != 224:
            raise ConfigurationError(
                f"image_size is {self.image_size}: VGG16 with weights of ImageNet takes 224"
            )


def build(config: VggConfig) -> keras.Model:
    """VGG16 up to its last hidden layer: what `prepare` gives, to `[batch, 4096]`.

    Raises:
      UserError: the weights cannot be had, or are not those of VGG16 at this size.
    """
    keras.utils.set_random_seed(config.seed)
    whole = vgg16_weights.open_vgg16(config.weights, True, config.image_size, "--weights")
    return keras.Model(whole.input, whole.get_layer(LAYER).output, name="vgg16_fc2")


def prepare(squares: np.ndarray) -> np.ndarray:
    """Pictures uint8 `[n, size, size, 3]`, RGB, as VGG16 takes them: BGR, less ImageNet's mean."""
    return keras.applications.vgg16.preprocess_input(squares.astype(np.float32))


def embed_clips(
    records: Records, model: keras.Model, config: VggConfig
) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """The middle frame of each clip that has one, in file order.

    Args:
      records: clips or scenes.
      model: of `build`.
      config: what it was built by.

    Yields:
      ids, and features float32 `[n, 4096]`.

    Raises:
      UserError: a record is bad, or its frame no JPEG picture.
    """
    call = tf.function(model, reduce_retracing=True)
    frames = FrameConfig(config.image_size, config.crop_share).evaluation()
    ids, squares = [], []
    for name, picture in middle_pictures(records):
        ids.append(name)
        squares.append(centre_squares(picture[None], frames).numpy()[0])
        if len(ids) == ROWS:
            yield ids, call(prepare(np.stack(squares)), training=False).numpy()
            ids, squares = [], []
    if ids:
        yield ids, call(prepare(np.stack(squares)), training=False).numpy()


def middle_pictures(records: Records) -> Iterator[tuple[bytes, np.ndarray]]:
    """Ids and the pictures, uint8 `[height, width, 3]`, shown in the middle of clips.

    Clips without a frame are left out.

    Raises:
      UserError: a record is bad, or its frame no JPEG picture.
    """
    for block in parsed_blocks(records):
        for record in records.schema.rows(block):
            if not len(record["frames"]):
                continue
            # The length of the sound says where the middle is, as for every other system.
            silence = np.zeros(int(record["num_samples"][0]), np.int16)
            times = np.asarray(record["frame_seconds"][: len(record["frames"])], np.float64)
            rate = int(record["sample_rate_hz"][0])
            clip = Clip(0.0, list(record["frames"]), times, silence, rate)
            jpeg = clip_moments.middle_of(clip, 1).frame
            try:
                yield record["id"], tf.io.decode_jpeg(jpeg, channels=3).numpy()
            except tf.errors.InvalidArgumentError:
                shown = record["id"].decode(errors="replace")
                raise UserError(f"record {shown}: its frame is not a JPEG picture") from None
