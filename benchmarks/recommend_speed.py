"""How long one update of a profile or of the shop's counts takes, and one ranking."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edgevision.gallery.products import GalleryProduct
from edgevision.recommend.baskets import Baskets
from edgevision.recommend.decay import DAY_S
from edgevision.recommend.profile import Profile
from edgevision.recommend.recommender import Recommender
from edgevision.recommend.shelf import Shelf


def speed() -> dict[str, Any]:
    """One update and one ranking; 256 numbers a vector, 20,000 baskets of 8, 50 baskets of history. CPU time, which other work does not lengthen
    by its turns."""
    rows = []
    for n in (100, 1000, 10_000):
        rows.append(_speed_at(n))
        print(rows[-1], flush=True)
    return {"medians over 200, CPU time": rows}


def _speed_at(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(n)
    shelf = Shelf([GalleryProduct(place, f"product {place}") for place in range(n)], rng.standard_normal((n, 256)))
    baskets = Baskets()
    for ids in (rng.zipf(1.3, 160_000) % n).reshape(-1, 8).tolist():
        baskets.add(ids)
    recommender = Recommender(shelf, baskets)
    profile = Profile("speed", 256)
    for day in range(50):
        profile.bought({id: shelf.vector_of(id) for id in rng.integers(n, size=8).tolist()}, day * DAY_S)
    more = {id: shelf.vector_of(id) for id in rng.integers(n, size=8).tolist()}
    return {
        "products": n,
        "ranking_us": _median_us(lambda: recommender.rank(profile, top=10)),
        "ranking_with_reasons_us": _median_us(lambda: recommender.suggest(profile, top=10)),
        "profile_update_us": _median_us(lambda: profile.bought(more, 51 * DAY_S)),
        "baskets_update_us": _median_us(lambda: baskets.add(more)),
        "profile_bytes": len(json.dumps(profile.to_dict())),
    }


def _median_us(act: Callable[[], object], times: int = 200) -> float:
    taken = []
    for _ in range(times):
        start = time.process_time()
        act()
        taken.append(time.process_time() - start)
    return round(1e6 * float(np.median(taken)), 1)
