"""A log as cases: what was known of a shopper before a day, and what the first basket after it held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.recommend_sessions import Trip
from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.profile import Profile
from edgevision.recommend.shelf import Shelf


@dataclass(frozen=True)
class Case:
    """``history``: baskets before the cut, oldest first; ``wanted``: the products of the next one, at ``time_s``. ``shopper``: its number."""

    shopper: int
    history: tuple[Trip, ...]
    wanted: frozenset[int]
    time_s: float

    def shortened(self, baskets: int) -> Case:
        """With the newest ``baskets`` alone."""
        return Case(
            self.shopper, self.history[len(self.history) - baskets :] if baskets else (), self.wanted, self.time_s
        )


@dataclass(frozen=True, eq=False)
class Split:
    """``choose`` and ``test``: cases of different shoppers; ``train``: every shopper's baskets before the cut."""

    shelf: Shelf
    train: list[list[Trip]]
    choose: list[Case]
    test: list[Case]
    cut_s: float
    _profiles: dict[tuple[int, int, float], Profile] = field(default_factory=dict)

    def profile(self, case: Case, half_life_s: float) -> Profile:
        """What a device would know; made once."""
        key = case.shopper, len(case.history), half_life_s
        if key not in self._profiles:
            profile = Profile("benchmark", self.shelf.dimension, half_life_s=half_life_s)
            for trip in case.history:
                profile.bought({item: self.shelf.vector_of(item) for item in trip.items}, trip.time_s)
            self._profiles[key] = profile
        return self._profiles[key]

    def baskets(self, floor: int = 5, without: frozenset[int] = frozenset()) -> Baskets:
        """A shop's counts of the training time."""
        counted = Baskets(floor=floor, most_rare=3_000_000)
        for shopper, trips in enumerate(self.train):
            for trip in trips:
                counted.add([item for item in trip.items if item not in without], shopper=shopper)
        return counted

    def matrix(self) -> npt.NDArray[np.float32]:
        """How often each shopper bought each product, for the peers."""
        counts = np.zeros((len(self.train), len(self.shelf)), np.float32)
        for shopper, trips in enumerate(self.train):
            for trip in trips:
                counts[shopper, list(trip.items)] += 1
        return counts


def split(names: Sequence[str], vectors: npt.NDArray[np.float32], trips: Sequence[Sequence[Trip]], cut_s: float, *,
          least: int = 3, most: int = 400, seed: int = 0) -> Split:  # fmt: skip
    """Everything before ``cut_s`` is known; each shopper's first basket from then on is wanted. Shoppers with fewer than ``least`` baskets
    before it are no cases: they could not show a learning curve. Half of the others choose the options, half are the figures; at most ``most`` of
    each."""
    shelf = Shelf([GalleryProduct(place, name) for place, name in enumerate(names)], vectors)
    cases = []
    for shopper, own in enumerate(trips):
        before = tuple(trip for trip in own if trip.time_s < cut_s)
        after = [trip for trip in own if trip.time_s >= cut_s]
        if len(before) >= least and after:
            cases.append(Case(shopper, before, frozenset(after[0].items), after[0].time_s))
    order = np.random.default_rng((0x5917, seed)).permutation(len(cases))
    half = len(cases) // 2
    train = [[trip for trip in own if trip.time_s < cut_s] for own in trips]
    return Split(
        shelf, train, [cases[at] for at in order[:half][:most]], [cases[at] for at in order[half:][:most]], cut_s
    )
