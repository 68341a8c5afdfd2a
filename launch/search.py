r"""Searches embedded videos: by a picture, a sound or a video, for what sounds or looks like it.

The database is one or several .npz files of embed_avc or embed_yt8m. The query is a file,
which the network of --workdir embeds, or an item of the database (--query_id), or a row of
another file of embeddings. A video of many moments is searched for by the mean of their unit
vectors. The query's own video is left out where the query is of the database; of each video
the best moment is shown.

Examples (some seconds to start, a second or two for a query):

  python -m launch.search --database=/tmp/videos.npz --workdir=/tmp/ave --query_video=dog.mp4
  python -m launch.search --database=/tmp/videos.npz --workdir=/tmp/ave --query_sound=bark.wav \
      --direction=audio_to_audio --output=/tmp/barks.html
  python -m launch.search --database='/tmp/yt8m/*.npz' --query_id=0zLN --results=5
"""

import os
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from crossmodal import collection, configuration, faiss_index, files, index, search_report
from crossmodal.collection import Collection
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.faiss_index import FaissConfig
from crossmodal.index import SearchConfig
from crossmodal.ndcg import DIRECTIONS
from launch import commands

if TYPE_CHECKING:
    from avc.embedding import TrainedNetwork

FLAGS = flags.FLAGS
flags.DEFINE_string("database", None, "Files of embeddings, .npz: names or patterns, by commas.")
flags.DEFINE_string("workdir", "", "Work folder of a trained network, or its export.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of a work folder.")
flags.DEFINE_string("query_video", "", "A video; its pictures, or its sound by --direction.")
flags.DEFINE_string("query_image", "", "A picture: JPEG, PNG, BMP or GIF.")
flags.DEFINE_string("query_sound", "", "Any file that holds a sound.")
flags.DEFINE_string("query_id", "", "An id of the database, or a video or file in it.")
flags.DEFINE_string("query_npz", "", "A file of embeddings that holds the query.")
flags.DEFINE_integer("query_row", 0, "Which row of --query_npz, from 0.", lower_bound=0)
flags.DEFINE_float("query_seconds", None, "One moment of the query, the nearest to this time.")
flags.DEFINE_float("hop_seconds", 1.0, "From one moment of a query file to the next.")
flags.DEFINE_integer("shorter_side", 256, "Pixels to which pictures of --query_video are scaled.")
flags.DEFINE_enum("direction", None, DIRECTIONS, "Default: to the other modality.")
flags.DEFINE_integer("results", 10, "How many to show.", lower_bound=1)
flags.DEFINE_bool("moments", False, "Show all moments of a video, not its best one only.")
flags.DEFINE_bool("exclude_own", None, "Leave the query's own video out; default: if it is there.")
flags.DEFINE_enum("similarity", None, index.SIMILARITIES, "Default: the network's own, or cosine.")
flags.DEFINE_enum("index", "exact", ["exact", "faiss"], "faiss needs the extra `search`.")
flags.DEFINE_enum("faiss_kind", "auto", faiss_index.KINDS, "Index of FAISS.")
flags.DEFINE_integer("nlist", 0, "Cells of FAISS; 0: four times the root of the items.")
flags.DEFINE_integer("nprobe", 16, "Cells that FAISS looks at.")
flags.DEFINE_integer("recall_sample", 100, "Queries on which FAISS is compared with exact search.")
flags.DEFINE_string("output", "", "Also write this file, .json or .html.")
flags.mark_flags_as_required(["database"])

QUERIES = ("query_video", "query_image", "query_sound", "query_id", "query_npz")


def check_flags() -> str:
    """Which of QUERIES is given; raises ConfigurationError for flags that do not fit."""
    given = [name for name in QUERIES if FLAGS[name].value]
    if len(given) != 1:
        raise ConfigurationError("give one of " + ", ".join(f"--{name}" for name in QUERIES))
    kind = given[0]
    if kind in QUERIES[:3] and not FLAGS.workdir:
        raise ConfigurationError(f"--{kind} needs the network of the database: --workdir")
    if FLAGS.output and os.path.splitext(FLAGS.output)[1].lower() not in (".json", ".html"):
        raise ConfigurationError(f"--output={FLAGS.output}: its name must end with .json or .html")
    if FLAGS.query_seconds is not None and kind in ("query_image", "query_npz"):
        raise ConfigurationError(f"--query_seconds is not for --{kind}")
    wanted = {"query_image": "visual", "query_sound": "audio"}.get(kind)
    if FLAGS.direction and wanted and not FLAGS.direction.startswith(wanted):
        raise ConfigurationError(
            f"--direction={FLAGS.direction} does not begin with {wanted}, which --{kind} is"
        )
    return kind


def main() -> None:
    """Searches as the flags say."""
    kind = check_flags()
    network = load_network()
    config = search_config(kind, network)
    if FLAGS.output:
        files.check_writable(FLAGS.output, "output")
    sampled = FLAGS.index == "faiss" and FLAGS.recall_sample > 0
    paths = files.expand_patterns(FLAGS.database, "database")
    needed = {config.database_modality}
    if kind == "query_id" or (
        sampled and all(collection.holds(path, config.query_modality) for path in paths)
    ):
        needed.add(config.query_modality)
    database = collection.read(paths, [m for m in collection.MODALITIES if m in needed])
    query, own, text = read_query(kind, network, database, config)
    finder = index.exact(database, config)
    facts = [text, f"{config.direction} by {config.similarity}{reason(network)}, {len(database)}"
             f" items of {len(np.unique(database.video))} videos"]
    if FLAGS.index == "faiss":
        reference, finder = finder, faiss_index.build(
            finder.database, FaissConfig(FLAGS.faiss_kind, FLAGS.nlist, FLAGS.nprobe)
        )
        facts.append(finder.description)
        if sampled:
            facts.append(judge(finder, reference, database, config))
    excluded = own if FLAGS.exclude_own or FLAGS.exclude_own is None else None
    found = index.search(database, query, config, finder, excluded)
    entries = search_report.entries(database, found)
    print("\n".join(facts), search_report.table(entries), sep="\n\n")
    if FLAGS.output.lower().endswith(".json"):
        report = {"query": text, "config": configuration.to_dict(config), "notes": facts[1:],
                  "results": entries}
        configuration.save(FLAGS.output, report)
    elif FLAGS.output:
        files.write_text(FLAGS.output, search_report.page(text, facts[1:], entries))


def load_network() -> "TrainedNetwork | None":
    """The network of --workdir, if there is one."""
    if not FLAGS.workdir:
        return None
    # Whoever searches by rows alone needs no library that reads media files.
    from avc import embedding

    return embedding.load(FLAGS.workdir, FLAGS.checkpoint)


def search_config(kind: str, network: "TrainedNetwork | None") -> SearchConfig:
    """What to find; without --direction, in the other modality than the query's."""
    other = "audio_to_visual" if kind == "query_sound" else "visual_to_audio"
    similarity = FLAGS.similarity or "cosine"
    if network is not None and not FLAGS.similarity:
        from avc import queries

        similarity = queries.similarity_of(network)
    return SearchConfig(FLAGS.direction or other, FLAGS.results, similarity, FLAGS.moments)


def reason(network: "TrainedNetwork | None") -> str:
    """Why this similarity, where the network tells it."""
    if network is None or FLAGS.similarity:
        return ""
    from avc import queries

    return f" ({queries.why_similarity(network)})"


def read_query(
    kind: str,
    network: "TrainedNetwork | None",
    database: Collection,
    config: SearchConfig,
) -> tuple[np.ndarray, np.ndarray, str]:
    """The query [d], which items are of its own video [n], and what it is in words."""
    name, modality = FLAGS[kind].value, config.query_modality
    if kind == "query_id":
        rows = database.find(name)
        own = database.video == database.video[rows[0]]
        vectors, seconds = database.rows(modality)[rows], database.seconds[rows]
    elif kind == "query_npz":
        item, vector = collection.read_row(name, FLAGS.query_row, modality)
        vectors, seconds = vector[None], np.full(1, np.nan)
        own = np.isin(database.video, database.video[database.ids == item])
        name = f"{name}, row {FLAGS.query_row}: {item.decode(errors='replace')}"
    else:
        seconds, vectors = read_file(kind, network, modality)
        # A file somewhere else may be a namesake only: it is left out if that is asked for.
        own = np.isin(database.video, database.video[database.of_file(name)]) & bool(
            FLAGS.exclude_own
        )
    what = {"visual": "picture", "audio": "sound"}[modality]
    if FLAGS.query_seconds is not None:
        if np.isnan(seconds).any():
            raise UserError("--query_seconds: the query has no times")
        try:
            place = index.moment_at(seconds, FLAGS.query_seconds, name)
        except UserError as error:
            raise UserError(f"--query_seconds={FLAGS.query_seconds:g}: {error}") from None
        return vectors[place], own, f"query: the {what} of {name} at {seconds[place]:.2f} s"
    if len(vectors) > 1:
        name += f" (mean of the unit vectors of {len(vectors)} moments)"
        if config.similarity != "cosine":
            name = name.replace("the unit vectors of ", "")
    return index.mean_embedding(vectors, config.similarity), own, f"query: the {what} of {name}"


def read_file(
    kind: str, network: "TrainedNetwork", modality: str
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds [n] and embeddings [n, d] of the moments of a query's file."""
    from avc import queries

    if kind == "query_image":
        return np.full(1, np.nan), queries.embed_picture(network, FLAGS.query_image)
    taken = queries.QueryConfig(FLAGS.hop_seconds, FLAGS.shorter_side)
    return queries.embed_moments(network, FLAGS[kind].value, modality, taken)


def judge(
    finder: faiss_index.FaissIndex,
    reference: index.Exact,
    database: Collection,
    config: SearchConfig,
) -> str:
    """FAISS beside exact search, on queries from the database."""
    modality = config.query_modality
    if getattr(database, modality) is None:
        modality = config.database_modality
    rows = database.rows(modality)
    number = min(FLAGS.recall_sample, len(rows))
    drawn = np.random.default_rng(0).choice(len(rows), number, replace=False)
    prepared = index.query_rows(rows[drawn], config.similarity)
    share = index.recall(finder, reference, prepared, config.results)
    return (
        f"recall@{config.results} of FAISS against exact search: {share:.4f}, for {number}"
        f" {modality} embeddings of the database as queries"
    )


if __name__ == "__main__":
    commands.run(main)
