"""How fast exact ranks are: beside FAISS's exact index and beside the bare product.

FAISS answers less (the first ten items instead of every match's rank, ties by chance),
so it is a lower bound of what it would take to get the same from it.
"""

import os
import threading
from collections.abc import Callable

import numpy as np

from crossmodal import benchmark, retrieval
from crossmodal.benchmark import Comparison

SIZE = 250  # of the embeddings
CUTOFF = 10


def make_pairs(items: int, size: int = SIZE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of unit vectors [items, size], float32, whose rows i resemble each other."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((items, size), np.float32)

    def noisy() -> np.ndarray:
        rows = shared + 2.0 * generator.standard_normal((items, size), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    return noisy(), noisy()


def search_faiss(visual: np.ndarray, audio: np.ndarray) -> dict[str, np.ndarray]:
    """The CUTOFF best items for each query by FAISS: int64 [queries, CUTOFF] by direction."""
    faiss = benchmark.import_peer("faiss")
    found = {}
    for direction, queries, items in zip(
        retrieval.DIRECTIONS, (visual, audio), (audio, visual), strict=True
    ):
        index = faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        found[direction] = index.search(queries, CUTOFF)[1]
    return found


def multiply_only(visual: np.ndarray, audio: np.ndarray, tile: int) -> None:
    """The product of all pairs, tile by tile, and nothing done with it."""
    for top in range(0, len(visual), tile):
        for left in range(0, len(audio), tile):
            retrieval.multiply(visual[top : top + tile], audio[left : left + tile])


def peak_memory(job: Callable[[], object], pause: float = 0.01) -> int:
    """By how many bytes the process's resident memory grows at most while a job runs."""
    page, done, seen = os.sysconf("SC_PAGE_SIZE"), threading.Event(), []

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * page

    def watch() -> None:
        while not done.wait(pause):
            seen.append(resident())

    before, watcher = resident(), threading.Thread(target=watch)
    watcher.start()
    try:
        job()
    finally:
        done.set()
        watcher.join()
    return max(seen, default=before) - before


def compare_with_faiss(rounds: int, threads: int, items: int = 10_000) -> list[Comparison]:
    """Recall@K in both directions against IndexFlatIP, at whichever threads it is faster.

    Its threads wait for each other busily, so on a busy machine one does more than several.

    Args:
      rounds: how many times each is timed.
      threads: of FAISS.
      items: pairs of embeddings.
    """
    faiss = benchmark.import_peer("faiss")
    pairs = make_pairs(items)

    def search(number: int) -> None:
        faiss.omp_set_num_threads(number)
        search_faiss(*pairs)

    peers = {f"FAISS IndexFlatIP, threads: {n}": n for n in sorted({1, threads})}
    jobs: dict[str, Callable[[], object]] = {"rank_pairs": lambda: retrieval.rank_pairs(*pairs)}
    jobs |= {name: lambda n=number: search(n) for name, number in peers.items()}
    times = benchmark.alternate(jobs, rounds, "recall")
    name = f"Recall@K both ways, {items:,} items, {SIZE}-d"
    best = benchmark.fastest(times, *peers)
    return [benchmark.compare_time(name, times, "rank_pairs", best, target=0.2)]


def compare_with_product(rounds: int, items: int = 100_000) -> list[Comparison]:
    """Time beside the bare matrix product, and memory, for many items."""
    pairs = make_pairs(items)
    # Memory first: what an earlier job has freed may still be counted as resident.
    grown = peak_memory(lambda: retrieval.rank_pairs(*pairs, progress=True)) / 1e9
    tiles = {f"bare product, tiles of {tile:,}": tile for tile in (1024, 4096)}
    jobs: dict[str, Callable[[], object]] = {"rank_pairs": lambda: retrieval.rank_pairs(*pairs)}
    jobs |= {name: lambda t=tile: multiply_only(*pairs, t) for name, tile in tiles.items()}
    times = benchmark.alternate(jobs, rounds, "large recall")
    name = f"Recall@K both ways, {items:,} items, {SIZE}-d"
    product = benchmark.fastest(times, *tiles)
    return [
        benchmark.compare_time(name, times, "rank_pairs", product, target=2),
        Comparison(
            f"memory of the same, {items:,} items", f"rank_pairs: {grown:.2f} GB more at its peak",
            "1 GB", grown, grown, grown, target=1, at_least=False,
        ),
    ]
