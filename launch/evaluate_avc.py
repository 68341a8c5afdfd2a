r"""Evaluates audio-visual networks on clips and scenes that they were not trained on.

Accuracy of correspondence; Recall@K and, with --ontology, nDCG@30 beside chance, L3-Net and
L3-Net aligned by CCA; on scenes, and with --vggss, localisation, and whether the heat map
listens. Prints tables with the rows of Objects that Sound and writes JSON.

Example (half a minute on two cores, after a training run):

  python -m launch.evaluate_avc --workdir=/tmp/avol --ontology=ontology.json \
      --eval_pattern='testdata/scenes/test-*.tfrecord' \
      --swap_pattern='testdata/scenes/test_swap-*.tfrecord'

With the baselines of the paper:

  python -m launch.evaluate_avc --workdir=/tmp/ave --baseline_workdir=/tmp/l3 \
      --train_pattern='/data/scenes/train-*.tfrecord' --ontology=ontology.json \
      --eval_pattern='/data/scenes/test-*.tfrecord' --figures=/tmp/figures
"""

import dataclasses
import os

from absl import flags

from avc import (
    clip_features,
    embedding,
    evaluation_classes,
    evaluation_figures,
    evaluation_report,
    evaluation_tables,
    hearing_reference,
    ontology,
    vggss,
)
from avc.embedding import TrainedNetwork
from avc.evaluation import MOMENTS, Evaluated
from avc.evaluation_protocol import Protocol
from avc.evaluation_report import ClipSet
from avc.hearing import HearingConfig
from avc.reading import open_clips
from avc.relevance import RelevanceConfig
from avc.retrieval_scores import System
from avc.retrieval_systems import Systems
from avc.scene_truth import TruthConfig
from crossmodal import configuration, cumulative_gain, files, reports
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.localization import LocalizationConfig
from crossmodal.ndcg import NdcgConfig
from crossmodal.opening import report_damage
from launch import commands

# Boggust et al. 2019, section 5.
PAIRS_OF_DAVENET = 1000

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "Work folder of a training run.")
flags.DEFINE_string("baseline_workdir", "", "The same of an L3-Net to compare with.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of the work folders.")
flags.DEFINE_list("embeddings", [], "Further systems: .npz files with ids, visual and audio.")
flags.DEFINE_list("train_embeddings", [], "For each of --embeddings what its CCA is fitted on.")
flags.DEFINE_string("eval_pattern", None, "Clips to evaluate on: glob patterns, by commas.")
flags.DEFINE_string(
    "train_pattern", "", "Clips that L3-Net's CCA, or --hearing_reference, is trained on."
)
flags.DEFINE_bool("hearing_reference", False, "On scenes: a classifier of sounds with labels.")
flags.DEFINE_integer("hearing_steps", HearingConfig().steps, "Of its training.", lower_bound=1)
flags.DEFINE_string("swap_pattern", "", "Scenes of swap pairs, for the swap test.")
flags.DEFINE_string("ontology", "", "AudioSet's ontology.json: measures nDCG by the labels.")
flags.DEFINE_string("vggss", "", "vggss.json: localises on those clips of --eval_pattern.")
flags.DEFINE_enum("moment", "random", MOMENTS, "When in each clip its pair is.")
flags.DEFINE_enum("clips_per_video", "one", ["one", "all"], "Of one video in retrieval.")
flags.DEFINE_enum("gain", "exponential", cumulative_gain.FORMS, "Of a relevance, in nDCG.")
flags.DEFINE_bool("include_self", False, "nDCG: the query's own clip is a candidate, too.")
flags.DEFINE_float("relevance_offset", 20.0, "C of nDCG's relevance, C - distance.")
flags.DEFINE_integer("num_permutations", 0, "nDCG of permuted classes; 0: none.", lower_bound=0)
flags.DEFINE_list("gallery_sizes", [], "Clips in a gallery; `all` for all; empty: what fits.")
flags.DEFINE_integer("num_galleries", 50, "Random galleries of each size.", lower_bound=1)
flags.DEFINE_float("fixed_threshold", 0.5, "Fixed threshold of maps stretched to 0 to 1.")
flags.DEFINE_float("least_visible", 0.5, "Share of an object that the crop must show.")
flags.DEFINE_float("audible_dbfs", -60.0, "Level from which a scene's second counts as audible.")
flags.DEFINE_integer("seed", 0, "Of moments, galleries and resampling.")
flags.DEFINE_string("output", "", "JSON report; default: evaluation.json in --workdir.")
flags.DEFINE_string("figures", "", "Folder for charts and pictures as PNG.")
flags.DEFINE_integer("num_classes_shown", 10, "First and last rows of the table by class.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flag_as_required("eval_pattern")


def protocol() -> Protocol:
    """What the flags say of how to measure.

    Raises:
      ConfigurationError: a value that cannot work.
    """
    sizes = []
    for text in FLAGS.gallery_sizes:
        if text != "all" and not (text.isdigit() and int(text) > 0):
            raise ConfigurationError(f"--gallery_sizes: {text!r} is neither a number nor `all`")
        sizes.append(0 if text == "all" else int(text))
    return Protocol(
        FLAGS.seed,
        FLAGS.moment,
        FLAGS.clips_per_video,
        tuple(sizes),
        FLAGS.num_galleries,
        FLAGS.num_permutations,
        NdcgConfig(gain=FLAGS.gain, include_self=FLAGS.include_self),
        RelevanceConfig(FLAGS.relevance_offset),
        LocalizationConfig(fixed_threshold=FLAGS.fixed_threshold),
        TruthConfig(FLAGS.least_visible, FLAGS.audible_dbfs),
    )


def check_flags() -> None:
    """Raises ConfigurationError for flags that do not go together."""
    if not FLAGS.workdir and not FLAGS.embeddings:
        raise ConfigurationError("give --workdir, --embeddings or both")
    if FLAGS.train_embeddings and len(FLAGS.train_embeddings) != len(FLAGS.embeddings):
        raise ConfigurationError("--train_embeddings needs a file for each of --embeddings")
    for name in ("swap_pattern", "vggss"):
        if FLAGS[name].value and not FLAGS.workdir:
            raise ConfigurationError(f"--{name} needs --workdir")
    if FLAGS.hearing_reference and not (FLAGS.workdir and FLAGS.train_pattern):
        raise ConfigurationError("--hearing_reference needs --workdir and --train_pattern")


def networks() -> list[TrainedNetwork | None]:
    """The network and the baseline that the flags name.

    Raises:
      UserError: there is none, or the network has no heat map and is asked for one.
    """
    loaded = [
        embedding.load(path, FLAGS.checkpoint) if path else None
        for path in (FLAGS.workdir, FLAGS.baseline_workdir)
    ]
    if (FLAGS.vggss or FLAGS.swap_pattern) and not loaded[0].localizes:
        raise UserError(
            f"--workdir={FLAGS.workdir}: its network has no heat map; avol and davenet have"
        )
    aligned = any(each and needs_alignment(each) for each in loaded)
    if FLAGS.train_pattern and not aligned and not FLAGS.hearing_reference:
        raise ConfigurationError(
            "--train_pattern is for the CCA of an L3-Net, named by --baseline_workdir, or for"
            " --hearing_reference"
        )
    return loaded


def needs_alignment(network: TrainedNetwork) -> bool:
    """Whether a network's two spaces have nothing to do with each other."""
    return network.config.network.network == "l3"


def open_set(name: str) -> ClipSet | None:
    """The clips that a flag names; None where it is empty."""
    pattern = FLAGS[name].value
    return ClipSet(*open_clips(pattern, name, FLAGS.on_bad_record)) if pattern else None


def gather_systems(
    systems: Systems,
    found: list[tuple[TrainedNetwork, Evaluated]],
    train: ClipSet | None,
    rules: Protocol,
) -> None:
    """All systems of the retrieval tables, each network with what it says of the clips."""
    for network, own in found:
        fit = train and needs_alignment(network)
        trained = evaluation_report.embed(network, train, rules) if fit else None
        systems.add_network(network.config.recipe, own, trained)
    fits = FLAGS.train_embeddings or [""] * len(FLAGS.embeddings)
    for path, fit in zip(FLAGS.embeddings, fits, strict=True):
        name = os.path.splitext(os.path.basename(path))[0]
        systems.add_file(name, path, fit)


def main() -> None:
    """Evaluates as the flags say, prints tables and writes the report."""
    check_flags()
    rules = protocol()
    output = FLAGS.output or (FLAGS.workdir and os.path.join(FLAGS.workdir, "evaluation.json"))
    if output:
        files.check_writable(output, "output")
    classes = ontology.read(FLAGS.ontology) if FLAGS.ontology else None
    items = vggss.read(FLAGS.vggss) if FLAGS.vggss else None
    network, baseline = networks()
    clips, train, swapped = map(open_set, ("eval_pattern", "train_pattern", "swap_pattern"))
    names = clip_features.read_names(clips.records)
    parts, found, own = {}, [], None
    if network:
        own = evaluation_report.embed(network, clips, rules)
        found.append((network, own))
        truths = evaluation_report.truths_of(clips, own, network.config, rules)
        kind = network.config.network.network
        reference = FLAGS.hearing_reference and hearing_reference.compare(
            network.config, train, clips, own, truths, rules,
            HearingConfig(steps=FLAGS.hearing_steps, seed=rules.seed),
        )
        parts["avc"] = evaluation_report.correspondence(own, truths, kind, rules, reference)
        if truths and own.heatmap is not None:
            parts["localization"] = evaluation_report.localization(own, truths, rules)
    if swapped:
        parts["swap"] = evaluation_report.swap(network, swapped, rules)
    if items:
        parts["vggss"] = evaluation_report.vggss(network, clips, items, rules)
    if baseline:
        found.append((baseline, evaluation_report.embed(baseline, clips, rules)))
    rows = evaluation_report.taking_part(names, rules)
    systems = Systems(rows, names.id[rows], rules.seed)
    gather_systems(systems, found, train, rules)
    kind = network.config.network.network if network else ""
    rules = paper_galleries(rules, kind, len(rows))
    parts["recall"] = evaluation_report.recall(systems, rules, kind)
    if classes:
        parts["ndcg"] = evaluation_report.ndcg(systems, names, classes, rules)
    by_class = evaluation_classes.measure(
        names, classes, rules, own, rows, comparable(network, systems), FLAGS.num_classes_shown
    )
    parts |= {"by_class": by_class} if by_class else {}
    print(f"\n{len(names.id)} clips of {FLAGS.eval_pattern}\n")
    print(evaluation_tables.join([table for _, tables in parts.values() for table in tables]))
    report = {name: result for name, (result, _) in parts.items()}
    report_damage(*(opened.records for opened in (clips, train, swapped) if opened))
    if output:
        whole = report | {
            "clips": len(names.id),
            "eval_pattern": FLAGS.eval_pattern,
            "protocol": configuration.to_dict(rules),
            "avc_config": configuration.to_dict(network.config) if network else None,
        }
        reports.write_json(output, whole)
        print(f"\nreport: {output}")
    if FLAGS.figures:
        drawn = evaluation_figures.draw(
            FLAGS.figures, report, systems, clips, names, classes, own, rules.seed
        )
        print("\n".join(drawn))


def paper_galleries(rules: Protocol, kind: str, pairs: int) -> Protocol:
    """With galleries of 1000, as DAVEnet's paper has them, unless the flag says otherwise."""
    if kind != "davenet" or rules.gallery_sizes or pairs < PAIRS_OF_DAVENET:
        return rules
    return dataclasses.replace(rules, gallery_sizes=(PAIRS_OF_DAVENET,))


def comparable(network: TrainedNetwork | None, systems: Systems) -> System | None:
    """The first system, unless its two spaces have nothing to do with each other."""
    if network and needs_alignment(network):
        return None
    return next(iter(systems.systems.values()))


if __name__ == "__main__":
    commands.run(main)
