"""Flags of all conversions: where and how the Beam job runs."""

import shlex
from typing import Any

from absl import flags

from crossmodal.errors import UserError

FLAGS = flags.FLAGS
flags.DEFINE_string("runner", "DirectRunner", "name of the Beam runner")
flags.DEFINE_integer(
    "num_workers", 0, "processes of the DirectRunner; 0: one a core", lower_bound=0
)
flags.DEFINE_string(
    "pipeline_options", "", "passed on to Beam, such as '--project=mine --region=europe-west1'"
)


def execution() -> Any:
    """The crossmodal.beam_conversion.Execution of the flags; imports Beam.

    Raises:
      UserError: the quotes of --pipeline_options do not match.
    """
    from crossmodal.beam_conversion import Execution

    try:
        options = tuple(shlex.split(FLAGS.pipeline_options))
    except ValueError as error:
        raise UserError(f"--pipeline_options={FLAGS.pipeline_options}: {error}") from error
    return Execution(FLAGS.runner, FLAGS.num_workers, options)
