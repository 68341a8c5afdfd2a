r"""Exports a trained joint embedding for serving.

Writes a SavedModel with the signatures embed_visual, embed_audio and serving_default
(both and their cosine), TFLite files of the towers, the configuration, label names,
metrics and a model card. The folder appears only when complete.

Example (about 15 seconds):

  python -m launch.export_yt8m --workdir=/tmp/embedding --output=/tmp/embedding/export \
      --vocabulary=testdata/yt8m/vocabulary.csv
"""

import os

import tensorflow as tf
from absl import flags

from crossmodal import configuration
from launch import commands
from yt8m_embed import embedding, export
from yt8m_embed.records import read_vocabulary

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Work folder of a training run; its best checkpoint is taken.")
flags.DEFINE_string("output", "", "Folder of the export; default: `export` in --workdir.")
flags.DEFINE_string("vocabulary", "", "vocabulary.csv of the data set, for label names.")
flags.DEFINE_string("metrics", "", "Report of evaluate_yt8m; default: the one in --workdir.")
flags.DEFINE_bool("tflite", True, "Write TFLite files of the towers (video level only).")
flags.mark_flag_as_required("workdir")


def main() -> None:
    """Exports as the flags say."""
    output = FLAGS.output or os.path.join(FLAGS.workdir, "export")
    model = embedding.load(FLAGS.workdir)
    export.check_output(output)
    names = read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else {}
    report = FLAGS.metrics or os.path.join(FLAGS.workdir, "evaluation.json")
    metrics = None
    if FLAGS.metrics or tf.io.gfile.exists(report):
        metrics = configuration.load(report)
    differences = export.export(model, output, names, metrics, FLAGS.tflite)
    print(f"SavedModel: {output}")
    for modality, difference in differences.items():
        print(f"{modality}.tflite: differs by at most {difference:.1e} on random inputs")


if __name__ == "__main__":
    commands.run(main)
