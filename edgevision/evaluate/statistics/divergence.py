"""How far a model's answers are from another's, without a truth: chooses recipes, and ranks layers by what they cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

_LEAST_PROBABILITY = 1e-12


def kl_divergence(
    reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating], *, probabilities: bool = False
) -> float:
    """Mean KL(reference ‖ other) over the photos, in nats; 0 = equal.

    ``reference``, ``other``: floating [n, classes], of the same photos; logits, or with ``probabilities`` those, which
    are clipped from below at 1e-12. In float64. Raises InputError unless both have one shape and n > 0.

    >>> round(kl_divergence(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]), probabilities=True), 4)
    0.1438
    """
    if reference.shape != other.shape or reference.ndim != 2 or not len(reference):
        raise InputError(
            f"expected two arrays [n, classes] of one shape, n > 0; got {reference.shape} and {other.shape}"
        )
    log_p, log_q = (_log_probabilities(x.astype(np.float64), probabilities) for x in (reference, other))
    return float(np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=1)))


def _log_probabilities(x: npt.NDArray[np.float64], probabilities: bool) -> npt.NDArray[np.float64]:
    if probabilities:
        return np.log(np.maximum(x, _LEAST_PROBABILITY))
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True)))


def cosine_distance(reference: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """Mean of 1 - cosine between each unit vector and its partner, [n, d] each: 0 = equal, 2 = opposite. In float64.

    As half of the squared distance, which keeps its digits where vectors are nearly equal. Raises InputError unless both have one shape
    and n > 0.

    >>> cosine_distance(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    1.0
    """
    if reference.shape != other.shape or reference.ndim != 2 or not len(reference):
        raise InputError(
            f"expected two arrays [n, dimension] of one shape, n > 0; got {reference.shape} and {other.shape}"
        )
    apart = reference.astype(np.float64) - other.astype(np.float64)
    return float(np.mean(np.sum(apart * apart, axis=1)) / 2)
