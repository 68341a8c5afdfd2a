r"""Finds weakly labelled pairs of a frame and the sound around it, from words and posteriors.

A frame to which a classifier gives a class with a posterior of at least 0.5, and one of whose
five likeliest class names is said in the 20 s around it, is a positive pair with that sound;
as many frames that show nothing of the kind (`none_posterior` of at least 0.95) are pairs
with 1 s of sound (Boggust et al. 2019, section 6).

Example, on the bundled transcripts:

  python -m launch.label_pairs --transcripts=testdata/narration/transcripts \
      --posteriors=testdata/narration/posteriors.csv --output=/tmp/weak

writes pairs.csv, labels.json (settings and counts) and, last, clips.csv: the label table with
which launch/convert_clips.py makes a record of each pair. docs/weak_supervision.md goes on
from there.
"""

from absl import flags

from launch import commands, weak_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(weak_flags)
flags.DEFINE_string("output", "", "folder to be made")


def main() -> None:
    """Labels as the flags say and prints what became of the frames."""
    from avc import labelling
    from crossmodal import configuration

    changes = weak_flags.changes()
    config = configuration.override(labelling.Labelling(), changes)
    print(labelling.run(FLAGS.transcripts, FLAGS.posteriors, FLAGS.output, config))


if __name__ == "__main__":
    commands.run(main)
