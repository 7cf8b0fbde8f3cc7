"""From the nearest examples to the nearest products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.gallery.index import VectorIndex
from edgevision.gallery.vectors import Vectors

_FIRST = 8  # examples that are looked at for each product wanted


@dataclass(frozen=True, eq=False)
class NearestProduct:
    """``product``: its place in the gallery. ``example``: the place of the nearest of its examples. ``similarity``: to that."""

    product: int
    example: int
    similarity: float


def nearest_products(
    index: VectorIndex,
    product_of: npt.NDArray[np.int64],
    queries: Vectors,
    count: int,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> list[list[NearestProduct]]:
    """For each query the ``count`` products that are nearest, best first, by the nearest example of each. ``count``: at most
    the products that have examples which count.

    ``product_of``: [n], the product's place of each example. ``queries``: [q, d] of length 1. ``allowed``: [n], which examples count.

    One product may have all the nearest examples, so more of them are asked for until there are enough products.
    """
    most = len(product_of) if allowed is None else int(allowed.sum())
    found: list[list[NearestProduct]] = [[] for _ in queries]
    open_queries = np.arange(len(queries)) if count else np.empty(0, np.int64)
    k = min(most, count * _FIRST)
    while len(open_queries):
        places, similarities = index.search(queries[open_queries], k, allowed)
        for row, query in enumerate(open_queries):
            found[query] = _first_of_each(product_of, places[row], similarities[row], count)
        short = [len(found[query]) < count for query in open_queries]
        open_queries = open_queries[short] if k < most else open_queries[:0]
        k = min(most, k * 8)
    return found


def _first_of_each(
    product_of: npt.NDArray[np.int64], places: npt.NDArray[np.int64], similarities: Vectors, count: int
) -> list[NearestProduct]:
    best: dict[int, NearestProduct] = {}
    for place, similarity in zip(places.tolist(), similarities.tolist(), strict=True):
        product = int(product_of[place])
        if product not in best:
            best[product] = NearestProduct(product, place, min(1.0, max(-1.0, similarity)))
            if len(best) == count:
                break
    return list(best.values())
