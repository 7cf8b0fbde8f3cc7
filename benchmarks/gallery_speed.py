"""Search in a gallery: ours against faiss and usearch at equal recall, on the same vectors, paired in one run.

    python -m benchmarks.gallery_speed --prepare      # once: builds graphs of 1,000,000 vectors into runs/, two hours
    python -m benchmarks.gallery_speed --embedder M.edge    # 7 minutes on an idle machine

Needs faiss-cpu and usearch. One thread each. ``--embedder``: also what a shop waits for, a photo of 640×480 embedded by that bundle
and then searched; the vector that is searched is one of the queries, for the made gallery is not of that embedder. Vectors: products of several categories, a few views each, 256 numbers; queries are
views that are not among them. Every candidate's answers are compared with a search in float64; those that are approximate get the
least effort that finds 99 % of the nearest, and of the five nearest. Then all run in shuffled turns; ratios are medians over
rounds with a bootstrap 95 % interval.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.common import RUNS, write_result
from edgevision.gallery.index import ExactIndex, ListIndex, make_index
from edgevision.latency import Samples, measure_interleaved, paired_ratio
from edgevision.tasks.embed import EmbedTask

FOLDER = RUNS / "gallery_speed"
DIMENSION, TOP, RECALL = 256, 5, 0.99
VIEWS, QUERIES, BATCH = 10, 256, 32
SIZES = (100, 10_000, 1_000_000)
EFFORTS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)

Vectors = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Search = Callable[[Vectors], Places]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--prepare", action="store_true", help="only build what the peers need for the largest gallery")
    p.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--embedder", type=Path, help="a bundle that embeds pictures, to measure both steps together")
    arguments = p.parse_args()
    import faiss

    faiss.omp_set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    encode = encoder_of(arguments.embedder) if arguments.embedder else None
    rows = {}
    for size in arguments.sizes:
        vectors, queries = made_gallery(size)
        if arguments.prepare:
            hnsw_of(vectors), ivf_of(vectors), usearch_of(vectors)
        else:
            rows[str(size)] = compared(size, vectors, queries, arguments.rounds, encode)
    if not arguments.prepare:
        versions = {name: _version(name) for name in ("faiss-cpu", "usearch")}
        write_result(
            "gallery_speed", {"dimension": DIMENSION, "top": TOP, "recall": RECALL, "peers": versions, "sizes": rows}
        )


def made_gallery(size: int) -> tuple[Vectors, Vectors]:
    """Vectors [size, 256], and queries: other views of the same products. Lengths of what is added to what all share:
    category 0.6, product 0.7, view 0.45, which gives cosines of about 0.9 between views, 0.7 within a category and 0.5 beyond."""
    random = np.random.default_rng(size)

    def directions(count: int, length: float) -> Vectors:
        rows = random.standard_normal((count, DIMENSION), np.float32)
        return np.asarray(rows * np.float32(length / DIMENSION**0.5), np.float32)

    products = max(1, size // VIEWS)
    categories = max(1, products // 50)
    middle = (
        directions(1, 1.0)
        + directions(categories, 0.6)[random.integers(0, categories, products)]
        + directions(products, 0.7)
    )
    vectors = middle[np.arange(size) % products] + directions(size, 0.45)
    queries = middle[random.integers(0, products, QUERIES)] + directions(QUERIES, 0.45)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    return vectors, queries


@dataclass
class Candidate:
    """``effort``: what it looks into, of an approximate one. ``bytes``: of all that it keeps; ``beside``: whether the vectors
    themselves, which a gallery has anyway, come to that."""

    search: Search
    bytes: float
    beside: bool = False
    effort: int | None = None
    recall: tuple[float, float] = (0.0, 0.0)


def encoder_of(bundle: Path) -> Callable[[int], None]:
    """What embeds that many photos, each another one."""
    import edgevision

    model = edgevision.load(bundle, threads=1)
    assert isinstance(model.task, EmbedTask), f"{bundle} does not embed pictures"
    photos = list(np.random.default_rng(0).integers(0, 256, (BATCH, 480, 640, 3), np.uint8))

    def encode(count: int) -> None:
        model.predict(photos[:count])

    return encode


def compared(
    size: int, vectors: Vectors, queries: Vectors, rounds: int, encode: Callable[[int], None] | None
) -> dict[str, Any]:
    print(f"{size:,} vectors", flush=True)
    nearest = by_float64(vectors, queries)
    candidates: dict[str, Candidate] = {}
    for name, candidate in candidates_for(vectors, queries, nearest):
        candidate.recall = recall_of(candidate.search(queries), vectors, queries, nearest)
        candidates[name] = candidate
        effort = "" if candidate.effort is None else f", effort {candidate.effort}"
        print(f"  {name:24s} recall@1 {candidate.recall[0]:.4f} @5 {candidate.recall[1]:.4f}{effort}", flush=True)
    for name in ("ours, exact", "faiss flat"):
        assert min(candidates[name].recall) == 1.0, f"{name} is not exact: {candidates[name].recall}"
    enough = {name: one for name, one in candidates.items() if min(one.recall) >= RECALL}
    slow = {"ours, exact", "faiss flat"} if size > 100_000 else set()
    rows = {}
    for batch in (1, BATCH):
        quick = {name: one for name, one in enough.items() if name not in slow}
        rows[f"{batch} at once"] = timed(quick, queries, batch, rounds, "ours")
        if slow:
            few = {name: one for name, one in enough.items() if name in slow}
            rows[f"{batch} at once, exact"] = timed(few, queries, batch, max(5, rounds // 10), "ours, exact")
        if encode:
            both = {name: replace(one, search=_encoded(encode, one.search)) for name, one in quick.items()}
            rows[f"{batch} at once, encoded before"] = timed(
                both, queries, batch, rounds // 2, "ours", " with encoding"
            )
    facts = {
        name: {**asdict(one), "search": None, "bytes_per_vector": one.bytes / size} for name, one in candidates.items()
    }
    return {"candidates": facts, "search": rows, "add_one": added(vectors)}


def candidates_for(vectors: Vectors, queries: Vectors, nearest: Vectors) -> Iterator[tuple[str, Candidate]]:
    import faiss

    ours = make_index(vectors, cache=FOLDER / f"{len(vectors)}.lists")
    kind = "lists" if isinstance(ours, ListIndex) else "exact"
    effort = ours.lists.probes if isinstance(ours, ListIndex) else None
    print(f"  ours is {kind}", flush=True)
    yield "ours", Candidate(lambda q: ours.search(q, TOP)[0], ours.bytes, beside=True, effort=effort)
    exact = ours if isinstance(ours, ExactIndex) else ExactIndex(vectors)
    yield "ours, exact", Candidate(lambda q: exact.search(q, TOP)[0], exact.bytes, beside=True)
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors)
    yield "faiss flat", Candidate(lambda q: flat.search(q, TOP)[1], vectors.nbytes)
    if len(vectors) < 1000:
        return  # a graph of so few is no different from looking at all
    hnsw = hnsw_of(vectors)

    def with_hnsw(effort: int) -> Search:
        hnsw.hnsw.efSearch = effort
        return lambda q: hnsw.search(q, TOP)[1]

    yield "faiss HNSW", tuned(with_hnsw, vectors, queries, nearest, vectors.nbytes + len(vectors) * (2 * 32 + 1) * 4)
    if len(vectors) > 100_000:
        ivf = ivf_of(vectors)

        def with_ivf(effort: int) -> Search:
            ivf.nprobe = effort
            return lambda q: ivf.search(q, TOP)[1]

        yield "faiss IVF", tuned(with_ivf, vectors, queries, nearest, vectors.nbytes + len(vectors) * 8)
    graph = usearch_of(vectors)

    def with_usearch(effort: int) -> Search:
        graph.expansion_search = effort
        return lambda q: graph.search(q, TOP, threads=1).keys.astype(np.int64).reshape(len(q), -1)

    yield "usearch f16", tuned(with_usearch, vectors, queries, nearest, graph.memory_usage)


def tuned(
    make: Callable[[int], Search], vectors: Vectors, queries: Vectors, nearest: Vectors, size: float
) -> Candidate:
    """With the least effort that is enough; where none is, with the most."""
    for effort in EFFORTS:
        if min(recall_of(make(effort)(queries), vectors, queries, nearest)) >= RECALL:
            break
    return Candidate(make(effort), size, effort=effort)


def by_float64(vectors: Vectors, queries: Vectors) -> Vectors:
    """The similarities of the five nearest, [q, 5], best first."""
    best = np.full((len(queries), TOP), -np.inf)
    exact = queries.astype(np.float64)
    for start in range(0, len(vectors), 50_000):
        part = exact @ vectors[start : start + 50_000].astype(np.float64).T
        best = -np.partition(-np.concatenate([best, part], axis=1), TOP - 1, axis=1)[:, :TOP]
    return -np.sort(-best, axis=1)


def recall_of(places: Places, vectors: Vectors, queries: Vectors, nearest: Vectors) -> tuple[float, float]:
    """Which share of the nearest, and of the five nearest, is there; what is as near to 1e-6 counts, too."""
    there = np.where(places < 0, 0, places)
    similar = np.einsum("qd,qkd->qk", queries.astype(np.float64), vectors[there].astype(np.float64))
    similar[places < 0] = -np.inf
    first = (similar >= nearest[:, :1] - 1e-6).any(axis=1).mean()
    five = np.minimum((similar >= nearest[:, -1:] - 1e-6).sum(axis=1), TOP).mean() / TOP
    return float(first), float(five)


def _encoded(encode: Callable[[int], None], search: Search) -> Search:
    def both(queries: Vectors) -> Places:
        encode(len(queries))
        return search(queries)

    return both


def timed(
    candidates: Mapping[str, Candidate], queries: Vectors, batch: int, rounds: int, base: str, how: str = ""
) -> dict[str, Any]:
    """Every round each candidate answers the same ``batch`` queries."""
    turns = {name: _turns(one.search, queries, batch) for name, one in candidates.items()}
    samples = measure_interleaved(
        {name: turn.__next__ for name, turn in turns.items()}, rounds, warmup=max(3, rounds // 10)
    )
    print(f"  {batch} at once{how}")
    rows = {}
    for name, taken in samples.items():
        ratio = paired_ratio(taken, samples[base])
        rows[name] = {**_microseconds(taken, batch), "this_over_ours": asdict(ratio)}
        print(
            f"    {name:24s} {1e3 * taken.p50_ms / batch:10.1f} µs a query  {ratio.median:7.2f}× [{ratio.low:.2f}…{ratio.high:.2f}]"
        )
    return rows


def _turns(search: Search, queries: Vectors, batch: int) -> Iterator[Places]:
    place = 0
    while True:
        yield search(queries[place : place + batch])
        place = (place + batch) % (len(queries) - batch + 1)


def _microseconds(taken: Samples, batch: int) -> dict[str, Any]:
    return {
        "p50_us_a_query": 1e3 * taken.p50_ms / batch,
        "p90_us_a_query": 1e3 * taken.p90_ms / batch,
        "undisturbed": taken.undisturbed,
    }


def added(vectors: Vectors) -> dict[str, float]:
    """Median microseconds to add one vector to an index of all but the last twenty. Ours is given the longer table, which the
    gallery makes; the others copy the vector."""
    import faiss

    count = len(vectors) - 20
    index = ExactIndex(vectors[:count])
    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(vectors[:count])
    times: dict[str, list[float]] = {"ours, exact": [], "faiss flat": []}
    for place in range(count, len(vectors)):
        started = time.perf_counter()
        index = index.extended(vectors[: place + 1])
        times["ours, exact"].append(time.perf_counter() - started)
        started = time.perf_counter()
        flat.add(vectors[place : place + 1])
        times["faiss flat"].append(time.perf_counter() - started)
    if len(vectors) > 1000:
        hnsw, graph = hnsw_of(vectors), usearch_of(vectors)
        lists = make_index(vectors[:count], cache=FOLDER / f"{count}.lists") if count > 100_000 else None
        for name in ("faiss HNSW", "usearch f16", *(["ours"] if lists else [])):
            times[name] = []
        for place in range(count, len(vectors)):
            one = vectors[place : place + 1]
            started = time.perf_counter()
            hnsw.add(one)
            times["faiss HNSW"].append(time.perf_counter() - started)
            started = time.perf_counter()
            graph.add(np.array([len(vectors) + place]), one, threads=1)
            times["usearch f16"].append(time.perf_counter() - started)
            if lists:
                started = time.perf_counter()
                lists = lists.extended(vectors[: place + 1])
                times["ours"].append(time.perf_counter() - started)
    medians = {name: 1e6 * float(np.median(some)) for name, some in times.items()}
    print("  add one:", ", ".join(f"{name} {median:.0f} µs" for name, median in medians.items()), flush=True)
    return medians


# ---- the peers' indexes, kept in runs/ ----


def hnsw_of(vectors: Vectors) -> Any:
    """Of faiss, with 32 links and 40 candidates, its own defaults."""
    import faiss

    def make() -> Any:
        index = faiss.IndexHNSWFlat(DIMENSION, 32, faiss.METRIC_INNER_PRODUCT)
        index.add(vectors)
        return index

    return _kept(FOLDER / f"{len(vectors)}.hnsw", make, faiss.read_index, faiss.write_index)


def ivf_of(vectors: Vectors) -> Any:
    """Of faiss, with as many lists as ours has."""
    import faiss

    from edgevision.gallery.index.making import list_count

    def make() -> Any:
        lists = list_count(len(vectors))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(DIMENSION), DIMENSION, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 40 * lists]])
        index.add(vectors)
        return index

    return _kept(FOLDER / f"{len(vectors)}.ivf", make, faiss.read_index, faiss.write_index)


def usearch_of(vectors: Vectors) -> Any:
    """With its own defaults, and vectors of half the size: quicker than in float32, and enough for the recall."""
    from usearch.index import Index

    def make() -> Any:
        index = Index(ndim=DIMENSION, metric="ip", dtype="f16")
        index.add(np.arange(len(vectors)), vectors, threads=1)
        return index

    return _kept(FOLDER / f"{len(vectors)}.usearch", make, Index.restore, lambda index, path: index.save(path))


def _kept(path: Path, make: Callable[[], Any], read: Callable[[str], Any], write: Callable[[Any, str], None]) -> Any:
    if path.is_file():
        return read(str(path))
    started = time.perf_counter()
    index = make()
    print(f"built {path.name} in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    write(index, str(path))
    return index


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main()
