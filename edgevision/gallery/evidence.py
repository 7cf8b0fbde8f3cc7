"""What a gallery's own examples tell of known and unknown products, with no other picture seen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgevision.gallery.drawing import drawn_to_means
from edgevision.gallery.vectors import Vectors

Floats = npt.NDArray[np.float64]

MOST_QUERIES = 2000  # examples that are asked as if they were new; more cost time and tell little
_PORTION = 1 << 22  # similarities in memory at once
_ROWS = 1024
_NO_DIRECTION = 1e-6  # length of a sum of vectors that points nowhere


@dataclass(frozen=True, eq=False)
class Evidence:
    """Examples that were taken out of the gallery and asked for. All columns [m].

    ``product``: place of the product that it is. ``own``: similarity to the nearest other example of that product; NaN where there is
    none. ``first``, ``second``: to the nearest and second nearest other product, -1 where there is none: what a gallery without
    this product would answer. ``first_product``: the place of the nearest other product, -1 where there is none.
    ``example``: place of the example.

    ``within``, ``product_of``: [n], of every example of the gallery, its similarity to the nearest other of its product (NaN where there
    is none), and its product's place.
    """

    product: npt.NDArray[np.int64]
    own: Floats
    first: Floats
    second: Floats
    first_product: npt.NDArray[np.int64]
    example: npt.NDArray[np.int64]
    within: Floats
    product_of: npt.NDArray[np.int64]

    @property
    def best(self) -> Floats:
        """Leaving one example out: the similarity of the answer."""
        return np.fmax(self.own, self.first)

    @property
    def next_best(self) -> Floats:
        """The same: the similarity of the product after it."""
        return np.where(self.right, self.first, np.fmax(self.own, self.second))

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """The same: whether the answer is the example's product. False where the product has no other example."""
        return np.asarray(self.own >= self.first)

    @property
    def has_own(self) -> npt.NDArray[np.bool_]:
        """Whether the product has another example."""
        return ~np.isnan(self.own)


def gather_evidence(
    vectors: Vectors, product_of: npt.NDArray[np.int64], products: int, most: int = MOST_QUERIES, *, pull: float = 0.0
) -> Evidence:
    """Leave each example out, and each product. ``vectors``: [n, d] of length 1; ``product_of``: [n], places of ``products``
    products. Of more than ``most`` examples that many are chosen by chance, always the same of a gallery. ``pull``: similarities are those to
    examples as ``drawn_to_means`` draws them, without the one that is asked for; 0: to the examples themselves.
    """
    count = len(vectors)
    asked = np.arange(count)
    if count > most:
        asked = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    order = np.argsort(product_of, kind="stable")
    position = np.empty(count, np.int64)
    position[order] = np.arange(count)
    present, starts = np.unique(product_of[order], return_index=True)
    column = np.full(products, -1)
    column[present] = np.arange(len(present))
    arranged = vectors[order]
    held = drawn_to_means(arranged, product_of[order], pull) if pull else arranged
    first, second = np.full(len(asked), -1.0), np.full(len(asked), -1.0)
    first_product = np.full(len(asked), -1)
    step = max(1, _PORTION // max(1, count))
    for start in range(0, len(asked), step):
        part = slice(start, start + step)
        similarity = (vectors[asked[part]] @ held.T).astype(np.float64)
        best = np.maximum.reduceat(similarity, starts, axis=1)  # [rows, products that have examples]
        rows = np.arange(len(best))
        best[rows, column[product_of[asked[part]]]] = -np.inf  # without its own product
        place = best.argmax(axis=1)
        first[part] = best[rows, place]
        first_product[part] = np.where(np.isfinite(first[part]), present[place], -1)
        best[rows, place] = -np.inf
        second[part] = best.max(axis=1)
    first[np.isneginf(first)] = -1.0
    second[np.isneginf(second)] = -1.0
    within = np.empty(count)
    within[order] = _within(arranged, starts, pull)
    return Evidence(product_of[asked], within[asked], first, second, first_product, asked, within, product_of)


def _within(arranged: Vectors, starts: npt.NDArray[np.int64], pull: float) -> Floats:
    """Of each example the similarity to the nearest other of its product; NaN where there is none. ``arranged``: by product.

    ``x`` is asked for without itself, so the others ``y`` are drawn to their own mean direction ``u``, and the similarity is
    ``(x·y + pull · x·u) / |y + pull · u|``.
    """
    within = np.full(len(arranged), np.nan)
    for start, end in pairwise([*starts.tolist(), len(arranged)]):
        if end - start < 2:
            continue
        part = arranged[start:end].astype(np.float64)
        total = part.sum(axis=0)
        to_total = part @ total
        for first in range(0, end - start, _ROWS):
            rows = np.arange(first, min(first + _ROWS, end - start))
            similarity = part[rows] @ part.T
            length = np.sqrt(np.maximum(total @ total - 2 * to_total[rows] + 1, 0.0))  # of the others' sum
            pulled = np.where(
                (length > _NO_DIRECTION) & (end - start > 2), pull, 0.0
            )  # a single other one stays where it is
            length = np.maximum(length, _NO_DIRECTION)
            own_to_mean = (to_total[rows] - 1) / length
            others_to_mean = (to_total[None, :] - similarity) / length[:, None]
            drawn = np.sqrt(np.maximum(1 + pulled[:, None] ** 2 + 2 * pulled[:, None] * others_to_mean, _NO_DIRECTION))
            similarity = (similarity + (pulled * own_to_mean)[:, None]) / drawn
            similarity[np.arange(len(rows)), rows] = -np.inf  # not itself
            within[start + rows] = similarity.max(axis=1)
    return within
