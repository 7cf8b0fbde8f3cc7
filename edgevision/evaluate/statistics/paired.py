"""Two models on the same photos: how much was lost, and how sure that is.

Most photos are answered alike by a model and its quantized form. Only those where one is right and the other wrong
tell them apart, so the interval is one for paired proportions: Tango's score interval (T. Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998)
891-908). It stays honest where few photos or none differ, where the usual (Wald) interval shrinks to a point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.tasks.results import Label

MIN_PHOTOS_PER_CLASS = 20
MAX_PHOTOS_LOST = 2
MAX_POINTS_LOST = 3.0


@dataclass(frozen=True)
class PairedComparison:
    """A model against a reference on ``n`` photos, in points (0…100) of their metric. A negative drop is a gain. ``lost`` and
    ``gained`` are None where the metric is no count of photos."""

    n: int
    reference: float
    value: float
    drop: float  # reference - value
    lost: int | None  # photos with the reference right, the model wrong
    gained: int | None  # the other way
    interval: tuple[float, float]  # of the drop
    confidence: float

    def sentence(self, name: str, other: str) -> str:
        """What was found, of the model ``name`` against the reference ``other``."""
        low, high = self.interval
        flips = "" if self.lost is None else f"; {self.lost} lost, {self.gained} gained"
        return (
            f"{name} against {other} on the same {self.n} photos: drop {self.drop:+.2f} points, "
            f"{100 * self.confidence:.3g} % interval {low:+.2f}…{high:+.2f}{flips}"
        )


class NetLoss:
    """What a group of photos, such as a class, lost in sum: ``lost`` and ``gained`` of ``n``, of which the reference answers ``reference_right``
    rightly. For dataclasses with these fields."""

    n: int
    lost: int
    gained: int
    reference_right: int

    @property
    def net(self) -> int:
        """Photos lost in sum; negative = gained."""
        return self.lost - self.gained

    @property
    def share(self) -> float:
        """``net`` as a share of the photos, -1…1."""
        return self.net / self.n

    @property
    def right(self) -> int:
        """Photos that the other model answers rightly."""
        return self.reference_right - self.net

    @property
    def ruled(self) -> bool:
        """Whether it has photos enough for the rule."""
        return self.n >= MIN_PHOTOS_PER_CLASS

    def exceeds(self, max_points: float = MAX_POINTS_LOST) -> bool:
        """Whether the group lost too much: with at least 20 photos, more than 2 photos and ``max_points`` net.

        Smaller groups are never said to: a single photo would be more than the rule allows.
        """
        return self.ruled and 100 * self.net > max(100 * MAX_PHOTOS_LOST, max_points * self.n)


@dataclass(frozen=True)
class ClassLoss(NetLoss):
    """What a class lost and gained on its ``n`` photos, of which the reference answers ``reference_right`` rightly.

    ``index``: the class's place in the labels. A ``GroupLoss`` as ``evaluate.base`` has it.

    >>> ClassLoss("salt", 4, 20, lost=4, gained=1, reference_right=18).sentence()
    "class 'salt' loses 3 of 20 photos"
    """

    name: str
    index: int
    n: int
    lost: int
    gained: int
    reference_right: int

    def sentence(self) -> str:
        """Name and loss in words."""
        return f"class {self.name!r} loses {self.net} of {self.n} photos"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "name": self.name,
            "index": self.index,
            "n": self.n,
            "lost": self.lost,
            "gained": self.gained,
            "float_right": self.reference_right,
            "variant_right": self.right,
        }


def paired_comparison(reference: npt.ArrayLike, other: npt.ArrayLike, confidence: float = 0.95) -> PairedComparison:
    """Compare which photos a reference and another model answer rightly, bool [n] each, photo by photo.

    Raises InputError unless both are bool, of one length, and of at least one photo; or for a confidence outside 0…1.

    >>> result = paired_comparison([True, True, True, False], [True, True, False, False])
    >>> result.drop, result.lost, result.gained
    (25.0, 1, 0)
    """
    before, after = _right(reference, other)
    lost, gained, n = int((before & ~after).sum()), int((~before & after).sum()), len(before)
    low, high = tango_interval(lost, gained, n, confidence)
    return PairedComparison(
        n=n,
        reference=100.0 * int(before.sum()) / n,
        value=100.0 * int(after.sum()) / n,
        drop=100.0 * (lost - gained) / n,
        lost=lost,
        gained=gained,
        interval=(100.0 * low, 100.0 * high),
        confidence=confidence,
    )


def tango_interval(lost: float, gained: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of ``(lost - gained) / n``, the difference of two paired proportions; within -1…1. The counts need not be whole:
    those of photos that depend on each other are divided by their design effect.

    The limits are the differences d at which the score statistic (Tango 1998)

        (lost - gained - n·d) / sqrt(n·(2·q + d·(1 - d)))

    reaches ± the normal quantile; q is the likeliest chance of a gain, given that difference. Raises InputError for counts
    that do not fit together, or a confidence outside 0…1.

    >>> [round(limit, 3) for limit in tango_interval(1, 7, 21)]
    [-0.517, -0.026]
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


def class_losses(
    reference: npt.ArrayLike, other: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[Label]
) -> tuple[ClassLoss, ...]:
    """What each class that has photos lost: most photos lost first; of equals, the larger share of the class.

    ``reference``, ``other``: bool [n], whether the two models answer each photo rightly; ``truth``: int [n], places in
    ``labels``. Raises InputError where these do not fit together.

    >>> [loss.net for loss in class_losses([True, True], [True, False], [0, 1], [Label(7, "tea"), Label(9, "salt")])]
    [1, 0]
    """
    before, after = _right(reference, other)
    classes = np.asarray(truth)
    if classes.shape != before.shape or not np.issubdtype(classes.dtype, np.integer) or classes.min() < 0:
        raise InputError(f"expected {len(before)} class indices as truth, got {classes.dtype} of shape {classes.shape}")
    if int(classes.max()) >= len(labels):
        raise InputError(f"expected classes below {len(labels)}, as many as there are labels, got {classes.max()}")

    def count(photos: npt.NDArray[np.bool_]) -> list[int]:
        return [int(photos_of) for photos_of in np.bincount(classes[photos], minlength=len(labels))]

    n, right = count(np.ones(len(classes), np.bool_)), count(before)
    lost, gained = count(before & ~after), count(~before & after)
    losses = [
        ClassLoss(label.name, c, n[c], lost[c], gained[c], right[c]) for c, label in enumerate(labels) if n[c] > 0
    ]
    return tuple(sorted(losses, key=lambda loss: (-loss.net, -loss.share, loss.index)))


def _right(reference: npt.ArrayLike, other: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    a, b = np.asarray(reference), np.asarray(other)
    if a.ndim != 1 or a.shape != b.shape or not len(a) or a.dtype != np.bool_ or b.dtype != np.bool_:
        raise InputError(
            f"expected right or wrong as bool [n] for the same photos, n > 0; got {a.dtype} {a.shape} "
            f"and {b.dtype} {b.shape}"
        )
    return a, b
