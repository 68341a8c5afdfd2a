"""For every second of a video the best-fitting second of another video's sound.

Full paper, section 6: 'retrieve different audio samples for each image, creating a fully
synchronized system'. Exact: every second of the collection is compared, in blocks.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from crossmodal import retrieval
from crossmodal.errors import UserError
from yt8m_embed.embedded import VideoSeconds

# Seconds of the collection, and of the queries, that are compared at once: 16 MB.
BLOCK = 2048


@dataclasses.dataclass(frozen=True)
class Match:
    """A second that was found.

    Attributes:
      query_video: id of the video that was asked for.
      query_start_seconds: the second of it.
      rank: 1 for the best.
      found_video: id of another video.
      found_start_seconds: the second of it.
      score: cosine of the two.
    """

    query_video: str
    query_start_seconds: int
    rank: int
    found_video: str
    found_start_seconds: int
    score: float


@dataclasses.dataclass
class Best:
    """The best seconds so far of each query.

    Attributes:
      scores: falling, `[queries, top]`.
      videos: places in the collection, `[queries, top]`.
      seconds: likewise.
    """

    scores: np.ndarray
    videos: np.ndarray
    seconds: np.ndarray

    def add(self, scores: np.ndarray, videos: np.ndarray, seconds: np.ndarray) -> None:
        """Takes in a block: scores `[queries, items]`, videos and seconds `[items]`.

        Among equal scores the one met first stays first.
        """
        top = self.scores.shape[1]
        places = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        joined = np.concatenate(
            [self.scores, np.take_along_axis(scores, places, axis=1)], axis=1
        )
        order = np.argsort(-joined, axis=1, kind="stable")[:, :top]
        for name, more in (("videos", videos[places]), ("seconds", seconds[places])):
            both = np.concatenate([getattr(self, name), more], axis=1)
            setattr(self, name, np.take_along_axis(both, order, axis=1))
        self.scores = np.take_along_axis(joined, order, axis=1)


def match_seconds(
    queries: Sequence[VideoSeconds],
    collection: Iterable[VideoSeconds],
    query_modality: str = "visual",
    top: int = 1,
) -> list[Match]:
    """The best seconds of other videos for every second of the queries.

    Args:
      queries: videos.
      collection: where to look, read once; a video with the id of the query is passed over.
      query_modality: `visual` finds sounds, `audio` finds pictures.
      top: seconds to find for each.

    Returns:
      By query, second and rank.

    Raises:
      UserError: a query meets fewer than `top` seconds of other videos.
    """
    other = "audio" if query_modality == "visual" else "visual"
    asked = np.concatenate([getattr(video, query_modality) for video in queries])
    owners = [video.id for video in queries for _ in range(len(video.visual))]
    owner = np.array(owners, object)
    shape = (len(asked), top)
    best = Best(np.full(shape, -np.inf, np.float32), np.full(shape, -1), np.full(shape, -1))
    ids: list[bytes] = []
    for part in blocks(collection):
        first = len(ids)
        ids += [video.id for video in part]
        sizes = [len(video.visual) for video in part]
        items = np.concatenate([getattr(video, other) for video in part])
        videos = np.repeat(np.arange(first, len(ids)), sizes)
        seconds = np.concatenate([np.arange(size) for size in sizes])
        item_owner = np.array([ids[video] for video in videos], object)
        for start in range(0, len(asked), BLOCK):
            rows = slice(start, start + BLOCK)
            scores = retrieval.multiply(asked[rows], items)
            scores[owner[rows, None] == item_owner] = -np.inf
            view = Best(best.scores[rows], best.videos[rows], best.seconds[rows])
            view.add(scores, videos, seconds)
            best.scores[rows], best.videos[rows] = view.scores, view.videos
            best.seconds[rows] = view.seconds
    return list(listed(queries, best, ids))


def blocks(collection: Iterable[VideoSeconds]) -> Iterator[list[VideoSeconds]]:
    """Videos of at least BLOCK seconds together."""
    part: list[VideoSeconds] = []
    for video in collection:
        part.append(video)
        if sum(len(each.visual) for each in part) >= BLOCK:
            yield part
            part = []
    if part:
        yield part


def listed(queries: Sequence[VideoSeconds], best: Best, ids: Sequence[bytes]) -> Iterator[Match]:
    """The matches in order."""
    row = 0
    for video in queries:
        name = video.id.decode("utf-8", "replace")
        for second in range(len(video.visual)):
            for rank, score in enumerate(best.scores[row], start=1):
                if not np.isfinite(score):
                    raise UserError(
                        f"video {name!r} meets fewer than {len(best.scores[row])} seconds of "
                        "other videos: name more shards or ask for fewer"
                    )
                found = ids[best.videos[row, rank - 1]].decode("utf-8", "replace")
                moment = int(best.seconds[row, rank - 1])
                yield Match(name, second, rank, found, moment, float(score))
            row += 1


def find_videos(videos: Iterable[VideoSeconds], ids: Sequence[str]) -> list[VideoSeconds]:
    """The videos of these ids in the order of the ids; read no farther than to the last.

    Raises:
      UserError: an id is not among the videos.
    """
    found: dict[str, VideoSeconds] = {}
    for video in videos:
        name = video.id.decode("utf-8", "replace")
        if name in ids:
            found.setdefault(name, video)
        if len(found) == len(set(ids)):
            break
    missing = [name for name in ids if name not in found]
    if missing:
        raise UserError(f"video {missing[0]!r} is not among those of --query_pattern")
    return [found[name] for name in ids]
