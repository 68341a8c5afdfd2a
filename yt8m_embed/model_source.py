"""What a work folder or an export says of its model, before the model is loaded."""

import os

from crossmodal import configuration
from crossmodal.errors import ConfigurationError, UserError
from yt8m_embed.configuration import EmbeddingConfig
from yt8m_embed.reading import feature_level


def read_config(path: str) -> EmbeddingConfig:
    """The configuration in a work folder or an export.

    Raises:
      UserError: there is none.
    """
    source = os.path.join(path, configuration.FILE)
    saved = configuration.load(source)
    if "embedding" not in saved:
        raise UserError(f"{path}: neither a work folder of train_yt8m nor an export")
    return configuration.from_dict(EmbeddingConfig, saved["embedding"], source)


def check_kind(config: EmbeddingConfig, kind: str, source: str) -> None:
    """Raises ConfigurationError unless records of that kind suit the model of that folder."""
    level, given = config.model.feature_level, feature_level(kind)
    if given != level:
        raise ConfigurationError(
            f"the model in {source} takes {level}-level records, these are {given}-level"
        )


def check_seconds(config: EmbeddingConfig, source: str) -> None:
    """Raises UserError unless the model of that folder embeds seconds."""
    if not config.model.has_seconds:
        raise UserError(
            f"{source}: has no embeddings of seconds; train on frame-level records, "
            "and not with normalization=joint"
        )
