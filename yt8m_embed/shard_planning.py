"""Which YouTube-8M files go into which shard of a conversion."""

import itertools
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
    groups = _divide(inputs, num_shards)
    prefix = shard_plan.absolute(output)
    stem = os.path.basename(prefix)
    plan = Plan(
        prefix,
        settings,
        tuple(shard_plan.shard_name(stem, i, len(groups)) for i in range(len(groups))),
        tuple(tuple(shard_plan.describe(path) for path in group) for group in groups),
        (stem,),
    )
    for pattern in patterns.split(","):
        if shard_plan.matches(shard_plan.absolute(pattern), plan.final(0)):
            raise UserError(
                f"--input_pattern={pattern} names files of --output={output} too:"
                " choose another folder or prefix"
            )
    return plan


def _divide(inputs: Sequence[str], num_shards: int) -> list[Sequence[str]]:
    """Divides inputs among shards: consecutive ones, as even as can be."""
    count = num_shards or len(inputs)
    if not 0 < count <= len(inputs):
        raise UserError(
            f"--num_shards={num_shards} does not fit {len(inputs)} input files: a shard holds"
            " whole files, so 0 (one each) to that many are possible"
        )
    bounds = [i * len(inputs) // count for i in range(count + 1)]
    return [inputs[a:b] for a, b in itertools.pairwise(bounds)]
