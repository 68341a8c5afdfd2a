r"""Converts a folder of videos to records of clips with Apache Beam and PyAV.

    python -m launch.convert_clips --input=/data/videos --output=/data/clips
    python -m launch.convert_clips --input=/data/vggsound --label_table=vggsound.csv \
        --output=/data/clips --drop_silence=-60 --drop_duplicate_audio
    python -m launch.convert_clips --input=/data/videos --output=/data/moving_clips --flow
    python -m launch.convert_clips --input=/data/audioset --output=/data/instruments \
        --label_table=balanced_train_segments.csv --test_table=eval_segments.csv \
        --ontology=ontology.json --keep_descendants_of='Musical instrument,Singing,Tools'

writes OUTPUT/train-00000-of-00016.tfrecord and so on, validation-... and test-...,
manifest.json and, last of all, manifest.csv: a row for every clip, every file that gave none
and every row of the label table that found no file. Run again, the command does nothing;
broken off, it goes on where it was. Forms of tables, records, splits, filters and the
manifest: docs/clips.md.

Time: some seconds to start, then what decoding and encoding JPEG takes: about 20 seconds of
video each second of one core; processes share the work. --flow takes about 0.1 s of a core for
each picture, longer than all the rest.
"""

import math

from absl import flags

from launch import commands, conversion_flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "input", "", "folder, searched with all its folders, or glob patterns separated by commas"
)
flags.DEFINE_string("output", "", "folder to be made")
flags.DEFINE_list(
    "label_table", [], "CSV files with the clips, their labels and splits; without, every file"
)
flags.DEFINE_list("test_table", [], "the same; all their clips are for the test split")
flags.DEFINE_string("ontology", "", "AudioSet's ontology.json, for --keep_descendants_of")
flags.DEFINE_string(
    "keep_descendants_of",
    "",
    "only clips with a label that is one of these classes or below, such as "
    "'Musical instrument,Singing,Tools': names or ids",
)
flags.DEFINE_integer(
    "num_shards", 0, "shards of each split; 0: one for 32 files, 16 to 1024", lower_bound=0
)
flags.DEFINE_float("clip_seconds", 10.0, "length of a clip")
flags.DEFINE_float("frames_per_second", 25.0, "the grid of frames")
flags.DEFINE_integer("shorter_side", 256, "of the frames, in pixels")
flags.DEFINE_integer("jpeg_quality", 90, "of the frames, 1 to 100")
flags.DEFINE_integer("sample_rate_hz", 48000, "of the sound")
flags.DEFINE_enum("audio_encoding", "flac", ["flac", "pcm16"], "how the sound is stored")
flags.DEFINE_float("validation_percent", 10.0, "share of the videos that are in no test split")
flags.DEFINE_integer("seed", 0, "another seed gives another validation split")
flags.DEFINE_float(
    "min_seconds",
    0.95,
    "shorter clips, and rests of a file, are left out; files of one second end some ms early",
)
flags.DEFINE_float(
    "drop_silence",
    None,
    "leave out clips whose loudest tenth of a second is not above this level, such as -60, in dB "
    "of full scale",
    upper_bound=0,
)
flags.DEFINE_float(
    "drop_still",
    None,
    "leave out clips whose pictures do not differ by more than this, such as 1, in levels of 0 "
    "to 255",
    lower_bound=0,
)
flags.DEFINE_bool(
    "drop_duplicate_audio", False, "of clips with exactly the same sound keep the first only"
)

flags.DEFINE_bool(
    "flow", False, "store optical flow (TV-L1) from each picture to the next, for ave_of"
)
flags.DEFINE_integer("flow_shorter_side", 128, "of the fields of flow, in pixels")
flags.DEFINE_float(
    "flow_reach", 1 / 16, "largest displacement that is stored, in parts of the shorter side"
)


def main() -> None:
    """Runs the job and reports what it did."""
    # Beam and PyAV are extras of the package: --help works without.
    try:
        from avc import clip_conversion
    except ImportError as error:
        commands.fail(f"{error}: install the package with its extras beam and media")
    from avc.clip_shards import ClipConfig
    from avc.flow import FlowConfig, check_installed
    from avc.media import MediaConfig
    from avc.splits import SplitConfig

    if FLAGS.flow:
        check_installed()
    media = MediaConfig(
        frames_per_second=FLAGS.frames_per_second,
        shorter_side=FLAGS.shorter_side,
        jpeg_quality=FLAGS.jpeg_quality,
        sample_rate_hz=FLAGS.sample_rate_hz,
        clip_seconds=FLAGS.clip_seconds,
    )
    config = ClipConfig(
        media,
        FLAGS.audio_encoding,
        FLAGS.min_seconds,
        -math.inf if FLAGS.drop_silence is None else FLAGS.drop_silence,
        -1.0 if FLAGS.drop_still is None else FLAGS.drop_still,
        FLAGS.drop_duplicate_audio,
        FlowConfig(FLAGS.flow_shorter_side, FLAGS.flow_reach) if FLAGS.flow else None,
    )
    conversion = clip_conversion.Conversion(
        FLAGS.input,
        FLAGS.output,
        tuple(FLAGS.label_table),
        tuple(FLAGS.test_table),
        FLAGS.ontology,
        FLAGS.keep_descendants_of,
        FLAGS.num_shards,
    )
    split = SplitConfig(FLAGS.validation_percent, FLAGS.seed)
    print(clip_conversion.convert(conversion, config, split, conversion_flags.execution()))


if __name__ == "__main__":
    commands.run(main)
