"""What a gallery's own examples tell of known and unknown products, with no other picture seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.gallery.vectors import Vectors

Floats = npt.NDArray[np.float64]

MOST_QUERIES = 2000  # examples that are asked as if they were new; more cost time and tell little
_PORTION = 1 << 24  # similarities in memory at once


@dataclass(frozen=True, eq=False)
class Evidence:
    """Examples that were taken out of the gallery and asked for. All columns [m].

    ``product``: place of the product that it is. ``own``: cosine to the nearest other example of that product; NaN where there is
    none. ``first``, ``second``: to the nearest and second nearest other product, -1 where there is none: what a gallery without
    this product would answer. ``first_product``: the place of the nearest other product, -1 where there is none.
    ``example``: place of the example.
    """

    product: npt.NDArray[np.int64]
    own: Floats
    first: Floats
    second: Floats
    first_product: npt.NDArray[np.int64]
    example: npt.NDArray[np.int64]

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
    vectors: Vectors, product_of: npt.NDArray[np.int64], products: int, most: int = MOST_QUERIES
) -> Evidence:
    """Leave each example out, and each product. ``vectors``: [n, d] of length 1; ``product_of``: [n], places of ``products``
    products. Of more than ``most`` examples that many are drawn, always the same of a gallery.
    """
    count = len(vectors)
    asked = np.arange(count)
    if count > most:
        asked = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    order = np.argsort(product_of, kind="stable")
    present, starts = np.unique(product_of[order], return_index=True)
    column = np.full(products, -1)
    column[present] = np.arange(len(present))
    own, first, second = (np.full(len(asked), -1.0) for _ in range(3))
    first_product = np.full(len(asked), -1)
    arranged = vectors[order]
    for start in range(0, len(asked), step := max(1, _PORTION // max(1, count))):
        part = slice(start, start + step)
        similarity = (vectors[asked[part]] @ arranged.T).astype(np.float64)
        position = np.empty(count, np.int64)
        position[order] = np.arange(count)
        rows = np.arange(len(similarity))
        similarity[rows, position[asked[part]]] = -np.inf  # not itself
        best = np.maximum.reduceat(similarity, starts, axis=1)  # [rows, products that have examples]
        mine = column[product_of[asked[part]]]
        own[part] = best[rows, mine]
        best[rows, mine] = -np.inf
        place = best.argmax(axis=1)
        first[part] = best[rows, place]
        first_product[part] = np.where(np.isfinite(first[part]), present[place], -1)
        best[rows, place] = -np.inf
        second[part] = best.max(axis=1)
    own[np.isneginf(own)] = np.nan
    first[np.isneginf(first)] = -1.0
    second[np.isneginf(second)] = -1.0
    return Evidence(product_of[asked], own, first, second, first_product, asked)
