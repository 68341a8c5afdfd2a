"""Evaluation of a joint embedding: retrieval, baselines, classes and examples.

Full paper, section 5.2 (Recall@K among N videos, both directions) and section 5.3 (the
nearest item of the other modality).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from crossmodal import cca, classification, comparison, galleries, nearest, reports
from crossmodal.errors import UserError
from crossmodal.reading import Holdout, Records
from crossmodal.retrieval import DIRECTIONS
from yt8m_embed import published
from yt8m_embed.embedding import Embedded, JointEmbedding
from yt8m_embed.moments import gather_moments, normalized_blocks, stack
from yt8m_embed.reading import open_records

# Grid from which the baseline's regularisation is chosen, on a held-out tenth of its
# training records: it depends on how many there are.
CCA_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
CCA_COMPONENTS = (32, 128)
CCA_POWER = 0.5


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How retrieval is measured; saved with the result.

    Attributes:
      gallery_sizes: videos in a gallery; 0 stands for all of them.
      num_galleries: random galleries of each size, disjoint as far as the set reaches.
      seed: of the galleries and of the resampling.
    """

    gallery_sizes: tuple[int, ...] = galleries.SIZES
    num_galleries: int = 50
    seed: int = 0

    def sizes(self, items: int) -> list[int]:
        """The sizes for a set of that many videos."""
        return [size or items for size in self.gallery_sizes]


def published_recall(sizes: Sequence[int]) -> dict[str, dict[str, float]]:
    """The paper's numbers for those of the gallery sizes that it has."""
    return reports.published(
        {
            f"{direction}/{size}/recall@{k}": value / 100
            for direction, rows in published.RECALL.items()
            for size in sizes
            for k, value in zip(published.CUTOFFS, rows.get(size, ()), strict=False)
        }
    )


def measure(found: Embedded, protocol: Protocol, progress: bool = False) -> galleries.Evaluation:
    """Retrieval scores of embeddings under a protocol."""
    return galleries.evaluate(
        found.visual,
        found.audio,
        protocol.sizes(len(found.ids)),
        protocol.num_galleries,
        protocol.seed,
        progress=progress,
    )


def evaluate(
    model: JointEmbedding,
    pattern: str,
    gallery_sizes: Sequence[int] = galleries.SIZES,
    num_galleries: int = 50,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Measures retrieval on a set of shards.

    Args:
      model: from `load`.
      pattern: glob patterns of held-out shards, separated by commas.
      gallery_sizes: videos in a gallery; 0 stands for all of them.
      num_galleries: random galleries of each size.
      seed: of the galleries.

    Returns:
      By `DIRECTION/SIZE/METRIC`, e.g. `audio_to_visual/1024/recall@10`:
      {"mean", "std", "galleries"}; recalls in [0, 1].

    Raises:
      UserError: no file matches, a record is bad, or a gallery is larger than the set.
    """
    classes = model.config.model.num_classes
    kind, records = open_records(pattern, classes, "pattern", progress=False)
    model.check_kind(kind)
    protocol = Protocol(tuple(gallery_sizes), num_galleries, seed)
    return galleries.summarise(measure(model.embed_records(records), protocol))


def fit_baseline(records: Records, seed: int = 0) -> cca.Cca:
    """Regularised CCA of L2-normalised features, its ridges chosen on a held-out tenth.

    Args:
      records: to fit on; if they leave out a part themselves, that part stays unseen.
      seed: of the galleries of the choice.
    """
    rest, tenth = Holdout(10, salt="cca"), Holdout(10, held_out=True, salt="cca")
    moments = gather_moments(records.within(rest))
    visual, audio = stack(normalized_blocks(records.within(tenth)))
    size = min(len(visual), 512)
    best, best_score = None, -1.0
    for visual_ridge in CCA_RIDGES:
        for audio_ridge in CCA_RIDGES:
            fitted = cca.fit(moments, None, visual_ridge, audio_ridge)
            for components in CCA_COMPONENTS:
                candidate = first_components(fitted, components)
                scores = galleries.evaluate(
                    candidate.embed_visual(visual, CCA_POWER),
                    candidate.embed_audio(audio, CCA_POWER),
                    [size],
                    10,
                    seed,
                )
                score = np.mean([s.per_gallery["recall@10"].mean() for s in scores.values()])
                if score > best_score:
                    best, best_score = candidate, score
    return best


def first_components(fitted: cca.Cca, components: int) -> cca.Cca:
    """The strongest components of a fitted CCA."""
    return dataclasses.replace(
        fitted,
        visual_projection=fitted.visual_projection[:, :components],
        audio_projection=fitted.audio_projection[:, :components],
        correlations=fitted.correlations[:components],
    )


def embed_with_cca(fitted: cca.Cca, records: Records) -> Embedded:
    """Embeddings of the baseline, in the order of `JointEmbedding.embed_records`."""
    visual, audio = stack(normalized_blocks(records))
    return Embedded(
        np.zeros(len(visual), "S1"),
        np.zeros((len(visual), 0), np.int64),
        fitted.embed_visual(visual, CCA_POWER),
        fitted.embed_audio(audio, CCA_POWER),
    )


def intervals(
    scores: galleries.Evaluation, baseline: galleries.Evaluation | None, seed: int
) -> dict[str, dict[str, Any]]:
    """95 % bootstrap intervals of every recall, and of its difference to a baseline."""
    result = {}
    for key, score in scores.items():
        for k in published.CUTOFFS:
            metric = f"recall@{k}"
            own = comparison.system_interval(score, metric, seed)
            result[f"{key}/{metric}"] = {"low": own.low, "high": own.high}
            if baseline:
                difference = comparison.paired_interval(score, baseline[key], metric, seed)
                result[f"{key}/{metric}"]["over_baseline"] = dataclasses.asdict(difference)
    return result


def interval_line(key: str, interval: Mapping[str, Any]) -> str:
    """The difference to the baseline in one line."""
    difference = comparison.Interval(**interval["over_baseline"])
    return reports.interval_text(difference, key.rsplit("/", 1)[1])


def classes(
    scores: galleries.Evaluation, found: Embedded, sizes: Sequence[int]
) -> dict[str, dict[int, dict[str, float]]]:
    """Recall by class, in galleries of the largest size, for each direction."""
    return {
        direction: comparison.per_class(scores[f"{direction}/{max(sizes)}"], found.labels)
        for direction in DIRECTIONS
    }


def classifier_quality(model: JointEmbedding, found: Embedded) -> dict[str, float]:
    """GAP@20 and mAP of the shared classifier on each modality's embeddings.

    GAP compares scores of different videos, which logits before a softmax do not allow:
    they are known up to a number for each video only. Empty where the model has no
    classifier or no video has a label.
    """
    if model.model is None or not model.config.model.classifier or not (found.labels >= 0).any():
        return {}
    classifier = model.model.get_layer("classifier")
    scale = model.config.model.classifier_scale
    softmax = model.config.loss.class_activation == "softmax"
    quality = {}
    for modality in ("visual", "audio"):
        logits = classifier(scale * getattr(found, modality))
        scores = np.asarray(keras.ops.log_softmax(logits) if softmax else logits)
        quality[f"{modality}/gap@20"] = classification.global_average_precision(
            scores, found.labels
        )
        quality[f"{modality}/map"] = classification.mean_average_precision(scores, found.labels)
    return quality


def examples(
    found: Embedded,
    names: Mapping[int, str],
    number: int,
    seed: int,
    ids: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The paper's qualitative experiment: for some videos the nearest of the other modality.

    The second nearest is taken where the nearest is the video itself, as in section 5.3.

    Args:
      found: the collection, in which queries and results lie.
      names: class index to name.
      number: how many random videos, if `ids` names none.
      seed: of their choice.
      ids: videos to query with.

    Raises:
      UserError: an id is not in the collection.
    """
    known = {value.decode("utf-8", "replace"): i for i, value in enumerate(found.ids)}
    missing = [name for name in ids if name not in known]
    if missing:
        raise UserError(f"video {missing[0]!r} is not among the {len(known)} evaluated ones")
    rows = [known[name] for name in ids]
    if not rows:
        number = min(number, len(found.ids))
        rows = np.random.default_rng(seed).choice(len(found.ids), number, replace=False)
    rows = np.asarray(rows, np.int64)
    result = []
    for direction in DIRECTIONS:
        of, to = direction.split("_to_")
        queries, database = getattr(found, of)[rows], getattr(found, to)
        indices, scores = nearest.nearest(queries, database, 1, exclude=rows)
        for row, index, score in zip(rows, indices[:, 0], scores[:, 0], strict=True):
            result.append(
                {
                    "direction": direction,
                    "query": describe(found, row, names),
                    "nearest": describe(found, index, names),
                    "score": float(score),
                }
            )
    return result


def describe(found: Embedded, row: int, names: Mapping[int, str]) -> dict[str, Any]:
    """A video's id and the names of its labels."""
    labels = [int(label) for label in found.labels[row] if label >= 0]
    return {
        "id": found.ids[row].decode("utf-8", "replace"),
        "labels": [names.get(label, str(label)) for label in labels],
    }


def examples_text(found: Sequence[Mapping[str, Any]]) -> str:
    """The examples as a readable table."""
    rows = []
    for example in found:
        rows.append(
            [
                reports.TITLES[example["direction"]],
                *(
                    f"{example[side]['id']}: {', '.join(example[side]['labels']) or '(no label)'}"
                    for side in ("query", "nearest")
                ),
                f"{example['score']:.3f}",
            ]
        )
    return reports.markdown(["direction", "query", "nearest other video", "score"], rows, 3)
