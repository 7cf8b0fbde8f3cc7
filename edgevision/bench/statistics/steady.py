"""When warm-up is over: the last windows look alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.bench.statistics.percentiles import Numbers
from edgevision.errors import InputError

WINDOWS = 3
TOLERANCE = 0.10


def first_steady(
    samples: Sequence[float] | Numbers, windows: int = WINDOWS, tolerance: float = TOLERANCE
) -> int | None:
    """The place at which ``samples`` become steady, None where they have not yet.

    ``samples``: one figure for each window of time, such as the median latency of a block, each > 0, in the order of time. Steady is the
    first place from which ``windows`` neighbours differ by at most ``tolerance`` (largest over smallest, less 1): the rule of load
    generators that wait for three alike windows. What lies before the place is warm-up.

    >>> first_steady([30.0, 14.0, 10.4, 10.0, 10.2])
    2
    """
    values = np.asarray(samples, np.float64)
    if windows < 2 or tolerance <= 0 or values.ndim != 1 or (values <= 0).any():
        raise InputError(
            "expected figures > 0, windows ≥ 2 and a tolerance > 0; give one figure for each window of time"
        )
    for place in range(len(values) - windows + 1):
        window = values[place : place + windows]
        if window.max() <= (1 + tolerance) * window.min():
            return place
    return None


def window_medians(samples_ns: Numbers, size: int) -> list[float]:
    """Medians of ``samples_ns`` [n] in windows of ``size``, the last one left out where it is not full."""
    if size < 1:
        raise InputError(f"expected a window of at least 1 sample, got {size}")
    full = len(samples_ns) // size * size
    return [float(median) for median in np.median(np.asarray(samples_ns)[:full].reshape(-1, size), axis=1)]
