"""Is it more than chance? Exact binomial statements about counts of right answers, and how a classifier that only guesses does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError


def binomial_tail(hits: int, n: int, p: float) -> float:
    """Chance of ``hits`` or more successes in ``n`` trials, each with the chance ``p``.

    Raises InputError unless 0 ≤ hits ≤ n, n > 0 and 0 ≤ p ≤ 1.

    >>> round(binomial_tail(3, 3, 0.5), 6)
    0.125
    """
    _check(hits, n)
    if not 0.0 <= p <= 1.0:
        raise InputError(f"expected a chance of 0…1, got {p}")
    if hits == 0 or p == 1.0:
        return 1.0
    if p == 0.0:
        return 0.0
    log_p, log_q, whole = math.log(p), math.log1p(-p), math.lgamma(n + 1)
    terms = (
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_p + (n - k) * log_q)
        for k in range(hits, n + 1)
    )
    return min(1.0, math.fsum(terms))


def upper_bound(hits: int, n: int, error_rate: float) -> float:
    """The chance of success above which ``hits`` or fewer in ``n`` trials come about with less than ``error_rate``.

    One-sided (C. Clopper, E. Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934) 404-413). Raises InputError as
    ``binomial_tail`` does.

    >>> round(upper_bound(0, 10, 0.05), 4)  # 1 - 0.05 ** (1 / 10)
    0.2589
    """
    _check(hits, n)
    if hits == n:
        return 1.0
    low, high = hits / n, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if 1.0 - binomial_tail(hits + 1, n, middle) > error_rate:
            low = middle
        else:
            high = middle
    return high


def sign_test(won: int, lost: int) -> float:
    """Chance of winning ``won`` or more of the ``won + lost`` photos that tell two readings apart, if neither were better.

    >>> round(sign_test(3, 0), 6), sign_test(0, 0)
    (0.125, 1.0)
    """
    return binomial_tail(won, won + lost, 0.5) if won + lost else 1.0


@dataclass(frozen=True)
class BalancedHits:
    """Right answers where every class counts alike: ``hits`` of ``n``, which is how many photos, evenly spread over the
    classes, would say as much. ``guessing``: the share that is right where answers have nothing to do with the photos,
    but are as often each class as these are; 0…1. ``classes``: how many have photos.
    """

    hits: int
    n: int
    guessing: float
    classes: int

    def beats_guessing(self, certainty: float) -> bool:
        """Whether guessing gives so many hits with the chance ``certainty`` or less."""
        return self.n > 0 and binomial_tail(self.hits, self.n, self.guessing) <= certainty

    def rules_out(self, skill: float, error_rate: float) -> bool:
        """Whether whoever is right on the share ``skill`` (0…1) of what guessing leaves has so few hits with less than the chance
        ``error_rate``. Never where photos show one class: guesses cannot be told from answers then."""
        if self.classes < 2 or self.n < 1:
            return False
        return upper_bound(self.hits, self.n, error_rate) < self.guessing + skill * (1.0 - self.guessing)


def balanced_hits(answers: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> BalancedHits:
    """Count hits so that a class with many photos says no more than one with few. int [n] each, n > 0; an answer of no class
    is negative.

    Photos weigh as much as there are few of their class; ``n`` is Kish's effective sample size of these weights,
    rounded down (L. Kish, "Survey Sampling", 1965), and hits are rounded up.

    >>> balanced_hits(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]))
    BalancedHits(hits=2, n=4, guessing=0.5, classes=2)
    """
    if not len(truth) or answers.shape != truth.shape:
        raise InputError(f"expected answers to n > 0 photos, got {answers.shape} for {truth.shape}")
    present, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
    weights = 1.0 / (len(present) * counts[place])
    n = math.floor(1.0 / float((weights * weights).sum()) + 1e-9)
    hits = math.ceil(n * float(weights[answers == truth].sum()) - 1e-9)
    among = float(weights[np.isin(answers, present)].sum())
    return BalancedHits(hits, n, min(1.0, among / len(present)), len(present))


def _check(hits: int, n: int) -> None:
    if not 0 <= hits <= n or n < 1:
        raise InputError(f"expected hits of n > 0 trials, got {hits} of {n}")
