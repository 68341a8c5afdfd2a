"""Retrieval between and within pictures and sounds: nDCG and Recall@K of several systems.

Objects that Sound, section 3.1 and appendices A.2 and D. All systems meet the same clips,
galleries and relevance, and "for all cases the representations are L2-normalized".
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avc.ontology import Ontology
from avc.relevance import RelevanceConfig, between_videos
from crossmodal import cca, comparison, galleries, ndcg
from crossmodal.errors import UserError
from crossmodal.galleries import GalleryScores
from crossmodal.label_sets import SetRelevance
from crossmodal.ndcg import DIRECTIONS, NdcgConfig, NdcgScores

CUTOFF = 30
# Figures 9 and 10; those beyond the set's size are left out.
CURVE_CUTOFFS = (1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000)
CURVE_DIMENSIONS = (2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclasses.dataclass(frozen=True)
class System:
    """Embeddings of the same clips by one system.

    Attributes:
      visual: float32 `[n, d]`, of length 1.
      audio: float32 `[n, e]`, of length 1; e may differ from d where the two are no one
        space, and then only directions within a modality are measured; 0 where there are
        none.
      products: embeddings as they are, `[n, d]` each, of a system that compares by their
        product and not by that of unit vectors; else None.
      similarity: of every picture to every sound, `[n, n]`, of a system that compares
        otherwise; else None.
    """

    visual: np.ndarray
    audio: np.ndarray
    products: tuple[np.ndarray, np.ndarray] | None = None
    similarity: np.ndarray | None = None

    def aligned(self) -> bool:
        """Whether the two can be compared."""
        return self.visual.shape[1] == self.audio.shape[1]

    def gallery_scores(
        self, sizes: Sequence[int], num_galleries: int, seed: int
    ) -> dict[str, GalleryScores]:
        """Retrieval across modalities by the system's own comparison; see `galleries.evaluate`."""
        if self.similarity is not None:
            return galleries.evaluate_scores(self.similarity, sizes, num_galleries, seed)
        pair = self.products or (self.visual, self.audio)
        return galleries.evaluate(*pair, sizes, num_galleries, seed)


def normalised(visual: np.ndarray, audio: np.ndarray) -> System:
    """A system of embeddings of any length."""
    return System(cca.normalise(visual), cca.normalise(audio))


def one_per_video(videos: np.ndarray, seed: int) -> np.ndarray:
    """Draws one row of every video.

    Args:
      videos: names `[n]`.
      seed: decides which, and nothing else does but the rows.

    Returns:
      Indices of rows, rising.
    """
    order = np.random.default_rng(seed).permutation(len(videos))
    _, first = np.unique(videos[order], return_index=True)
    return np.sort(order[first])


def evaluate_ndcg(
    systems: Mapping[str, System],
    relevance: SetRelevance,
    config: NdcgConfig,
    seed: int = 0,
    reference: str = "",
) -> dict[str, dict]:
    """nDCG@30 in all directions that each system has.

    Args:
      systems: by name, on the items of `relevance`.
      relevance: of the items.
      config: what is measured; CUTOFF and those of the curve are added to its cutoffs.
      seed: of the resampling.
      reference: the system that the others are compared with, item by item; none if empty.

    Returns:
      JSON-compatible: `chance` by direction; `systems` by name and direction, with
      intervals that resample items; `over_reference` in the same form; `by_cutoff` by name,
      direction and K; `items` and `unlabelled`.
    """
    items = len(relevance.labelled)
    cutoffs = sorted({CUTOFF, *config.cutoffs, *(k for k in CURVE_CUTOFFS if k < items)})
    config = dataclasses.replace(config, cutoffs=tuple(cutoffs))
    scores = {name: _scores(system, relevance, config) for name, system in systems.items()}
    any_score = next(iter(next(iter(scores.values())).values()))
    # The chance level asks for the items only: it is the same in all directions.
    chance = any_score.mean_chance()
    result = {
        "config": dataclasses.asdict(dataclasses.replace(config, cutoffs=(CUTOFF,))),
        "items": items,
        "unlabelled": any_score.unlabelled,
        "without_relevant": any_score.without_relevant,
        "chance": dict.fromkeys(DIRECTIONS, chance[CUTOFF]),
        "systems": {
            name: {d: dataclasses.asdict(s.interval(CUTOFF, seed)) for d, s in own.items()}
            for name, own in scores.items()
        },
        "by_cutoff": {
            "chance": dict.fromkeys(DIRECTIONS, _named(chance)),
            **{n: {d: _named(s.mean()) for d, s in own.items()} for n, own in scores.items()},
        },
    }
    if reference:
        result["over_reference"] = {
            name: {
                d: dataclasses.asdict(
                    ndcg.paired_interval(own[d], scores[reference][d], CUTOFF, seed)
                )
                for d in own
                if d in scores[reference]
            }
            for name, own in scores.items()
            if name != reference
        }
    return result


def _scores(
    system: System, relevance: SetRelevance, config: NdcgConfig
) -> dict[str, NdcgScores]:
    sides = {"visual": system.visual, "audio": system.audio}
    directions = [
        direction
        for direction in DIRECTIONS
        for names in [set(direction.split("_to_"))]
        if (system.aligned() or len(names) == 1) and all(sides[n].shape[1] for n in names)
    ]
    return ndcg.evaluate(system.visual, system.audio, relevance, config, directions)


def _named(values: Mapping[int, float]) -> dict[str, float]:
    return {str(key): float(value) for key, value in values.items()}


def permuted_classes(
    system: System, relevance: SetRelevance, config: NdcgConfig, permutations: int, seed: int
) -> dict[str, dict[str, float]]:
    """Cross-modal nDCG@30 where every class answers to another class's sounds.

    Embeddings that keep classes apart in each modality, but were never aligned, are not at
    the chance level of a random ranking: they put all of some class first. Here each set of
    labels gets the sounds of a set that is drawn for it, so that the spread tells how far
    from chance a system without alignment may end up.

    Args:
      system: aligned in its number of dimensions.
      relevance: of the items.
      config: what is measured.
      permutations: how many.
      seed: of the permutations.

    Returns:
      By direction: `mean` and `std` (sample deviation) over the permutations.
    """
    config = dataclasses.replace(config, cutoffs=(CUTOFF,))
    generator = np.random.default_rng(seed)
    rows = relevance.labelled
    kinds = relevance.kinds[rows]
    members = [rows[kinds == kind] for kind in range(len(relevance.sizes))]
    values: dict[str, list[float]] = {}
    for _ in range(permutations):
        taken = np.arange(len(relevance.kinds))
        others = generator.permutation(len(members))
        for own, other in zip(members, others, strict=True):
            taken[own] = np.resize(generator.permutation(members[other]), len(own))
        found = ndcg.evaluate(
            system.visual, system.audio[taken], relevance, config,
            [d for d in DIRECTIONS if len(set(d.split("_to_"))) == 2],
        )
        for direction, scores in found.items():
            values.setdefault(direction, []).append(scores.mean()[CUTOFF])
    return {
        direction: {"mean": float(np.mean(v)), "std": float(np.std(v, ddof=min(1, len(v) - 1)))}
        for direction, v in values.items()
    }


def by_dimension(
    fitted: cca.Cca, visual: np.ndarray, audio: np.ndarray, relevance: SetRelevance,
    config: NdcgConfig,
) -> dict[str, dict[str, float]]:
    """nDCG@30 of a CCA's first components (figure 9), by direction and their number."""
    config = dataclasses.replace(config, cutoffs=(CUTOFF,))
    most = len(fitted.correlations)
    result: dict[str, dict[str, float]] = {direction: {} for direction in DIRECTIONS}
    for number in sorted({*(d for d in CURVE_DIMENSIONS if d < most), most}):
        system = project(first_components(fitted, number), visual, audio)
        for direction, scores in _scores(system, relevance, config).items():
            result[direction][str(number)] = float(scores.mean()[CUTOFF])
    return result


def project(fitted: cca.Cca, visual: np.ndarray, audio: np.ndarray) -> System:
    """Canonical variables of L2-normalised features, L2-normalised, all of one weight."""
    visual, audio = cca.normalise(visual), cca.normalise(audio)
    return System(fitted.embed_visual(visual, power=0.0), fitted.embed_audio(audio, power=0.0))


def first_components(fitted: cca.Cca, components: int) -> cca.Cca:
    """The strongest components of a fitted CCA."""
    return dataclasses.replace(
        fitted,
        visual_projection=fitted.visual_projection[:, :components],
        audio_projection=fitted.audio_projection[:, :components],
        correlations=fitted.correlations[:components],
    )


def relevance_of(
    labels: Sequence[Sequence[bytes]], ontology: Ontology, config: RelevanceConfig
) -> SetRelevance:
    """Relevance between clips.

    Raises:
      UserError: no clip has a label, or one is not in the ontology.
    """
    if not any(len(own) for own in labels):
        raise UserError("--ontology needs clips with labels, and none has one")
    return between_videos(ontology, [[label.decode() for label in own] for own in labels], config)


def evaluate_recall(
    systems: Mapping[str, System], sizes: Sequence[int], num_galleries: int, seed: int
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Recall@K, median rank and MRR on random galleries.

    Args:
      systems: by name; those without one space for both modalities are left out.
      sizes: of the galleries.
      num_galleries: of each size.
      seed: of galleries and resampling.

    Returns:
      Results by system, chance first, as `crossmodal.reports` shows them; intervals by
      system, gallery and metric.
    """
    results, intervals = {"chance": galleries.chance(sizes)}, {}
    for name, system in systems.items():
        if not system.aligned():
            continue
        scores = system.gallery_scores(sizes, num_galleries, seed)
        results[name] = galleries.summarise(scores)
        intervals[name] = {
            f"{key}/{metric}": dataclasses.asdict(comparison.system_interval(score, metric, seed))
            for key, score in scores.items()
            for metric in score.per_query
        }
    return results, intervals
