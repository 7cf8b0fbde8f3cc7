"""A list in which not everything is alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LONGEST = 200
"""So many of the best are looked at: what is further down is no loss."""


def varied(
    scores: npt.NDArray[np.float64], looks: npt.NDArray[np.float32], count: int, variety: float
) -> list[int]:  # fmt: skip
    """Places of ``count`` of the products, in order: each is the best by (1 - ``variety``)·score - ``variety``·(cosine to the most alike
    of those before it), scores as shares of the best one's. ``looks``: [n, d], rows of length 1 or 0.

    Maximal marginal relevance: Carbonell & Goldstein, The Use of MMR, 1998. Products with a score of 0 are left out.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    if not variety or len(order) < 2:
        return [int(place) for place in order[:count]]
    pool = order[: max(LONGEST, count)]
    relevance = scores[pool] / scores[pool[0]]
    nearest = np.zeros(len(pool))
    left = np.ones(len(pool), np.bool_)
    chosen: list[int] = []
    while left.any() and len(chosen) < count:
        value = np.where(left, (1 - variety) * relevance - variety * nearest, -np.inf)
        best = int(value.argmax())
        left[best] = False
        chosen.append(int(pool[best]))
        nearest = np.maximum(nearest, looks[pool] @ looks[pool[best]])
    return chosen
