"""How well sound and picture of each class's clips fit, as a part of an evaluation."""

from collections.abc import Sequence

import numpy as np

from avc.clip_features import Clips
from avc.evaluation import Evaluated
from avc.evaluation_protocol import Protocol
from avc.evaluation_report import Part
from avc.ontology import Ontology
from avc.retrieval_scores import System
from crossmodal import class_dependence
from crossmodal.class_dependence import Measure


def measure(
    clips: Clips,
    ontology: Ontology | None,
    protocol: Protocol,
    found: Evaluated | None,
    rows: np.ndarray,
    system: System | None,
    shown: int | None = None,
) -> Part | None:
    """Recall@10 in galleries of the largest size, and accuracy of correspondence, by class.

    Args:
      clips: all of them.
      ontology: which names the labels; None where they are names.
      protocol: galleries and seed.
      found: what a network says of the clips; None for no accuracy.
      rows: the clips that take part in retrieval.
      system: of these, where its two modalities can be compared.
      shown: so many of the first and of the last classes in the table; None for all.

    Returns:
      None where no clip has a label, or nothing is measured.
    """
    measures = {}
    if system is not None and system.aligned():
        size = max(protocol.sizes(len(rows)))
        scores = system.gallery_scores([size], protocol.num_galleries, protocol.seed)
        own = class_dependence.recall(scores, size)
        values = np.full(len(clips.id), np.nan)
        values[rows] = own.values
        measures["recall@10"] = Measure(values, own.chance, own.title)
    if found is not None:
        measures["accuracy"] = Measure(accuracies(found), 0.5, "accuracy %")
    names = class_names(clips.labels, ontology)
    if not names or not measures:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    labels = [[numbers[label] for label in own] for own in clips.labels]
    result = class_dependence.measure(measures, labels, clips.video)
    titles = dict(enumerate(names.values()))
    title = "sound and picture by class, those that fit best first"
    table = class_dependence.table(result, titles, shown)
    texts = {number: name.decode() for name, number in numbers.items()}
    result["classes"] = {
        texts[number]: {"name": titles[number], **own}
        for number, own in result["classes"].items()
    }
    return result, [(title, table)]


def draw(path: str, result: dict) -> None:
    """Draws what `measure` found, as a PNG.

    Raises:
      UserError: matplotlib is not installed, or the file cannot be written.
    """
    names = {label: own["name"] for label, own in result["classes"].items()}
    class_dependence.draw(path, result, names)


def accuracies(found: Evaluated) -> np.ndarray:
    """The share of right answers among each clip's own pair and its mismatched one, `[n]`."""
    own = found.logits.argmax(1) == 1
    other = found.mismatched_logits.argmax(1) == 0
    return np.where(found.mismatched, (own + other.astype(np.float64)) / 2, own)


def class_names(
    labels: Sequence[Sequence[bytes]], ontology: Ontology | None
) -> dict[bytes, str]:
    """All labels in order, and what to call them."""
    present = sorted({label for own in labels for label in own})
    known = ontology.names if ontology else {}
    return {label: known.get(label.decode(), label.decode()) for label in present}
