"""Writes the bundled shards in YouTube-8M's formats, drawn from a topic model.

    python -m testdata.make_yt8m                      # rewrites testdata/yt8m, about 8 s
    python -m testdata.make_yt8m --output=elsewhere

Everything follows from the seed of the topic model, to the byte: the features are
computed in float64 and rounded to 8 significant bits. What remains: machines
whose BLAS differs in the last bits would have to straddle a rounding boundary
(about one in a million for the whole data set), and NumPy may change its normal
generator in a later major version.
"""

import argparse
import csv
import io
import os
from collections.abc import Iterator

import numpy as np

from crossmodal import configuration, files, tfrecord
from yt8m_embed import records
from yt8m_embed.topic_model import TopicModel, TopicModelConfiguration, Videos

HERE = os.path.dirname(os.path.abspath(__file__))
# Folder, shard name, shards, videos in each, seed of the draw.
VIDEO_LEVEL = (("train", "train", 4, 750, 0), ("dev", "validate", 2, 400, 1))
FRAME_VIDEOS, SEGMENT_VIDEOS = 24, 6
FRAME_SEED, SEGMENT_SEED = 2, 3
# Invented topics: the topics of a row are the ones that the model makes co-occur.
TOPICS = {
    "Music": ("Kazoo orchestra", "Tin whistle lesson", "Cellar choir", "Loop pedal", "Spoon band"),
    "Games": ("Marble race", "Card tower", "Pinball repair", "Kite fight", "Chess boxing"),
    "Vehicles": ("Cargo bicycle", "Tram depot", "River ferry", "Tractor pull", "Hill funicular"),
    "Food": ("Dumpling stall", "Sourdough", "Chestnut roast", "Ice carving", "Jam kitchen"),
    "Animals": ("Goat yoga", "Pigeon loft", "Rescue donkey", "Beehive", "Tide pool"),
    "Sports": ("Barrel roll", "Stilt walking", "Log throw", "Sock skating", "Raft regatta"),
    "Crafts": ("Paper lantern", "Bell founding", "Basket weaving", "Clock repair", "Glass blowing"),
    "Nature": ("Thunderstorm", "Waterfall hike", "Fog timelapse", "Owl walk", "Geyser watch"),
}
NUM_TOPICS = sum(len(names) for names in TOPICS.values())
# Popular topics have low labels, as in the data set; the last one is its last class.
CLASSES = tuple(i + round(3822 * (i / (NUM_TOPICS - 1)) ** 3) for i in range(NUM_TOPICS))
COLUMNS = (
    "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3,"
    "WikiDescription"
)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def write_data_set(output: str, model: TopicModel) -> None:
    """Writes shards, vocabulary and the model's configuration below `output`."""
    first = 0
    for folder, name, shards, size, seed in VIDEO_LEVEL:
        videos = model.sample(shards * size, seed)
        payloads = list(video_records(videos, first))
        for shard in range(shards):
            path = os.path.join(output, folder, f"{name}{shard:04}.tfrecord")
            tfrecord.write_records(path, payloads[shard * size : (shard + 1) * size])
        if folder == "train":
            files.write_text(os.path.join(output, "vocabulary.csv"), vocabulary(videos))
        first += shards * size
    path = os.path.join(output, "frame", "train0000.tfrecord")
    tfrecord.write_records(path, frame_records(model, first))
    path = os.path.join(output, "segment", "validate0000.tfrecord")
    tfrecord.write_records(path, segment_records(model, first + FRAME_VIDEOS))
    values = configuration.to_dict(model.configuration)
    configuration.save(os.path.join(output, "topic_model.json"), values)


def identifier(number: int) -> str:
    """Four characters, different for every number below 62 ** 4."""
    # A step without a common factor with 62 visits every code once.
    code = (1_234_567 + number * 5_000_011) % 62**4
    return "".join(ALPHABET[code // 62**place % 62] for place in range(4))


def labels_of(topics: tuple[int, ...]) -> list[int]:
    """The classes of a video's topics, ascending."""
    return [CLASSES[topic] for topic in topics]


def video_records(videos: Videos, first: int) -> Iterator[bytes]:
    """Video-level records; the videos are numbered from `first`."""
    schema = records.video_level()
    for i, topics in enumerate(videos.topics):
        yield schema.serialize(
            {
                "id": identifier(first + i),
                "labels": labels_of(topics),
                "mean_rgb": videos.visual[i],
                "mean_audio": videos.audio[i],
            }
        )


def frame_records(model: TopicModel, first: int) -> Iterator[bytes]:
    """Frame-level records of 10 to 40 frames."""
    schema = records.frame_level()
    for values in frame_values(model, FRAME_VIDEOS, FRAME_SEED, first):
        yield schema.serialize(values)


def segment_records(model: TopicModel, first: int) -> Iterator[bytes]:
    """Segment-level records: two segments each that show a topic, or fail to."""
    schema = records.segment_level()
    rng = np.random.default_rng([model.configuration.seed, 3])
    for values in frame_values(model, SEGMENT_VIDEOS, SEGMENT_SEED, first):
        slots = len(values["rgb"]) // records.SEGMENT_SECONDS
        starts = records.SEGMENT_SECONDS * rng.choice(slots, 2, replace=False)
        yield schema.serialize(
            values
            | {
                "segment_labels": rng.choice(values["labels"], 2),
                "segment_start_times": np.sort(starts),
                "segment_scores": rng.integers(0, 2, 2).astype(np.float32),
            }
        )


def frame_values(model: TopicModel, count: int, seed: int, first: int) -> Iterator[dict]:
    """Videos whose frames, dequantised, have nearly the video-level vectors as means."""
    videos = model.sample(count, seed)
    rng = np.random.default_rng([model.configuration.seed, 2, seed])
    for i, topics in enumerate(videos.topics):
        num_frames = rng.integers(10, 41)
        yield {
            "id": identifier(first + i),
            "labels": labels_of(topics),
            "rgb": quantised_frames(videos.visual[i], num_frames, 0.05, rng),
            "audio": quantised_frames(
                videos.audio[i], num_frames, 0.0 if videos.silent[i] else 0.05, rng
            ),
        }


def quantised_frames(
    mean: np.ndarray, num_frames: int, step: float, rng: np.random.Generator
) -> np.ndarray:
    """Frames, uint8 [num_frames, size], that wander around `mean` by `step` a second."""
    walk = step * rng.standard_normal((num_frames, len(mean))).cumsum(axis=0)
    values = mean.astype(np.float64) + walk - walk.mean(axis=0)
    return np.rint((values - records.OFFSET) / records.SCALE).clip(0, 255).astype(np.uint8)


def vocabulary(videos: Videos) -> str:
    """A `vocabulary.csv` in the data set's columns, with the counts of these videos."""
    counts = np.bincount(np.concatenate(videos.topics), minlength=NUM_TOPICS)
    verticals = list(TOPICS)
    text = io.StringIO()
    text.write(COLUMNS + "\n")
    writer = csv.writer(text, lineterminator="\n")
    for topic, label in enumerate(CLASSES):
        vertical = verticals[topic % len(verticals)]
        name = TOPICS[vertical][topic // len(verticals)]
        url = f"https://example.org/wiki/{name.replace(' ', '_')}"
        about = f"{name}, an invented topic of the bundled shards, near to others of {vertical}."
        row = (label, counts[topic], f"/x/{label:04}", name, url, vertical, "", "", about)
        writer.writerow(row)
    return text.getvalue()


def main() -> None:
    """Parses the command line and writes the data set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default=os.path.join(HERE, "yt8m"), help="folder to write")
    write_data_set(parser.parse_args().output, TopicModel(TopicModelConfiguration()))


if __name__ == "__main__":
    main()
