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

from launch import commands, fields

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "transcripts", "", "folder of WebVTT, SRT or CSV files, or glob patterns separated by commas"
)
flags.DEFINE_string("posteriors", "", "CSV files of posteriors: glob patterns, by commas")
flags.DEFINE_string("output", "", "folder to be made")
flags.DEFINE_list("set", [], "fields of the configuration that differ: name=value,...")


def main() -> None:
    """Labels as the flags say and prints what became of the frames."""
    from avc import labelling
    from crossmodal import configuration

    changes = dict(fields.assignment(item) for item in FLAGS.set)
    config = configuration.override(labelling.Labelling(), changes)
    print(labelling.run(FLAGS.transcripts, FLAGS.posteriors, FLAGS.output, config))


if __name__ == "__main__":
    commands.run(main)
