r"""Tries what networks hear: a linear classifier of their frozen features of ESC-50 or ESC-10.

Five folds that the files' names give, ten windows a clip, z-scored features, linear SVMs of one
class against the others, scores averaged over a clip. Rows: each network's audio embedding and
pooled last convolution, the same of random weights, and plain levels of Mel bands.

Examples:

  python -m launch.probe_sounds --workdir=/tmp/l3,/tmp/ave --sounds=/data/esc10 --unheard \
      --output=/tmp/probe.json
  python -m launch.probe_sounds --workdir=/tmp/ave --sounds=/data/ESC-50/audio
"""

import os

import tqdm
from absl import flags

from avc import embedding, openl3_weights, probe_features, sound_folds, sound_probe
from avc.linear_probe import SvmConfig
from avc.probe_features import Extractor, WindowConfig
from crossmodal import configuration, files, reports
from crossmodal.errors import ConfigurationError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_list("workdir", [], "Work folders of trained networks, or exports, by commas.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of the work folders.")
flags.DEFINE_list("openl3", [], "Weights of OpenL3's towers of sound, .h5, by commas.")
flags.DEFINE_string("sounds", None, "Folder of ESC-50's or ESC-10's sounds.")
flags.DEFINE_bool("unheard", False, "Score besides only recordings that no training scene holds.")
flags.DEFINE_bool("random_weights", True, "A row of each network before its training.")
flags.DEFINE_integer("windows", 10, "Of a clip, equally spaced.")
flags.DEFINE_string("grid", "4x3", "Frequency x time to which the last convolution is pooled.")
flags.DEFINE_bool("after_relu", False, "The last convolution's map after its ReLU, not before.")
flags.DEFINE_list("penalties", [], "Candidates of C, in units of 1 / number of features.")
flags.DEFINE_integer("inner_folds", SvmConfig().inner_folds, "Of the training folds, to choose C.")
flags.DEFINE_integer("seed", 0, "Of random weights, division and intervals.", lower_bound=0)
flags.DEFINE_string("output", "", "JSON report; the table goes beside it as .md.")
flags.mark_flag_as_required("sounds")


def configurations() -> tuple[WindowConfig, SvmConfig]:
    """What the flags say of windows and classifier.

    Raises:
      ConfigurationError: a value that cannot work.
    """
    if FLAGS.output and not FLAGS.output.endswith(".json"):
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with .json")
    sides = FLAGS.grid.split("x")
    if not all(side.isdecimal() for side in sides):
        raise ConfigurationError(f"--grid={FLAGS.grid}: it must be of two numbers, as 4x3")
    try:
        penalties = tuple(float(text) for text in FLAGS.penalties) or SvmConfig().penalties
    except ValueError:
        given = ",".join(FLAGS.penalties)
        raise ConfigurationError(f"--penalties={given}: must be numbers, by commas") from None
    return (
        WindowConfig(FLAGS.windows, tuple(map(int, sides)), FLAGS.after_relu),
        SvmConfig(penalties, FLAGS.inner_folds, seed=FLAGS.seed),
    )


def extractors(config: WindowConfig) -> tuple[list[Extractor], list[dict]]:
    """The networks that the flags name, each beside random weights, and the plain features.

    Returns:
      The extractors, the plain one last; and where each network is from, with its configuration.

    Raises:
      UserError: a network cannot be loaded.
    """
    found: dict[str, Extractor] = {}
    networks, untrained = [], []
    for path in FLAGS.workdir:
        network = embedding.load(path, FLAGS.checkpoint)
        name = network.config.recipe
        while name in found:
            name += " (2)"
        found[name] = probe_features.of_network(name, network, config)
        networks.append({"source": path, "config": configuration.to_dict(network.config)})
        made_of = network.config.network
        if FLAGS.random_weights and made_of not in untrained:
            untrained.append(made_of)
            name += ", random weights"
            found[name] = probe_features.of_random_weights(name, made_of, FLAGS.seed, config)
    for path in FLAGS.openl3:
        tower = openl3_weights.load(path, embedding_dim=6144)
        name = f"OpenL3 {os.path.basename(path)}"
        found[name] = probe_features.of_openl3(name, tower)
        networks.append({"source": path, "config": configuration.to_dict(tower.config)})
    return [*found.values(), probe_features.of_mel_levels(config)], networks


def main() -> None:
    """Tests as the flags say, prints the table and writes the report."""
    windows, svm = configurations()
    if FLAGS.output:
        files.check_writable(FLAGS.output, "output")
    sounds = sound_folds.find_sounds(FLAGS.sounds)
    chosen, networks = extractors(windows)
    with tqdm.tqdm(total=len(sounds), desc="features", unit="clip") as bar:
        features = sound_probe.gather(sounds, chosen, windows.windows, bar.update)
    with tqdm.tqdm(features, desc="classifiers") as bar:
        result = sound_probe.measure(
            features, sounds, FLAGS.unheard, svm, lambda name: bar.update()
        )
    shown = sound_probe.describe(result)
    print(f"\n{shown}")
    if FLAGS.output:
        result |= {
            "sounds": FLAGS.sounds,
            "networks": networks,
            "configuration": {
                "windows": configuration.to_dict(windows), "svm": configuration.to_dict(svm)
            },
        }
        reports.write_json(FLAGS.output, result)
        beside = os.path.splitext(FLAGS.output)[0] + ".md"
        files.write_text(beside, shown + "\n")
        print(f"\nreport: {FLAGS.output}\ntable: {beside}")


if __name__ == "__main__":
    commands.run(main)
