r"""Measures the speed of conversion and inputs as ratios, each pair of jobs in turns.

  conversion   videos to records beside bare decoding, scaling and JPEG encoding of the
               same pictures, and on two processes beside one
  pairs        drawing pairs from FLAC and from PCM records beside bare JPEG decoding and
               cropping of as many frames, with several numbers of pairs a read
  spectrogram  the layer beside librosa, batches of 64 seconds
  step         a training step of AVE-Net beside PyTorch's, small and as in the paper, in
               float32 and in bfloat16
  negatives    training with mismatched pairs of the batch's own beside the paper's drawing:
               pairs a second, and Recall@10 after --train_seconds each
  ndcg         nDCG@30 of 4,300 items in four directions beside scikit-learn's

Prints a Markdown table with medians over --rounds, and writes it as JSON. librosa, PyTorch
and scikit-learn come with the extra `benchmark`, PyAV and Beam with `media` and `beam`.

Examples (ten minutes on 2 cores for 60 videos of some seconds; a process takes seconds to
start, so that two are worth their while with --copies=500 or so):

  python -m launch.benchmark_avc --only=conversion,pairs,spectrogram \
      --videos=/data/videos --rounds=5
  python -m launch.benchmark_avc --only=step,ndcg --ontology=ontology.json --threads=1
  python -m launch.benchmark_avc --only=negatives --train_pattern='/data/scenes/train-*' \
      --eval_pattern='/data/scenes/test-*'
"""

import os
import tempfile

import tensorflow as tf
from absl import flags

from avc import recipes
from crossmodal import benchmark, reports
from crossmodal.benchmark import Comparison
from crossmodal.configuration import check_choice
from crossmodal.errors import UserError
from launch import commands

FLAGS = flags.FLAGS
PARTS = ("conversion", "pairs", "spectrogram", "step", "negatives", "ndcg")
PEERS = {"spectrogram": "librosa", "step": "torch", "ndcg": "sklearn"}
NEEDED = {
    "conversion": ("videos",),
    "pairs": ("videos",),
    "negatives": ("train_pattern", "eval_pattern"),
    "ndcg": ("ontology",),
}
SIZES = ("small", "paper")
flags.DEFINE_string("videos", "", "Folder of videos; they are copied to --copies files.")
flags.DEFINE_integer("copies", 60, "Videos that are converted.", lower_bound=2)
flags.DEFINE_list("only", list(PARTS), f"The parts to measure, of {', '.join(PARTS)}.")
flags.DEFINE_multi_integer("pairs_per_read", [1, 8, 32], "Pairs drawn from a record.")
flags.DEFINE_integer("rounds", 5, "How many times each job is timed.", lower_bound=1)
flags.DEFINE_enum(
    "clock", "wall", list(benchmark.CLOCKS),
    "What step, negatives and ndcg are timed by; `processor` leaves out what others take of a "
    "busy machine, and is for --threads=1.",
)
flags.DEFINE_integer("threads", 0, "Of TensorFlow and PyTorch; 0 for one a core.", lower_bound=0)
flags.DEFINE_list(
    "sizes", list(SIZES), "Networks of step: `small`, 96 pixels and 64 clips; `paper`, 224 and 8."
)
flags.DEFINE_string("train_pattern", "", "Clips to train on, for negatives.")
flags.DEFINE_string("eval_pattern", "", "Held-out clips, for negatives.")
flags.DEFINE_enum("recipe", "ave_small", list(recipes.RECIPES), "What negatives trains.")
flags.DEFINE_float(
    "train_seconds", 120, "How long each training of negatives goes on.", lower_bound=0
)
flags.DEFINE_string("ontology", "", "AudioSet's ontology.json, for ndcg.")
flags.DEFINE_integer("items", 4300, "Items that ndcg ranks.", lower_bound=40)
flags.DEFINE_string("output", "", "JSON file for the results.")


def measure(folder: str) -> list[Comparison]:
    """Runs those of the parts that --only names which measure conversion and inputs."""
    from avc import input_benchmark

    rows: list[Comparison] = []
    if {"conversion", "pairs"} & set(FLAGS.only):
        from avc import clip_conversion_benchmark

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


def measure_training(threads: int) -> list[Comparison]:
    """Runs those that measure training and evaluation."""
    rows: list[Comparison] = []
    if "ndcg" in FLAGS.only:
        from avc import ndcg_benchmark

        rows += ndcg_benchmark.compare_ndcg(FLAGS.ontology, FLAGS.rounds, FLAGS.items, FLAGS.clock)
    # As training does: its step is not to be measured without what it pays for that.
    if {"step", "negatives"} & set(FLAGS.only):
        from avc import negatives_benchmark, step_benchmark

        tf.config.experimental.enable_op_determinism()
    if "step" in FLAGS.only:
        rows += step_benchmark.compare_step(FLAGS.sizes, FLAGS.rounds, threads, FLAGS.clock)
    if "negatives" in FLAGS.only:
        rows += negatives_benchmark.compare_negatives(
            negatives_benchmark.configure(FLAGS.recipe), FLAGS.train_pattern, FLAGS.eval_pattern,
            FLAGS.rounds, FLAGS.train_seconds, FLAGS.clock,
        )
    return rows


def check_flags() -> None:
    """Raises UserError for what a part lacks: said now, not after minutes."""
    for part in FLAGS.only:
        check_choice("only", part, PARTS)
        for name in NEEDED.get(part, ()):
            if not FLAGS[name].value:
                raise UserError(f"{part} needs --{name}; or leave it out with --only")
        if part in PEERS:
            benchmark.import_peer(PEERS[part])
    for size in FLAGS.sizes:
        check_choice("sizes", size, SIZES)


def main() -> None:
    """Measures, prints and writes."""
    check_flags()
    threads = FLAGS.threads or len(os.sched_getaffinity(0))
    if FLAGS.threads:  # TensorFlow's own choice is one a core
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(folder)
    rows += measure_training(threads)
    print(benchmark.table(rows))
    if FLAGS.output:
        reports.write_json(FLAGS.output, {"comparisons": benchmark.to_dict(rows)})
        print(f"report: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
