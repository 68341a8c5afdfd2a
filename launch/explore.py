r"""Opens a local web page: drop a picture, a sound or a video, see and hear what is found.

Searches a collection of embeddings for the file, in both directions and within each modality,
and shows with a network that localises (avol, davenet) where in the picture the sound is. Needs
the extras `media` and `explore`. The page is for this machine alone unless --host says
otherwise; end it with Ctrl-C. Frames and sounds come from the media files of the collection,
--media, or from records by their ids, --input_pattern.

Examples (some seconds to start, a second or two for a file):

  python -m launch.explore --workdir=/tmp/avol --database=/tmp/videos.npz --media=/data/videos
  python -m launch.explore --workdir=/tmp/avol --database=/tmp/test.npz --port=8000 \
      --input_pattern='/data/clips/test-*.tfrecord'
"""

import os
import signal
import sys

import numpy as np
from absl import flags

from avc import embedding, explorer, explorer_page, page_media, queries, reading, shown_items
from avc.embedding import TrainedNetwork
from avc.explorer import Explorer, ExplorerConfig
from avc.page_media import PageMedia
from avc.queries import QueryConfig
from crossmodal import files
from crossmodal.collection import Collection
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", None, "Work folder of a trained network, or its export.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("database", None, "Files of embeddings, .npz: names or patterns, by commas.")
flags.DEFINE_string("media", "", "Folder of the files that the database is of.")
flags.DEFINE_string("input_pattern", "", "Records that it is of, instead: patterns, by commas.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.DEFINE_string("host", "127.0.0.1", "Where to listen; 0.0.0.0: anywhere, for everybody.")
flags.DEFINE_integer("port", 7860, "Where to listen; 0: at a free one.", 0, 65535)
flags.DEFINE_float("max_upload_mb", 50.0, "Most megabytes of a dropped file.")
flags.DEFINE_float("most_seconds", 300.0, "Longest file that is searched for.")
flags.DEFINE_float("hop_seconds", 1.0, "From one moment of a dropped file to the next.")
flags.DEFINE_integer("shorter_side", 256, "Pixels to which its pictures are scaled.")
flags.DEFINE_integer("results", 8, "How many items are found.", lower_bound=1)
flags.DEFINE_enum("sound", "aac", page_media.SOUNDS, "aac is smaller; wav plays everywhere.")
flags.DEFINE_float("sound_seconds", 3.0, "Most of a sound, around its moment.")
flags.DEFINE_bool("stretch", False, "Stretch each heat map from its lowest to its highest value.")
flags.mark_flags_as_required(["workdir", "database"])


def check_flags() -> ExplorerConfig:
    """Raises UserError for flags that do not go together, or where Gradio is missing."""
    if bool(FLAGS.media) == bool(FLAGS.input_pattern):
        raise ConfigurationError("give either --media or --input_pattern")
    if FLAGS.media and not os.path.isdir(FLAGS.media):
        raise UserError(f"--media={FLAGS.media}: there is no such folder")
    check_range("max_upload_mb", FLAGS.max_upload_mb, 0.001, 10_000)
    config = ExplorerConfig(
        FLAGS.results, FLAGS.most_seconds, QueryConfig(FLAGS.hop_seconds, FLAGS.shorter_side),
        PageMedia(sound=FLAGS.sound, sound_seconds=FLAGS.sound_seconds), FLAGS.stretch,
    )
    explorer_page.check_gradio()
    return config


def main() -> None:
    """Serves the page until it is interrupted."""
    config = check_flags()
    paths = files.expand_patterns(FLAGS.database, "database")
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint)

    def open_items(database: Collection) -> shown_items.Items:
        if FLAGS.media:
            extent = explorer.extent(network, config.media)
            return shown_items.of_folder(database, FLAGS.media, extent)
        _, encoding, records = reading.open_clips(
            FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record
        )
        return shown_items.of_records(database, records, encoding)

    made = explorer.prepare(network, paths, open_items, config)
    # Ended like this, too, uploads are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    explorer_page.serve(
        made, describe(made, network), FLAGS.host, FLAGS.port, FLAGS.max_upload_mb,
        lambda address: print(f"open {address} in a browser; Ctrl-C ends it", flush=True),
    )


def describe(made: Explorer, network: TrainedNetwork) -> list[str]:
    """What the page says of itself."""
    name = network.config.network.network
    videos = len(np.unique(made.database.video))
    facts = [
        f"{len(made.database)} moments of {videos} videos, of each its best one; network"
        f" {name}, ranked by {queries.similarity_of(network)}."
    ]
    if not network.localizes:
        facts.append(f"No heat maps: a network {name} has none; avol and davenet have.")
    else:
        scale = "each stretched to its own range" if FLAGS.stretch else "dark 0, light yellow 1"
        facts.append(f"Heat maps, where in a picture a sound is: {scale}.")
    return facts


if __name__ == "__main__":
    commands.run(main)
