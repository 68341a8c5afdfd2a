"""Short trainings of small joint embeddings on the bundled data, in the test's own process."""

import json

import numpy as np

from crossmodal import tfrecord, training
from crossmodal.configuration import override
from crossmodal.training import TrainingConfig
from yt8m_embed import configuration, records
from yt8m_embed.training import DataConfig
from yt8m_embed.training import train as train_embedding

# Every kind of layer: several towers, gates, linear paths, standardisation, a classifier.
CHANGES = {
    "normalization": "per_modality", "visual_layers": (64,), "audio_layers": (64,),
    "embedding_dim": 32, "linear_dim": 16, "num_towers": 2, "linear_towers": 1,
    "classifier": True, "classifier_scale": 3.0, "class_weight": 0.01,
    "cca_visual_ridge": 1.0, "cca_audio_ridge": 1.0, "warmup_steps": 5, "ema_decay": 0.5,
}
# Determinism of operations would stay on for the tests that follow.
RUN = {"batch_size": 128, "max_steps": 30, "steps_per_call": 5, "checkpoint_every_steps": 10,
       "evaluate_every_steps": 15, "seed": 3, "deterministic": False}
DATA = {"cache": "memory", "gallery_size": 128, "num_galleries": 2}


def train(
    shards, workdir, recipe: str = "contrastive", changes: dict | None = None, run=None, data=None
) -> training.Result:
    """Trains on a folder of shards (or a pattern); what is given changes the above."""
    run = TrainingConfig(**{**RUN, **(run or {})})
    changes = {"batch_size": run.batch_size, "max_steps": run.max_steps,
               **(CHANGES if changes is None else changes)}
    config = override(configuration.recipe(recipe), changes)
    pattern = f"{shards}/*.tfrecord" if not str(shards).endswith(".tfrecord") else str(shards)
    data = DataConfig(**{"train_pattern": pattern, **DATA, **(data or {})})
    return train_embedding(config, data, run, str(workdir), progress=False)


def rows(workdir) -> list[dict]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def losses(workdir, name: str = "loss") -> list[float]:
    return [row[name] for row in rows(workdir) if name in row]


def read_videos(pattern) -> list[dict]:
    """The videos of video-level shards in file order, by TensorFlow's own messages."""
    import tensorflow as tf

    videos = []
    for path in sorted(tf.io.gfile.glob(str(pattern))):
        for payload in tf.data.TFRecordDataset(path).as_numpy_iterator():
            features = tf.train.Example.FromString(payload).features.feature
            videos.append({
                "id": features["id"].bytes_list.value[0],
                "labels": list(features["labels"].int64_list.value),
                "mean_rgb": np.array(features["mean_rgb"].float_list.value, np.float32),
                "mean_audio": np.array(features["mean_audio"].float_list.value, np.float32),
            })
    return videos


def write_videos(path, videos: list[dict], schema=None) -> str:
    schema = schema or records.video_level()
    tfrecord.write_records(str(path), [schema.serialize(video) for video in videos])
    return str(path)
