r"""Puts the best-fitting sound of a collection under a video, or its pictures over a sound.

The collection is one or several .npz files of embed_avc, and the folder of its media files;
the network is the one that embedded it. --mode=whole takes one source for all of the clip;
--mode=seconds the best path through many, with cross-fades. The sources are printed and
written to OUTPUT.json; the video's own sound is never taken unless --allow_own is given.

Examples (some seconds to start, then about as long as the clip lasts):

  python -m launch.sonorize --video=silent.mp4 --database=/tmp/videos.npz --media=/data/videos \
      --workdir=/tmp/ave --output=/tmp/sonorised.mp4
  python -m launch.sonorize --audio=rain.wav --database=/tmp/videos.npz --media=/data/videos \
      --workdir=/tmp/ave --mode=seconds --output=/tmp/illustrated.mp4
"""

import os

import numpy as np
import tqdm
from absl import flags

from avc import embedding, illustration, queries, remux, sonorization, source_choice, source_sounds
from avc.embedding import TrainedNetwork
from avc.illustration import IllustrateConfig
from avc.queries import QueryConfig
from avc.sonorization import SonorizeConfig, Taken
from avc.source_choice import ChoiceConfig
from avc.source_files import Sources
from crossmodal import collection, configuration, files, index, reports
from crossmodal.errors import ConfigurationError
from launch import commands
from launch.seconds_bar import seconds_bar

FLAGS = flags.FLAGS
flags.DEFINE_string("video", "", "A video that gets a sound; it needs none.")
flags.DEFINE_string("audio", "", "A sound that gets pictures: any file that holds one.")
flags.DEFINE_string("database", None, "Files of embeddings, .npz: names or patterns, by commas.")
flags.DEFINE_string("media", "", "Folder of the files that the database is of.")
flags.DEFINE_string("workdir", None, "Work folder of a trained network, or its export.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("output", None, "The mp4 file; it appears only when complete.")
flags.DEFINE_enum("mode", "whole", source_choice.MODES, "One source, or the best of each second.")
flags.DEFINE_float("hop_seconds", 0.0, "From one moment to the next; 0: as in the database.")
flags.DEFINE_float("fade_seconds", 0.2, "Length of the cross-fades of sounds.")
flags.DEFINE_float("switch_cost", 0.1, "What another source must gain in --mode=seconds.")
flags.DEFINE_bool("allow_own", False, "Also take sources of the same video.")
flags.DEFINE_enum("similarity", None, index.SIMILARITIES, "Default: the network's own.")
flags.DEFINE_integer("shorter_side", 256, "Pixels to which pictures are scaled to be embedded.")
flags.DEFINE_enum("pictures", "moving", illustration.PICTURES, "Of --audio: what is shown.")
flags.DEFINE_float("frames_per_second", 25.0, "Of --audio: of the written video.")
flags.DEFINE_integer("width", 640, "Of --audio: of the written video.")
flags.DEFINE_integer("height", 360, "Of --audio: of the written video.")
flags.mark_flags_as_required(["database", "workdir", "output"])


def check_flags() -> SonorizeConfig | IllustrateConfig:
    """How to go about it; raises UserError for flags that do not go together."""
    if bool(FLAGS.video) == bool(FLAGS.audio):
        raise ConfigurationError("give either --video or --audio")
    if os.path.splitext(FLAGS.output)[1].lower() != ".mp4":
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with .mp4")
    source = FLAGS.video or FLAGS.audio
    if os.path.realpath(FLAGS.output) == os.path.realpath(source):
        raise ConfigurationError(f"--output={FLAGS.output} is the input: choose another name")
    if FLAGS.hop_seconds and not 0.04 <= FLAGS.hop_seconds <= 1e6:
        raise ConfigurationError(f"--hop_seconds={FLAGS.hop_seconds}: at least 0.04, or 0")
    files.check_writable(FLAGS.output, "output")
    choice = ChoiceConfig(FLAGS.mode, FLAGS.switch_cost)
    if FLAGS.video:
        return SonorizeConfig(choice, FLAGS.fade_seconds, FLAGS.allow_own)
    return IllustrateConfig(
        choice, FLAGS.pictures, FLAGS.frames_per_second, FLAGS.width, FLAGS.height,
        FLAGS.allow_own,
    )


def main() -> None:
    """Writes the video and its list of sources."""
    config = check_flags()
    modality = "audio" if FLAGS.video else "visual"
    paths = files.expand_patterns(FLAGS.database, "database")
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint)
    queries.check_network(network)
    similarity = FLAGS.similarity or queries.similarity_of(network)
    sources = Sources(collection.read(paths, (modality,)), modality, similarity, FLAGS.media)
    hop = FLAGS.hop_seconds or sources.hop()
    if FLAGS.video and config.fade_seconds > hop:
        raise ConfigurationError(
            f"--fade_seconds={config.fade_seconds:g} is longer than a moment of {hop:g} s"
        )
    taken, notes = (sonorize if FLAGS.video else illustrate)(network, sources, hop, config)
    notes["similarity"] = similarity
    for line in taken.skipped:
        print(f"left out: {line}")
    found = sources.described(taken.segments)
    header = ["file", "from", "to", "source at", "score"]
    rows = [[e["file"], *(f"{e[k]:.2f}" for k in
                          ("begin_seconds", "end_seconds", "source_seconds")), f"{e['score']:.4f}"]
            for e in found]
    print(reports.markdown(header, rows, 1))
    report = {**notes, "hop_seconds": hop, "config": configuration.to_dict(config),
              "left_out": list(taken.skipped), "sources": found}
    configuration.save(f"{FLAGS.output}.json", report)
    print(f"{notes['seconds']:.2f} s, {notes['pictures']}: {FLAGS.output}")


def sonorize(
    network: TrainedNetwork, sources: Sources, hop: float, config: SonorizeConfig
) -> tuple[Taken, dict]:
    """A sound under a video."""
    shown = remux.look(FLAGS.video)
    moments, embeddings = embed("visual", FLAGS.video, network, hop)
    how = f"pictures of {shown.codec} copied"
    if shown.recoded_because:
        how = f"pictures of {shown.codec} coded anew as h264 ({shown.recoded_because})"
    with seconds_bar("write", float(shown.seconds)) as tell:
        taken = sonorization.sonorize(
            shown, moments, embeddings, hop, sources, FLAGS.output, config, tell
        )
    notes = {"video": FLAGS.video, "seconds": float(shown.seconds), "pictures": how}
    return taken, notes


def illustrate(
    network: TrainedNetwork, sources: Sources, hop: float, config: IllustrateConfig
) -> tuple[Taken, dict]:
    """Pictures over a sound."""
    rate = sonorization.SAMPLE_RATE_HZ
    moments, embeddings = embed("audio", FLAGS.audio, network, hop)
    stretch = source_sounds.read_stretch(FLAGS.audio, 0.0, None, rate)
    # What begins later than the first picture is preceded by silence, as it was embedded.
    sound = np.pad(stretch.samples, [(0, 0), (stretch.first, 0)])
    seconds = sound.shape[1] / rate
    with seconds_bar("write", seconds) as tell:
        taken = illustration.illustrate(
            FLAGS.audio, sound, moments, embeddings, hop, sources, FLAGS.output, config, tell
        )
    return taken, {"audio": FLAGS.audio, "seconds": seconds, "pictures": config.pictures}


def embed(
    modality: str, path: str, network: TrainedNetwork, hop: float
) -> tuple[np.ndarray, np.ndarray]:
    """The moments of the file that gets a sound or pictures."""
    config = QueryConfig(hop, FLAGS.shorter_side)
    with tqdm.tqdm(desc="embed", unit="moment") as bar:
        return queries.embed_moments(network, path, modality, config, bar.update)


if __name__ == "__main__":
    commands.run(main)
