"""Knowing when to say "I don't know": the threshold, and what it is worth.

A photo is *known* when its best score (softmax probability after the temperature) is at least the threshold.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.statistics.calibration import checked_confidences

NEAR_THRESHOLD = 24  # photos that carry a threshold from float to a variant


def fit_threshold(right_scores: npt.ArrayLike, true_accept_rate: float = 0.95) -> float:
    """The largest threshold that at least ``true_accept_rate`` of the right answers reach.

    ``right_scores`` [n]: best scores of the photos that were answered rightly. A score equal to the threshold
    reaches it, so the answer is one of the scores. Raises InputError for scores that are not finite, none, or a rate
    outside 0…1.

    >>> fit_threshold([0.9, 0.8, 0.7, 0.2], true_accept_rate=0.75)
    0.7
    """
    scores = checked_confidences(right_scores, "best scores of right answers")
    if not 0.0 < true_accept_rate <= 1.0:
        raise InputError(f"expected a share of right answers, 0 < true_accept_rate ≤ 1, got {true_accept_rate}")
    least = math.ceil(true_accept_rate * len(scores) - 1e-9)  # 0.07 · 100 is a little more than 7 in floating point
    return float(np.sort(scores)[len(scores) - max(1, least)])


def transfer_threshold(threshold: float, reference: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> float:
    """The threshold at which a variant draws the line that ``threshold`` draws for the reference.

    ``reference``, ``own``: best scores float64 [n] of the same photos, 0…1. Fitted apart, each variant's threshold would
    be a quantile of few photos, and off by a noise of its own. The variant's scores on the same photos are not: their log
    odds move by nearly one amount near the line, so the line moves by its median over the photos nearest to it. A
    threshold of 0 or 1, which draws no line, stays.

    >>> round(transfer_threshold(0.5, np.array([0.4, 0.5, 0.6]), np.array([0.5, 0.6, 0.7])), 2)
    0.6
    """
    if not 0 < threshold < 1:
        return threshold
    line = float(_log_odds(np.array([threshold]))[0])
    before, after = _log_odds(reference), _log_odds(own)
    nearest = np.argsort(np.abs(before - line), kind="stable")[:NEAR_THRESHOLD]
    moved = line + float(np.median((after - before)[nearest]))
    return float(1 / (1 + np.exp(-moved)))


def true_accept_rate(right_scores: npt.ArrayLike, threshold: float) -> float:
    """Share, 0…1, of right answers that stay known: best score ≥ ``threshold``. ``right_scores`` [n], their best scores.

    Raises InputError for scores that are not finite, or none.

    >>> true_accept_rate([0.2, 0.5, 0.8, 0.9], 0.5)
    0.75
    """
    return float((checked_confidences(right_scores, "best scores of right answers") >= threshold).mean())


def false_accept_rate(unknown_scores: npt.ArrayLike, threshold: float) -> float:
    """Share, 0…1, of unknown photos that pass for known: best score ≥ ``threshold``. ``unknown_scores`` [n].

    Raises InputError for scores that are not finite, or none.

    >>> false_accept_rate([0.2, 0.5, 0.8, 0.9], 0.85)
    0.25
    """
    return float((checked_confidences(unknown_scores, "best scores of unknown photos") >= threshold).mean())


def _log_odds(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    clipped = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(clipped / (1 - clipped)))
