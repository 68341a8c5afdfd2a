"""Converts YouTube-8M records with Apache Beam.

Jobs:
  frame_to_video      frame level -> video level: the mean over the frames, as in the
                      data set's own video-level files
  compact_float16     video level -> compact shards, half the bytes; features are off by
                      at most 0.001
  compact_uint8       the same with a quarter of the bytes; off by at most 0.008
  mediapipe_to_video  what MediaPipe's youtube8m extractor writes (its bare .pb files, or
                      TFRecord files of such records) -> video level

    python -m launch.convert_yt8m --job=compact_float16 \\
        --input_pattern='/data/yt8m/train*.tfrecord' --output=/data/compact/train

writes /data/compact/train-00000-of-03844.tfrecord and so on and, last of all, train.json,
the manifest: the set is complete when it is there. Run again, the command does nothing;
broken off, it goes on where it was. Schemas and what to expect: docs/records.md.

Time, each process: a few seconds to start, then 4,500 video-level records or 1,000
frame-level ones (of 200 s) a second of CPU time; the 3.9 million videos of the train
split at video level are about 15 minutes of it, shared by the processes.
"""

from absl import flags

from launch import commands, conversion_flags

FLAGS = flags.FLAGS
flags.DEFINE_string("job", "", "frame_to_video, compact_float16, compact_uint8, mediapipe_to_video")
flags.DEFINE_string("input_pattern", "", "files to read: glob patterns, separated by commas")
flags.DEFINE_string(
    "output", "", "prefix of the shards to write, PREFIX-00000-of-00004.tfrecord, or a folder"
)
flags.DEFINE_integer("num_shards", 0, "shards to write, at most the input files; 0: as many")
flags.DEFINE_integer("num_classes", 3862, "labels are in [0, num_classes)", lower_bound=1)
flags.DEFINE_enum(
    "on_bad_record",
    "fail",
    ["fail", "skip"],
    "what to do at a record that cannot be used: end with a line that names it, or leave it "
    "out and list it at the end",
)


def main() -> None:
    """Runs the job and reports what it did."""
    # Beam takes a second to import and is an extra of the package: --help works without.
    try:
        from yt8m_embed import conversion
    except ImportError as error:
        commands.fail(f"{error}: install the package with its beam extra")
    job = conversion.Conversion(
        FLAGS.job,
        FLAGS.input_pattern,
        FLAGS.output,
        FLAGS.num_shards,
        FLAGS.num_classes,
        FLAGS.on_bad_record,
    )
    print(conversion.convert(job, conversion_flags.execution()))


if __name__ == "__main__":
    commands.run(main)
