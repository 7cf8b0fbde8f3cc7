"""How cost grows along an axis: a power law through points, with what is not known of it, and where it bends.

``cost ∝ x ** exponent`` is a straight line through logarithms. Points are medians over rounds; rounds are drawn anew for the intervals, and where
all points were measured in the same rounds, the same rounds are drawn for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
RESAMPLES = 2000
LEAST_POINTS_OF_BEND = 5
LEAST_CHANGE = 0.2  # of the exponent, that the interval of a bend's change must lie beyond
FAR = 10.0  # times the last point, beyond which nothing is told

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Costs at ``x`` by the number of their round."""

    x: float
    values: Mapping[int, float]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, at ``CONFIDENCE``."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bend:
    """Two lines that meet at ``x``, one of the points: the exponents ``before`` and ``after``."""

    x: float
    before: Estimate
    after: Estimate


@dataclass(frozen=True)
class Growth:
    """``medians``: of each point. ``exponent``: of one line through all. ``bend``: None where one line will do."""

    xs: tuple[float, ...]
    medians: tuple[Estimate, ...]
    exponent: Estimate
    bend: Bend | None

    def first_over(self, limit: float) -> float | None:
        """The first ``x`` whose median is over ``limit``, None where there is none."""
        return next((x for x, median in zip(self.xs, self.medians, strict=True) if median.value > limit), None)

    def reaches_at(self, limit: float) -> float | None:
        """Beyond the last point, where the line that ends there comes to ``limit``; None where that is ``FAR`` away, or it may be flat."""
        last = self.exponent if self.bend is None else self.bend.after
        if last.low <= 0:
            return None
        steps = np.log(limit / self.medians[-1].value) / last.value
        return float(self.xs[-1] * np.exp(steps)) if 0 <= steps <= np.log(FAR) else None


def growth_of(points: Sequence[Point], paired: bool, seed: int = 0) -> Growth | None:
    """The fit; None with fewer than two points, or where a median is 0 or less, of which there is no logarithm.

    ``paired``: all points were measured in the same rounds, of which those that all have count.
    """
    medians, drawn = _medians(points, paired, np.random.default_rng(seed))
    if len(points) < 2 or medians.min() <= 0:
        return None
    xs = np.log(np.array([point.x for point in points], np.float64))
    drawn = drawn[(drawn > 0).all(axis=1)]
    slope, slopes = _slopes(xs, np.log(medians[None]))[0], _slopes(xs, np.log(drawn))
    return Growth(
        tuple(point.x for point in points),
        tuple(_estimate(median, column) for median, column in zip(medians.tolist(), drawn.T, strict=True)),
        _estimate(float(slope), slopes),
        _bend(points, xs, np.log(medians), np.log(drawn)),
    )


def _medians(points: Sequence[Point], paired: bool, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Medians [n], and those of rounds that were drawn anew [RESAMPLES, n]."""
    rounds = set.intersection(*(set(point.values) for point in points)) if paired else set()
    columns = [
        np.array([value for number, value in sorted(point.values.items()) if not paired or number in rounds], np.float64)
        for point in points
    ]  # fmt: skip
    if paired:
        places = random.integers(0, len(rounds), (RESAMPLES, len(rounds)))
        drawn = [np.median(column[places], axis=1) for column in columns]
    else:
        drawn = [
            np.median(column[random.integers(0, len(column), (RESAMPLES, len(column)))], axis=1) for column in columns
        ]
    return np.array([np.median(column) for column in columns]), np.stack(drawn, axis=1)


def _slopes(xs: Floats, ys: Floats) -> Floats:
    """Of the least squares line through each row of ``ys`` [r, n]: [r]."""
    centred = xs - xs.mean()
    return np.asarray(ys @ centred / (centred @ centred), np.float64)


def _bend(points: Sequence[Point], xs: Floats, ys: Floats, drawn: Floats) -> Bend | None:
    """The best two lines that meet at a point, where the change of the exponent is beyond doubt: the point is chosen again in each draw."""
    if len(points) < LEAST_POINTS_OF_BEND or not len(drawn):
        return None
    (place,), (before,), (change,) = _hinges(xs, ys[None])
    _, befores, changes = _hinges(xs, drawn)
    known = _estimate(float(change), changes)
    if not (known.low > LEAST_CHANGE or known.high < -LEAST_CHANGE):
        return None
    return Bend(
        points[int(place)].x, _estimate(float(before), befores), _estimate(float(before + change), befores + changes)
    )


def _hinges(xs: Floats, ys: Floats) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Of each row of ``ys`` [r, n]: where its lines meet, the first one's slope, and by how much the second's is greater."""
    places = range(1, len(xs) - 1)
    errors, fits = [], []
    for place in places:
        columns = np.stack([np.ones_like(xs), xs, np.maximum(0, xs - xs[place])], axis=1)
        fit = ys @ np.linalg.pinv(columns).T
        errors.append(((ys - fit @ columns.T) ** 2).sum(axis=1))
        fits.append(fit)
    best = np.argmin(errors, axis=0)
    chosen = np.stack(fits)[best, np.arange(len(ys))]
    return np.asarray(best + 1, np.int64), chosen[:, 1], chosen[:, 2]


def _estimate(value: float, drawn: Floats) -> Estimate:
    if not len(drawn):
        return Estimate(value, value, value)
    low, high = np.quantile(drawn, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return Estimate(value, min(value, float(low)), max(value, float(high)))
