"""Range estimators: from what calibration saw of a tensor to the range that int8 should cover.

Each maps one ``TensorRange`` (exact least and greatest value, histogram between them) to (low, high) with
low ≤ 0 ≤ high, inside the observed range widened to hold 0. A narrower range has finer steps and clips outliers.

* ``minmax``: everything seen.
* ``percentile-P``: P percent of the values, half of the rest cut from each side.
* ``entropy``: the range whose 256-level histogram has the least Kullback–Leibler divergence from the original
  (S. Migacz, "8-bit inference with TensorRT", GTC 2017).
* ``mse``: the range with the least mean squared rounding and clipping error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edgevision.compiler.quantize.ranges import RangeTable, TensorRange
from edgevision.errors import InputError

Estimator = Callable[[TensorRange], tuple[float, float]]
LEVELS = 256


def minmax(tensor: TensorRange) -> tuple[float, float]:
    """The whole observed range."""
    return min(tensor.low, 0.0), max(tensor.high, 0.0)


def percentile(tensor: TensorRange, percent: float) -> tuple[float, float]:
    """The range that holds ``percent`` of the values, with equal shares cut at both ends; linear within a bin."""
    low, high = minmax(tensor)
    cumulative = np.concatenate(([0], np.cumsum(tensor.histogram)))
    total = cumulative[-1]
    if total == 0:
        return low, high
    edges = np.linspace(tensor.low, tensor.high, len(tensor.histogram) + 1)
    tail = (1 - percent / 100) / 2 * total
    # np.interp wants increasing abscissae: drop empty bins, whose edges share one count. For the lower tail the last
    # edge of a run is right (nothing lies before it), for the upper tail the first.
    last = np.append(np.diff(cumulative) > 0, True)
    first = np.insert(np.diff(cumulative) > 0, 0, True)
    cut_low = float(np.interp(tail, cumulative[last], edges[last]))
    cut_high = float(np.interp(total - tail, cumulative[first], edges[first]))
    return max(low, min(cut_low, 0.0)), min(high, max(cut_high, 0.0))


def entropy(tensor: TensorRange) -> tuple[float, float]:
    """The symmetric clip of the observed range that changes the distribution least, in the sense of KL divergence."""
    low, high = minmax(tensor)
    centres, counts = _mass(tensor)
    # Zero is exact at any scale. Left in, the zeros behind a ReLU outweigh all else and pull the range together.
    counts[centres == 0] = 0
    if not counts.any():
        return low, high
    reach = max(-low, high)
    width = (tensor.high - tensor.low) / len(tensor.histogram)
    # From about one bin per level (nothing coarser to compare with) up to everything.
    bins_at_reach = (high - low) / width
    narrowest = min(1.0, LEVELS / bins_at_reach)
    candidates = [
        (max(low, -reach * share), min(high, reach * share)) for share in np.linspace(1.0, narrowest, 128).tolist()
    ]
    return min(candidates, key=lambda bounds: _divergence(centres, counts, *bounds))


def _divergence(centres: NDArray[np.float64], counts: NDArray[np.float64], low: float, high: float) -> float:
    """KL(P ‖ Q): P is the histogram with outliers moved to the ends, Q the same spread evenly within each level.

    As in TensorRT, Q is made from the histogram without its outliers, so that clipping them shows as a difference.
    """
    if high <= low:
        return np.inf
    inside = (centres >= low) & (centres <= high)
    if not counts[inside].any():  # as where a few values far apart are all there is
        return np.inf
    reference = counts[inside].copy()
    kept = reference.copy()
    reference[0] += counts[centres < low].sum()
    reference[-1] += counts[centres > high].sum()
    level = np.minimum(((centres[inside] - low) / (high - low) * LEVELS).astype(np.intp), LEVELS - 1)
    occupied = kept > 0
    level_mass = np.bincount(level, weights=kept, minlength=LEVELS)
    level_bins = np.bincount(level[occupied], minlength=LEVELS)
    spread = np.where(occupied, level_mass[level] / np.maximum(level_bins[level], 1), 0.0)
    p, q = reference / reference.sum(), spread / spread.sum()
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))))


def mse(tensor: TensorRange) -> tuple[float, float]:
    """The range with the least mean squared error of quantization: each end searched in turn, twice over."""
    low, high = full_low, full_high = minmax(tensor)
    centres, counts = _mass(tensor)
    if len(centres) == 0:
        return low, high
    shares = np.linspace(1.0, 0.02, 99).tolist()
    for _ in range(2):
        if full_high > 0:
            high = min((full_high * share for share in shares), key=lambda end: _error(centres, counts, low, end))
        if full_low < 0:
            low = min((full_low * share for share in shares), key=lambda end: _error(centres, counts, end, high))
    return low, high


def _error(centres: NDArray[np.float64], counts: NDArray[np.float64], low: float, high: float) -> float:
    """Sum of squared errors when ``counts`` values at ``centres`` are quantized to LEVELS steps of [low, high]."""
    step = (high - low) / (LEVELS - 1)
    if step <= 0:
        return np.inf
    zero_point = np.rint(-low / step)
    quantized = np.clip(np.rint(centres / step) + zero_point, 0, LEVELS - 1)
    return float(np.sum(counts * (centres - (quantized - zero_point) * step) ** 2))


def _mass(tensor: TensorRange) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres [bins] and counts [bins] of the histogram; nothing for a constant tensor, which every range fits.

    The bin that holds 0 counts as exactly 0: after a ReLU most of its values are, and int8 represents 0 without error.
    """
    bins = len(tensor.histogram)
    if not tensor.high > tensor.low or not tensor.histogram.any():
        return np.empty(0), np.empty(0)
    edges = np.linspace(tensor.low, tensor.high, bins + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    centres[(edges[:-1] <= 0) & (edges[1:] >= 0)] = 0.0
    return centres, tensor.histogram.astype(np.float64)


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        "minmax": minmax,
        "percentile-99.999": lambda tensor: percentile(tensor, 99.999),
        "percentile-99.99": lambda tensor: percentile(tensor, 99.99),
        "entropy": entropy,
        "mse": mse,
    }
)


def estimate(table: RangeTable, estimator: str) -> dict[str, tuple[float, float]]:
    """(low, high) of every tensor in the table.

    Raises:
        InputError: no estimator of that name.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"unknown range estimator {estimator!r}; choose one of {', '.join(ESTIMATORS)}")
    return {name: ESTIMATORS[estimator](tensor) for name, tensor in table.tensors.items()}
