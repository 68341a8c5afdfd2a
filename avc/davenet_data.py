"""Narrated videos for the reproduction of DAVEnet (Boggust et al. 2019): one's own, or made up."""

from avc import reproduction_data
from avc.reproduction_data import ClipData, ClipOptions, Wanted
from crossmodal.errors import ConfigurationError
from crossmodal.reproduction import Options

PAPER = "davenet"
SYNTHETIC = (
    "narrated videos of a made-up world (docs/scenes.md): this says that the methods work, not how "
    "well they do on videos; the paper's numbers are of other data"
)
CONVERSION = {
    "frames_per_second": 1,
    "sample_rate_hz": 16_000,
    "clip_seconds": 60,
    "audio_encoding": "pcm16",
}
# Videos of each split, and the fields of all; in those of `weak` all that is said is seen, as in
# pairs that labels would select.
VIDEOS = {"tiny": (6, 0, 4), "small": (300, 40, 170)}
FIELDS = {"tiny": "video_seconds=16,clip_seconds=4,picture_size=40,clutter=1", "small": ""}
WEAK = "aside_share=0,silent_share=0,lag_seconds=0"


def find(
    options: Options, clips: ClipOptions, weak_data: str
) -> tuple[ClipData, ClipData | None]:
    """The videos to train on without labels, and the pairs for fine-tuning, if any."""
    wanted = Wanted(PAPER, 16_000, ndcg=False, conversion=CONVERSION)
    if options.data:
        data = reproduction_data.given(options, clips, wanted)
        if not weak_data:
            return data, None
        needs = "it must hold records train-*.tfrecord and test-*.tfrecord of convert_clips"
        return data, reproduction_data.records(weak_data, wanted, needs, "weak_data")
    if clips.label_table or clips.test_table:
        raise ConfigurationError("--label_table and --test_table are for videos: give --data")
    return narrations(options, ""), narrations(options, "weak_")


def narrations(options: Options, prefix: str) -> ClipData:
    """Made-up narrated videos."""
    folder = options.path("data")
    fields = [FIELDS[options.size], WEAK if prefix else ""]
    patterns, steps = {}, []
    for split, number in zip(reproduction_data.SPLITS, VIDEOS[options.size], strict=True):
        if number:
            flags = {
                "num_videos": number,
                "seed": 1 if prefix else 0,
                "set": ",".join(field for field in fields if field) or None,
            }
            name = prefix + split
            patterns[split] = f"{folder}/{name}-*.tfrecord"
            steps.append(
                reproduction_data.make_set("launch.make_narrations", folder, split, name, flags)
            )
    return ClipData(
        patterns["train"], patterns["test"], patterns.get("validation", ""), tuple(steps),
        synthetic=SYNTHETIC,
    )
