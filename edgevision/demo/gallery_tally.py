"""Counting what a gallery learnt, and what it makes of new photos, against the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from edgevision.demo.unseen import UnseenProduct
from edgevision.evaluate.statistics.bootstrap import draw_weights, interval
from edgevision.gallery.recogniser import RecognisedProduct
from edgevision.gallery.view_choice import Verdict

_DRAWS, _CONFIDENCE = 2000, 0.95
_WORDS = {Verdict.NOTHING_NEW: "near one before", Verdict.NOT_THE_SAME: "unlike the others"}


def words_of(verdict: Verdict) -> str:
    """What was done with a photo.

    >>> words_of(Verdict.BLURRED)
    'blurred'
    """
    return _WORDS.get(verdict, verdict.value)


@dataclass
class GalleryTally:
    """``shown``: photos for learning, by what was done with them. ``hits``: of each learnt product, for each new photo whether the likeliest
    answer is right. ``brand``: whether it is of the right brand at least. ``known``: how many right answers are given as known;
    ``mistaken``: how many wrong ones. ``strangers``: photos of products that were not learnt; ``accepted``: those that got a name
    all the same. ``learn_ms``: of each product, from its photos to the file; ``find_ms``: of each new photo."""

    shown: Counter[Verdict] = field(default_factory=Counter)
    hits: dict[int, list[bool]] = field(default_factory=dict)
    brand: int = 0
    known: int = 0
    mistaken: int = 0
    strangers: int = 0
    accepted: int = 0
    learn_ms: list[float] = field(default_factory=list)
    find_ms: list[float] = field(default_factory=list)

    def add_found(self, product: UnseenProduct, answer: RecognisedProduct, best: UnseenProduct) -> None:
        """Count what was answered to a photo of a learnt ``product``; ``best``: the likeliest answer."""
        right = best.id == product.id
        self.hits.setdefault(product.id, []).append(right)
        if best.design.brand == product.design.brand:
            self.brand += 1
        if answer.known and right:
            self.known += 1
        elif answer.known:
            self.mistaken += 1

    def add_stranger(self, answer: RecognisedProduct) -> None:
        """Count what was answered to a photo of a product that was not learnt."""
        self.strangers += 1
        if answer.known:
            self.accepted += 1

    @property
    def photos(self) -> int:
        """New photos of learnt products."""
        return sum(len(one) for one in self.hits.values())

    @property
    def right(self) -> int:
        """Of these, how often the likeliest answer is right."""
        return sum(sum(one) for one in self.hits.values())

    def percent(self, count: int, of: int) -> float:
        """``count`` of ``of``; 0 of none."""
        return 100 * count / max(1, of)

    @property
    def right_interval(self) -> tuple[float, float]:
        """Of the percentage of right answers, 95 %: drawn by product, for photos of one product answer for each other."""
        if not self.hits:
            return 0.0, 100.0
        right = np.array([sum(one) for one in self.hits.values()], np.float64)
        photos = np.array([len(one) for one in self.hits.values()], np.float64)
        weights = draw_weights(len(right), _DRAWS, seed=0)
        low, high = interval(
            100 * right.sum() / photos.sum(), 100 * (weights @ right) / (weights @ photos), len(right), _CONFIDENCE
        )
        return max(0.0, low), high

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        low, high = self.right_interval
        return {
            "products": len(self.hits),
            "shown": {verdict.value: count for verdict, count in sorted(self.shown.items())},
            "photos": self.photos,
            "right": self.right,
            "right_percent": self.percent(self.right, self.photos),
            "right_percent_interval": [low, high],
            "right_brand_percent": self.percent(self.brand, self.photos),
            "right_and_known": self.known,
            "mistaken": self.mistaken,
            "strangers": {"photos": self.strangers, "false_accepts": self.accepted},
            "learn_ms_p50": median(self.learn_ms) if self.learn_ms else 0.0,
            "find_ms_p50": median(self.find_ms) if self.find_ms else 0.0,
        }
