r"""Finds for every second of a video the best-fitting second of another video's sound.

With --query_modality=audio the other way round. Every second of the collection is
compared, those of the query's own id excepted. Prints a table and writes all matches to a
.json or .csv file: query_video, query_start_seconds, rank, found_video,
found_start_seconds, score (cosine).

Example, on planted records (docs/temporal.md makes them and the model):

  python -m launch.match_seconds --workdir=/tmp/temporal --num_videos=1 \
      --query_pattern='/tmp/seconds/validate*.tfrecord' --output=/tmp/matches.csv
"""

import csv
import dataclasses
import io
import itertools

from absl import flags

from crossmodal import files, reports
from crossmodal.errors import ConfigurationError
from crossmodal.opening import report_damage
from crossmodal.reading import Records
from launch import commands
from yt8m_embed import embedding, second_matching
from yt8m_embed.reading import open_records
from yt8m_embed.second_matching import Match

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "Work folder of a training run.")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of --workdir.")
flags.DEFINE_string("saved_model", "", "Exported model, instead of --workdir.")
flags.DEFINE_string("query_pattern", None, "Shards of the videos to find sounds for.")
flags.DEFINE_string("collection_pattern", "", "Shards to look in; default: --query_pattern.")
flags.DEFINE_list("video_ids", [], "Ids of the videos to find sounds for.")
flags.DEFINE_integer("num_videos", 1, "So many first videos, without --video_ids.", lower_bound=1)
flags.DEFINE_enum("query_modality", "visual", ["visual", "audio"], "What is given.")
flags.DEFINE_integer(
    "top", 1, "Seconds to find for each.", lower_bound=1, upper_bound=1000
)
flags.DEFINE_integer("num_rows_shown", 20, "Rows of the printed table.", lower_bound=0)
flags.DEFINE_string("output", "", "File for all matches: .json or .csv.")
flags.DEFINE_enum("on_bad_record", "fail", ["fail", "skip"], "What a bad record does.")
flags.mark_flag_as_required("query_pattern")


def main() -> None:
    """Matches as the flags say."""
    if bool(FLAGS.workdir) == bool(FLAGS.saved_model):
        raise ConfigurationError("give either --workdir or --saved_model")
    if FLAGS.output:
        if not FLAGS.output.endswith((".json", ".csv")):
            raise ConfigurationError(f"--output={FLAGS.output}: name a .json or .csv file")
        files.check_writable(FLAGS.output, "output")
    model = embedding.load(FLAGS.workdir or FLAGS.saved_model, FLAGS.checkpoint)
    asked = opened(model, FLAGS.query_pattern, "query_pattern")
    collection = asked
    if FLAGS.collection_pattern:
        collection = opened(model, FLAGS.collection_pattern, "collection_pattern")
    videos = model.embed_seconds(asked)
    if FLAGS.video_ids:
        queries = second_matching.find_videos(videos, FLAGS.video_ids)
    else:
        queries = list(itertools.islice(videos, FLAGS.num_videos))
    matches = second_matching.match_seconds(
        queries, model.embed_seconds(collection), FLAGS.query_modality, FLAGS.top
    )
    print(table(matches[: FLAGS.num_rows_shown]))
    report_damage(asked, *([collection] if FLAGS.collection_pattern else []))
    if FLAGS.output:
        write(matches)
        print(f"{len(matches)} matches: {FLAGS.output}")


def opened(model: embedding.JointEmbedding, pattern: str, flag: str) -> Records:
    """The records of a pattern, which must be frame-level as the model is."""
    kind, records = open_records(
        pattern, model.config.model.num_classes, flag, FLAGS.on_bad_record
    )
    model.check_kind(kind)
    return records


def table(matches: list[Match]) -> str:
    """Matches for reading."""
    rows = [
        [m.query_video, m.found_video, str(m.query_start_seconds), str(m.rank),
         str(m.found_start_seconds), f"{m.score:.3f}"]
        for m in matches
    ]
    return reports.markdown(
        ["query", "found video", "second", "rank", "found second", "score"], rows
    )


def write(matches: list[Match]) -> None:
    """All matches into --output."""
    rows = [dataclasses.asdict(match) for match in matches]
    if FLAGS.output.endswith(".json"):
        values = {"query_modality": FLAGS.query_modality, "matches": rows}
        reports.write_json(FLAGS.output, values)
        return
    text = io.StringIO()
    fields = [field.name for field in dataclasses.fields(Match)]
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(FLAGS.output, text.getvalue())


if __name__ == "__main__":
    commands.run(main)
