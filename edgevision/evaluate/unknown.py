"""Knowing when to say "I don't know": temperature, threshold, and what they are worth.

A photo is *known* when its best score (softmax probability after the temperature) is at least the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.classification import checked_scores
from edgevision.evaluate.ranking import auroc

__all__ = [
    "Reliability",
    "auroc",
    "expected_calibration_error",
    "false_accept_rate",
    "fit_temperature",
    "fit_threshold",
    "negative_log_likelihood",
    "reliability",
]

TEMPERATURE_RANGE = (0.05, 20.0)


def negative_log_likelihood(logits: npt.ArrayLike, truth: npt.ArrayLike, temperature: float = 1.0) -> float:
    """Mean of -log softmax(logits / temperature) at the true class, in nats. ``logits`` [n, classes], ``truth`` [n]."""
    values, target = checked_scores(logits, truth)
    return _nll(values - values.max(axis=1, keepdims=True), target, temperature)


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature of 0.05…20 at which ``logits`` (or log probabilities) [n, classes] are likeliest, given ``truth``.

    (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.) The likelihood has a single peak over
    log T, since it is concave in 1/T; golden-section search finds it to 1e-6. Where every answer is right by far
    there is no peak inside, and the temperature ends at the lower bound.
    """
    values, target = checked_scores(logits, truth)
    values = values - values.max(axis=1, keepdims=True)

    def loss(log_temperature: float) -> float:
        return _nll(values, target, math.exp(log_temperature))

    golden = (math.sqrt(5.0) - 1.0) / 2.0
    low, high = math.log(TEMPERATURE_RANGE[0]), math.log(TEMPERATURE_RANGE[1])
    left, right = high - golden * (high - low), low + golden * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    while high - low > 1e-6:
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - golden * (high - low)
            loss_left = loss(left)
        else:  # also where both have underflowed to 0: the softer of equals
            low, left, loss_left = left, right, loss_right
            right = low + golden * (high - low)
            loss_right = loss(right)
    return math.exp((low + high) / 2)


def fit_threshold(right_scores: npt.ArrayLike, keep: float = 0.95) -> float:
    """The largest threshold that at least ``keep`` of the right answers reach.

    ``right_scores`` [n]: best scores of the photos that were answered rightly. A score equal to the threshold
    reaches it, so the answer is one of the scores.

    >>> fit_threshold([0.9, 0.8, 0.7, 0.2], keep=0.75)
    0.7
    """
    scores = _scores(right_scores, "best scores of right answers")
    if not 0.0 < keep <= 1.0:
        raise InputError(f"expected the share of right answers to keep as 0 < keep ≤ 1, got {keep}")
    kept = max(1, math.ceil(keep * len(scores) - 1e-9))  # 0.07 · 100 is a little more than 7 in floating point
    return float(np.sort(scores)[len(scores) - kept])


def false_accept_rate(unknown_scores: npt.ArrayLike, threshold: float) -> float:
    """Share, 0…1, of unknown photos that pass for known: best score ≥ ``threshold``."""
    return float((_scores(unknown_scores, "best scores of unknown photos") >= threshold).mean())


@dataclass(frozen=True, eq=False)
class Reliability:
    """Photos sorted by confidence into bins of equal width; empty bins have NaN.

    ``edges`` [bins + 1]; ``count``, ``confidence`` (mean) and ``accuracy`` (share right), [bins] each.
    """

    edges: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error, 0…1: mean distance of confidence from accuracy, weighted by photos."""
        filled = self.count > 0
        distance = np.abs(self.accuracy[filled] - self.confidence[filled])
        return float((self.count[filled] * distance).sum() / self.count.sum())


def reliability(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 15) -> Reliability:
    """Sort photos into ``bins`` bins (low, high] by ``confidence`` [n], 0…1; ``right`` [n] bool. 0 is in the first."""
    scores = _scores(confidence, "confidences")
    hits = np.asarray(right)
    if bins < 1 or hits.shape != scores.shape or hits.dtype != np.bool_:
        raise InputError(f"expected {len(scores)} bools and bins ≥ 1, got {hits.dtype} {hits.shape} and {bins} bins")
    if scores.min() < 0.0 or scores.max() > 1.0 + 1e-9:
        raise InputError(f"expected confidences of 0…1, got {scores.min():.4g}…{scores.max():.4g}")
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.clip(np.searchsorted(edges, scores, side="left") - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)
    mean = np.full((2, bins), np.nan)
    for row, values in enumerate((scores, hits.astype(np.float64))):
        np.divide(np.bincount(index, weights=values, minlength=bins), count, out=mean[row], where=count > 0)
    return Reliability(edges, count.astype(np.int64), mean[0], mean[1])


def expected_calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = 15) -> float:
    """ECE, 0…1, over ``bins`` bins of equal width. ``confidence`` [n]: score of the answer; ``right`` [n] bool."""
    return reliability(confidence, right, bins).error


def _nll(shifted: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], temperature: float) -> float:
    """``shifted``: logits less their row's maximum, so that nothing overflows."""
    scaled = shifted / temperature
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]).mean())


def _scores(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise InputError(f"expected {what}, finite, [n] with n > 0; got shape {scores.shape}")
    return scores
