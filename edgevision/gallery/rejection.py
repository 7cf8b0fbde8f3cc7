"""Saying "I don't know": how a similarity becomes the chance that it is this product, and where the line is drawn.

Fitted on the gallery's own examples, without a picture of anything unknown: each example is asked for without itself (a known
product), and without its whole product (then it is an unknown one).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.gallery.evidence import Evidence, Floats

TRUE_ACCEPT_RATE = 0.95
LEAST = 10  # answers of a kind, below which nothing is fitted on them
DEFAULT_SIMILARITY = 0.7  # the line where there is nothing to fit on
_DEFAULT_SLOPE = 20.0
_PRIOR = 1.0  # examples that count for what is usual of all products, beside a product's own
_RIDGE = 1e-3
_SIGNS = (1, 1, -1)  # of the weights: nearer, clearer, and for a product whose examples are usually less alike
_STEPS = 50


@dataclass(frozen=True)
class Rejection:
    """The chance is ``1 / (1 + exp(-logit))`` with ``logit = bias + similarity · s + margin · (s - next) + usual · u``: ``s`` is the cosine
    to the nearest example, ``next`` that of the best other product, ``u`` how similar the product's examples usually are to each
    other. A product counts as known where its chance reaches the ``threshold``; by ``u``, each product has a line of its own.

    ``usual_of``: product's id → ``u``, drawn towards ``usual_of_all``, the fewer examples it has. ``basis``: what it was fitted on:
    "examples" (known and unknown), "strangers" (unknown alone, for products have one example each) or "nothing". ``fitted_on``: how
    many answers.
    """

    threshold: float
    bias: float
    similarity: float
    margin: float = 0.0
    usual: float = 0.0
    usual_of: Mapping[int, float] = field(default_factory=dict, repr=False)
    usual_of_all: float = 0.0
    basis: str = "nothing"
    fitted_on: int = 0

    def scores(self, similarities: npt.ArrayLike, others: npt.ArrayLike, products: Sequence[int]) -> Floats:
        """The chances, 0…1. ``others``: of each, the similarity of the best other product, -1 where there is none. ``products``: their
        ids."""
        near, other = np.asarray(similarities, np.float64), np.asarray(others, np.float64)
        usual = np.array([self.usual_of.get(one, self.usual_of_all) for one in products], np.float64)
        return _chance(self.bias + self.similarity * near + self.margin * (near - other) + self.usual * usual)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "threshold": self.threshold,
            "bias": self.bias,
            "similarity": self.similarity,
            "margin": self.margin,
            "usual": self.usual,
            "usual_of": {str(number): one for number, one in self.usual_of.items()},
            "usual_of_all": self.usual_of_all,
            "basis": self.basis,
            "fitted_on": self.fitted_on,
        }


def fit_rejection(evidence: Evidence, ids: Sequence[int], true_accept_rate: float = TRUE_ACCEPT_RATE) -> Rejection:
    """The rejection for a gallery. ``ids``: of its products, by place. ``true_accept_rate``: share of right answers that stay known."""
    strangers = evidence.first > -1
    right = evidence.has_own & evidence.right
    if right.sum() >= LEAST and strangers.sum() >= LEAST:
        return _fitted(evidence, ids, true_accept_rate)
    if strangers.sum() >= LEAST:
        return _against_strangers(evidence.first[strangers])
    return Rejection(0.5, -_DEFAULT_SLOPE * DEFAULT_SIMILARITY, _DEFAULT_SLOPE)


def _fitted(evidence: Evidence, ids: Sequence[int], true_accept_rate: float) -> Rejection:
    """Right answers against strangers and wrong answers; both kinds of queries count the same, however many there are of each."""
    has, strange = evidence.has_own, evidence.first > -1
    usual = _Usual(evidence, len(ids))
    known = np.stack([evidence.best, evidence.best - evidence.next_best, usual.of_answers(evidence)], axis=1)[has]
    unknown = np.stack(
        [evidence.first, evidence.first - evidence.second, usual.of_products[evidence.first_product]], axis=1
    )[strange]
    right = evidence.right[has]
    weight = np.concatenate([np.full(len(known), 0.5 / len(known)), np.full(len(unknown), 0.5 / len(unknown))])
    target = np.concatenate([right, np.zeros(len(unknown), bool)])
    bias, (similarity, margin, own) = _sensible_logistic(np.concatenate([known, unknown]), target, weight)
    scores = _chance(bias + known[right] @ np.array([similarity, margin, own]))
    usual_of = {one: float(value) for one, value in zip(ids, usual.of_products.tolist(), strict=True)}
    threshold = _reached_by(scores, true_accept_rate)
    return Rejection(threshold, bias, similarity, margin, own, usual_of, usual.of_all, "examples", len(target))


class _Usual:
    """How similar the examples of products usually are to each other."""

    def __init__(self, evidence: Evidence, products: int) -> None:
        has = ~np.isnan(evidence.within)
        self.of_all = float(evidence.within[has].mean())
        self._count = np.bincount(evidence.product_of[has], minlength=products).astype(np.float64)
        self._total = np.bincount(evidence.product_of[has], evidence.within[has], minlength=products)
        self.of_products = self._drawn(self._total, self._count)

    def of_answers(self, evidence: Evidence) -> Floats:
        """Of the product that each example was taken for. Of its own, as if the example were not there."""
        mine = evidence.product
        without = self._drawn(self._total[mine] - np.nan_to_num(evidence.own), self._count[mine] - 1)
        return np.where(evidence.right, without, self.of_products[evidence.first_product])

    def _drawn(self, total: Floats, count: Floats) -> Floats:
        return np.asarray((total + _PRIOR * self.of_all) / (np.maximum(count, 0.0) + _PRIOR))


def _reached_by(scores: Floats, share: float) -> float:
    """The largest threshold that at least this share of the scores reaches."""
    least = math.ceil(share * len(scores) - 1e-9)
    return float(np.sort(scores)[len(scores) - max(1, least)])


def _against_strangers(first: Floats) -> Rejection:
    """The best similarities of unknown products, as a logistic distribution with their mean and spread: the score is the chance
    that an unknown one comes no nearer."""
    scale = max(float(first.std()), 1e-3) * math.sqrt(3) / math.pi
    return Rejection(TRUE_ACCEPT_RATE, -float(first.mean()) / scale, 1 / scale, basis="strangers", fitted_on=len(first))


def _sensible_logistic(columns: Floats, target: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, list[float]]:
    """``_logistic`` of the columns whose weights have the signs that they must have; the others get the weight 0. By chance, few
    examples may say that what is nearer is less likely."""
    used = list(range(columns.shape[1]))
    while True:
        bias, weights = _logistic(columns[:, used], target, weight)
        wrong = [place for place, one in zip(used, weights, strict=True) if one * _SIGNS[place] < 0]
        if not wrong:
            found = dict(zip(used, weights, strict=True))
            return bias, [found.get(place, 0.0) for place in range(columns.shape[1])]
        used = [place for place in used if place not in wrong]


def _logistic(columns: Floats, target: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, list[float]]:
    """Bias and weights of a logistic regression, by Newton's method with a small penalty on the weights of standardised columns."""
    mean, scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    design = np.column_stack([np.ones(len(columns)), (columns - mean) / scale])
    penalty = np.diag([0.0, *np.full(columns.shape[1], _RIDGE)])
    solution = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        chance = _chance(design @ solution)
        slope = design.T @ (weight * (chance - target)) + penalty @ solution
        curve = (design * (weight * np.maximum(chance * (1 - chance), 1e-6))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    weights = solution[1:] / scale
    return float(solution[0] - weights @ mean), [float(one) for one in weights]


def _chance(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -60, 60))))
