"""Whether samples are of one kind or of two, such as a quick and a slow way through a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgevision.bench.statistics.percentiles import Numbers
from edgevision.bench.statistics.ranks import Floats

_GRID = 512
_LEAST_SHARE = 0.1  # of the samples, on either side
_LEAST_DISTANCE = 0.05  # between the modes, as a logarithm: 5 %
_DEEPEST_VALLEY = 0.5  # of the lower peak
_LEAST_WIDTH = 0.005  # of the kernel, as a logarithm: what is closer than half a percent is one


@dataclass(frozen=True)
class Modes:
    """Two heaps of samples: where each is densest (in the unit of the samples), where the valley between them is, and the share 0…1 of
    samples in the upper one."""

    lower: float
    upper: float
    valley: float
    share: float


def two_modes(samples: Numbers) -> Modes | None:
    """The two heaps that ``samples`` [n] (each > 0) lie in; None where they are one heap, or fewer than 50.

    The density of the logarithms is estimated with a Gaussian kernel of Silverman's width. There are two heaps where the density between its
    two peaks falls below half of the lower one, each has a tenth of the samples, and they are 5 % apart. A tail is no heap.
    """
    values = np.asarray(samples, np.float64)
    values = values[values > 0]
    n = len(values)
    if n < 50:
        return None
    logs = np.sort(np.log(values))
    quarter, three = logs[n // 4], logs[3 * n // 4]
    spread = min(float(logs.std()), float(three - quarter) / 1.349) or float(logs.std())
    width = max(_LEAST_WIDTH, 0.9 * spread * n**-0.2)
    # Stragglers would stretch the grid: each heap has a tenth of the samples, so the outer hundredths are in neither's peak.
    low, high = logs[n // 100] - 3 * width, logs[n - 1 - n // 100] + 3 * width
    edges = np.linspace(low, high, max(_GRID, int(2 * (high - low) / width)) + 1)
    counts, _ = np.histogram(logs, edges)
    step = edges[1] - edges[0]
    reach = np.arange(-int(4 * width / step) - 1, int(4 * width / step) + 2) * step
    density = np.convolve(counts, np.exp(-0.5 * (reach / width) ** 2), mode="full")[len(reach) // 2 :][: len(counts)]
    centres = (edges[:-1] + edges[1:]) / 2
    return _deepest(density, centres, logs)


def _deepest(
    density: Floats,
    centres: Floats,
    logs: Floats,
) -> Modes | None:
    """The valley that is deepest against the lower of the greatest peaks on its two sides, where it is deep enough."""
    before, after = np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1]
    share_above = 1 - np.searchsorted(logs, centres) / len(logs)
    depth = density / np.maximum(np.minimum(before, after), 1e-300)
    depth[(share_above < _LEAST_SHARE) | (share_above > 1 - _LEAST_SHARE)] = 1.0
    valley = int(np.argmin(depth))
    if depth[valley] > _DEEPEST_VALLEY:
        return None
    lower = float(centres[int(np.argmax(density[:valley]))]) if valley else float(centres[0])
    upper = float(centres[valley + int(np.argmax(density[valley:]))])
    if upper - lower < _LEAST_DISTANCE:
        return None
    return Modes(float(np.exp(lower)), float(np.exp(upper)), float(np.exp(centres[valley])), float(share_above[valley]))
