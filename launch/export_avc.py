r"""Exports a trained audio-visual network for serving.

Writes a SavedModel with the signatures embed_image, embed_jpeg, embed_audio,
correspond (whether pictures and sounds do) and, of an AVOL-Net, localize; TFLite files of the
towers, the configuration, metrics and a model card. The folder appears only
when complete.

Example (about 20 seconds):

  python -m launch.export_avc --workdir=/tmp/ave --checkpoint=best --output=/tmp/ave/export
"""

import os

from absl import flags

from avc import embedding, export
from crossmodal.export import check_output
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Work folder of a training run.")
flags.DEFINE_enum(
    "checkpoint", "best", ["best", "last"], "Which one: best on the clips of --eval_pattern."
)
flags.DEFINE_string("output", "", "Folder of the export; default: `export` in --workdir.")
flags.DEFINE_string(
    "metrics", "", "Report to keep beside the model; default: evaluation.json in --workdir."
)
flags.DEFINE_bool("tflite", True, "Write TFLite files of the towers.")
flags.mark_flag_as_required("workdir")


def main() -> None:
    """Exports as the flags say."""
    output = FLAGS.output or os.path.join(FLAGS.workdir, "export")
    trained = embedding.load(FLAGS.workdir, FLAGS.checkpoint)
    check_output(output)
    metrics = export.known_metrics(FLAGS.workdir, FLAGS.metrics)
    differences = export.export(trained, output, metrics, FLAGS.tflite)
    print(f"SavedModel: {output}")
    for name, difference in differences.items():
        print(f"{name}.tflite: differs by at most {difference:.1e} of the largest number")


if __name__ == "__main__":
    commands.run(main)
