r"""Makes weakly labelled pairs for several lengths T of the sound around a frame.

For each length, launch/label_pairs.py's pairs with sounds of that length and names that are
searched in just these: OUTPUT/T=20/pairs.csv, clips.csv and labels.json. A table says how many
pairs there are, and OUTPUT/commands.sh holds the commands that convert, train and compare.

Example, on the bundled transcripts:

  python -m launch.sweep_windows --transcripts=testdata/narration/transcripts \
      --posteriors=testdata/narration/posteriors.csv --windows=2,5,10,20 \
      --input=/data/videos --output=/tmp/windows

T of training without labels is a field of the recipe instead, and needs no records of its own:
launch/sweep_avc.py with --grid='segment_seconds=1,2,5'.
"""

import os

from absl import flags

from launch import commands, weak_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(weak_flags)
flags.DEFINE_list("windows", ["2", "5", "10", "20"], "lengths T in seconds")
flags.DEFINE_string("input", "", "folder of the videos, for the commands")
flags.DEFINE_string("recipe", "davenet", "recipe of launch/train_avc.py, for the commands")
flags.DEFINE_string("output", "", "folder to be made")


def main() -> None:
    """Labels for each length and prints how many pairs there are."""
    from avc import labelling, window_sweep
    from crossmodal import configuration

    changes = weak_flags.changes()
    config = configuration.override(labelling.Labelling(), changes)
    windows = window_sweep.parse_windows(FLAGS.windows)
    print(
        window_sweep.run(
            FLAGS.transcripts, FLAGS.posteriors, windows, FLAGS.output, config, FLAGS.input,
            FLAGS.recipe,
        )
    )
    print(f"commands: {os.path.join(FLAGS.output, window_sweep.COMMANDS)}")


if __name__ == "__main__":
    commands.run(main)
