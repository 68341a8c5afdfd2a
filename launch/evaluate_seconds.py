r"""Evaluates whether a second of picture finds the second of sound it belongs to.

Within its own video and in galleries of seconds of many videos, both ways, with chance,
95 % intervals over videos, and a control: the same sounds, their seconds in a random order
before they are embedded. Prints a table and writes JSON. See docs/temporal.md.

Example, on planted records (docs/temporal.md makes them and the model):

  python -m launch.evaluate_seconds --workdir=/tmp/temporal \
      --eval_pattern='/tmp/seconds/validate*.tfrecord' --topic_model=/tmp/seconds/topic_model.json
"""

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
from absl import flags

from crossmodal import configuration, files, reports
from crossmodal.errors import ConfigurationError
from crossmodal.opening import report_damage
from crossmodal.reading import Records, parsed_blocks
from launch import commands
from yt8m_embed import embedding, second_retrieval, topic_model
from yt8m_embed.embedded import VideoSeconds
from yt8m_embed.reading import open_records
from yt8m_embed.records import dequantize_array
from yt8m_embed.second_retrieval import SecondProtocol

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "Work folder of a training run.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of --workdir.")
flags.DEFINE_string("saved_model", "", "Exported model, instead of --workdir.")
flags.DEFINE_string("eval_pattern", None, "Frame-level shards: glob patterns, by commas.")
flags.DEFINE_integer("tolerance_seconds", 0, "How far from the true second a hit may be.",
                     lower_bound=0)
flags.DEFINE_integer("min_seconds", 10, "Shorter videos are left out.", lower_bound=1)
flags.DEFINE_list("gallery_sizes", ["256", "1024"], "Seconds in a gallery across videos.")
flags.DEFINE_integer("num_galleries", 20, "Random galleries of each size.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of galleries, resampling and the control.")
flags.DEFINE_bool("control", True, "Measure sounds of shuffled seconds too.")
flags.DEFINE_string("topic_model", "", "topic_model.json of planted records: adds a reference.")
flags.DEFINE_string("output", "", "JSON report; default: seconds.json in --workdir.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flag_as_required("eval_pattern")


def protocol() -> SecondProtocol:
    """What the flags say.

    Raises:
      ConfigurationError: a size is not a number above 0.
    """
    for text in FLAGS.gallery_sizes:
        if not (text.isdigit() and int(text) > 0):
            raise ConfigurationError(f"--gallery_sizes: {text!r} is not a number above 0")
    return SecondProtocol(
        FLAGS.tolerance_seconds,
        FLAGS.min_seconds,
        tuple(int(text) for text in FLAGS.gallery_sizes),
        FLAGS.num_galleries,
        FLAGS.seed,
    )


def reference(records: Records) -> Iterator[VideoSeconds]:
    """The embeddings of planted records whose dot product is what two seconds alone can say."""
    model = topic_model.load_topic_model(FLAGS.topic_model)
    for block in parsed_blocks(records):
        for row, count in enumerate(block["num_frames"]):
            pair = model.optimal_embeddings(
                *(dequantize_array(block[name][row, :count]) for name in ("rgb", "audio"))
            )
            yield VideoSeconds(block["id"][row], *(part.astype(np.float32) for part in pair))


def main() -> None:
    """Evaluates as the flags say, prints a table and writes the report."""
    if bool(FLAGS.workdir) == bool(FLAGS.saved_model):
        raise ConfigurationError("give either --workdir or --saved_model")
    rules = protocol()
    model = embedding.load(FLAGS.workdir or FLAGS.saved_model, FLAGS.checkpoint)
    output = FLAGS.output or (FLAGS.workdir and os.path.join(FLAGS.workdir, "seconds.json"))
    if output:
        files.check_writable(output, "output")
    kind, records = open_records(
        FLAGS.eval_pattern, model.config.model.num_classes, "eval_pattern", FLAGS.on_bad_record
    )
    model.check_kind(kind)
    name = model.config.recipe
    systems = {name: second_retrieval.evaluate(model.embed_seconds(records), rules)}
    if FLAGS.control:
        shuffled = model.embed_seconds(records, shuffle_seed=FLAGS.seed)
        systems[f"{name}, shuffled sound"] = second_retrieval.evaluate(shuffled, rules)
    if FLAGS.topic_model:
        systems["single seconds, planted model"] = second_retrieval.evaluate(
            reference(records), rules
        )
    print(second_retrieval.table(systems))
    report_damage(records)
    if output:
        report = {
            "systems": systems,
            "eval_pattern": FLAGS.eval_pattern,
            "protocol": dataclasses.asdict(rules),
            "embedding": configuration.to_dict(model.config),
        }
        reports.write_json(output, report)
        print(f"report: {output}")


if __name__ == "__main__":
    commands.run(main)
