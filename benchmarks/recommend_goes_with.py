"""Which measure of "goes with" finds the rest of a basket best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.recommend_cases import Case, Split
from benchmarks.recommend_measures import AT, ndcg
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.terms import goes_with_term


def rest_of_basket(data: Split, baskets: Baskets, cases: Sequence[Case], seed: int = 0) -> dict[str, Any]:
    """Half of the wanted basket is given, the other half sought, nothing else known: which measure of "goes with" is best."""
    rng = np.random.default_rng(seed)
    halves = []
    for case in cases:
        if len(case.wanted) >= 4:
            items = [int(item) for item in rng.permutation(sorted(case.wanted))]
            halves.append((items[: len(items) // 2], frozenset(items[len(items) // 2 :])))
    n = len(data.shelf)

    def conditional(damping: float, shrink: float = 10.0) -> Callable[[list[int]], npt.NDArray[np.float64]]:
        return lambda given: goes_with_term(data.shelf, baskets, dict.fromkeys(given, 1.0), damping, shrink)

    gram = _gram(baskets, n)
    measures: dict[str, Callable[[list[int]], npt.NDArray[np.float64]]] = {
        "popularity": lambda given: np.diag(gram).copy(),
        **{f"conditional chance, damping {damping}": conditional(damping) for damping in (0.0, 0.25, 0.5, 0.75)},
        "lift, shrunk (damping 1)": conditional(1.0),
        "positive PMI, shrunk": _summed(_pmi(gram, baskets.total)),
        "cosine": _summed(gram / np.sqrt(np.maximum(np.outer(np.diag(gram), np.diag(gram)), 1))),
        **{f"EASE of the counts, {strength:g}": _summed(_ease(gram, strength)) for strength in (100.0, 1000.0)},
    }
    found = {}
    for name, measure in measures.items():
        scores = []
        for given, sought in halves:
            values = np.array(measure(given))
            values[given] = -np.inf
            scores.append(ndcg([int(place) for place in np.argsort(-values, kind="stable")[:AT]], sought))
        found[name] = {"ndcg@10": round(float(np.mean(scores)), 4)}
        print(f"rest of the basket, {name:32} {found[name]['ndcg@10']:.4f}", flush=True)
    return {"baskets": len(halves), "measures": found}


def _gram(baskets: Baskets, n: int) -> npt.NDArray[np.float64]:
    gram = np.zeros((n, n))
    for place in range(n):
        gram[place, place] = baskets.count(place)
        for other, count in baskets.together(place).items():
            gram[place, other] = count
    return gram


def _summed(weights: npt.NDArray[np.float64]) -> Callable[[list[int]], npt.NDArray[np.float64]]:
    return lambda given: np.asarray(weights[given].sum(axis=0))


def _pmi(gram: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.float64]:
    count = np.maximum(np.diag(gram), 1)
    with np.errstate(divide="ignore"):
        pmi = np.log(np.maximum(gram * total, 1e-12) / np.outer(count, count))
    return np.asarray(np.maximum(pmi, 0) * gram / (gram + 10.0))


def _ease(gram: npt.NDArray[np.float64], strength: float) -> npt.NDArray[np.float64]:
    inverse = np.linalg.inv(gram + strength * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)
