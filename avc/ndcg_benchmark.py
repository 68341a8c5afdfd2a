"""How fast nDCG of retrieval is, beside scikit-learn's on the same embeddings and labels."""

import functools
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path

from avc import ontology as ontologies
from avc import relevance
from avc.ontology import Ontology
from crossmodal import benchmark, ndcg
from crossmodal.benchmark import Comparison
from crossmodal.errors import UserError

ITEMS = 4300  # about as many videos as AudioSet-Instruments has for tests
SIZE = 128  # of the embeddings
MOST_LABELS = 4
# What the means of the two may differ by.
TOLERANCE = 1e-6
OFFSET = relevance.RelevanceConfig().offset
Means = dict[str, float]


def make_items(
    ontology: Ontology, items: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
    """Random items with one to four labels of the paper's 110 classes.

    Args:
      ontology: that has the classes.
      items: how many.
      seed: of everything.

    Returns:
      visual, audio: float32 [items, SIZE]; ids of the classes of each item.
    """
    generator = np.random.default_rng(seed)
    classes = sorted(ontology.descendants(ontologies.INSTRUMENT_ROOTS))
    visual, audio = generator.standard_normal((2, items, SIZE), np.float32)
    most = min(MOST_LABELS, len(classes))
    labels = [
        [classes[c] for c in generator.choice(len(classes), number, replace=False)]
        for number in generator.integers(1, most + 1, items)
    ]
    return visual, audio, labels


def measure(
    visual: np.ndarray, audio: np.ndarray, labels: Sequence[Sequence[str]], ontology: Ontology
) -> Means:
    """Ours: mean nDCG@30 of each direction."""
    between = relevance.between_videos(ontology, labels)
    scores = ndcg.evaluate(visual, audio, between)
    return {direction: float(found.mean()[30]) for direction, found in scores.items()}


def measure_with_sklearn(
    visual: np.ndarray,
    audio: np.ndarray,
    labels: Sequence[Sequence[str]],
    ontology: Ontology,
    ignore_ties: bool = False,
) -> Means:
    """The same by `sklearn.metrics.ndcg_score` and matrices of all items.

    Args:
      visual, audio: [items, d].
      labels: ids of the classes of each item, one at least.
      ontology: that has them.
      ignore_ties: spares the library what equal scores need; there are none in noise.
    """
    metrics = benchmark.import_peer("sklearn.metrics")
    gains = np.exp2(relevance_matrix(labels, ontology)) - 1
    sides = {"visual": visual, "audio": audio}
    sides = {n: rows / np.linalg.norm(rows, axis=1, keepdims=True) for n, rows in sides.items()}
    # A query's own item is no candidate.
    others = ~np.eye(len(labels), dtype=bool)
    shape = len(labels), len(labels) - 1
    gains = gains[others].reshape(shape)
    found = {}
    for direction in ndcg.DIRECTIONS:
        query, database = direction.split("_to_")
        scores = (sides[query] @ sides[database].T)[others].reshape(shape)
        value = metrics.ndcg_score(gains, scores, k=30, ignore_ties=ignore_ties)
        found[direction] = float(value)
    return found


def relevance_matrix(labels: Sequence[Sequence[str]], ontology: Ontology) -> np.ndarray:
    """Relevance of all items to all, float64 [items, items], by SciPy's shortest paths."""
    number = {identifier: index for index, identifier in enumerate(ontology.names)}
    edges = np.array(
        [(number[a], number[b]) for a, below in ontology.children.items() for b in below]
    )
    size = len(number), len(number)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), size).tocsr()
    used = sorted({label for own in labels for label in own})
    places = [number[label] for label in used]
    distances = shortest_path(graph, directed=False, unweighted=True, indices=places)[:, places]
    closeness = np.maximum(OFFSET - distances, 0)
    row = {label: index for index, label in enumerate(used)}
    own = [[row[label] for label in each] for each in labels]
    to_items = np.stack([closeness[:, each].max(axis=1) for each in own], axis=1)
    return np.stack([to_items[each].max(axis=0) for each in own])


def compare_ndcg(
    ontology_path: str, rounds: int, items: int = ITEMS, clock: str = "wall"
) -> list[Comparison]:
    """From embeddings and labels to the means of four directions, in turns.

    Args:
      ontology_path: AudioSet's `ontology.json`.
      rounds: how many times each is timed.
      items: in the gallery.
      clock: of `benchmark.CLOCKS`.

    Raises:
      UserError: the file is no such ontology, or the results differ.
    """
    benchmark.import_peer("sklearn.metrics")
    ontology = ontologies.read(ontology_path)
    arguments = (*make_items(ontology, items), ontology)
    ours, peer, untied = "crossmodal.ndcg", "ndcg_score", "ndcg_score, ignore_ties"
    calls = {
        ours: functools.partial(measure, *arguments),
        peer: functools.partial(measure_with_sklearn, *arguments),
        untied: functools.partial(measure_with_sklearn, *arguments, ignore_ties=True),
    }
    expected = calls[peer]()
    for name in (ours, untied):
        check_same(name, calls[name](), expected)
    times = benchmark.alternate(calls, rounds, "nDCG", clock)
    name = f"nDCG@30, four directions, {items:,} items"
    return [
        benchmark.compare_speed(name, times, ours, other, 5, 4 * items, "queries")
        for other in (peer, untied)
    ]


def check_same(name: str, found: Means, expected: Means) -> None:
    """Raises UserError where a mean differs from what it should be."""
    for direction, value in expected.items():
        if not abs(found[direction] - value) <= TOLERANCE:
            raise UserError(
                f"{direction}: {name} gives a mean nDCG@30 of {found[direction]:.9f} and "
                f"scikit-learn {value:.9f}; their times do not compare"
            )
