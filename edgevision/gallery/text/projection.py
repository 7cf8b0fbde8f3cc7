"""From what pictures look like to what texts mean, and back: two linear maps in closed form.

Ridge regression (Hoerl and Kennard, 1970): W = (XᵀDX + λI)⁻¹ XᵀDY on centred rows; D makes every product weigh the same. λ is chosen
by leaving out each product in turn, with all its pictures: what counts is a product that the maps never saw. That takes no
second fit: without the rows G the residuals are (I - H_GG)⁻¹ e_G, with H = X(XᵀDX + λI)⁻¹XᵀD (Hastie, Tibshirani and Friedman, The
Elements of Statistical Learning, 2009, 7.10, for one row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.vectors import Vectors

Wide = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MIN_PRODUCTS = 8  # with fewer, nothing can be learnt of what words look like
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # λ, as shares of the mean variance of a dimension
_JUDGED = 300  # products that are left out at most, for the choice of λ: more of them change little, and take long
_EMPTY = 1e-12


@dataclass(frozen=True, eq=False)
class LinearMap:
    """``(rows - centre) @ weights + offset``, made length 1. ``centre``: [a], ``weights``: [a, b], ``offset``: [b], float32."""

    centre: Vectors
    weights: Vectors
    offset: Vectors

    def __call__(self, rows: Vectors) -> Vectors:
        """[n, a] → [n, b] float32, rows of length 1."""
        mapped = (rows - self.centre) @ self.weights + self.offset
        lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
        return (mapped / np.maximum(lengths, _EMPTY)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Projection:
    """``to_text``: vectors of pictures → of texts. ``to_picture``: the other way. ``ridge``: λ, see ``RIDGES``. ``left_out``: how
    often a picture of a product that was left out is nearest to its own text among all the texts, 0…1."""

    to_text: LinearMap
    to_picture: LinearMap
    ridge: float
    left_out: float


class LeftOut(NamedTuple):
    """How products did that were left out of a fit. ``first``: share whose own text was the nearest; ``reciprocal_rank``: mean."""

    first: float
    reciprocal_rank: float


def fit_projection(pictures: Vectors, products: Sequence[int] | Places, texts: Vectors) -> Projection:
    """Learn the maps from a gallery.

    ``pictures``: [n, d], ``products``: [n], the row of ``texts``, [p, t], that tells what each picture shows; unit rows. Each of
    the products counts as much as another, however many pictures it has. Raises InputError with fewer than ``MIN_PRODUCTS``.
    """
    owner = np.asarray(products, np.int64)
    present = np.unique(owner)
    if len(present) < MIN_PRODUCTS:
        raise InputError(
            f"what words look like is learnt from {MIN_PRODUCTS} named products with pictures or more, got {len(present)}"
        )
    weights, targets = _fair_weights(owner), texts[owner]
    forward, back = _Ridge(pictures, targets, weights), _Ridge(targets, pictures, weights)
    judged = np.random.default_rng(0).permutation(present)[:_JUDGED]
    scores = {ridge: judge_left_out(forward, ridge, owner, texts, judged) for ridge in RIDGES}
    ridge = max(RIDGES, key=lambda one: (round(scores[one].reciprocal_rank, 6), one))
    return Projection(forward.solve(ridge), back.solve(ridge), ridge, scores[ridge].first)


def judge_left_out(fit: _Ridge, ridge: float, owner: Places, texts: Vectors, judged: Places) -> LeftOut:
    """Each of the ``judged`` products is left out in turn; its pictures are then compared with the texts of all of them."""
    firsts, reciprocals = [], []
    names = texts[judged]
    for place, product in enumerate(judged):
        likeness = fit.left_out(ridge, np.flatnonzero(owner == product)) @ names.T
        ranks = 1 + (likeness > likeness[:, place : place + 1]).sum(axis=1)
        firsts.append(float((ranks == 1).mean()))
        reciprocals.append(float((1 / ranks).mean()))
    return LeftOut(float(np.mean(firsts)), float(np.mean(reciprocals)))


def fit_map(sources: Vectors, targets: Vectors, products: Places, ridge: float) -> LinearMap:
    """One map with a given λ. ``sources``: [n, a], ``targets``: [n, b], ``products``: [n], whose rows weigh the same together."""
    return _Ridge(sources, targets, _fair_weights(products)).solve(ridge)


class _Ridge:
    """What the maps of all λ share: the sums, and the eigenvectors of the sources' covariance."""

    def __init__(self, sources: Vectors, targets: Vectors, weights: Wide) -> None:
        x, self._targets = sources.astype(np.float64), targets.astype(np.float64)
        self._weights = weights
        self._centre, self._offset = weights @ x, weights @ self._targets
        x -= self._centre
        covariance = (x * weights[:, None]).T @ x
        self._unit = max(float(np.trace(covariance)) / len(covariance), _EMPTY)
        values, self._vectors = np.linalg.eigh(covariance)
        self._values = np.maximum(values, 0.0)
        self._rows = x @ self._vectors  # [n, a]: the sources in the eigenvectors' frame
        self._sums = (self._rows * weights[:, None]).T @ (self._targets - self._offset)

    def solve(self, ridge: float) -> LinearMap:
        weights = self._vectors @ (self._sums * self._inverse(ridge)[:, None])
        return LinearMap(*(part.astype(np.float32) for part in (self._centre, weights, self._offset)))

    def left_out(self, ridge: float, rows: Places) -> Wide:
        """[rows, b]: what a fit without these rows gives for them; not made length 1."""
        own, inverse = self._rows[rows], self._inverse(ridge)
        residuals = self._targets[rows] - self._offset - own @ (self._sums * inverse[:, None])
        # The centre is fitted as well: an intercept, without a penalty.
        influence = (1.0 + (own * inverse) @ own.T) * self._weights[rows]
        missing: Wide = np.linalg.solve(np.eye(len(rows)) - influence, residuals)
        return self._targets[rows] - missing

    def _inverse(self, ridge: float) -> Wide:
        inverse: Wide = 1.0 / (self._values + ridge * self._unit)
        return inverse


def _fair_weights(owner: Places) -> Wide:
    """[n], sum 1: every product's pictures together weigh the same."""
    _, place, counts = np.unique(owner, return_inverse=True, return_counts=True)
    share: Wide = 1.0 / counts[place]
    return share / share.sum()
