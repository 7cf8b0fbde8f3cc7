"""Shoppers with known tastes in the demo's shop: a simulation to test recommendations with, of another kind than what recommends.

The recommender mixes fading counts, pair counts and looks. Nobody here does any of that. A shopper has stocks at home that run out
(each kind of goods at a rate of its own), comes with one or two missions (a breakfast, a night with films, washing), buys the kinds
that the missions need or that have run out, and of each kind the product with the greatest utility: a taste for brands, flavours and
accent colours, a dislike of price, a wish for variety or for the same again, and chance (Gumbel noise: a multinomial logit). Halfway,
some shoppers change their tastes. Some products are launched late. What a shopper likes is never told by pairs as such, nor by counts;
looks tell a part of it (colours, and the family likeness of a brand), and price and missions are seen by no term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevision.demo.products import LISTED
from edgevision.demo.unseen import unseen_products
from edgevision.recommend.decay import DAY_S

DAYS = 240
LAUNCH_DAY = 120.0  # of the products that are new
NEW_SHARE = 0.12
_LISTED_KINDS = {
    "Moovalle": "milk", "Solaru": "juice", "Fizzwick": "lemonade", "Oatlane": "muesli", "Tevandra": "herbal tea", "Groundell": "coffee",
    "Crunkle": "crisps", "Brivenne": "water", "Berrynook": "jam",
}  # fmt: skip
_MISSIONS: tuple[tuple[str, ...], ...] = (
    ("muesli", "plant drink", "milk", "honey", "juice"), ("coffee", "milk", "biscuits"), ("pasta", "pesto", "oil"),
    ("crisps", "popcorn", "lemonade", "sweets"), ("herbal tea", "honey", "biscuits"), ("baking mix", "jam", "milk"),
    ("rice", "fish", "soup"), ("water", "syrup", "energy drink"), ("detergent",), ("pulses", "soup", "oil"), ("nuts", "water", "juice"),
)  # fmt: skip


@dataclass(frozen=True)
class Goods:
    """A product of the simulated shop. ``place``: in ``goods()``."""

    place: int
    name: str
    kind: str
    brand: str
    flavour: str
    accent: str
    price: float
    launched_day: float


@dataclass(frozen=True)
class Trip:
    """``items``: places of what was bought."""

    time_s: float
    items: tuple[int, ...]


@dataclass
class Shopper:
    """``tastes``: utility of each product without price, [n], one for each period; ``changes_day``: when the second begins. ``rates``: of each
    kind, shares of a package used a day; ``missions``: how often each is what brings them; ``trips``: all, in order."""

    tastes: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    changes_day: float
    thrift: float
    variety: float
    rates: dict[str, float]
    missions: npt.NDArray[np.float64]
    every_days: float
    stock: dict[str, float] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)


def goods(seed: int = 0) -> tuple[Goods, ...]:
    """The 20 products that the demo knows, and the 200 that it does not."""
    rng = np.random.default_rng((0x60D5, seed))
    made: list[Goods] = []
    for product in LISTED:
        made.append(
            Goods(len(made), product.name, _LISTED_KINDS[product.brand], product.brand, product.flavour.split()[0], "", 1.99, 0.0)
        )  # fmt: skip
    for one in unseen_products():
        launched = LAUNCH_DAY if rng.uniform() < NEW_SHARE else 0.0
        design = one.design
        made.append(
            Goods(len(made), one.name, one.kind, design.brand, design.flavour.split()[0], one.accent_color, one.price, launched)
        )  # fmt: skip
    return tuple(made)


class Shop:
    """Simulates ``shoppers`` for ``DAYS`` days. ``drifting``: the share that changes its tastes at a day between a third and two thirds."""

    def __init__(self, shoppers: int, *, seed: int = 0, drifting: float = 0.5) -> None:
        self.goods = goods(seed)
        self._rng = np.random.default_rng((0x5A0B, seed))
        self._of_kind: dict[str, npt.NDArray[np.intp]] = {
            kind: np.array([one.place for one in self.goods if one.kind == kind])
            for kind in sorted({one.kind for one in self.goods})
        }
        self._price = np.array([one.price for one in self.goods])
        self._launched = np.array([one.launched_day for one in self.goods])
        self.shoppers = [self._shopper(drifting) for _ in range(shoppers)]

    def run(self) -> None:
        """Everybody's trips."""
        for shopper in self.shoppers:
            day = float(self._rng.exponential(shopper.every_days))
            since = 0.0
            while day < DAYS:
                self._use(shopper, day - since)
                items = self._trip(shopper, day, self._rng)
                if items:
                    shopper.trips.append(Trip(day * DAY_S, tuple(items)))
                since = day
                day += float(self._rng.gamma(4.0, shopper.every_days / 4))

    def chances(self, shopper: Shopper, day: float, idle_days: float, draws: int, seed: int) -> npt.NDArray[np.float64]:
        """The true chance of each product to be bought on a trip at ``day``, ``idle_days`` after the last one, which ended with what the
        shopper has now: by simulating it ``draws`` times. No ranking can know more."""
        rng = np.random.default_rng((0x0AC1E, seed))
        bought = np.zeros(len(self.goods))
        before = (dict(shopper.stock), dict(shopper.last))
        for _ in range(draws):
            shopper.stock, shopper.last = dict(before[0]), dict(before[1])
            self._use(shopper, idle_days)
            bought[self._trip(shopper, day, rng)] += 1
        shopper.stock, shopper.last = before
        return bought / draws

    def _shopper(self, drifting: float) -> Shopper:
        rng = self._rng
        likes = self._tastes()
        changed = self._tastes()
        drifts = rng.uniform() < drifting
        kinds = [kind for kind in self._of_kind if rng.uniform() < 0.6]
        return Shopper(
            (likes, 0.4 * likes + 0.9 * changed), float(rng.uniform(DAYS / 3, 2 * DAYS / 3)) if drifts else np.inf,
            float(rng.gamma(2.0, 0.3)), float(rng.normal(0.3, 1.0)), {kind: float(rng.gamma(2.0, 0.03)) for kind in kinds},
            rng.dirichlet(np.full(len(_MISSIONS), 0.4)), float(rng.gamma(6.0, 1.2)),
            {kind: float(rng.uniform(0, 1.5)) for kind in kinds},
        )  # fmt: skip

    def _tastes(self) -> npt.NDArray[np.float64]:
        """What brand, flavour and colour add up to, for every product."""
        rng = self._rng
        total = np.zeros(len(self.goods))
        for attribute, spread in (("brand", 1.0), ("flavour", 1.0), ("accent", 0.8)):
            values = [getattr(one, attribute) for one in self.goods]
            liking = {value: float(rng.normal(0, spread)) for value in sorted(set(values))}
            total += np.array([liking[value] for value in values])
        return total + rng.normal(0, 0.5, len(self.goods))

    @staticmethod
    def _use(shopper: Shopper, days: float) -> None:
        for kind, rate in shopper.rates.items():
            shopper.stock[kind] = shopper.stock.get(kind, 0.0) - rate * days

    def _trip(self, shopper: Shopper, day: float, rng: np.random.Generator) -> list[int]:
        wanted = {kind for kind in shopper.rates if shopper.stock.get(kind, 0.0) < 0 and rng.uniform() < 0.5}
        for mission in rng.choice(len(_MISSIONS), int(rng.integers(1, 3)), p=shopper.missions):
            wanted |= {kind for kind in _MISSIONS[mission] if rng.uniform() < 0.7}
        return [self._choose(shopper, kind, day, rng) for kind in sorted(wanted)]

    def _choose(self, shopper: Shopper, kind: str, day: float, rng: np.random.Generator) -> int:
        there = self._of_kind[kind]
        there = there[(self._launched[there] <= day) & ((rng.uniform(size=len(there)) > 0.03) | (len(there) < 2))]
        utility = 1.3 * shopper.tastes[int(day > shopper.changes_day)][there] - shopper.thrift * self._price[there]
        utility = utility + rng.gumbel(size=len(there))
        if kind in shopper.last:
            utility = utility - shopper.variety * (there == shopper.last[kind])
        chosen = int(there[int(utility.argmax())])
        shopper.last[kind] = chosen
        shopper.stock[kind] = max(0.0, shopper.stock.get(kind, 0.0)) + 1.0
        return chosen


def trips_of(shoppers: Sequence[Shopper]) -> list[list[Trip]]:
    """All trips of each."""
    return [shopper.trips for shopper in shoppers]
