"""Which YouTube-8M files go into which shard of a conversion."""

import os
from collections.abc import Sequence

import tensorflow as tf

from crossmodal import shard_plan
from crossmodal.errors import UserError
from crossmodal.shard_plan import Plan


def make_plan(
    output: str, settings: dict, inputs: Sequence[str], patterns: str, num_shards: int
) -> Plan:
    """Assigns input files to shards: consecutive files, as even as can be.

    Args:
      output: the prefix, or a folder if it ends in "/" or is one (then the prefix is
        `records` inside it).
      settings: see Plan.
      inputs: the files, sorted.
      patterns: the patterns that named them, separated by commas.
      num_shards: 0 for as many as inputs.

    Raises:
      UserError: there are fewer inputs than shards, the patterns name the output too,
        or a file cannot be read.
    """
    if not output:
        raise UserError("--output is empty: name the prefix of the shards, or a folder")
    if output.endswith("/") or tf.io.gfile.isdir(output):
        output = os.path.join(output, "records")
    groups = shard_plan.divide(inputs, num_shards)
    prefix = shard_plan.absolute(output)
    stem = os.path.basename(prefix)
    plan = Plan(
        prefix,
        settings,
        tuple(shard_plan.shard_name(stem, i, len(groups)) for i in range(len(groups))),
        tuple(tuple(shard_plan.describe(path) for path in group) for group in groups),
        (stem,),
    )
    shard_plan.check_apart(plan, patterns, "input_pattern", output)
    return plan
