"""Embeddings to look at: a plane of clips by class, and what a query finds.

Feng et al. 2020, Self-Supervised Audio-Visual Representation Learning for in-the-wild Videos,
figures 2 and 3. That paper measures retrieval by looking only; the numbers are nDCG and
Recall@K, as for every network.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from avc.contact_sheets import MATCH, MISMATCH, short
from avc.retrieval_scores import System
from crossmodal import embedding_map, nearest, pictures, plots
from crossmodal.ndcg import DIRECTIONS
from crossmodal.pictures import Panel
from crossmodal.reading import Records, parsed_blocks
from crossmodal.schema import Schema

CLASSES = 10
# Of a class with fewer clips nothing is to be seen; of many the picture would be a blot.
LEAST, MOST = 5, 100
RESULTS = 5
SHOWN = {"visual": "picture", "audio": "sound"}
FEATURES = ("id", "frames", "frame_seconds", "sample_rate_hz", "num_samples")

Labels = Sequence[Sequence[bytes]]


def choose_classes(labels: Labels, seed: int, number: int = CLASSES) -> dict[bytes, np.ndarray]:
    """Draws classes, and clips of them that have none of the other drawn ones.

    Args:
      labels: of all clips.
      seed: decides which.
      number: of classes at most; "only 10 classes are sampled randomly" (figure 3).

    Returns:
      Rows by class, at least LEAST and at most MOST of each; empty if no class has as many.
    """
    generator = np.random.default_rng(seed)
    members: dict[bytes, int] = {}
    for own in labels:
        for label in set(own):
            members[label] = members.get(label, 0) + 1
    common = sorted(label for label, count in members.items() if count >= LEAST)
    drawn = sorted(generator.permutation(np.array(common, object))[:number].tolist())
    rows: dict[bytes, list[int]] = {label: [] for label in drawn}
    for row, own in enumerate(labels):
        ours = set(own) & rows.keys()
        if len(ours) == 1:
            rows[ours.pop()].append(row)
    chosen = {
        label: np.sort(generator.permutation(np.array(own, np.int64))[:MOST])
        for label, own in rows.items()
    }
    return {label: own for label, own in chosen.items() if len(own) >= LEAST}


def draw_plane(
    path: str, system: System, labels: Labels, names: Mapping[bytes, str], seed: int
) -> int:
    """Draws sounds and pictures of some classes by t-SNE, each modality for itself (figure 3).

    Args:
      path: of the PNG.
      system: embeddings of the clips.
      labels: of the clips.
      names: of the labels.
      seed: of the classes, the clips and the planes.

    Returns:
      How many clips are in it; 0 where no class has enough, and then there is no file.

    Raises:
      UserError: scikit-learn or matplotlib is not installed, or the file cannot be written.
    """
    chosen = choose_classes(labels, seed)
    if not chosen:
        return 0
    rows = np.concatenate(list(chosen.values()))
    groups = [names[label] for label, own in chosen.items() for _ in own]
    panels = {
        f"({letter}) {title}": embedding_map.project(getattr(system, modality)[rows], seed)
        for letter, title, modality in (("a", "sounds", "audio"), ("b", "pictures", "visual"))
        if getattr(system, modality).shape[1]
    }
    title = f"t-SNE of {len(rows)} clips of {len(chosen)} classes"
    plots.point_chart(path, panels, groups, title)
    return len(rows)


def retrieve(system: System, queries: np.ndarray, results: int) -> dict[str, np.ndarray]:
    """The nearest clips of queries within and across modalities, best first.

    Args:
      system: embeddings of the clips.
      queries: rows of clips; a query's own clip is never among its results.
      results: for each query.

    Returns:
      Rows `[queries, results]` by direction; only those within a modality where the two
      cannot be compared, and none of a modality without features.
    """
    found = {}
    for direction in DIRECTIONS:
        of, to = direction.split("_to_")
        if (of == to or system.aligned()) and getattr(system, of).shape[1]:
            found[direction] = nearest.nearest(
                getattr(system, of)[queries], getattr(system, to), results, exclude=queries
            )[0]
    return found


def draw_retrieval(
    path: str,
    system: System,
    records: Records,
    ids: np.ndarray,
    seconds: np.ndarray | None,
    labels: Labels,
    names: Mapping[bytes, str],
    seed: int,
    queries: int = 2,
) -> None:
    """Draws random queries and what they find in all directions (figure 2).

    A sound is shown as the picture of its moment. Green: a label of the query; red: none.

    Args:
      path: of the PNG.
      system: embeddings of the clips.
      records: that hold the clips.
      ids: of the clips of the system.
      seconds: which moment of each is shown; None for the middle.
      labels: of the clips.
      names: of the labels.
      seed: decides on the queries.
      queries: of each direction.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    results = min(RESULTS, len(ids) - 1)
    number = min(queries, len(ids))
    drawn = np.random.default_rng(seed).choice(len(ids), number, replace=False)
    found = retrieve(system, drawn, results)
    wanted = sorted({*drawn.tolist(), *(row for rows in found.values() for row in rows.flat)})
    times = {ids[row]: None if seconds is None else float(seconds[row]) for row in wanted}
    shown = read_pictures(records, times)

    def panel(row: int, modality: str, query: int | None) -> Panel:
        title = ", ".join(names[label] for label in labels[row]) or "no label"
        kind = "query" if query is None else "found"
        color = "black"
        if query is not None:
            color = MATCH if set(labels[row]) & set(labels[query]) else MISMATCH
        caption = f"{kind}, {SHOWN[modality]}\n{short(title.encode())}"
        return Panel(shown[ids[row]], caption, color=color)

    panels = []
    for direction, rows in found.items():
        of, to = direction.split("_to_")
        for query, own in zip(drawn, rows, strict=True):
            panels.append(panel(query, of, None))
            panels += [panel(row, to, query) for row in own]
    pictures.contact_sheet(path, panels, results + 1, "queries and the nearest other clips")


def read_pictures(
    records: Records, times: Mapping[bytes, float | None]
) -> dict[bytes, np.ndarray]:
    """The pictures that some clips show at a time, uint8 [height, width, 3], by id.

    Args:
      records: that hold them, beside others.
      times: seconds from the clip's start by id; None for the middle.
    """
    few = Schema(tuple(f for f in records.schema.features if f.name in FEATURES))
    found = {}
    for block in parsed_blocks(dataclasses.replace(records, schema=few)):
        for row in few.rows(block):
            if row["id"] not in times:
                continue
            seconds = times[row["id"]]
            if seconds is None:
                seconds = float(row["num_samples"][0] / row["sample_rate_hz"][0] / 2)
            # Times are rounded to floats: a picture that begins just then is to be found.
            later = np.searchsorted(row["frame_seconds"], seconds + 1e-4, side="right")
            jpeg = row["frames"][max(0, int(later) - 1)]
            found[row["id"]] = tf.io.decode_jpeg(jpeg, channels=3).numpy()
    return found
