"""All figures of an evaluation, in a folder."""

import os
from collections.abc import Mapping

from avc import evaluation_classes, evaluation_pictures, evaluation_report
from avc.clip_features import Clips
from avc.evaluation import Evaluated
from avc.evaluation_report import ClipSet
from avc.ontology import Ontology
from avc.retrieval_systems import Systems
from crossmodal import plots


def draw(
    folder: str,
    report: Mapping[str, Mapping],
    systems: Systems,
    clips: ClipSet,
    names: Clips,
    ontology: Ontology | None,
    found: Evaluated | None,
    seed: int,
) -> list[str]:
    """Draws the curves of nDCG, the classes, and the first system's embeddings and retrieval.

    Args:
      folder: of the PNGs.
      report: the parts that were measured, by name.
      systems: of the retrieval tables.
      clips, names: the clips, and what they are called.
      ontology: which names the labels; None where they are names.
      found: what a network says of the clips; None for features from a file.
      seed: of what is drawn at random.

    Returns:
      A line for each figure: its path, or why there is none.

    Raises:
      UserError: matplotlib or scikit-learn is not installed, or a file cannot be written.
    """
    lines = []

    def path_of(name: str) -> str:
        path = os.path.join(folder, name)
        lines.append(f"figure: {path}")
        return path

    curves = evaluation_report.curves(report["ndcg"]) if "ndcg" in report else {}
    for name, panels in curves.items():
        if panels:
            across = "K" if "cutoff" in name else "dimensions"
            along = "nDCG" if across == "K" else "nDCG@30"
            plots.line_chart(path_of(name), panels, across, along)
    if "by_class" in report:
        evaluation_classes.draw(path_of("classes.png"), report["by_class"])
    system, rows = next(iter(systems.systems.values())), systems.rows
    labels = [names.labels[row] for row in rows]
    titles = evaluation_classes.class_names(labels, ontology)
    seconds = found.frame_seconds[rows] if found else None
    if len(rows) > 1:
        evaluation_pictures.draw_retrieval(
            path_of("retrieval.png"), system, clips.records, systems.ids, seconds, labels,
            titles, seed,
        )
    path = path_of("embeddings.png")
    if not evaluation_pictures.draw_plane(path, system, labels, titles, seed):
        lines[-1] = f"{path} is not drawn: no class has {evaluation_pictures.LEAST} clips"
    return lines
