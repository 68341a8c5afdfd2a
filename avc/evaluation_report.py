"""One evaluation of a network, part by part: numbers for JSON and tables for reading."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avc import (
    clip_features,
    correspondence_scores,
    evaluation_tables,
    localization_scores,
    retrieval_scores,
    scene_truth,
    vggss_scores,
)
from avc.centre_crop import crop_boxes, crop_window
from avc.embedding import TrainedNetwork
from avc.evaluation import Evaluated, embed_pairs
from avc.evaluation_protocol import Protocol
from avc.ontology import Ontology
from avc.recipes import AvcConfig
from avc.retrieval_systems import Systems
from avc.vggss import Item
from crossmodal import reports
from crossmodal.errors import UserError
from crossmodal.reading import Records

Part = tuple[dict, list[tuple[str, str]]]
"""A result with string keys, and titled tables."""


@dataclasses.dataclass(frozen=True)
class ClipSet:
    """Opened clips: what `avc.reading.open_clips` returns.

    Attributes:
      kind: `clip` or `scene`.
      encoding: of their sound.
      records: the clips.
    """

    kind: str
    encoding: str
    records: Records


def embed(
    network: TrainedNetwork,
    clips: ClipSet,
    protocol: Protocol,
    moment: str = "",
    progress: bool = True,
) -> Evaluated:
    """What a network says of clips; `moment` is the protocol's unless given.

    Raises:
      UserError: a record is bad, or only an export was loaded.
    """
    if network.network is None:
        raise UserError(
            f"{network.source}: is an export; name the work folder that it was made from"
        )
    return embed_pairs(
        network.network, clips.records, clips.encoding, network.config, protocol.seed,
        moment or protocol.moment, progress,
    )


def truths_of(
    clips: ClipSet, found: Evaluated, config: AvcConfig, protocol: Protocol
) -> list[scene_truth.Truth] | None:
    """The truth where the network looked; None for clips without."""
    if clips.kind != "scene":
        return None
    scenes = scene_truth.read_scenes(clips.records)
    return scene_truth.judge_all(
        scenes, found.frame_seconds, found.level_dbfs, config.network.segment_seconds,
        config.frames.crop_share, protocol.truth,
    )


def correspondence(
    found: Evaluated,
    truths: Sequence[scene_truth.Truth] | None,
    network: str,
    protocol: Protocol,
    reference: Mapping | None = None,
) -> Part:
    """Accuracy of correspondence; `reference`: `avc.hearing_reference.compare`."""
    result = correspondence_scores.measure(found, truths, protocol.seed)
    result |= {"hearing_reference": reference} if reference else {}
    tables = [("audio-visual correspondence", evaluation_tables.accuracy_table(result, network))]
    if reference and reference["top1"]:
        line = evaluation_tables.top1_line(reference["top1"])
        tables.append(("the classifier with labels alone", line))
    return result, tables


def localization(
    found: Evaluated, truths: Sequence[scene_truth.Truth], protocol: Protocol
) -> Part:
    """Heat maps of scenes."""
    result = localization_scores.measure(found, truths, protocol.localization, protocol.seed)
    return result, [
        (
            f"localisation, {result['measured']} clips (± half of the 95 % interval)",
            evaluation_tables.localization_table(result["systems"], paper=True),
        ),
        (
            "by the number of visible objects",
            evaluation_tables.objects_table(result["by_visible_objects"]),
        ),
        (
            "do maps go empty? Their maximum with the own sound against that with another",
            evaluation_tables.emptiness_table(result["emptiness"]),
        ),
    ]


def swap(network: TrainedNetwork, clips: ClipSet, protocol: Protocol) -> Part:
    """The swap test, at the middle of each clip.

    Raises:
      UserError: the clips are no swap pairs.
    """
    config = network.config
    found = embed(network, clips, protocol, "middle")
    truths = truths_of(clips, found, config, protocol)
    if truths is None:
        raise UserError("--swap_pattern: holds no scenes")
    objects = []
    for scene in scene_truth.read_scenes(clips.records):
        window = crop_window(scene.height, scene.width, config.frames.crop_share)
        objects.append(crop_boxes(scene.boxes, window)[0])
    result = localization_scores.measure_swap(found, truths, objects, protocol.seed)
    areas = {name: result[name] for name in ("off_screen", "silent")}
    return result, [
        (
            f"swap test, {result['pictures']} pictures ({result['unclear']} left out)",
            evaluation_tables.swap_table(result),
        ),
        (
            "the same pictures with another sound: do maps go empty?",
            evaluation_tables.emptiness_table(areas),
        ),
    ]


def vggss(
    network: TrainedNetwork, clips: ClipSet, items: Sequence[Item], protocol: Protocol
) -> Part:
    """Heat maps of the middle frames of VGG-SS.

    Raises:
      UserError: the clips have no annotations.
    """
    pictures = vggss_scores.read_pictures(clips.records)
    annotations = vggss_scores.match(pictures, items)
    result = vggss_scores.measure(
        embed(network, clips, protocol, "middle"), pictures, annotations,
        network.config.frames.crop_share, protocol.localization, protocol.seed,
    )
    result["missing"] = len(items) - result["items"]
    title = f"VGG-SS, {result['items']} of {len(items)} items (± half of the 95 % interval)"
    return result, [(title, evaluation_tables.localization_table(result["systems"], paper=False))]


def recall(systems: Systems, protocol: Protocol, network: str = "") -> Part:
    """Recall@K of all systems whose two modalities can be compared.

    Args:
      systems: of the clips that take part.
      protocol: galleries and seed.
      network: the kind of the first; of a `davenet` there is its paper's table, too.
    """
    table, intervals = retrieval_scores.evaluate_recall(
        systems.systems, protocol.sizes(len(systems.rows)), protocol.num_galleries, protocol.seed
    )
    result = {"systems": table, "intervals": intervals, "clips": len(systems.rows)}
    tables = [("retrieval (± standard deviation)", reports.retrieval_table(table))]
    if network == "davenet":
        title = f"Recall@10 (95 % interval, {len(systems.rows)} pairs)"
        tables.append((title, evaluation_tables.recall_at_ten_table(table, intervals)))
    return result, tables


def ndcg(
    systems: Systems, clips: clip_features.Clips, ontology: Ontology, protocol: Protocol
) -> Part:
    """nDCG@30 of all systems, and the two curves of appendix D.

    Raises:
      UserError: the labels are not of the ontology, or no two clips share one.
    """
    labels = [clips.labels[row] for row in systems.rows]
    relevance = retrieval_scores.relevance_of(labels, ontology, protocol.relevance)
    # What the others are compared with: the paper's strongest unsupervised baseline.
    reference = next(iter(systems.baselines), "")
    result = retrieval_scores.evaluate_ndcg(
        systems.systems, relevance, protocol.ndcg, protocol.seed, reference
    )
    result |= {
        "reference": reference,
        "relevance": dataclasses.asdict(protocol.relevance),
        "fitted": {name: baseline.chosen for name, baseline in systems.baselines.items()},
        "by_dimension": {
            name: retrieval_scores.by_dimension(
                baseline.fitted, baseline.visual, baseline.audio, relevance, protocol.ndcg
            )
            for name, baseline in systems.baselines.items()
        },
    }
    if protocol.num_permutations:
        result["permuted_classes"] = {
            name: retrieval_scores.permuted_classes(
                system, relevance, protocol.ndcg, protocol.num_permutations, protocol.seed
            )
            for name, system in systems.systems.items()
            if system.aligned()
        }
    title = f"nDCG@30, {protocol.ndcg.gain} gain (± half of the 95 % interval)"
    tables = [(title, evaluation_tables.ndcg_table(result))]
    if len(result.get("over_reference", ())):
        lines = evaluation_tables.difference_lines(result)
        tables.append((f"nDCG@30 over {reference}", "\n".join(lines)))
    return result, tables


def curves(result: Mapping) -> dict[str, dict]:
    """The panels of the two charts by file name, from what `ndcg` found."""
    lines = evaluation_tables.lines_of_curve
    by_dimension = {**result["by_dimension"]}
    if by_dimension:
        # A system that is not reduced is a level line.
        numbers = sorted({int(k) for own in by_dimension.values() for v in own.values() for k in v})
        for name, own in result["systems"].items():
            if name not in by_dimension:
                by_dimension[name] = {
                    direction: dict.fromkeys(numbers, interval["estimate"])
                    for direction, interval in own.items()
                }
    return {
        "ndcg_by_cutoff.png": lines(result["by_cutoff"]),
        "ndcg_by_dimension.png": lines(by_dimension) if result["by_dimension"] else {},
    }


def taking_part(clips: clip_features.Clips, protocol: Protocol) -> np.ndarray:
    """The rows of the clips that take part in retrieval."""
    if protocol.clips_per_video == "all":
        return np.arange(len(clips.id))
    return retrieval_scores.one_per_video(clips.video, protocol.seed)
