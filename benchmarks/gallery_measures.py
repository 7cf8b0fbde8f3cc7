"""How well a gallery recognises: recall, unknown products, and intervals. Vectors in, figures out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.evaluate.statistics.bootstrap import draw_weights, interval
from edgevision.evaluate.statistics.ranking import auroc
from edgevision.gallery.drawing import drawn_to_means

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Rights = npt.NDArray[np.float64]

TRUE_ACCEPTS = 0.95
_DRAWS = 2000
_RIDGE = 0.1  # of the mean eigenvalue of the gallery's products of vectors


@dataclass(frozen=True, eq=False)
class Gallery:
    """Unit ``vectors`` [n, d] of the photos of ``products`` [n]."""

    vectors: Vectors
    products: Numbers


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """The same directions at length 1."""
    values = np.asarray(vectors, np.float64)
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)


def product_scores(gallery: Gallery, queries: Vectors) -> tuple[Rights, Numbers]:
    """The cosine of each query to the nearest view of each product, [q, products]; and which product each column is."""
    products = np.unique(gallery.products)
    cosines = queries.astype(np.float64) @ gallery.vectors.T
    return np.stack([cosines[:, gallery.products == product].max(1) for product in products], 1), products


def held_scores(gallery: Gallery, queries: Vectors) -> tuple[Rights, Numbers]:
    """As ``product_scores``, where an ``edgevision.gallery`` holds the views: drawn to the mean of their product's."""
    return product_scores(Gallery(drawn_to_means(gallery.vectors, gallery.products), gallery.products), queries)


def mean_scores(gallery: Gallery, queries: Vectors) -> tuple[Rights, Numbers]:
    """As ``product_scores``, to the mean of each product's views."""
    products = np.unique(gallery.products)
    means = unit(np.stack([gallery.vectors[gallery.products == product].mean(0) for product in products]))
    return queries.astype(np.float64) @ means.T, products


def probe_scores(gallery: Gallery, queries: Vectors) -> tuple[Rights, Numbers]:
    """As ``product_scores``, of a linear probe: ridge regression on the gallery, one output for each product."""
    products, places = np.unique(gallery.products, return_inverse=True)
    views = gallery.vectors.astype(np.float64)
    mean = views.mean(0)
    views = views - mean
    kernel = views @ views.T
    targets = np.eye(len(products))[places]
    ridge = _RIDGE * np.trace(kernel) / len(kernel)
    weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), targets - targets.mean(0))
    return (queries - mean) @ views.T @ weights + targets.mean(0), products


def is_among(scores: Rights, products: Numbers, truth: Numbers, top: int) -> npt.NDArray[np.bool_]:
    """Whether the right product is among the ``top`` best of each query, bool [q]."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return np.asarray((products[best] == truth[:, None]).any(1))


@dataclass(frozen=True, eq=False)
class Stranger:
    """``known`` [q]: the best score of each query that was answered rightly with its product enrolled; ``strangers`` [q]: of each query
    without its product."""

    known: Rights
    strangers: Rights

    @property
    def figures(self) -> dict[str, float | None]:
        """AUROC; and the share of strangers that pass where 95 % of right answers do."""
        threshold = np.quantile(self.known, 1 - TRUE_ACCEPTS)
        return {
            "auroc": auroc(self.known, self.strangers),
            "false_accepts": 100 * float((self.strangers >= threshold).mean()),
        }


def as_strangers(scores: Rights, products: Numbers, truth: Numbers) -> Stranger:
    """Each query twice: as it is, and with its own product taken out of the gallery. Scores [q, products]."""
    own = products[None] == truth[:, None]
    right = is_among(scores, products, truth, 1)
    return Stranger(scores.max(1)[right], np.where(own, -np.inf, scores).max(1))


def percent(rights: Rights, groups: Numbers, *, least: float = 0.0) -> dict[str, float | int]:
    """The mean of ``rights`` [q] in percent, with the 95 % interval from drawing ``groups`` [q] (the products) again: photos of
    one product are not independent. ``least``: that the figure can be; below 0 for a difference."""
    names, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, rights), np.bincount(places)
    weights = draw_weights(len(names), _DRAWS, 0)
    estimate = 100 * float(rights.mean())
    low, high = interval(estimate, 100 * (weights @ sums) / (weights @ counts), len(names), 0.95)
    return {"percent": estimate, "low": max(least, low), "high": high, "photos": len(rights), "products": len(names)}
