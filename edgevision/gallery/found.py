"""What a search finds: products, each with the reasons for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edgevision.gallery.examples import Example
from edgevision.gallery.matches import Match
from edgevision.gallery.products import GalleryProduct

By = Literal["picture", "words", "meaning", "looks", "filter"]


@dataclass(frozen=True)
class Reason:
    """Why a product was found. ``by``: ``picture``, like an example of it; ``words``, it has them; ``meaning``, its texts mean the
    like; ``looks``, its pictures look like the words; ``filter``. ``value``: a cosine or BM25 score; None of a filter."""

    by: By
    text: str
    value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"by": self.by, "text": self.text, "value": self.value}


@dataclass(frozen=True)
class Found:
    """A product that was found. ``score``: of a picture alone, the chance that it is this product, 0…1; else only the order, 1 for
    what is best in every respect. ``match``: where a picture was searched, how it is like the product; ``example``: the picture
    of the product to show, None where it has none. ``why``: the strongest reason first."""

    product: GalleryProduct
    score: float
    example: Example | None
    why: tuple[Reason, ...]
    match: Match | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "product": self.product.to_dict(),
            "score": self.score,
            "example": None if self.example is None else self.example.to_dict(),
            "why": [reason.to_dict() for reason in self.why],
            "similarity": None if self.match is None else self.match.similarity,
        }


@dataclass(frozen=True)
class SearchResult:
    """``top``: best first. ``known``: of a picture, whether the gallery recognises it; None without one."""

    top: tuple[Found, ...]
    known: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"known": self.known, "top": [one.to_dict() for one in self.top]}
