r"""Draws a contact sheet of records: clips, scenes with their boxes, or pairs to train on.

  clips   the middle frame of each clip; in scenes red boxes sound, white ones are silent
  pairs   a training batch: each frame, cropped and changed as the network sees it, beside
          the log-spectrogram of its sound; mismatched pairs have red captions

Example (about ten seconds):

  python -m launch.contact_sheet --input_pattern='testdata/scenes/train*.tfrecord' \
      --show=pairs --output=/tmp/pairs.png
"""

from absl import flags

from avc import contact_sheets, pairs, reading
from avc.frames import FrameConfig
from avc.pair_config import PairConfig
from crossmodal import pictures
from crossmodal.pipeline import PipelineConfig, open_training
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("input_pattern", None, "Records of clips or scenes: glob patterns, by commas.")
flags.DEFINE_enum("show", "clips", ["clips", "pairs"], "What to draw.")
flags.DEFINE_string("output", None, "PNG file.")
flags.DEFINE_integer("number", 24, "Clips or pairs.", lower_bound=1)
flags.DEFINE_integer("columns", 6, "Pictures in a row.", lower_bound=1)
flags.DEFINE_integer("image_size", 224, "Pixels a side of the network's picture.", lower_bound=16)
flags.DEFINE_float("crop_share", 0.875, "Side of the crop, in shorter sides of the stored picture.")
flags.DEFINE_float("misalignment_seconds", 1.0, "Most between a frame and its sound's middle.")
flags.DEFINE_integer("seed", 0, "Of the order and of every random choice.")
flags.mark_flags_as_required(["input_pattern", "output"])


def main() -> None:
    """Draws and says where the sheet is."""
    kind, encoding, records = reading.open_clips(FLAGS.input_pattern, "input_pattern")
    if FLAGS.show == "clips":
        panels = contact_sheets.clip_panels(records, FLAGS.number)
    else:
        frame_config = FrameConfig(FLAGS.image_size, FLAGS.crop_share)
        config = PairConfig(
            misalignment_seconds=FLAGS.misalignment_seconds, negatives="independent"
        )
        number = min(FLAGS.number, records.count())
        batches = open_training(records, PipelineConfig(number, FLAGS.seed, random_access=True))
        dataset = batches.dataset(
            sample=lambda batch, seed: pairs.combine(batch, config, seed),
            draw=lambda example, seed: pairs.draw(example, config, frame_config, encoding, seed),
        )
        panels = contact_sheets.pair_panels(next(dataset.take(1).as_numpy_iterator()))
    title = f"{FLAGS.show} of {FLAGS.input_pattern}"
    pictures.contact_sheet(FLAGS.output, panels, FLAGS.columns, title)
    print(f"{len(panels)} pictures of {kind}s: {FLAGS.output}")


if __name__ == "__main__":
    commands.run(main)
