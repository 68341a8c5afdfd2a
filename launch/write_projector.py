r"""Writes embeddings for TensorBoard's projector: vectors, metadata, and frames as a sprite.

The database is any .npz file of embed_avc or embed_yt8m. Frames come from its media files,
--media, or from its records, --input_pattern; without either there are points alone. Look at it
with `tensorboard --logdir=OUTPUT`, under PROJECTOR.

Examples (some seconds; with frames of files about 10 a second):

  python -m launch.write_projector --database=/tmp/videos.npz --output=/tmp/projector
  python -m launch.write_projector --database=/tmp/test.npz --output=/tmp/projector \
      --input_pattern='/data/clips/test-*.tfrecord' --number=2000
"""

from collections.abc import Iterator

import numpy as np
import tqdm
from absl import flags

from crossmodal import collection, files, projector
from crossmodal.collection import Collection
from crossmodal.configuration import check_range
from crossmodal.errors import ConfigurationError, UserError
from launch import commands

FLAGS = flags.FLAGS
flags.DEFINE_string("database", None, "Files of embeddings, .npz: names or patterns, by commas.")
flags.DEFINE_string("media", "", "Folder of the files that the database is of.")
flags.DEFINE_string("input_pattern", "", "Records that it is of, instead: patterns, by commas.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.DEFINE_string("output", None, "Folder for the files: a log folder of TensorBoard.")
flags.DEFINE_integer("number", 10_000, "Items at most, drawn at random; 0 for all.", lower_bound=0)
flags.DEFINE_integer("seed", 0, "Of the drawn items.")
flags.DEFINE_integer("sprite_side", 64, "Most pixels of a frame; the sprite has at most 8192.")
flags.mark_flags_as_required(["database", "output"])


def main() -> None:
    """Writes the files and says how to look at them."""
    if FLAGS.media and FLAGS.input_pattern:
        raise ConfigurationError("give --media or --input_pattern, not both")
    check_range("sprite_side", FLAGS.sprite_side, 1, projector.LARGEST_SPRITE)
    files.check_writable(f"{FLAGS.output.rstrip('/')}/{projector.CONFIG}", "output")
    paths = files.expand_patterns(FLAGS.database, "database")
    held = [m for m in collection.MODALITIES if all(collection.holds(p, m) for p in paths)]
    if not held:
        raise UserError(f"{paths[0]}: has no embeddings that all files have, visual or audio")
    database = collection.read(paths, held)
    rows = np.arange(len(database))
    if FLAGS.number and FLAGS.number < len(rows):
        drawn = np.random.default_rng(FLAGS.seed).choice(len(rows), FLAGS.number, replace=False)
        rows = np.sort(drawn)
    sprite, side = None, 0
    if FLAGS.media or FLAGS.input_pattern:
        side = projector.side_of(len(rows), FLAGS.sprite_side)
        if side < 1:
            raise UserError(f"a sprite holds no {len(rows)} frames: choose fewer by --number")
        bar = tqdm.tqdm(frames(database, rows, side), total=len(rows), desc="frames")
        sprite = projector.paste(bar, len(rows), side)
    vectors = {name: database.rows(name)[rows] for name in held}
    projector.write(
        FLAGS.output, vectors, projector.described(database, rows), sprite, side
    )
    what = f", frames of {side} pixels" if side else ""
    print(f"{len(rows)} items, {' and '.join(held)}{what}: tensorboard --logdir={FLAGS.output}")


def frames(
    database: Collection, rows: np.ndarray, side: int
) -> Iterator[tuple[int, np.ndarray | None]]:
    """Places in the sprite, and the frames that belong there."""
    # Whoever wants points alone needs no library that reads media files.
    from avc import reading, shown_moments

    places = {int(row): place for place, row in enumerate(rows)}
    if FLAGS.input_pattern:
        _, encoding, records = reading.open_clips(
            FLAGS.input_pattern, "input_pattern", FLAGS.on_bad_record
        )
        found = shown_moments.from_records(database, places, records, encoding, False)
    else:
        extent = shown_moments.Extent(0.0, max(16, 2 * side))
        found = shown_moments.from_files(database, list(places), FLAGS.media, extent)
    missing = 0
    for row, shown in found:
        missing += shown.picture is None
        if missing == len(rows):
            raise UserError(f"no item has a frame there ({shown.problems[0]})")
        yield places[row], shown.picture
    if missing:
        tqdm.tqdm.write(f"{missing} of {len(rows)} items have no frame; they are grey")


if __name__ == "__main__":
    commands.run(main)
