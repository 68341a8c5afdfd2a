r"""Measures the speed of conversion and inputs as ratios, each pair of jobs in turns.

  conversion   videos to records beside bare decoding, scaling and JPEG encoding of the
               same pictures, and on two processes beside one
  pairs        drawing pairs from FLAC and from PCM records beside bare JPEG decoding and
               cropping of as many frames, with several numbers of pairs a read
  spectrogram  the layer beside librosa, batches of 64 seconds

Prints a Markdown table with medians over --rounds, and writes it as JSON. librosa comes
with the extra `benchmark`, PyAV and Beam with `media` and `beam`.

Example (ten minutes on 2 cores for 60 videos of some seconds; a process takes seconds to
start, so that two are worth their while with --copies=500 or so):

  python -m launch.benchmark_avc --videos=/data/videos --rounds=5
"""

import os
import tempfile

from absl import flags

from crossmodal import benchmark, reports
from crossmodal.benchmark import Comparison
from crossmodal.configuration import check_choice
from launch import commands

FLAGS = flags.FLAGS
PARTS = ("conversion", "pairs", "spectrogram")
flags.DEFINE_string("videos", "", "Folder of videos; they are copied to --copies files.")
flags.DEFINE_integer("copies", 60, "Videos that are converted.", lower_bound=2)
flags.DEFINE_list("only", list(PARTS), f"The parts to measure, of {', '.join(PARTS)}.")
flags.DEFINE_multi_integer("pairs_per_read", [1, 8, 32], "Pairs drawn from a record.")
flags.DEFINE_integer("rounds", 5, "How many times each job is timed.", lower_bound=1)
flags.DEFINE_string("output", "", "JSON file for the results.")


def measure(folder: str) -> list[Comparison]:
    """Runs the parts that --only names."""
    from avc import clip_conversion_benchmark, input_benchmark

    rows: list[Comparison] = []
    if {"conversion", "pairs"} & set(FLAGS.only):
        videos = os.path.join(folder, "videos")
        copies = clip_conversion_benchmark.copy_videos(FLAGS.videos, videos, FLAGS.copies)
    if "conversion" in FLAGS.only:
        rows += clip_conversion_benchmark.compare_conversion(folder, copies, FLAGS.rounds)
    if "pairs" in FLAGS.only:
        pattern = os.path.join(clip_conversion_benchmark.convert_copies(folder, 1), "*.tfrecord")
        rows += input_benchmark.compare_pairs(pattern, tuple(FLAGS.pairs_per_read), FLAGS.rounds)
    if "spectrogram" in FLAGS.only:
        rows += input_benchmark.compare_spectrogram(FLAGS.rounds)
    return rows


def main() -> None:
    """Measures, prints and writes."""
    for part in FLAGS.only:
        check_choice("only", part, PARTS)
    if "spectrogram" in FLAGS.only:
        benchmark.import_peer("librosa")  # missing: said now, not after minutes
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(folder)
    print(benchmark.table(rows))
    if FLAGS.output:
        reports.write_json(FLAGS.output, {"comparisons": benchmark.to_dict(rows)})
        print(f"report: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
