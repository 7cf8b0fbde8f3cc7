"""What a whole shop buys, and buys together: counts alone, of what enough shoppers bought.

Where a log names no shopper, each basket counts as one: then what a single regular buys often passes the floor, and is told.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from edgevision.errors import InputError

FLOOR = 5
MOST_DISTINCT = 100
"""Of larger baskets (a reseller's), products are counted, and pairs are not: they say nothing of what goes with what."""
MOST_RARE = 200_000
_NONE: Mapping[int, int] = MappingProxyType({})


@dataclass
class _Rare:
    """Counted, and not yet by enough shoppers to be told."""

    baskets: int = 0
    shoppers: set[Hashable] = field(default_factory=set)


class _Floored:
    """Counts of keys of which nothing is told before ``floor`` shoppers stand behind it."""

    def __init__(self, floor: int, most_rare: int) -> None:
        self._floor, self._most_rare = floor, most_rare
        self._rare: dict[Hashable, _Rare] = {}

    def add(self, key: Hashable, shopper: Hashable) -> int | None:
        """Count once more. How many baskets there are as soon as the floor is reached, else None."""
        rare = self._rare.get(key)
        if rare is None:
            if len(self._rare) >= self._most_rare:
                del self._rare[next(iter(self._rare))]  # what began longest ago and is still rare is given up
            rare = self._rare[key] = _Rare()
        rare.baskets += 1
        rare.shoppers.add(shopper)
        if len(rare.shoppers) < self._floor:
            return None
        del self._rare[key]
        return rare.baskets

    def __len__(self) -> int:
        return len(self._rare)


class Baskets:
    """Counts of products and of pairs, over all baskets of a shop.

    ``floor``: what fewer shoppers have bought does not exist for anybody who asks: neither for a ranking nor in a file. Where a log does
    not tell shoppers apart, each basket counts as one. ``most_rare``: how many products or pairs below the floor are remembered at most.

    >>> baskets = Baskets(floor=2)
    >>> for ids in ([1, 2], [1, 2], [1, 3]):
    ...     baskets.add(ids)
    >>> baskets.count(1), baskets.count(3), baskets.together(1)
    (3, 0, {2: 2})
    """

    def __init__(self, *, floor: int = FLOOR, most_rare: int = MOST_RARE) -> None:
        if floor < 1:
            raise InputError(f"the floor is a number of shoppers, 1 or more, got {floor}")
        self.floor = floor
        self.total = 0
        self._counts: dict[int, int] = {}
        self._pairs: dict[int, dict[int, int]] = {}
        self._rare_products = _Floored(floor, most_rare)
        self._rare_pairs = _Floored(floor, most_rare)
        self._unnamed = 0

    @classmethod
    def of_counts(
        cls, floor: int, total: int, counts: Mapping[int, int], pairs: Iterable[tuple[int, int, int]]
    ) -> Baskets:  # fmt: skip
        """From what was told before; see ``told``. ``pairs``: two products and their count."""
        made = cls(floor=floor)
        made.total = total
        made._counts = dict(counts)
        for a, b, count in pairs:
            made._pairs.setdefault(a, {})[b] = count
            made._pairs.setdefault(b, {})[a] = count
        return made

    def add(self, ids: Iterable[int], *, shopper: Hashable = None) -> None:
        """One basket: which products are in it, however many of each. ``shopper``: what tells shoppers apart; it is kept, in memory alone,
        until the floor is reached. The time depends on the basket, not on the shop."""
        distinct = sorted(set(ids))
        if not distinct:
            return
        if shopper is None:
            self._unnamed += 1
            shopper = ("basket", self._unnamed)
        self.total += 1
        for id in distinct:
            self._add_product(id, shopper)
        if len(distinct) > MOST_DISTINCT:
            return
        for place, a in enumerate(distinct):
            for b in distinct[place + 1 :]:
                self._add_pair(a, b, shopper)

    def count(self, id: int) -> int:
        """How many baskets have it; 0 below the floor."""
        return self._counts.get(id, 0)

    def counts(self) -> Mapping[int, int]:
        """Every product that reached the floor, with its number of baskets."""
        return MappingProxyType(self._counts)

    def together(self, id: int) -> Mapping[int, int]:
        """What was bought with it, and in how many baskets; pairs below the floor are left out."""
        return self._pairs.get(id, _NONE)

    def told(self) -> Baskets:
        """What may leave the device: every count rounded down to a multiple of the floor, and nothing below it.

        So two tellings, one basket apart, do not differ by that basket but in rare cases, and then by a whole step.
        """
        floor = self.floor
        counts = {id: count - count % floor for id, count in self._counts.items() if count >= floor}
        pairs = (
            (a, b, count - count % floor)
            for a, companions in self._pairs.items()
            for b, count in companions.items()
            if a < b and count >= floor
        )
        return Baskets.of_counts(floor, self.total - self.total % floor, counts, pairs)

    def _add_product(self, id: int, shopper: Hashable) -> None:
        if id in self._counts:
            self._counts[id] += 1
        elif (reached := self._rare_products.add(id, shopper)) is not None:
            self._counts[id] = reached

    def _add_pair(self, a: int, b: int, shopper: Hashable) -> None:
        companions = self._pairs.get(a)
        if companions is not None and b in companions:
            companions[b] += 1
            self._pairs[b][a] += 1
        elif (reached := self._rare_pairs.add((a, b), shopper)) is not None:
            self._pairs.setdefault(a, {})[b] = reached
            self._pairs.setdefault(b, {})[a] = reached
