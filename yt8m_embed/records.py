"""The kinds of records of YouTube-8M, and the compact ones this library writes.

Video level: tf.train.Example with the mean of each modality over the video.
Frame level: SequenceExample with one quantised bytes string a second. Segment
level (2019): frame level plus labelled segments of 5 s. Compact: video level
with each modality as one bytes string, several times faster to read.

Source: the data set's own description of its files; MediaPipe's
`youtube8m` feature extractor for `mediapipe`.
"""

import csv
import io
from typing import Any

import numpy as np
from keras import ops

from crossmodal import files
from crossmodal.errors import UserError
from crossmodal.schema import Feature, Schema

RGB_SIZE, AUDIO_SIZE = 1024, 128
MAX_FRAMES = 300
SEGMENT_SECONDS = 5
# The data set's quantisation: 8 bits over [-2, 2], decoded to the middle of each step.
SCALE, OFFSET = 4 / 255, 4 / 512 - 2


def video_level(num_classes: int = 3862) -> Schema:
    """Records with `mean_rgb` [1024] and `mean_audio` [128] as float lists."""
    return Schema(
        (
            *_id_and_labels(num_classes),
            Feature("mean_rgb", "floats", RGB_SIZE),
            Feature("mean_audio", "floats", AUDIO_SIZE),
        )
    )


def frame_level(num_classes: int = 3862, max_frames: int | None = MAX_FRAMES) -> Schema:
    """Records with `rgb` [time, 1024] and `audio` [time, 128], uint8, one frame a second.

    Batches keep the uint8, a quarter of the bytes: `dequantize` is for the model. The two
    modalities must have the same number of frames, `num_frames`.
    """
    return Schema((*_id_and_labels(num_classes), *_frames(max_frames)))


def segment_level(num_classes: int = 3862, max_frames: int | None = MAX_FRAMES) -> Schema:
    """Frame-level records with labelled segments of 5 s (the 2019 validation set).

    `segment_labels` (classes), `segment_start_times` (seconds) and `segment_scores`
    (1: the class is there, 0: it is not) are parallel, `num_segments` of each.
    """

    def segment(name: str, form: str, limit: int | None = None) -> Feature:
        return Feature(name, form, required=False, limit=limit, count="num_segments")

    return Schema(
        (
            *_id_and_labels(num_classes),
            segment("segment_labels", "ints", num_classes),
            segment("segment_start_times", "ints"),
            segment("segment_scores", "floats"),
            *_frames(max_frames),
        )
    )


def compact_float16(num_classes: int = 3862) -> Schema:
    """Video level with each modality as one string of little-endian float16.

    In the features' range, [-1.992, 2.008], a value is off by at most 2**-11 (4.9e-4)
    below 2 and 2**-10 above. Values beyond the range of float16 are refused.
    """
    return _compact(num_classes, "float16")


def compact_uint8(num_classes: int = 3862) -> Schema:
    """Video level with each modality as one string of uint8.

    The same range and step as the data set's own quantisation of frames: value =
    q * 4/255 + 4/512 - 2, so [-1.992, 2.008] is covered end to end and a value is off by
    at most 2/255 (7.9e-3). Values outside (features of another extractor) are refused.
    """
    return _compact(num_classes, "uint8", SCALE, OFFSET)


def mediapipe(num_classes: int = 3862) -> Schema:
    """What MediaPipe's extractor writes: `rgb` [time, 1024], `audio` [time, 128], floats.

    The two modalities may differ in their number of frames: `num_rgb_frames`,
    `num_audio_frames`. The id is the media id or the path of the video, if either is
    there; the values are not bounded by the data set's range.
    """
    return Schema(
        (
            Feature("id", "bytes", keys=("clip/media_id", "clip/data_path"), required=False),
            _labels(num_classes, keys=("clip/label/index",)),
            _floats("rgb", RGB_SIZE),
            _floats("audio", AUDIO_SIZE),
        )
    )


def dequantize(quantized: Any, num_frames: Any) -> tuple[Any, Any]:
    """Frames as floats in [-1.992, 2.008], exactly zero after a record's last frame.

    Args:
      quantized: uint8 [batch, time, size], a tensor of any Keras backend.
      num_frames: int [batch], likewise.

    Returns:
      float32 [batch, time, size] and the mask, bool [batch, time].
    """
    mask = ops.arange(ops.shape(quantized)[1])[None, :] < ops.cast(num_frames, "int32")[:, None]
    values = ops.cast(quantized, "float32") * SCALE + OFFSET
    return ops.where(mask[..., None], values, 0.0), mask


def dequantize_array(quantized: np.ndarray) -> np.ndarray:
    """The same in NumPy for frames without padding: uint8 of any shape to float32."""
    return (quantized * np.float64(SCALE) + OFFSET).astype(np.float32)


def read_vocabulary(path: str) -> dict[int, str]:
    """Names of the classes by label, from the data set's `vocabulary.csv`.

    A class without a name is shown by its Knowledge Graph id.

    Raises:
      UserError: the file is missing or is not such a table.
    """
    rows = csv.DictReader(io.StringIO(files.read_text(path)))
    try:
        return {int(row["Index"]): row["Name"] or row["KnowledgeGraphId"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: line {rows.line_num} is not a class of vocabulary.csv"
            " (columns Index, KnowledgeGraphId, Name)"
        ) from error


def _id_and_labels(num_classes: int) -> tuple[Feature, Feature]:
    # The 2017 files say video_id, the later ones id; labels are missing from test sets.
    return Feature("id", "bytes", keys=("id", "video_id")), _labels(num_classes)


def _labels(num_classes: int, keys: tuple[str, ...] = ()) -> Feature:
    return Feature("labels", "ints", keys=keys, required=False, limit=num_classes)


def _frames(max_frames: int | None) -> tuple[Feature, Feature]:
    def frames(name: str, size: int) -> Feature:
        return Feature(
            name,
            "raw",
            size,
            raw_type="uint8",
            per_frame=True,
            keep_raw=True,
            scale=SCALE,
            offset=OFFSET,
            max_frames=max_frames,
            count="num_frames",
        )

    return frames("rgb", RGB_SIZE), frames("audio", AUDIO_SIZE)


def _floats(name: str, size: int) -> Feature:
    key = f"{name.upper()}/feature/floats"
    return Feature(name, "floats", size, (key,), per_frame=True, count=f"num_{name}_frames")


def _compact(num_classes: int, raw_type: str, scale: float = 1.0, offset: float = 0.0) -> Schema:
    def raw(name: str, size: int) -> Feature:
        return Feature(name, "raw", size, raw_type=raw_type, scale=scale, offset=offset)

    return Schema(
        (*_id_and_labels(num_classes), raw("mean_rgb", RGB_SIZE), raw("mean_audio", AUDIO_SIZE))
    )
