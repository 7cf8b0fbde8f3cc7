"""How good ranked lists are, over shoppers, with intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

AT = 10
_RESAMPLES = 2000


def ndcg(ranked: Sequence[int], wanted: Collection[int], at: int = AT) -> float:
    """Normalised discounted cumulative gain: Järvelin & Kekäläinen, 2002; gains of 0 and 1."""
    gains = [1 / np.log2(place + 2) for place, item in enumerate(ranked[:at]) if item in wanted]
    best = sum(1 / np.log2(place + 2) for place in range(min(at, len(wanted))))
    return float(sum(gains) / best) if best else 0.0


def recall(ranked: Sequence[int], wanted: Collection[int], at: int = AT) -> float:
    """Of what was wanted, how much is in the list."""
    return sum(item in wanted for item in ranked[:at]) / len(wanted) if wanted else 0.0


def summary(
    lists: Sequence[Sequence[int]], wanted: Sequence[Collection[int]], popularity: npt.NDArray[np.float64],
    looks: npt.NDArray[np.float32],
) -> dict[str, float]:  # fmt: skip
    """Over all shoppers. ``coverage``: products in any list; ``novelty``: mean of -log2 of the share of baskets that have the product;
    ``variety``: one less the mean cosine within a list."""
    share = (popularity + 1) / (popularity.sum() + len(popularity))
    shown = [item for ranked in lists for item in ranked[:AT]]
    return {
        "ndcg@10": round(float(np.mean([ndcg(r, w) for r, w in zip(lists, wanted, strict=True)])), 4),
        "recall@10": round(float(np.mean([recall(r, w) for r, w in zip(lists, wanted, strict=True)])), 4),
        "coverage": round(len(set(shown)) / len(popularity), 4),
        "novelty_bits": round(float(np.mean(-np.log2(share[shown]))), 3),
        "variety": round(float(np.mean([_variety(ranked[:AT], looks) for ranked in lists])), 4),
    }


def difference(a: Sequence[float], b: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Mean of a - b over shoppers, with a 95 % interval: bootstrap over shoppers, percentiles."""
    pairs = np.asarray(a) - np.asarray(b)
    rng = np.random.default_rng(seed)
    means = [pairs[rng.integers(len(pairs), size=len(pairs))].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return {"mean": round(float(pairs.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def _variety(items: Sequence[int], looks: npt.NDArray[np.float32]) -> float:
    rows = looks[list(items)]
    count = len(rows)
    if count < 2:
        return 0.0
    cosines = rows @ rows.T
    return float(1 - (cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
