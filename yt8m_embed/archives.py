"""Writes embeddings of YouTube-8M records into an .npz file, in a stream."""

from collections.abc import Callable

import numpy as np

from crossmodal import npz
from crossmodal.reading import Records
from yt8m_embed.embedding import JointEmbedding


def append(
    model: JointEmbedding,
    records: Records,
    seconds: bool,
    writer: npz.Writer,
    tell: Callable[[int], object] = lambda videos: None,
) -> int:
    """Embeds records in the order of their files.

    Args:
      model: a trained one.
      records: of the level that it takes.
      seconds: whether to embed every second too.
      writer: gets the rows: `ids`, `visual`, `audio`; with seconds also `second_video`, the
        row of the second's video, `second_start_seconds`, `second_visual`, `second_audio`.
      tell: called with the number of videos that are new.

    Returns:
      The number of videos.
    """
    videos = 0
    for part in model.embed_blocks(records):
        writer.append(ids=part.ids, visual=part.visual, audio=part.audio)
        videos += len(part.ids)
        tell(len(part.ids))
    for row, video in enumerate(model.embed_seconds(records) if seconds else ()):
        number = len(video.visual)
        writer.append(
            second_video=np.full(number, row, np.int64),
            second_start_seconds=np.arange(number),
            second_visual=video.visual,
            second_audio=video.audio,
        )
    return videos
