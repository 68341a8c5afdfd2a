"""A trained joint embedding in use: load it, embed arrays or whole sets of records."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
import tqdm

from crossmodal import checkpoints
from crossmodal.errors import UserError
from crossmodal.export import is_export, load_signatures
from crossmodal.reading import Records, parsed_blocks
from crossmodal.rows import Features, in_rows
from yt8m_embed import model_source
from yt8m_embed.configuration import EmbeddingConfig
from yt8m_embed.embedded import Embedded, VideoSeconds, join
from yt8m_embed.model import (
    FRAME_FEATURES,
    MODALITIES,
    SIZES,
    VIDEO_FEATURES,
    build_model,
    input_features,
    single_modality,
    single_modality_seconds,
)

__all__ = ["Embedded", "JointEmbedding", "VideoSeconds", "load", "of_model"]

# Rows embedded at once: large enough for the matrix products, small in memory. Of frames
# 32 videos of 300 s are 40 MB once they are floats.
ROWS = {"video": 1024, "frame": 32}


@dataclasses.dataclass(frozen=True)
class JointEmbedding:
    """A trained model that embeds each modality by itself.

    Attributes:
      config: what it was made of.
      functions: from features by name to embeddings, for `visual` and `audio`.
      source: the folder it was loaded from.
      model: the trained Keras model, or None where only a SavedModel was loaded.
      second_functions: like `functions`, to embeddings of the seconds `[n, time, dim]`;
        empty where seconds have none.
    """

    config: EmbeddingConfig
    functions: Mapping[str, Callable[[Features], np.ndarray]]
    source: str
    model: keras.Model | None = None
    second_functions: Mapping[str, Callable[[Features], np.ndarray]] = dataclasses.field(
        default_factory=dict
    )

    def embed_visual(self, features: np.ndarray, num_frames: np.ndarray | None = None):
        """Embeds pictures.

        Args:
          features: `mean_rgb` `[n, 1024]`, or for a frame-level model `rgb` uint8
            `[n, time, 1024]`.
          num_frames: seconds that count, `[n]`; for a frame-level model only.

        Returns:
          Unit vectors float32 `[n, dim]`.

        Raises:
          UserError: the shape or type is not the model's, or a value is not finite.
        """
        return self.embed("visual", features, num_frames)

    def embed_audio(self, features: np.ndarray, num_frames: np.ndarray | None = None):
        """Embeds sounds: `mean_audio` `[n, 128]`, or `audio` uint8 `[n, time, 128]`.

        Args, returns and errors are those of `embed_visual`.
        """
        return self.embed("audio", features, num_frames)

    def embed(self, modality: str, features: np.ndarray, num_frames: np.ndarray | None = None):
        """Embeds one modality, `visual` or `audio`; see `embed_visual`."""
        features = np.asarray(features)
        frame_level = self.config.model.feature_level == "frame"
        name = (FRAME_FEATURES if frame_level else VIDEO_FEATURES)[modality]
        rank = 3 if frame_level else 2
        if features.ndim != rank or features.shape[-1] != SIZES[modality]:
            form = "[n, time, {}]" if frame_level else "[n, {}]"
            raise UserError(
                f"{name} has shape {features.shape}; this model takes "
                f"{form.format(SIZES[modality])}"
            )
        if not frame_level:
            finite = np.isfinite(features.sum(axis=1, dtype=np.float64))
            if not finite.all():
                raise UserError(f"{name} of row {np.argmin(finite)} has a NaN or Inf")
            return self.functions[modality]({name: features.astype(np.float32)})
        if features.dtype != np.uint8:
            raise UserError(f"{name} is {features.dtype}; frames are the data set's own uint8")
        if num_frames is None:
            num_frames = np.full(len(features), features.shape[1])
        num_frames = np.asarray(num_frames, np.int32)
        if num_frames.shape != (len(features),):
            raise UserError(f"num_frames has shape {num_frames.shape}, expected [{len(features)}]")
        wrong = (num_frames < 0) | (num_frames > features.shape[1])
        if wrong.any():
            row = int(np.argmax(wrong))
            raise UserError(
                f"num_frames of row {row} is {num_frames[row]}: it must be 0 to"
                f" {features.shape[1]}, the seconds of {name}"
            )
        return self.functions[modality]({name: features, "num_frames": num_frames})

    def check_kind(self, kind: str) -> None:
        """Raises ConfigurationError unless records of that kind suit the model."""
        model_source.check_kind(self.config, kind, self.source)

    def embed_pairs(self, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Embeds true pairs together, as training does.

        With joint normalisation each embedding then depends on the other modality, so
        this is for measuring what that does, not for retrieval.

        Raises:
          UserError: only a SavedModel was loaded.
        """
        if self.model is None:
            raise UserError(f"{self.source}: pairs are embedded by the trained model only")
        outputs = self.model(dict(features), training=False)
        return tuple(np.asarray(outputs[f"{m}_embedding"]) for m in MODALITIES)

    def embed_blocks(self, records: Records, joint_pairs: bool = False) -> Iterator[Embedded]:
        """Embeds records block by block, in the order of the files."""
        names = input_features(self.config.model)
        for block in parsed_blocks(records):
            given = {name: block[name] for name in names}
            if joint_pairs:
                pair = self.embed_pairs(given)
            else:
                pair = [self.functions[m](only(given, m, self.config)) for m in MODALITIES]
            yield Embedded(block["id"], block["labels"], *pair)

    def embed_seconds(
        self, records: Records, shuffle_seed: int | None = None
    ) -> Iterator[VideoSeconds]:
        """Embeds every second of records, video by video, in the order of the files.

        Args:
          records: frame-level ones.
          shuffle_seed: puts the sound of each video in a random order first: a control, in
            which what is still found within a video was not heard.

        Raises:
          UserError: the model has no embeddings of seconds.
        """
        model_source.check_seconds(self.config, self.source)
        generator = np.random.default_rng(shuffle_seed or 0)
        for block in parsed_blocks(records):
            if shuffle_seed is not None:
                block["audio"] = block["audio"].copy()
                for row, count in enumerate(block["num_frames"]):
                    generator.shuffle(block["audio"][row, :count])
            given = {name: block[name] for name in input_features(self.config.model)}
            pair = [self.second_functions[m](only(given, m, self.config)) for m in MODALITIES]
            for row, count in enumerate(block["num_frames"]):
                yield VideoSeconds(block["id"][row], *(part[row, :count] for part in pair))

    def embed_records(
        self, records: Records, progress: bool = False, joint_pairs: bool = False
    ) -> Embedded:
        """Embeds a whole set of records.

        Args:
          records: of the level (video or frame) that the model takes.
          progress: whether to show a bar.
          joint_pairs: see `embed_pairs`; each modality by itself otherwise.
        """
        total = sum(shard.num_records for shard in records.shards)
        bar = tqdm.tqdm(total=total, unit="video", desc="embed", disable=not progress)
        parts = []
        with bar:
            for part in self.embed_blocks(records, joint_pairs):
                parts.append(part)
                bar.update(len(part.ids))
        return join(parts)


def only(features: Features, modality: str, config: EmbeddingConfig) -> dict[str, np.ndarray]:
    """The features of one modality (and the number of frames)."""
    frame_level = config.model.feature_level == "frame"
    name = (FRAME_FEATURES if frame_level else VIDEO_FEATURES)[modality]
    return {k: v for k, v in features.items() if k in (name, "num_frames")}


def of_model(model: keras.Model, config: EmbeddingConfig, source: str = "") -> JointEmbedding:
    """The embedding that a (trained) Keras model of `build_model` makes."""
    rows = ROWS[config.model.feature_level]

    def compiled(single: keras.Model) -> Callable[[Features], np.ndarray]:
        # Traced once for any number of rows.
        specs = {x.name: tf.TensorSpec(x.shape, x.dtype, x.name) for x in single.inputs}
        call = functools.partial(single, training=False)
        return in_rows(tf.function(call, input_signature=[specs]), rows)

    functions = {m: compiled(single_modality(model, m, config.model)) for m in MODALITIES}
    of_seconds = {}
    if config.model.has_seconds:
        of_seconds = {
            m: compiled(single_modality_seconds(model, m, config.model)) for m in MODALITIES
        }
    return JointEmbedding(config, functions, source, model, of_seconds)


def load(path: str, checkpoint: str = "best") -> JointEmbedding:
    """Loads a trained embedding.

    Args:
      path: the work folder of a training run or an exported SavedModel.
      checkpoint: `best` (on held-out videos; the last one if nothing was evaluated) or
        `last`; of a work folder.

    Raises:
      UserError: there is neither.
    """
    path = os.fspath(path)
    config = model_source.read_config(path)
    if is_export(path):
        signatures = load_signatures(path, ROWS[config.model.feature_level])

        def embed(name: str, output: str, features: Features) -> np.ndarray:
            return signatures[name](features)[output]

        functions = {m: functools.partial(embed, f"embed_{m}", "embedding") for m in MODALITIES}
        of_seconds = {
            m: functools.partial(embed, f"embed_{m}_frames", "frame_embedding")
            for m in MODALITIES
            if f"embed_{m}_frames" in signatures
        }
        return JointEmbedding(config, functions, path, None, of_seconds)
    model = build_model(config.model)
    checkpoints.load_chosen(path, model, checkpoint)
    return of_model(model, config, path)
