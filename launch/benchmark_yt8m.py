r"""Measures speed as ratios, each pair of jobs in turns within one run.

  input    the pipeline on original shards beside map(parse_single_example), a record at
           a time, and beside reading the same bytes without parsing
  compact  compact shards (written to a temporary folder) beside original ones
  step     a training step of the `paper` network beside PyTorch's, and beside its input
  recall   Recall@K both ways beside FAISS IndexFlatIP; with --large also for 100 k items,
           beside the bare matrix product

Prints a Markdown table with medians over --rounds, and writes it as JSON. PyTorch and
FAISS come with the extra `benchmark`.

Example (about two minutes on 2 cores for 27,000 videos; --large takes ten more):

  python -m launch.benchmark_yt8m --data_pattern='/data/yt8m/train*.tfrecord' \
      --rounds=7 --output=/tmp/benchmark.json
"""

import os
import platform
import tempfile

import tensorflow as tf
from absl import flags

from crossmodal import benchmark, reports, retrieval_benchmark
from crossmodal.benchmark import Comparison
from crossmodal.configuration import check_choice
from launch import commands
from yt8m_embed import input_benchmark, step_benchmark

FLAGS = flags.FLAGS
PARTS = ("input", "compact", "step", "recall")
flags.DEFINE_string(
    "data_pattern", "testdata/yt8m/train/*.tfrecord",
    "Video-level shards; use 20,000 records or more for numbers to rely on.",
)
flags.DEFINE_list("only", list(PARTS), f"The parts to measure, of {', '.join(PARTS)}.")
flags.DEFINE_integer("rounds", 7, "How many times each job is timed.", lower_bound=1)
flags.DEFINE_integer("num_classes", 3862, "Labels lie below it.", lower_bound=1)
flags.DEFINE_integer("threads", 0, "Of TensorFlow, PyTorch and FAISS; 0 for one a core.")
flags.DEFINE_bool("large", False, "Recall@K of 100 k items too; takes minutes.")
flags.DEFINE_string("output", "", "JSON file for the results.")


def measure(threads: int) -> list[Comparison]:
    """Runs the parts that --only names."""
    rows: list[Comparison] = []
    if set(FLAGS.only) & {"input", "compact", "step"}:
        records = input_benchmark.open_originals(FLAGS.data_pattern, FLAGS.num_classes)
    if "input" in FLAGS.only:
        rows += input_benchmark.compare_originals(records, FLAGS.rounds)
    if "compact" in FLAGS.only:
        with tempfile.TemporaryDirectory() as folder:
            rows += input_benchmark.compare_compact(
                records, FLAGS.num_classes, folder, FLAGS.rounds
            )
    if "step" in FLAGS.only:
        rows += step_benchmark.compare_step(records, FLAGS.num_classes, FLAGS.rounds, threads)
    if "recall" in FLAGS.only:
        rows += retrieval_benchmark.compare_with_faiss(FLAGS.rounds, threads)
        if FLAGS.large:
            rows += retrieval_benchmark.compare_with_product(min(FLAGS.rounds, 3))
    return rows


def main() -> None:
    """Measures, prints and writes."""
    for part in FLAGS.only:
        check_choice("only", part, PARTS)
    threads = FLAGS.threads or len(os.sched_getaffinity(0))
    if FLAGS.threads:  # TensorFlow's own choice is one a core
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    # As training does: its step is not to be measured without what it pays for that.
    tf.config.experimental.enable_op_determinism()
    for part, peer in (("step", "torch"), ("recall", "faiss")):
        if part in FLAGS.only:
            benchmark.import_peer(peer)  # missing: said now, not after minutes
    rows = measure(threads)
    print(benchmark.table(rows))
    if FLAGS.output:
        machine = {"processor": platform.processor(), "threads": threads, "rounds": FLAGS.rounds}
        reports.write_json(FLAGS.output, {**machine, "comparisons": benchmark.to_dict(rows)})
        print(f"report: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
