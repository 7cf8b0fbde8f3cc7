"""Saying "I don't know": how a similarity becomes the chance that it is this product, and where the line is drawn.

Fitted on the gallery's own examples, without a picture of anything unknown: each example is asked for without itself (a known
product), and without its whole product (then it is an unknown one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.gallery.evidence import Evidence, Floats

TRUE_ACCEPT_RATE = 0.95
LEAST = 10  # answers of a kind, below which nothing is fitted on them
DEFAULT_SIMILARITY = 0.7  # the line where there is nothing to fit on
_DEFAULT_SLOPE = 20.0
_RIDGE = 1e-2
_STEPS = 50


@dataclass(frozen=True)
class Rejection:
    """The chance is ``1 / (1 + exp(-(bias + similarity · s + margin · (s - next))))``, where ``next`` is the similarity of the best
    other product; a product counts as known where it reaches the ``threshold``.

    ``own``: thresholds of products that have examples enough for one of their own, by id. ``basis``: what it was fitted on:
    "examples" (known and unknown), "strangers" (unknown alone, for products have one example each) or "nothing".
    ``fitted_on``: how many answers.
    """

    threshold: float
    bias: float
    similarity: float
    margin: float
    own: Mapping[int, float] = field(default_factory=dict)
    basis: str = "nothing"
    fitted_on: int = 0

    def scores(self, similarities: npt.ArrayLike, others: npt.ArrayLike) -> Floats:
        """The chances, 0…1. ``others``: of each, the similarity of the best other product, -1 where there is none."""
        near, other = np.asarray(similarities, np.float64), np.asarray(others, np.float64)
        logit = self.bias + self.similarity * near + self.margin * (near - other)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -60, 60))))

    def threshold_of(self, product_id: int) -> float:
        """The score that this product must reach."""
        return self.own.get(product_id, self.threshold)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "threshold": self.threshold,
            "bias": self.bias,
            "similarity": self.similarity,
            "margin": self.margin,
            "own": {str(number): one for number, one in self.own.items()},
            "basis": self.basis,
            "fitted_on": self.fitted_on,
        }


def fit_rejection(
    evidence: Evidence, ids: npt.NDArray[np.int64], true_accept_rate: float = TRUE_ACCEPT_RATE
) -> Rejection:
    """The rejection for a gallery. ``ids``: of its products, by place."""
    has = evidence.has_own
    strangers = evidence.first > -1
    if has.sum() >= LEAST and strangers.sum() >= LEAST:
        return _fitted(evidence, true_accept_rate)
    if strangers.sum() >= LEAST:
        return _against_strangers(evidence.first[strangers])
    return Rejection(0.5, -_DEFAULT_SLOPE * DEFAULT_SIMILARITY, _DEFAULT_SLOPE, 0.0)


def _fitted(evidence: Evidence, true_accept_rate: float) -> Rejection:
    has, strange = evidence.has_own, evidence.first > -1
    near = np.concatenate([evidence.best[has], evidence.first[strange]])
    other = np.concatenate([evidence.next_best[has], evidence.second[strange]])
    known = np.concatenate([evidence.right[has], np.zeros(int(strange.sum()), bool)])
    weight = np.concatenate(
        [np.full(int(has.sum()), 0.5 / has.sum()), np.full(int(strange.sum()), 0.5 / strange.sum())]
    )
    bias, similarity, margin = _logistic(near, near - other, known, weight)
    made = Rejection(0.5, bias, similarity, margin, {}, "examples", len(near))
    right = has & evidence.right
    if not right.any():
        return made
    scores = np.sort(made.scores(evidence.best[right], evidence.next_best[right]))
    least = int(np.ceil(true_accept_rate * len(scores) - 1e-9))
    return Rejection(float(scores[len(scores) - max(1, least)]), bias, similarity, margin, {}, "examples", len(near))


def _against_strangers(first: Floats) -> Rejection:
    """The best similarities of unknown products, as a logistic distribution with their mean and spread: the chance that an
    unknown one comes no nearer."""
    scale = max(float(first.std()), 1e-3) * np.sqrt(3) / np.pi
    return Rejection(TRUE_ACCEPT_RATE, -float(first.mean()) / scale, 1 / scale, 0.0, {}, "strangers", len(first))


def _logistic(near: Floats, margin: Floats, known: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, float, float]:
    """Bias and weights of a logistic regression, by Newton's method with a small penalty on the weights of standardised columns."""
    columns = np.stack([near, margin], axis=1)
    mean, scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    design = np.column_stack([np.ones(len(near)), (columns - mean) / scale])
    target = known.astype(np.float64)
    penalty = np.diag([0.0, _RIDGE, _RIDGE])
    solution = np.zeros(3)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ solution, -60, 60)))
        slope = design.T @ (weight * (chance - target)) + penalty @ solution
        curve = (design * (weight * np.maximum(chance * (1 - chance), 1e-6))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = np.maximum(solution[1:] / scale, 0.0)  # nearer is never less likely
    return float(solution[0] - solution[1:] @ (mean / scale)), float(weights[0]), float(weights[1])
