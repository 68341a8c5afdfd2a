r"""Evaluates a joint embedding on held-out YouTube-8M shards.

Recall@1/5/10, median rank and MRR in both directions on many random galleries, with
chance, the paper's numbers, a CCA baseline and intervals; per class; the classifier's
GAP and mAP; and the nearest other video for some examples. Prints tables and writes JSON.

Example (about 20 seconds on 2 cores and 800 videos):

  python -m launch.evaluate_yt8m --workdir=/tmp/embedding --baseline=cca \
      --eval_pattern='testdata/yt8m/dev/*.tfrecord' --gallery_sizes=256,512 \
      --output=/tmp/embedding/evaluation.json

For 5,800 videos at N = 256, 512, 1024 it takes about a minute, the fit of CCA included.
"""

import dataclasses
import os

from absl import flags

from crossmodal import class_dependence, configuration, files, galleries, reports
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.opening import report_damage
from crossmodal.reading import Holdout, Records
from launch import commands
from yt8m_embed import embedding, evaluation, norm_leak, topic_model
from yt8m_embed.evaluation import Protocol
from yt8m_embed.moments import normalized_blocks, stack
from yt8m_embed.reading import open_records
from yt8m_embed.records import read_vocabulary
from yt8m_embed.training import find_workdir_data

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "Work folder of a training run.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of --workdir.")
flags.DEFINE_string("saved_model", "", "Exported model, instead of --workdir.")
flags.DEFINE_string("eval_pattern", None, "Shards to evaluate on: glob patterns, by commas.")
flags.DEFINE_string("train_pattern", "", "Shards for the baseline; default: those of the run.")
flags.DEFINE_enum("baseline", "none", ["none", "cca"], "What to compare with, query by query.")
flags.DEFINE_list("gallery_sizes", ["256", "512", "1024"], "Videos in a gallery; `all` for all.")
flags.DEFINE_integer("num_galleries", 50, "Random galleries of each size.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of galleries, resampling and examples.")
flags.DEFINE_string("output", "", "JSON report; default: evaluation.json in --workdir.")
flags.DEFINE_string("vocabulary", "", "vocabulary.csv of the data set, for label names.")
flags.DEFINE_integer("num_examples", 4, "Random videos to show the nearest other video of.")
flags.DEFINE_list("example_ids", [], "Ids of the videos to show instead.")
flags.DEFINE_integer("num_classes_shown", 10, "Rows of the printed tables of classes.")
flags.DEFINE_string("figures", "", "Folder for a chart of the classes as PNG.")
flags.DEFINE_bool("brief", False, "Print the retrieval tables only; the report has all.")
flags.DEFINE_string("topic_model", "", "topic_model.json of synthetic data: adds its ceiling.")
flags.DEFINE_bool("joint_pairs", False, "Normalise true pairs jointly, as in training: leaks.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flag_as_required("eval_pattern")


def protocol() -> Protocol:
    """The gallery sizes and numbers that the flags name.

    Raises:
      ConfigurationError: a size is not a number.
    """
    sizes = []
    for text in FLAGS.gallery_sizes:
        if text != "all" and not (text.isdigit() and int(text) > 0):
            raise ConfigurationError(f"--gallery_sizes: {text!r} is neither a number nor `all`")
        sizes.append(0 if text == "all" else int(text))
    return Protocol(tuple(sizes), FLAGS.num_galleries, FLAGS.seed)


def load_model() -> embedding.JointEmbedding:
    """The model of --workdir or --saved_model.

    Raises:
      ConfigurationError: not exactly one of the two is given.
    """
    if bool(FLAGS.workdir) == bool(FLAGS.saved_model):
        raise ConfigurationError("give either --workdir or --saved_model")
    return embedding.load(FLAGS.workdir or FLAGS.saved_model, FLAGS.checkpoint)


def baseline_records(model: embedding.JointEmbedding) -> Records:
    """What the baseline is fitted on: the very records that the run was trained on."""
    pattern, holdouts = FLAGS.train_pattern, ()
    if FLAGS.workdir:
        data = find_workdir_data(FLAGS.workdir)
        pattern = pattern or data.train_pattern
        if not data.eval_pattern and data.holdout_percent:
            holdouts = (Holdout(data.holdout_percent),)
    if not pattern:
        raise ConfigurationError("--baseline=cca with --saved_model needs --train_pattern")
    classes = model.config.model.num_classes
    _, records = open_records(pattern, classes, "train_pattern", FLAGS.on_bad_record)
    return dataclasses.replace(records, holdouts=holdouts)


def main() -> None:
    """Evaluates as the flags say, prints tables and writes the report."""
    rules, model = protocol(), load_model()
    output = FLAGS.output or (FLAGS.workdir and os.path.join(FLAGS.workdir, "evaluation.json"))
    if output:
        files.check_writable(output, "output")
    names = read_vocabulary(FLAGS.vocabulary) if FLAGS.vocabulary else {}
    classes = model.config.model.num_classes
    kind, records = open_records(
        FLAGS.eval_pattern, classes, "eval_pattern", FLAGS.on_bad_record
    )
    model.check_kind(kind)
    sizes = rules.sizes(records.count())
    if max(sizes) > records.count():
        raise UserError(
            f"--gallery_sizes: a gallery of {max(sizes)} videos needs as many, "
            f"--eval_pattern={FLAGS.eval_pattern} has {records.count()}"
        )
    fitted_on = baseline_records(model) if FLAGS.baseline == "cca" else None
    best = ceiling(records, rules) if FLAGS.topic_model else None
    found = model.embed_records(records, progress=True, joint_pairs=FLAGS.joint_pairs)
    shown = evaluation.examples(found, names, FLAGS.num_examples, FLAGS.seed, FLAGS.example_ids)
    systems = {"chance": galleries.chance(sizes)}
    if not FLAGS.topic_model:  # beside synthetic data the paper's numbers say nothing
        systems["Suris et al. 2018, their data"] = evaluation.published_recall(sizes)
    if FLAGS.joint_pairs:
        systems["joint norms alone"] = leak(records, sizes, rules)
    compared = None
    if fitted_on:
        fitted = evaluation.fit_baseline(fitted_on, FLAGS.seed)
        compared = evaluation.measure(evaluation.embed_with_cca(fitted, records), rules)
        systems["CCA"] = galleries.summarise(compared)
    scores = evaluation.measure(found, rules, progress=True)
    own = galleries.summarise(scores)
    systems[model.config.recipe] = own
    if best:
        systems["best possible"] = best
    report = {
        **own,
        "systems": systems,
        "intervals": evaluation.intervals(scores, compared, FLAGS.seed),
        "per_class": evaluation.classes(scores, found, sizes),
        "by_class": class_dependence.measure(
            {"recall@10": class_dependence.recall(scores, max(sizes))}, found.labels
        ),
        "classifier": evaluation.classifier_quality(model, found),
        "examples": shown,
        "videos": len(found.ids),
        "eval_pattern": FLAGS.eval_pattern,
        "protocol": dataclasses.asdict(rules),
        "embedding": configuration.to_dict(model.config),
    }
    show(report, names)
    report_damage(*([fitted_on] if fitted_on else []), records)
    if output:
        reports.write_json(output, report)
        print(f"report: {output}")
    if FLAGS.figures and report["by_class"]["classes"]:
        path = os.path.join(FLAGS.figures, "classes.png")
        class_dependence.draw(path, report["by_class"], names)
        print(f"figure: {path}")


def leak(records: Records, sizes: list[int], rules: Protocol) -> dict:
    """Recall of the norms alone under joint normalisation."""
    visual, audio = stack(normalized_blocks(records, "none"))
    result = {}
    for size in sizes:
        result |= norm_leak.norm_only_recall(visual, audio, size, rules.num_galleries, rules.seed)
    return result


def ceiling(records: Records, rules: Protocol) -> dict:
    """The best possible scores on synthetic records."""
    truth = topic_model.load_topic_model(FLAGS.topic_model)
    visual, audio = truth.optimal_embeddings(
        *stack(normalized_blocks(records, "none"))
    )
    scores = galleries.evaluate(
        visual, audio, rules.sizes(len(visual)), rules.num_galleries, rules.seed
    )
    return galleries.summarise(scores)


def show(report: dict, names: dict[int, str]) -> None:
    """Prints the report for reading."""
    print(f"\n{report['videos']} videos of {report['eval_pattern']}\n")
    print(reports.retrieval_table(report["systems"]))
    if FLAGS.brief:
        return
    lines = [
        f"{key}: {evaluation.interval_line(key, value)}"
        for key, value in report["intervals"].items()
        if "over_baseline" in value
    ]
    if lines:
        print("\ndifference to the baseline, query by query (percentage points)\n")
        print("\n".join(lines))
    if report["classifier"]:
        print("\nclassifier: " + ", ".join(f"{k} {v:.3f}" for k, v in report["classifier"].items()))
    for direction, table in report["per_class"].items():
        print(f"\n{reports.TITLES[direction]}, by class\n")
        print(reports.class_table(table, names, FLAGS.num_classes_shown))
    print("\nsound and picture by class, those that fit best first and last\n")
    print(class_dependence.table(report["by_class"], names, FLAGS.num_classes_shown))
    print("\nnearest other video\n")
    print(evaluation.examples_text(report["examples"]))
    print()


if __name__ == "__main__":
    commands.run(main)
