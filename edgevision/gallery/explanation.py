"""Why a gallery answers as it does: the example that matched, and how far the next product is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevision.gallery.gallery import Gallery
from edgevision.gallery.matches import Match, Matches

SURE, LIKELY = 0.9, 0.5  # chances from which the words say so


@dataclass(frozen=True)
class Explanation:
    """``best``, ``second``: the two nearest products. ``gap``: how much nearer the first is, in cosine; None without a second.
    ``threshold``: the score that the best must reach to be known."""

    known: bool
    best: Match
    second: Match | None
    gap: float | None
    threshold: float

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same for people."""
        first = f"{self._verdict}: score {self.best.score:.0%}, from {self.threshold:.0%} it is known."
        like = f"It is most like {_called(self.best)} (cosine {self.best.similarity:.3f})."
        if self.second is None or self.gap is None:
            return first, like, "There is no other product to compare with."
        after = f"The next is {self.second.product.name}, {self.gap:.3f} further (cosine {self.second.similarity:.3f}, {_called(self.second)})."
        return first, like, after

    @property
    def _verdict(self) -> str:
        """Words no surer than the score. Where products look alike, the threshold may be 60 % or less, so that "known" alone does not mean
        sure."""
        name = self.best.product.name
        if not self.known:
            return f"We do not know this product; the nearest is {name}"
        if self.best.score >= SURE:
            return f"It is {name}"
        return f"Most likely it is {name}" if self.best.score >= LIKELY else f"Perhaps it is {name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "known": self.known,
            "best": self.best.to_dict(),
            "second": None if self.second is None else self.second.to_dict(),
            "gap": self.gap,
            "threshold": self.threshold,
        }


def explain(gallery: Gallery, matches: Matches) -> Explanation | None:
    """Why these ``matches`` of ``gallery.match(…, top=2)`` or more came out so; None for no product at all.

    >>> print(*explain(gallery, gallery.match(vector)[0]).sentences)  # doctest: +SKIP
    It is Royal Gala: score 97%, from 80% it is known. It is most like gala-3.jpg (cosine 0.913). The next is …
    """
    if not matches.top:
        return None
    best = matches.top[0]
    second = matches.top[1] if len(matches.top) > 1 else None
    gap = None if second is None else best.similarity - second.similarity
    return Explanation(matches.known, best, second, gap, gallery.rejection.threshold)


def _called(match: Match) -> str:
    example = match.example
    return example.note or f"the example {example.source[:8]} of {example.added[:10]}"
