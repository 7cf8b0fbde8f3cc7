"""What a gallery says of a vector: which products it is like, and by which of their examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.gallery.examples import Example
from edgevision.gallery.products import GalleryProduct


@dataclass(frozen=True)
class Match:
    """A product that a vector is like. ``similarity``: the cosine to ``example``, the nearest of its examples, where the gallery holds
    it: halfway between its own vector and the mean of the product's (``drawing``), -1…1. ``score``: the chance that it is this product, 0…1, as the gallery's calibration has it."""

    product: GalleryProduct
    similarity: float
    score: float
    example: Example

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "product": self.product.to_dict(),
            "similarity": self.similarity,
            "score": self.score,
            "example": self.example.to_dict(),
        }


@dataclass(frozen=True)
class Matches:
    """The best products, best first; none of an empty gallery. ``known`` is False for what the gallery does not recognise."""

    top: tuple[Match, ...]
    known: bool

    @property
    def best(self) -> Match | None:
        """The product that the vector is most like, known or not."""
        return self.top[0] if self.top else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"known": self.known, "top": [one.to_dict() for one in self.top]}
