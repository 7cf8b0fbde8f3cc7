"""Two models on the same photos: how much was lost, and how sure that is.

Most photos are answered alike by a model and its quantized form. Only those where one is right and the other wrong
tell them apart, so the interval is one for paired proportions: Tango's score interval (T. Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998)
891-908). It stays honest where few photos or none differ, where the usual (Wald) interval shrinks to a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

MIN_PHOTOS_PER_CLASS = 20
MAX_PHOTOS_LOST = 2
MAX_POINTS_LOST = 3.0


@dataclass(frozen=True)
class Paired:
    """``b`` against the reference ``a``, in points (percent of the ``n`` photos). A negative drop is a gain."""

    n: int
    a: float
    b: float
    drop: float  # a - b
    lost: int  # a right, b wrong
    gained: int  # a wrong, b right
    interval: tuple[float, float]  # of the drop
    confidence: float

    def sentence(self, name: str, other: str) -> str:
        """What was found, of the model ``name`` against the reference ``other``."""
        low, high = self.interval
        return (
            f"{name} against {other} on the same {self.n} photos: drop {self.drop:+.2f} points, "
            f"{100 * self.confidence:.3g} % interval {low:+.2f}…{high:+.2f}; {self.lost} lost, {self.gained} gained"
        )


@dataclass(frozen=True)
class ClassLoss:
    """What class ``index`` lost and gained on its ``n`` photos; ``exceeds`` is the rule's word on it."""

    index: int
    n: int
    lost: int
    gained: int

    @property
    def net(self) -> int:
        """Photos lost in sum."""
        return self.lost - self.gained

    def exceeds(self, max_points: float = MAX_POINTS_LOST) -> bool:
        """Whether the class lost more than the rule allows."""
        return exceeds(self.n, self.lost, self.gained, max_points)


def paired_comparison(right_a: npt.ArrayLike, right_b: npt.ArrayLike, confidence: float = 0.95) -> Paired:
    """Compare which photos ``a`` and ``b`` answer rightly, bool [n] each, photo by photo.

    >>> result = paired_comparison([True, True, True, False], [True, True, False, False])
    >>> result.drop, result.lost, result.gained
    (25.0, 1, 0)
    """
    a, b = _right(right_a, right_b)
    lost, gained, n = int((a & ~b).sum()), int((~a & b).sum()), len(a)
    low, high = tango_interval(lost, gained, n, confidence)
    return Paired(
        n=n,
        a=100.0 * int(a.sum()) / n,
        b=100.0 * int(b.sum()) / n,
        drop=100.0 * (lost - gained) / n,
        lost=lost,
        gained=gained,
        interval=(100.0 * low, 100.0 * high),
        confidence=confidence,
    )


def tango_interval(lost: int, gained: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of ``(lost - gained) / n``, the difference of two paired proportions; within -1…1.

    The limits are the differences d at which the score statistic (Tango 1998)

        (lost - gained - n·d) / sqrt(n·(2·q + d·(1 - d)))

    reaches ± the normal quantile; q is the likeliest chance of a gain, given that difference.
    """
    if not (n > 0 and lost >= 0 and gained >= 0 and lost + gained <= n):
        raise InputError(f"expected counts with lost + gained ≤ n and n > 0, got {lost} + {gained} of {n}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"expected a confidence between 0 and 1, such as 0.95, got {confidence}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)

    def deviation(d: float) -> float:
        """Standard deviation of lost - gained where the true difference is ``d``."""
        linear = (2 * n - lost + gained) * d - lost - gained
        root = math.sqrt(max(0.0, linear * linear + 8.0 * n * gained * d * (1.0 - d)))
        q = (root - linear) / (4.0 * n)
        return math.sqrt(max(0.0, n * (2.0 * q + d * (1.0 - d))))

    estimate = (lost - gained) / n
    low = _boundary(lambda d: lost - gained - n * d > z * deviation(d), -1.0, estimate)
    high = _boundary(lambda d: n * d - lost + gained < z * deviation(d), estimate, 1.0)
    return low, high


def _boundary(before: Callable[[float], bool], low: float, high: float) -> float:
    """Where ``before`` turns false between ``low`` and ``high``, by bisection to the last bits."""
    for _ in range(64):
        middle = (low + high) / 2
        if before(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def class_losses(right_a: npt.ArrayLike, right_b: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[ClassLoss, ...]:
    """What each class that occurs in ``truth`` [n] lost from ``a`` to ``b``, most lost first."""
    a, b = _right(right_a, right_b)
    target = np.asarray(truth)
    if target.shape != a.shape or not np.issubdtype(target.dtype, np.integer) or target.min() < 0:
        raise InputError(f"expected {len(a)} class indices as truth, got {target.dtype} of shape {target.shape}")
    count = np.bincount(target)
    lost = np.bincount(target[a & ~b], minlength=len(count))
    gained = np.bincount(target[~a & b], minlength=len(count))
    rows = [ClassLoss(int(c), int(count[c]), int(lost[c]), int(gained[c])) for c in np.flatnonzero(count)]
    return tuple(sorted(rows, key=lambda row: (-row.net, row.index)))


def exceeds(n: int, lost: int, gained: int, max_points: float = MAX_POINTS_LOST) -> bool:
    """Whether a class of ``n`` photos lost too much: with at least 20 photos, more than 2 photos and ``max_points`` net.

    Smaller classes are never said to: a single photo would be more than the rule allows.
    """
    return n >= MIN_PHOTOS_PER_CLASS and 100 * (lost - gained) > max(100 * MAX_PHOTOS_LOST, max_points * n)


def _right(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    a, b = np.asarray(right_a), np.asarray(right_b)
    if a.ndim != 1 or a.shape != b.shape or not len(a) or a.dtype != np.bool_ or b.dtype != np.bool_:
        raise InputError(
            f"expected right or wrong as bool [n] for the same photos, n > 0; got {a.dtype} {a.shape} "
            f"and {b.dtype} {b.shape}"
        )
    return a, b
