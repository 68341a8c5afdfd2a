"""Embeddings of a whole collection, files or records, each at moments of its own.

File by file: what is embedded of a file is kept in a folder beside the output until all are,
so that a job that was ended goes on.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from avc import embedding_rows
from avc.clip_sources import MomentConfig, Row, Unit
from avc.embedding import TrainedNetwork
from avc.recipes import AvcConfig
from crossmodal import configuration, files, npz
from crossmodal.configuration import check_choice, check_range
from crossmodal.errors import ConfigurationError, UserError

MODALITIES = ("both", "visual", "audio")
MOMENTS = ("hop", "middle")
SETTINGS = "settings.json"
# Embeddings of one network on two machines differ by less, those of two networks by more.
SAME_NETWORK = 1e-3


@dataclasses.dataclass(frozen=True)
class EmbeddingSettings:
    """What is embedded.

    Attributes:
      modality: `both`, `visual` or `audio`.
      moments: `hop`, or `middle` of each record.
      hop_seconds: from one moment to the next, for `hop`.
      shorter_side: pixels to which the pictures of files are scaled, as those of the records
        that the network was trained on.
    """

    modality: str = "both"
    moments: str = "hop"
    hop_seconds: float = 1.0
    shorter_side: int = 256

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a value outside its choices or range."""
        check_choice("modality", self.modality, MODALITIES)
        check_choice("moments", self.moments, MOMENTS)
        check_range("hop_seconds", self.hop_seconds, 1e-4, 1e6)
        check_range("shorter_side", self.shorter_side, 16, 4096)


@dataclasses.dataclass(frozen=True)
class Embedded:
    """What became of a collection.

    Attributes:
      rows: how many moments there are.
      left_out: a line for each file or record that is left out, or not read to its end.
    """

    rows: int
    left_out: tuple[str, ...]


def embed_collection(
    network: TrainedNetwork,
    units: Sequence[Unit],
    read: Callable[[Unit], Iterator[Row]],
    settings: EmbeddingSettings,
    output: str,
    tell: Callable[[Unit, int, bool], None] = lambda unit, rows, finished: None,
) -> Embedded:
    """Embeds files and writes one .npz file, whole or not at all.

    Its arrays: `ids`, `file`, `video` and, of records, `labels` separated by ";", all bytes
    `[n]`; `seconds` float64 `[n]`, the middle of the sound, from the file's beginning; `visual`
    and `audio` float32 `[n, d]` and `corresponds` `[n]`, as far as the modality goes.

    Args:
      network: a trained one.
      units: the files, in the order of the output.
      read: the moments of one; it raises MediaError where it ends before its time.
      settings: what to embed.
      output: the file. What is finished is kept in the folder OUTPUT.parts until all is.
      tell: called with a file, how many rows are new, and whether it is finished.

    Raises:
      UserError: the folder of parts is of other settings, or nothing can be embedded.
    """
    check_network(network.config, network.source)
    folder = f"{output}.parts"
    keep_settings(folder, network, settings)
    left_out: list[str] = []
    paths = []
    for unit in units:
        path = os.path.join(folder, f"{_digest(unit)}.npz")
        if not tf.io.gfile.exists(path):
            embed_unit(network, unit, read, settings.modality, path, tell)
        with _opened(path) as part:
            left_out += [f"{unit.name}: {reason.decode()}" for reason in part["left_out"]]
            if "ids" in part:
                paths.append(path)
        tell(unit, 0, True)
    if not paths:
        tf.io.gfile.rmtree(folder)
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise UserError(f"nothing can be embedded: {left_out[0]}{more}")
    rows = 0
    with npz.Writer(output) as joined:
        for path in paths:
            with _opened(path) as part:
                joined.append(**{name: part[name] for name in part if name != "left_out"})
                rows += len(part["ids"])
    tf.io.gfile.rmtree(folder)
    return Embedded(rows, tuple(left_out))


def embed_unit(
    network: TrainedNetwork,
    unit: Unit,
    read: Callable[[Unit], Iterator[Row]],
    modality: str,
    path: str,
    tell: Callable[[Unit, int, bool], None],
) -> None:
    """Embeds one file into a part."""
    with npz.Writer(path) as part:
        left_out = embedding_rows.append_unit(network, unit, read, modality, part, tell)
        part.append(left_out=np.array(left_out, "S") if left_out else np.zeros(0, "S1"))


def check_network(config: AvcConfig, source: str) -> None:
    """Raises UserError unless the network of that folder embeds single frames."""
    if config.network.visual.names != ("frame",):
        raise UserError(
            f"{source}: a network `{config.network.network}` sees motion; a"
            " collection is embedded by networks that see one frame"
        )


def moments_for(settings: EmbeddingSettings, config: AvcConfig) -> MomentConfig:
    """What a network takes of each moment."""
    return MomentConfig(
        settings.modality, settings.moments == "middle", settings.hop_seconds,
        settings.shorter_side, config.network.segment_samples,
        config.network.audio.sample_rate_hz,
    )


def keep_settings(folder: str, network: TrainedNetwork, settings: EmbeddingSettings) -> None:
    """Notes what the parts of a folder are of, or checks that it is the same.

    Raises:
      UserError: the folder is of other settings or of another network.
    """
    path = os.path.join(folder, SETTINGS)
    probe = probe_of(network)
    saved = {"settings": configuration.to_dict(settings), "probe": probe.tolist()}
    if not tf.io.gfile.exists(path):
        configuration.save(path, saved)
        return
    before = configuration.load(path)
    changed = configuration.differences(before["settings"], saved["settings"])
    known = np.array(before["probe"])
    if known.shape != probe.shape or np.abs(known - probe).max() > SAME_NETWORK:
        changed.append("another network")
    if changed:
        raise ConfigurationError(
            f"{folder} holds unfinished work of other settings ({'; '.join(changed)}): remove it,"
            " or name another --output"
        )


def probe_of(network: TrainedNetwork) -> np.ndarray:
    """Numbers by which a network is known again: embeddings of noise, relative to their size."""
    rng = np.random.default_rng(0)
    size, samples = network.config.network.image_size, network.config.network.segment_samples
    visual = network.embed_visual(rng.integers(0, 256, (1, size, size, 3), np.uint8))[0]
    audio = network.embed_audio(rng.uniform(-0.5, 0.5, (1, samples)))[0]
    return np.concatenate([x / max(np.abs(x).max(), 1e-30) for x in (visual, audio)])


def check_output(output: str) -> None:
    """Checks where the result is to go, before the work for it.

    Raises:
      UserError: not an .npz file, or its folder does not exist or cannot be written.
    """
    folder = os.path.dirname(output) or "."
    if not output.endswith(".npz"):
        raise ConfigurationError(f"--output={output}: its name must end with .npz")
    if not tf.io.gfile.isdir(folder):
        raise UserError(f"--output={output}: there is no folder {folder}")
    files.check_writable(output, "output")


@contextlib.contextmanager
def _opened(path: str) -> Iterator[np.lib.npyio.NpzFile]:
    with tf.io.gfile.GFile(path, "rb") as file, np.load(file) as arrays:
        yield arrays


def _digest(unit: Unit) -> str:
    known = json.dumps([unit.name, unit.description], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:32]
