"""The four reasons to recommend a product, each as a chance for every product on the shelf: [n] float64 that adds up to 1, or all 0
where nothing is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from edgevision.recommend.baskets import Baskets
from edgevision.recommend.shelf import Shelf

Chances = npt.NDArray[np.float64]


def again_term(shelf: Shelf, bought: Mapping[int, float]) -> Chances:
    """Bought again in proportion to how often it was bought, as it has faded since. ``bought``: by product."""
    values = np.zeros(len(shelf))
    for id, weight in bought.items():
        place = shelf.place.get(id)
        if place is not None:
            values[place] = weight
    return chances_of(values)


def looks_term(shelf: Shelf, interest: npt.NDArray[np.float64], warmth: float) -> Chances:
    """exp(cosine / ``warmth``) of each product's looks to the ``interest`` [d], a sum of vectors; 0 for what has no picture."""
    taste = shelf.telling(interest)
    length = float(np.linalg.norm(taste))
    if not length > 1e-9 * max(1.0, float(np.linalg.norm(interest))) or not shelf.pictured.any():
        return np.zeros(len(shelf))
    cosines = shelf.looks @ (taste / length).astype(np.float32)
    heat = np.exp((cosines.astype(np.float64) - 1.0) / warmth)
    return chances_of(np.where(shelf.pictured, heat, 0.0))


def goes_with_term(
    shelf: Shelf, baskets: Baskets, context: Mapping[int, float], damping: float, shrink: float
) -> Chances:
    """What is bought together with ``context``: products with their weights, such as those in the basket.

    Of product j: pairs(i, j) / (count(j) + ``shrink``) / count(i) ** ``damping``: conditional chance, less so for what goes with everything.
    Deshpande & Karypis, Item-Based Top-N Recommendation Algorithms, 2004, equation 5.
    """
    sums: dict[int, float] = {}
    for j, weight in context.items():
        scale = weight / (baskets.count(j) + shrink) if baskets.count(j) else 0.0
        for i, pairs in baskets.together(j).items():
            sums[i] = sums.get(i, 0.0) + scale * pairs
    values = np.zeros(len(shelf))
    for i, value in sums.items():
        place = shelf.place.get(i)
        if place is not None:
            values[place] = value / max(1, baskets.count(i)) ** damping
    return chances_of(values)


def popularity_term(counts: npt.NDArray[np.float64]) -> Chances:
    """In proportion to the number of baskets [n], one added to each, so that nothing is impossible."""
    return chances_of(counts + 1.0)


def counts_of(shelf: Shelf, baskets: Baskets) -> npt.NDArray[np.float64]:
    """Baskets with each product of the shelf, [n]."""
    values = np.zeros(len(shelf))
    for id, count in baskets.counts().items():
        place = shelf.place.get(id)
        if place is not None:
            values[place] = count
    return values


def scaled(context: Iterable[tuple[int, float]]) -> dict[int, float]:
    """Weights that add up to 1."""
    pairs = dict(context)
    total = sum(pairs.values())
    return {id: weight / total for id, weight in pairs.items()} if total > 0 else {}


def chances_of(values: Chances) -> Chances:
    """Values of 0 or more as shares of their sum; all 0 stays."""
    total = values.sum()
    return values / total if total > 0 else values
