"""What a record of `avc` holds: one clip of a video, or of a synthetic scene with its truth.

A clip is some seconds of one video: JPEG frames with their times on a regular grid and
the sound of the same seconds. Times are seconds from the clip's start. The schema of
`crossmodal.schema` both writes and parses it.
"""

from crossmodal.errors import ConfigurationError
from crossmodal.schema import Feature, Schema

AUDIO_ENCODINGS = ("flac", "pcm16")


def _strings(name: str, count: str) -> Feature:
    return Feature(name, "bytes", required=False, count=count)


def _numbers(name: str, form: str, count: str) -> Feature:
    return Feature(name, form, required=False, count=count)


def clip(audio_encoding: str = "flac") -> Schema:
    """The schema of a clip.

    Args:
      audio_encoding: `flac`, a whole FLAC file, or `pcm16`, little-endian int16.

    Batches hold, beside the counts `num_labels`, `num_frames` and `num_flows`:
      id: of the clip.
      video: of the video it is from; decides its split and what is a negative.
      file: the source file.
      labels: [batch, num_labels] strings, as the label table has them; maybe none.
      start_seconds: [batch, 1], where the clip begins in the file.
      frames: [batch, num_frames] JPEG.
      frame_seconds: [batch, num_frames], multiples of the grid's step. A picture that stays
        for several steps is held once, at the first.
      audio: mono; the name on disk says the encoding.
      sample_rate_hz, num_samples: [batch, 1].
      flow: [batch, num_flows] optical flow from each frame to the next, one less than frames,
        as `avc.flow` encodes it; maybe none.
      flow_reach: [batch, num_flow_reaches] what its bytes stand for: one number, or none.

    Raises:
      ConfigurationError: there is no such encoding.
    """
    return Schema(_clip_features(audio_encoding))


def scene(audio_encoding: str = "flac") -> Schema:
    """The schema of a synthetic scene: a clip, and what is to be seen and heard in it.

    Batches hold, beside those of `clip` and the counts `num_objects` and `num_events`:
      object_labels: [batch, num_objects] classes of all objects in the picture.
      object_left, object_top, object_right, object_bottom: [batch, num_objects] their boxes
        as fractions of the picture's width and height.
      background: which background it is; required, so that a scene is told from a clip.
      event_labels: [batch, num_events] classes of the sounds.
      event_objects: [batch, num_events] which object sounds; -1 for none in the picture.
      event_start_seconds, event_end_seconds: [batch, num_events].

    Raises:
      ConfigurationError: there is no such encoding.
    """
    sides = ("left", "top", "right", "bottom")
    return Schema(
        (
            *_clip_features(audio_encoding),
            Feature("background", "bytes"),
            _strings("object_labels", "num_objects"),
            *(_numbers(f"object_{side}", "floats", "num_objects") for side in sides),
            _strings("event_labels", "num_events"),
            _numbers("event_objects", "ints", "num_events"),
            _numbers("event_start_seconds", "floats", "num_events"),
            _numbers("event_end_seconds", "floats", "num_events"),
        )
    )


def _clip_features(audio_encoding: str) -> tuple[Feature, ...]:
    if audio_encoding not in AUDIO_ENCODINGS:
        choices = ", ".join(AUDIO_ENCODINGS)
        raise ConfigurationError(f"audio_encoding={audio_encoding!r}: choose one of {choices}")
    return (
        Feature("id", "bytes"),
        Feature("video", "bytes"),
        Feature("file", "bytes"),
        _strings("labels", "num_labels"),
        Feature("start_seconds", "floats", 1),
        _strings("frames", "num_frames"),
        _numbers("frame_seconds", "floats", "num_frames"),
        # The key tells the encodings apart, so that one is never read as the other.
        Feature("audio", "bytes", keys=(f"audio_{audio_encoding}",)),
        Feature("sample_rate_hz", "ints", 1),
        Feature("num_samples", "ints", 1),
        _strings("flow", "num_flows"),
        _numbers("flow_reach", "floats", "num_flow_reaches"),
    )
