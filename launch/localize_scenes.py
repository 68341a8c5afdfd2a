r"""Draws scenes beside what an AVOL-Net says sounds in them: one PNG of pairs of pictures.

On the left of each pair the scene, red boxes around what sounds and white ones around what
is silent; on the right the heat map over it, in colours of a fixed scale, from dark blue (a
probability of 0) to light yellow (1). Both show what the network saw: its crop, at the middle
of the clip. A line of text a scene says what is heard.

Example (about ten seconds, after a training run):

  python -m launch.localize_scenes --workdir=/tmp/avol \
      --input_pattern='testdata/scenes/test*.tfrecord' --output=/tmp/maps.png
"""

import os

import numpy as np
from absl import flags

from avc import embedding, evaluation, evaluation_report, scene_sheet
from avc.evaluation_protocol import Protocol
from avc.evaluation_report import ClipSet
from avc.reading import open_clips
from crossmodal import files
from crossmodal.errors import ConfigurationError, UserError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Work folder of an AVOL-Net.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of the work folder.")
flags.DEFINE_string("input_pattern", None, "Scenes: glob patterns, by commas.")
flags.DEFINE_string("output", None, "PNG file.")
flags.DEFINE_integer("number", 12, "Scenes, the first ones.", lower_bound=1, upper_bound=1000)
flags.DEFINE_integer("columns", 3, "Pairs of pictures in a row.", lower_bound=1)
flags.DEFINE_integer("scale", 3, "Enlarges each pixel to so many squared.", lower_bound=1)
flags.mark_flags_as_required(["workdir", "input_pattern", "output"])


def main() -> None:
    """Draws and says where the sheet is."""
    if os.path.splitext(FLAGS.output)[1].lower() != ".png":
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with .png")
    files.check_writable(FLAGS.output, "output")
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint)
    if not network.localizes:
        raise UserError(
            f"--workdir={FLAGS.workdir}: its network has no heat map; avol and davenet have"
        )
    scenes = ClipSet(*open_clips(FLAGS.input_pattern, "input_pattern"))
    found = evaluation_report.embed(network, scenes, Protocol(), "middle")
    truths = evaluation_report.truths_of(scenes, found, network.config, Protocol())
    if truths is None:
        raise UserError(f"--input_pattern={FLAGS.input_pattern}: holds no scenes")
    number = min(FLAGS.number, len(truths))
    pictures = []
    for batch in evaluation.evaluation_batches(
        scenes.records, scenes.encoding, network.config, moment="middle"
    ):
        pictures.extend(np.rint(255 * batch["frame"]).astype(np.uint8))
        if len(pictures) >= number:
            break
    drawn = scene_sheet.sheet(
        np.stack(pictures[:number]), found.heatmap[:number], truths[:number],
        min(FLAGS.columns, number), FLAGS.scale,
    )
    files.write_png(FLAGS.output, drawn)
    for row in range(number):
        heard = ", ".join(sorted(label.decode() for label in truths[row].heard)) or "silence"
        highest = found.heatmap[row].max()
        print(f"{found.id[row].decode()}: {heard}; highest probability {highest:.3f}")
    print(f"{number} scenes: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
