"""From what pictures look like to what texts mean, and back: two linear maps in closed form.

Ridge regression (Hoerl and Kennard, 1970): W = (XᵀDX + λI)⁻¹ XᵀDY on centred rows; D makes every product weigh the same. λ is chosen
by leaving out each product in turn, with all its pictures: what counts is a product that the maps never saw. That takes no
second fit: without the rows G the residuals are (I - H_GG)⁻¹ e_G, with H = X(XᵀDX + λI)⁻¹XᵀD (Hastie, Tibshirani and Friedman, The
Elements of Statistical Learning, 2009, 7.10, for one row).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.gallery.vectors import Vectors

Wide = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

MIN_PRODUCTS = 8  # with fewer, nothing can be learnt of what words look like
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # λ, as shares of the mean variance of a dimension
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
        return np.asarray(mapped / np.maximum(lengths, _EMPTY), np.float32)


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


def fit_projection(
    pictures: Vectors, products: Sequence[int] | Places, texts: Vectors, sources: Sources | None = None
) -> Projection:
    """Learn the maps from a gallery.

    ``pictures``: [n, d], ``products``: [n], the row of ``texts``, [p, t], that tells what each picture shows; unit rows. Each of
    the products counts as much as another, however many pictures it has. ``sources``: of these pictures and products, where
    several texts are tried on them. Raises InputError with fewer than ``MIN_PRODUCTS``.
    """
    owner = np.asarray(products, np.int64)
    present = np.unique(owner)
    if len(present) < MIN_PRODUCTS:
        raise InputError(
            f"what words look like is learnt from {MIN_PRODUCTS} named products with pictures or more, got {len(present)}"
        )
    forward = Fit(sources or Sources(pictures, owner), texts[owner])
    back = Fit(Sources(texts[owner], owner), pictures)
    judged = np.random.default_rng(0).permutation(present)[:_JUDGED]
    scores = {ridge: judge_left_out(forward, ridge, owner, texts, judged) for ridge in RIDGES}
    ridge = max(RIDGES, key=lambda one: (round(scores[one].reciprocal_rank, 6), one))
    return Projection(forward.solve(ridge), back.solve(ridge), ridge, scores[ridge].first)


def judge_left_out(fit: Fit, ridge: float, owner: Places, texts: Vectors, judged: Places) -> LeftOut:
    """Each of the ``judged`` products is left out in turn; its pictures are then compared with the texts of all of them."""
    firsts, reciprocals = [], []
    names = texts[judged]
    for place, found in enumerate(fit.left_out(ridge, [np.flatnonzero(owner == product) for product in judged])):
        likeness = found @ names.T
        ranks = 1 + (likeness > likeness[:, place : place + 1]).sum(axis=1)
        firsts.append(float((ranks == 1).mean()))
        reciprocals.append(float((1 / ranks).mean()))
    return LeftOut(float(np.mean(firsts)), float(np.mean(reciprocals)))


def fit_map(sources: Vectors, targets: Vectors, products: Places, ridge: float) -> LinearMap:
    """One map with a given λ. ``sources``: [n, a], ``targets``: [n, b], ``products``: [n], whose rows weigh the same together."""
    return Fit(Sources(sources, products), targets).solve(ridge)


class Sources:
    """What all fits from the same rows share: the eigenvectors of their covariance. ``rows``: [n, a], ``products``: [n]."""

    def __init__(self, rows: Vectors, products: Places) -> None:
        self.weights = _fair_weights(products)
        wide = rows.astype(np.float64)
        self.centre = self.weights @ wide
        wide -= self.centre
        covariance = (wide * self.weights[:, None]).T @ wide
        self.unit = max(float(np.trace(covariance)) / len(covariance), _EMPTY)
        values, self.vectors = np.linalg.eigh(covariance)
        self.values = np.maximum(values, 0.0)
        self.turned = wide @ self.vectors  # [n, a]: the rows in the eigenvectors' frame

    def inverse(self, ridge: float) -> Wide:
        """[a]: of the eigenvalues with the penalty."""
        return np.asarray(1.0 / (self.values + ridge * self.unit))


class Fit:
    """The maps of all λ from ``sources`` to ``targets``, [n, b]."""

    def __init__(self, sources: Sources, targets: Vectors) -> None:
        self._from, self._targets = sources, targets.astype(np.float64)
        self._offset = sources.weights @ self._targets
        self._sums = (sources.turned * sources.weights[:, None]).T @ (self._targets - self._offset)

    def solve(self, ridge: float) -> LinearMap:
        """The map of one λ."""
        weights = self._from.vectors @ (self._sums * self._from.inverse(ridge)[:, None])
        return LinearMap(*(part.astype(np.float32) for part in (self._from.centre, weights, self._offset)))

    def left_out(self, ridge: float, groups: Sequence[Places]) -> Iterator[Wide]:
        """[rows, b] for each group of rows: what a fit without the group gives for it; not made length 1."""
        inverse = self._from.inverse(ridge)
        weights = self._sums * inverse[:, None]
        for rows in groups:
            own, targets = self._from.turned[rows], self._targets[rows]
            # The centre is fitted as well: an intercept, without a penalty.
            influence = (1.0 + (own * inverse) @ own.T) * self._from.weights[rows]
            residuals = targets - self._offset - own @ weights
            yield targets - np.linalg.solve(np.eye(len(rows)) - influence, residuals)


def _fair_weights(owner: Places) -> Wide:
    """[n], sum 1: every product's pictures together weigh the same."""
    _, place, counts = np.unique(owner, return_inverse=True, return_counts=True)
    share: Wide = 1.0 / counts[place]
    return np.asarray(share / share.sum(), np.float64)
