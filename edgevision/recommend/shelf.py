"""The products that can be recommended: what they are, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.examples import Example
from edgevision.gallery.products import GalleryProduct

Vectors = npt.NDArray[np.float32]


class GalleryView(Protocol):
    """What is needed of a gallery: its products, and its examples with a vector each."""

    @property
    def products(self) -> Sequence[GalleryProduct]:
        """All that it knows."""

    @property
    def examples(self) -> Sequence[Example]:
        """One for each picture."""

    @property
    def vectors(self) -> npt.NDArray[Any]:
        """[n, d], one for each example."""


class Shelf:
    """Products with one vector each, [n, d] float32: of length 1, or 0 for a product of which there is no picture. Never changes.

    ``looks``: the same without what all have in common, of length 1 again: its cosines tell what looks alike *here*.

    >>> shelf = Shelf([GalleryProduct(7, "Gala"), GalleryProduct(9, "Plum")], np.array([[3.0, 4.0], [0.0, 0.0]]))
    >>> shelf.vector_of(7).tolist(), shelf.vector_of(9)
    ([0.6000000238418579, 0.800000011920929], None)
    """

    def __init__(self, products: Sequence[GalleryProduct], vectors: npt.NDArray[Any]) -> None:
        rows = np.asarray(vectors, np.float32)
        if rows.ndim != 2 or len(rows) != len(products) or not np.isfinite(rows).all():
            raise InputError(
                f"expected a finite vector for each of {len(products)} products, got the shape {rows.shape}"
            )
        self.products = tuple(products)
        self.place = {product.id: place for place, product in enumerate(self.products)}
        if len(self.place) != len(self.products):
            raise InputError("two products have the same id")
        self.vectors = _unit(rows)
        self.pictured = np.asarray(self.vectors.any(axis=1), np.bool_)
        # Vectors of one embedder share a direction, which tells nothing of taste: Mu & Viswanath, All-but-the-Top, 2018.
        self._shared = _unit(self.vectors.sum(axis=0, keepdims=True))[0]
        self.looks = _unit(self.telling(self.vectors))
        for array in (self.vectors, self.pictured, self.looks):
            array.flags.writeable = False

    @classmethod
    def of_gallery(cls, gallery: GalleryView) -> Shelf:
        """Each product's vector is the mean of its examples'."""
        place = {product.id: at for at, product in enumerate(gallery.products)}
        vectors = np.asarray(gallery.vectors, np.float32)
        sums = np.zeros((len(place), vectors.shape[1]), np.float32)
        np.add.at(sums, [place[one.product] for one in gallery.examples], vectors)
        return cls(gallery.products, sums)

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.products)

    def telling(self, vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Vectors [..., d] without what all products have in common."""
        return np.asarray(vectors - (vectors @ self._shared)[..., None] * self._shared)

    def vector_of(self, id: int) -> Vectors | None:
        """A product's vector; None where it has no picture, or is not on the shelf."""
        place = self.place.get(id)
        return None if place is None or not self.pictured[place] else self.vectors[place]


def _unit(rows: Vectors) -> Vectors:
    """Each row with length 1; zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)
