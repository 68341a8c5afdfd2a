r"""Reports how closely speech follows the picture in narrated videos, and what is said.

Boggust et al. 2019, section 4. Each analysis is made where its files are given:

  --transcripts and --posteriors: the share of frames of a class near which a word of one of
      its likeliest names is said, by the length of the window; a table and a curve
  --transcripts and --words: how many words of a list are said in a video
  --lengths: numbers and lengths of videos by subset, of a manifest.csv or video,split,seconds
  --metadata and --languages: which videos are kept; all other analyses are of these only, and
      OUTPUT/videos.csv is a label table of launch/convert_clips.py with them
  --lengths, --transcripts and --words: OUTPUT/gallery.csv, a label table of 1000 pairs whose
      sound says a word of the list (the subset of --gallery_subset)

Example, on the bundled transcripts:

  python -m launch.analyze_transcripts --transcripts=testdata/narration/transcripts \
      --posteriors=testdata/narration/posteriors.csv --words=testdata/narration/words.txt \
      --lengths=testdata/narration/lengths.csv --metadata=testdata/narration/metadata.csv \
      --languages=en --gallery_subset=validation --output=/tmp/transcripts

writes report.md and report.json, and with matplotlib installed synchronization.png.
"""

import os

from absl import flags

from launch import commands, weak_flags

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(weak_flags)
flags.DEFINE_string("words", "", "text file with a word or name a line")
flags.DEFINE_string("lengths", "", "CSV with video, split, seconds; such as a manifest.csv")
flags.DEFINE_string("metadata", "", "CSV or JSON with the language of each video")
flags.DEFINE_list("languages", [], "tags of the languages to keep, such as en")
flags.DEFINE_string("video_column", "video", "of --metadata")
flags.DEFINE_string("language_column", "language", "of --metadata")
flags.DEFINE_string("gallery_subset", "", "subset of --lengths that the gallery is drawn from")
flags.DEFINE_string("output", "", "folder to be made")


def main() -> None:
    """Analyses what is given and prints the report."""
    from avc import transcript_analysis
    from crossmodal import configuration

    changes = weak_flags.changes()
    config = configuration.override(transcript_analysis.AnalysisConfig(), changes)
    inputs = transcript_analysis.Inputs(
        FLAGS.transcripts, FLAGS.posteriors, FLAGS.words, FLAGS.lengths, FLAGS.metadata,
        tuple(FLAGS.languages), FLAGS.video_column, FLAGS.language_column, FLAGS.gallery_subset,
    )
    print(transcript_analysis.run(inputs, FLAGS.output, config))
    print(f"report: {os.path.join(FLAGS.output, transcript_analysis.REPORT)}.md")


if __name__ == "__main__":
    commands.run(main)
