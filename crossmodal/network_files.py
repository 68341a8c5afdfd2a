"""A trained network by the files it is loaded from, for other processes to load the same."""

import dataclasses
import hashlib
import os

import tensorflow as tf

from crossmodal import checkpoints, configuration, shard_plan
from crossmodal.errors import UserError
from crossmodal.export import SAVED_MODEL, is_export

_PIECE = 1 << 24


@dataclasses.dataclass(frozen=True)
class NetworkFiles:
    """What a process needs to load a network.

    Attributes:
      path: work folder or export.
      checkpoint: `best` or `last`, of a work folder.
      digest: of the contents of its files.
    """

    path: str
    checkpoint: str
    digest: str

    def check(self) -> None:
        """Raises UserError unless the files are still, and here, the same."""
        if _digest(self.path, self.checkpoint) != self.digest:
            raise UserError(
                f"{self.path}: holds another network than when the command was started; start it"
                " again, and let no training write there meanwhile"
            )


def describe(path: str, checkpoint: str) -> NetworkFiles:
    """The files of a network.

    Raises:
      UserError: the folder is neither a work folder with a checkpoint nor an export.
    """
    path = shard_plan.absolute(path)
    return NetworkFiles(path, checkpoint, _digest(path, checkpoint))


def _digest(path: str, checkpoint: str) -> str:
    if is_export(path):
        weights, whole = os.path.join(path, "variables"), [SAVED_MODEL, configuration.FILE]
    else:
        weights, whole = checkpoints.chosen(path, checkpoint), [configuration.FILE]
    digest = hashlib.sha256()
    try:
        # What else is known of a checkpoint, in its state.json, may change.
        names = [n for n in tf.io.gfile.listdir(weights) if n.startswith(checkpoints.VARIABLES)]
        files = [os.path.join(path, name) for name in whole]
        for each in files + [os.path.join(weights, name) for name in sorted(names)]:
            with tf.io.gfile.GFile(each, "rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
    except tf.errors.OpError as error:
        raise UserError(f"{path}: {error.message}") from error
    return digest.hexdigest()[:32]
