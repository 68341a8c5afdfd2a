r"""Writes a page of queries and what is found for them, to look at and to listen to.

One HTML file that needs no other and no network: frames, sounds, labels, scores, heat maps of a
network that localises, and whether an item is right. It can be filtered by class and
direction, and used by keyboard and on a phone. Frames and sounds come from the media files of
the collection, --media, or from records by their ids, --input_pattern.

Examples (some seconds, and what it takes to read all of the records once):

  python -m launch.gallery --database=/tmp/videos.npz --media=/data/videos --output=/tmp/g.html
  python -m launch.gallery --database=/tmp/test.npz --workdir=/tmp/avol --num_queries=20 \
      --input_pattern='/data/clips/test-*.tfrecord' --output=/tmp/gallery.html
"""

import os

import numpy as np
import tqdm
from absl import flags

from avc import (
    embedding,
    gallery,
    localized_video,
    ontology,
    page_media,
    queries,
    reading,
    shown_moments,
)
from avc.embedding import TrainedNetwork
from avc.gallery import Answer
from avc.page_media import PageMedia
from avc.shown_moments import Shown
from crossmodal import card_page, collection, files, index
from crossmodal.collection import Collection
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.index import SearchConfig
from crossmodal.ndcg import DIRECTIONS
from crossmodal.opening import report_damage
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("database", None, "Files of embeddings, .npz: names or patterns, by commas.")
flags.DEFINE_string("media", "", "Folder of the files that the database is of.")
flags.DEFINE_string("input_pattern", "", "Records that it is of, instead: patterns, by commas.")
flags.DEFINE_string("workdir", "", "Trained network, or its export: for heat maps.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("output", None, "The page, .html; it appears only when complete.")
flags.DEFINE_integer("num_queries", 10, "Videos that are drawn as queries.", lower_bound=1)
flags.DEFINE_list("query_ids", [], "Queries, instead: ids, videos or files, by commas.")
flags.DEFINE_integer("seed", 0, "Of the drawn queries.")
flags.DEFINE_integer("results", 5, "How many are shown for a query.", lower_bound=1)
flags.DEFINE_list("directions", [], f"Of {', '.join(DIRECTIONS)}; default: across modalities.")
flags.DEFINE_string("ontology", "", "AudioSet's ontology.json: its names for labels that are ids.")
flags.DEFINE_bool("own", None, "The query's own video may be found; default: across modalities.")
flags.DEFINE_enum("similarity", None, index.SIMILARITIES, "Default: the network's own, or cosine.")
flags.DEFINE_integer("shorter_side", 160, "Most pixels of a picture's shorter side.")
flags.DEFINE_integer("jpeg_quality", 80, "Of the pictures, 1 to 100.")
flags.DEFINE_enum("sound", "aac", page_media.SOUNDS, "aac is smaller; wav plays everywhere.")
flags.DEFINE_float("sound_seconds", 3.0, "Most of a sound, around its moment.")
flags.DEFINE_bool("stretch", False, "Stretch each heat map from its lowest to its highest value.")
flags.DEFINE_float("most_megabytes", 50.0, "A page that would be larger is not written.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flags_as_required(["database", "output"])

TITLES = {name: name.replace("_to_", " → ").replace("visual", "picture").replace("audio", "sound")
          for name in DIRECTIONS}


def main() -> None:
    """Writes the page and says how large it is."""
    media = check_flags()
    files.check_writable(FLAGS.output, "output")
    network = embedding.load(FLAGS.workdir, FLAGS.checkpoint) if FLAGS.workdir else None
    similarity = FLAGS.similarity or (queries.similarity_of(network) if network else "cosine")
    directions = FLAGS.directions or ["visual_to_audio", "audio_to_visual"]
    needed = {name for each in directions for name in each.split("_to_")}
    database = collection.read(
        files.expand_patterns(FLAGS.database, "database"),
        [name for name in collection.MODALITIES if name in needed],
    )
    if FLAGS.ontology:
        database = database.with_labels_named(ontology.read(FLAGS.ontology).name_of)
    if FLAGS.query_ids:
        rows = gallery.named_queries(database, FLAGS.query_ids)
    else:
        rows = gallery.draw_queries(database, FLAGS.num_queries, FLAGS.seed)
    answers = [each for name in directions for each in answer(database, rows, name, similarity)]
    maps = network is not None and network.localizes and network.sees_one_frame
    shown = read_shown(database, answers, media, network if maps else None)
    found = {}
    if maps:
        pairs = [pair for each in answers for pair in each.pairs()]
        found = gallery.heatmaps(network, shown, tqdm.tqdm(pairs, desc="heat maps"))
    look = None
    if maps:
        look = localized_video.Look(network.config.frames.crop_share, FLAGS.stretch)
    painter = gallery.Painter(database, shown, media, found, look, FLAGS.most_megabytes)
    groups = painter.groups(answers)
    facts = describe(database, rows, similarity, network)
    page = card_page.page("Queries and what is found", facts, groups, {d: TITLES[d]
                          for d in directions})
    files.write_text(FLAGS.output, page)
    missing = sum(bool(item.problems) for item in shown.values())
    if missing:
        print(f"{missing} of {len(shown)} items lack picture or sound; their cards say why")
    print(f"{len(groups)} groups, {len(page.encode()) / 1e6:.1f} MB: {FLAGS.output}")


def check_flags() -> PageMedia:
    """Raises UserError for flags that do not go together."""
    card_page.check_name(FLAGS.output)
    if bool(FLAGS.media) == bool(FLAGS.input_pattern):
        raise ConfigurationError("give either --media or --input_pattern")
    if FLAGS.media and not os.path.isdir(FLAGS.media):
        raise UserError(f"--media={FLAGS.media}: there is no such folder")
    for name in FLAGS.directions:
        if name not in DIRECTIONS:
            raise ConfigurationError(f"--directions={name}: choose of {', '.join(DIRECTIONS)}")
    return PageMedia(FLAGS.shorter_side, FLAGS.jpeg_quality, FLAGS.sound, FLAGS.sound_seconds)


def answer(
    database: Collection, rows: list[int], direction: str, similarity: str
) -> list[Answer]:
    """What is found in one direction."""
    across = direction.split("_to_")[0] != direction.split("_to_")[1]
    own = across if FLAGS.own is None else FLAGS.own
    config = SearchConfig(direction, FLAGS.results, similarity)
    return gallery.answer(database, rows, config, own)


def read_shown(
    database: Collection, answers: list[Answer], media: PageMedia, network: TrainedNetwork | None
) -> dict[int, Shown]:
    """Frames and sounds of all rows of the answers."""
    rows = sorted({row for each in answers for row in each.rows()})
    if FLAGS.input_pattern:
        _, encoding, records = reading.open_clips(
            FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record
        )
        found = shown_moments.from_records(database, rows, records, encoding)
    else:
        extent = shown_moments.Extent(media.sound_seconds, max(256, media.shorter_side))
        if network:
            config = network.config.network
            seconds = max(media.sound_seconds, config.segment_seconds)
            extent = shown_moments.Extent(seconds, extent.shorter_side, network.sample_rate_hz)
        found = shown_moments.from_files(database, rows, FLAGS.media, extent)
    shown = dict(tqdm.tqdm(found, total=len(rows), desc="frames and sounds"))
    if all(item.picture is None and not len(item.sound) for item in shown.values()):
        where = f"--{'media' if FLAGS.media else 'input_pattern'}"
        reason = next(iter(shown.values())).problems[0]
        raise UserError(f"{where}: no item has a picture or a sound there ({reason})")
    if FLAGS.input_pattern:
        report_damage(records)
    return shown


def describe(
    database: Collection, rows: list[int], similarity: str, network: TrainedNetwork | None
) -> list[str]:
    """What the page says of itself."""
    chosen = "named" if FLAGS.query_ids else f"drawn with seed {FLAGS.seed}"
    labelled = int(np.count_nonzero(database.labels != b""))
    facts = [
        f"{len(database)} items of {len(np.unique(database.video))} videos, of each its best"
        f" moment; {len(rows)} queries, {chosen}; ranked by {similarity}.",
        "✓ own video or a shared label, solid frame; ✗ no shared label, dashed frame;"
        f" {labelled} items have labels. A sound is shown as the frame of its moment.",
        "Tab goes from sound to sound, arrow keys too; space plays and stops.",
    ]
    if network is not None and not (network.localizes and network.sees_one_frame):
        name = network.config.network.network
        facts.append(f"A network `{name}` has no heat map.")
    elif network is not None:
        scale = "each stretched to its own range" if FLAGS.stretch else "dark 0, light yellow 1"
        facts.append(f"Heat maps: {scale}; in pictures found by a sound, of that sound.")
    return facts


if __name__ == "__main__":
    commands.run(main)
