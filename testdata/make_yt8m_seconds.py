"""Writes frame-level shards in which picture and sound are synchronous, drawn from a model.

    python -m testdata.make_yt8m_seconds --output=/tmp/seconds        # 240 videos, 9 MB, 4 s

`train*.tfrecord` and, of other videos of the same model, `validate*.tfrecord`, in the
format of the data set; see yt8m_embed/planted_seconds.py. `topic_model.json` is the model
of a single second. With --shuffled every sound is
in a random order: a control in which there is nothing to be learnt of the moment.
"""

import argparse
import os

from crossmodal import configuration, tfrecord
from testdata import make_yt8m
from yt8m_embed import records
from yt8m_embed.planted_seconds import SecondsConfiguration, draw_videos
from yt8m_embed.topic_model import TopicModel, TopicModelConfiguration

# Name, first id, seed of the draw.
SPLITS = (("train", 0, 0), ("validate", 1_000_000, 1))


def write_split(
    folder: str, name: str, count: int, config: SecondsConfiguration, first: int, seed: int
) -> None:
    """Writes one shard of `count` videos, their ids numbered from `first`."""
    schema = records.frame_level()
    model = TopicModel(TopicModelConfiguration())
    payloads = (
        schema.serialize({
            "id": make_yt8m.identifier(first + number),
            "labels": make_yt8m.labels_of(video.topics),
            "rgb": video.rgb,
            "audio": video.audio,
        })
        for number, video in enumerate(draw_videos(model, config, count, seed))
    )
    tfrecord.write_records(os.path.join(folder, f"{name}0000.tfrecord"), payloads)


def main() -> None:
    """Parses the command line and writes both splits."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", required=True, help="folder to write")
    parser.add_argument("--train_videos", type=int, default=200)
    parser.add_argument("--validate_videos", type=int, default=40)
    parser.add_argument("--shuffled", action="store_true", help="sounds in a random order")
    given = parser.parse_args()
    config = SecondsConfiguration(shuffled=given.shuffled)
    counts = (given.train_videos, given.validate_videos)
    values = configuration.to_dict(TopicModelConfiguration())
    configuration.save(os.path.join(given.output, "topic_model.json"), values)
    for (name, first, seed), count in zip(SPLITS, counts, strict=True):
        write_split(given.output, name, count, config, first, seed)


if __name__ == "__main__":
    main()
