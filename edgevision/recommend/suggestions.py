"""What is recommended, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgevision.gallery.products import GalleryProduct


class Term(Enum):
    """The reasons that there are."""

    AGAIN = "again"
    LOOKS = "looks"
    GOES_WITH = "goes_with"
    POPULAR = "popular"


@dataclass(frozen=True)
class Reason:
    """``share``: of the suggestion's score, 0…1; all shares of one add up to 1. ``words``: for the shopper. ``because``: the product that
    weighs most in it, None where there is none."""

    term: Term
    share: float
    words: str
    because: GalleryProduct | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        because = None if self.because is None else {"id": self.because.id, "name": self.because.name}
        return {"term": self.term.value, "share": self.share, "words": self.words, "because": because}


@dataclass(frozen=True)
class Suggestion:
    """A product to offer. ``score``: the chance that it is what is taken next, as the model has it, 0…1; of candidates that came with
    a relevance, among them. ``reasons``: the largest share first."""

    product: GalleryProduct
    score: float
    reasons: tuple[Reason, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "product": self.product.to_dict(),
            "score": self.score,
            "reasons": [one.to_dict() for one in self.reasons],
        }
