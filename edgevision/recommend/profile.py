"""What a device knows of one shopper's taste: fading counts of products, and one vector. Nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.recommend.decay import DAY_S, Clock, FadingCounts
from edgevision.recommend.event_times import check_not_ahead

HALF_LIFE_S = 120 * DAY_S
MOST_PRODUCTS = 500
MOST_DIMENSIONS = 4096
LOOKED = 0.2
"""What a look at a product counts, beside 1 for buying it."""
_FORMAT = "edgevision profile"
_KEYS = frozenset({"format", "version", "bundle_id", "half_life_s", "time_s", "baskets", "interest", "products"})


class Profile:
    """A shopper's taste, in the vector space of one bundle.

    ``bundle_id``: of the embedder that made the vectors; ``dimension``: of them; ``half_life_s``: after how long a purchase counts half.
    It holds no picture, no name and no other personal data. Not to be shared by threads while it is changed.

    >>> profile = Profile("a bundle", 2, half_life_s=86_400)
    >>> profile.bought({7: np.array([1.0, 0.0]), 9: np.array([0.0, 1.0])}, time_s=0.0)
    >>> profile.bought({7: np.array([1.0, 0.0])}, time_s=86_400.0)
    >>> profile.products(86_400.0)
    {7: 1.5, 9: 0.5}
    >>> profile.interest(86_400.0).tolist()
    [1.5, 0.5]
    """

    def __init__(self, bundle_id: str, dimension: int, *, half_life_s: float = HALF_LIFE_S) -> None:
        if not 1 <= dimension <= MOST_DIMENSIONS:
            raise InputError(f"vectors have 1 to {MOST_DIMENSIONS} numbers, got {dimension}")
        self.bundle_id, self.dimension = bundle_id, dimension
        self._clock = Clock(half_life_s)
        self._counts = FadingCounts(MOST_PRODUCTS)
        self._interest = np.zeros(dimension)
        self._baskets = 0.0
        self._last_s: float | None = None

    @property
    def half_life_s(self) -> float:
        """After how many seconds a purchase counts half."""
        return self._clock.half_life_s

    @property
    def last_s(self) -> float | None:
        """Of the newest event, seconds since 1970; None where nothing is known."""
        return self._last_s

    def bought(self, items: Mapping[int, npt.NDArray[Any] | None], time_s: float) -> None:
        """One basket: the ids of its products with their vectors, None where a product has none. In constant time for each product.

        Baskets may come in any order. Raises InputError for a vector of another dimension, or one that is not finite, and for a time
        more than a day after this device's clock; then nothing is added.
        """
        checked = {id: self._checked(vector) for id, vector in items.items()}
        if not checked:
            return
        weight = self._weight(time_s)
        self._baskets += weight
        for id, vector in checked.items():
            self._counts.add(id, weight)
            if vector is not None:
                self._interest += weight * vector

    def looked(self, vector: npt.NDArray[Any], time_s: float, *, weight: float = LOOKED) -> None:
        """The shopper showed interest in something without buying it: a photo that was searched for, a page that was opened.

        Raises InputError as ``bought`` does.
        """
        checked = self._checked(vector)
        assert checked is not None
        if not (math.isfinite(weight) and weight > 0):
            raise InputError(f"a look's weight is a number above 0, got {weight}")
        self._interest += weight * self._weight(time_s) * checked

    def products(self, now_s: float) -> dict[int, float]:
        """How often each product was bought, faded as of ``now_s``."""
        factor = self._clock.now(now_s)
        return {id: value * factor for id, value in self._counts}

    def interest(self, now_s: float) -> npt.NDArray[np.float64]:
        """The sum of the vectors of what was bought and looked at, faded as of ``now_s``: its direction is the taste."""
        return np.asarray(self._interest * self._clock.now(now_s))

    def baskets(self, now_s: float) -> float:
        """How many baskets it knows, faded as of ``now_s``: how much it can be trusted."""
        return self._baskets * self._clock.now(now_s)

    def forget(self) -> None:
        """Forget everything. The file is another matter: ``profile_file.forget_profile``."""
        self._counts.clear()
        self._interest[:] = 0.0
        self._baskets = 0.0
        self._last_s = None

    def to_dict(self) -> dict[str, Any]:
        """All that it knows, as plain JSON values; ``time_s``: as of when, to the second."""
        now_s = float(round(self._last_s)) if self._last_s is not None else 0.0
        self._counts.trim()
        products = sorted(self.products(now_s).items(), key=lambda pair: (-pair[1], pair[0]))
        return {
            "format": _FORMAT, "version": 1, "bundle_id": self.bundle_id, "half_life_s": self.half_life_s, "time_s": now_s,
            "baskets": _short(self.baskets(now_s)), "interest": [_short(x) for x in self.interest(now_s).tolist()],
            "products": {str(id): _short(value) for id, value in products},
        }  # fmt: skip

    @classmethod
    def from_dict(cls, given: object) -> Profile:
        """What ``to_dict`` gave. Raises InputError for anything else, also for what holds more than a profile may."""
        if not isinstance(given, dict) or given.get("format") != _FORMAT:
            raise InputError("expected a profile, as edgevision recommend writes it")
        if given.get("version") != 1:
            raise InputError(f"this profile is of version {given.get('version')!r}, expected 1; update edgevision")
        if given.keys() != _KEYS:
            odd = sorted(str(key)[:40] for key in given.keys() ^ _KEYS)
            raise InputError(f"a profile has {', '.join(sorted(_KEYS))} and nothing else; look at {', '.join(odd)}")
        interest, products = given["interest"], given["products"]
        if not isinstance(interest, list) or not isinstance(products, dict) or not isinstance(given["bundle_id"], str):
            raise InputError("the profile is damaged: interest is a list, products an object, bundle_id a text")
        if len(products) > 2 * MOST_PRODUCTS:
            raise InputError(f"a profile has at most {2 * MOST_PRODUCTS} products, got {len(products)}")
        profile = cls(given["bundle_id"], len(interest), half_life_s=_number(given["half_life_s"], "half_life_s"))
        time_s = _number(given["time_s"], "time_s")
        profile._clock = Clock(profile.half_life_s, time_s)
        profile._interest = np.array([_number(x, "interest") for x in interest])
        profile._baskets = _positive(given["baskets"], "baskets")
        for id, value in products.items():
            profile._counts.add(_id(id), _positive(value, "products"))
        profile._last_s = time_s if profile._baskets or profile._interest.any() else None
        return profile

    def _checked(self, vector: npt.NDArray[Any] | None) -> npt.NDArray[np.float64] | None:
        if vector is None:
            return None
        as_float = np.asarray(vector, np.float64)
        if as_float.shape != (self.dimension,):
            raise InputError(f"this profile's vectors have {self.dimension} numbers, got the shape {as_float.shape}")
        if not np.isfinite(as_float).all():
            raise InputError("a vector holds numbers that are not finite; it is no embedding")
        return as_float

    def _weight(self, time_s: float) -> float:
        """Of an event, after bringing all sums to the present where that is due."""
        if not math.isfinite(time_s):
            raise InputError(f"a time is a number of seconds since 1970, got {time_s}")
        check_not_ahead(time_s)
        if self._last_s is None:
            self._clock = Clock(self.half_life_s, time_s)
        elif self._clock.due(time_s):
            factor = self._clock.now(time_s)
            self._counts.scale(factor)
            self._interest *= factor
            self._baskets *= factor
            self._clock = Clock(self.half_life_s, time_s)
        self._last_s = time_s if self._last_s is None else max(self._last_s, time_s)
        return self._clock.weight(time_s)


def _short(value: float) -> float:
    """Six digits: what a shopper can read, and more than a ranking needs."""
    return float(f"{value:.6g}")


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"the profile is damaged: {name} is a finite number, got {str(value)[:40]!r}")
    return float(value)


def _positive(value: object, name: str) -> float:
    number = _number(value, name)
    if number < 0:
        raise InputError(f"the profile is damaged: {name} is 0 or more, got {number}")
    return number


def _id(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"the profile is damaged: a product's id is a whole number, got {text[:40]!r}") from None
