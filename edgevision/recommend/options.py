"""How much each reason counts."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.errors import InputError


@dataclass(frozen=True)
class RecommendOptions:
    """The defaults were chosen on shoppers that the published figures do not use (``benchmarks/recommend.py --choose``).

    ``again``, ``looks``, ``goes_with``: shares of what is known of the shopper, for buying again, for looks, for what goes together; they
    are scaled to add up to 1. ``trust_baskets``: after how many baskets popularity's share is a half; it falls further with every one.
    ``warmth``: how far looks may differ; small: only the nearest count. ``damping``: 0: what is popular goes with everything; 1: only what is
    bought together oftener than by chance counts. ``shrink``: of how many baskets a pair must be seen to be half believed. ``variety``: 0: the
    best by score alone; 1: what is least like the others. ``newness``: how well what is new sells, as a share of what looks like it.
    """

    again: float = 0.6
    looks: float = 0.1
    goes_with: float = 0.3
    trust_baskets: float = 0.3
    warmth: float = 0.1
    damping: float = 0.25
    shrink: float = 10.0
    variety: float = 0.1
    newness: float = 0.5

    def __post_init__(self) -> None:
        for name in ("again", "looks", "goes_with", "trust_baskets", "shrink", "newness"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is a number of 0 or more, got {getattr(self, name)}")
        for name in ("damping", "variety"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is 0 to 1, got {getattr(self, name)}")
        if not 0 < self.warmth < float("inf"):
            raise InputError(f"warmth is a number above 0, got {self.warmth}")
