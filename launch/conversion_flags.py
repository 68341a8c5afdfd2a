"""Flags of all conversions: where and how the Beam job runs."""

import shlex
from typing import Any

from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("runner", "DirectRunner", "name of the Beam runner")
flags.DEFINE_integer(
    "num_workers", 0, "processes of the DirectRunner; 0: one a core", lower_bound=0
)
flags.DEFINE_string(
    "pipeline_options", "", "passed on to Beam, such as '--project=mine --region=europe-west1'"
)


def execution() -> Any:
    """The crossmodal.beam_conversion.Execution of the flags; imports Beam."""
    from crossmodal.beam_conversion import Execution

    return Execution(FLAGS.runner, FLAGS.num_workers, tuple(shlex.split(FLAGS.pipeline_options)))
