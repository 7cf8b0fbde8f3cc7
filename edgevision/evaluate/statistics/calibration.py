"""Whether scores are chances: the temperature that makes them so, and how far they are from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.evaluate.statistics.classification import checked_scores

TEMPERATURE_RANGE = (0.05, 20.0)


def negative_log_likelihood(logits: npt.ArrayLike, truth: npt.ArrayLike, temperature: float = 1.0) -> float:
    """Mean of -log softmax(logits / temperature) at the true class, in nats.

    ``logits``: numbers [n, classes]; ``truth``: int [n]. Raises InputError where these do not fit, or are not finite.

    >>> round(negative_log_likelihood([[2.0, 0.0]], [0]), 3)
    0.127
    """
    values, target = checked_scores(logits, truth)
    return _nll(values - values.max(axis=1, keepdims=True), target, temperature)


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature of 0.05…20 at which ``logits`` (or log probabilities) [n, classes] are likeliest, given ``truth``
    int [n]. Raises InputError where these do not fit, or are not finite.

    (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.) The likelihood has a single peak over
    log T, since it is concave in 1/T; golden-section search finds it to 1e-6. Where every answer is right by far
    there is no peak inside, and the temperature ends at the lower bound.

    >>> round(fit_temperature([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]], [0, 0, 0, 1]), 2)  # 3 / log(3)
    2.73
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


def laplace_smoothed(
    scores: npt.NDArray[np.float64], truth: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Log scores [n, classes] and truth [n] to fit a temperature to, with one error more: [n + 1, classes] and [n + 1].

    Where every answer is right, the likeliest temperature is 0: every score would be 1, and so would the threshold,
    which no new photo reaches; one error that is right by a hair changes little in that. So one error in n + 1 is
    added, as Laplace's rule of succession has it: the photo with the median margin once more, as if its second-best
    class were the true one.

    >>> laplace_smoothed(np.array([[4.0, 1.0]]), np.array([0]))[1].tolist()
    [0, 1]
    """
    order = np.argsort(scores, axis=1)
    rows = np.arange(len(truth))
    margin = scores[rows, order[:, -1]] - scores[rows, order[:, -2]]
    typical = int(np.argsort(margin)[len(margin) // 2])
    return np.vstack([scores, scores[typical]]), np.append(truth, order[typical, -2])


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
    """Sort photos into ``bins`` bins (low, high] by ``confidence`` [n], 0…1; ``right`` bool [n]. 0 is in the first.

    Raises InputError where these do not fit, or a confidence is outside 0…1.

    >>> reliability([0.2, 0.9], np.array([False, True]), bins=2).count.tolist()
    [1, 1]
    """
    scores = checked_confidences(confidence, "confidences")
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
    """ECE, 0…1, over ``bins`` bins of equal width. Raises InputError as ``reliability`` does.

    ``confidence`` [n], 0…1: score of the answer; ``right`` bool [n].

    >>> expected_calibration_error([0.75, 0.75, 0.75, 0.75], np.array([True, True, True, False]))
    0.0
    """
    return reliability(confidence, right, bins).error


def checked_confidences(values: npt.ArrayLike, what: str) -> npt.NDArray[np.float64]:
    """The values as float64 [n]. Raises InputError, which calls them ``what``, unless they are finite and n > 0."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
        raise InputError(f"expected {what}, finite, [n] with n > 0; got shape {scores.shape}")
    return scores


def _nll(shifted: npt.NDArray[np.float64], truth: npt.NDArray[np.int64], temperature: float) -> float:
    """``shifted``: logits less their row's maximum, so that nothing overflows."""
    scaled = shifted / temperature
    return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]).mean())
