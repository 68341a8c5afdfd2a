"""Flags of the commands that read what is said in videos and what is seen."""

from absl import flags

from launch import fields

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "transcripts", "", "folder of WebVTT, SRT or CSV files, or glob patterns separated by commas"
)
flags.DEFINE_string("posteriors", "", "CSV files of posteriors: glob patterns, by commas")
flags.DEFINE_list("set", [], "fields of the configuration that differ: name=value,...")


def changes() -> dict[str, object]:
    """The fields of a configuration that --set changes.

    Raises:
      ConfigurationError: a part of --set is not name=value.
    """
    return dict(fields.assignment(item) for item in FLAGS.set)
