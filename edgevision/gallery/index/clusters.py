"""Directions that many vectors gather around: k-means on the sphere (Dhillon and Modha 2001, "Concept Decompositions for Large
Sparse Text Data Using Clustering")."""

from __future__ import annotations

import numpy as np

from edgevision import _native
from edgevision.gallery.index.base import Places
from edgevision.gallery.vectors import Vectors

_ROUNDS = 8
_SAMPLE = 32  # vectors to a cluster that it is made of; more of them hardly move it


def find_clusters(vectors: Vectors, count: int, seed: int = 0) -> Vectors:
    """``count`` directions [count, d] of length 1, of a sample of ``vectors`` [n, d]; the same ones each time."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.choice(len(vectors), min(len(vectors), count * _SAMPLE), replace=False))
    sample = vectors[chosen]
    centres = sample[random.choice(len(sample), count, replace=False)]
    for _ in range(_ROUNDS):
        nearest, similarities = nearest_cluster(sample, centres)
        centres = _means(sample, nearest, centres)
        empty = np.flatnonzero(np.bincount(nearest, minlength=count) == 0)
        centres[empty] = sample[np.argsort(similarities, kind="stable")[: len(empty)]]  # those that fit worst
    return centres


def nearest_cluster(vectors: Vectors, centres: Vectors) -> tuple[Places, Vectors]:
    """The nearest of ``centres`` [m, d] to each vector [n, d]: places int64 [n], and similarities [n]."""
    places = np.empty((len(vectors), 1), np.int64)
    similarities = np.empty((len(vectors), 1), np.float32)
    coded_centres(centres).search(vectors, None, None, places, similarities)
    return places[:, 0], similarities[:, 0]


def coded_centres(centres: Vectors) -> _native.CodedRows:
    """To find the nearest of them."""
    count = len(centres)
    middle = np.asarray(centres.mean(axis=0), np.float32)
    return _native.CodedRows(centres, middle, np.array([0, count], np.int64), np.arange(count, dtype=np.int64))


def _means(vectors: Vectors, nearest: Places, before: Vectors) -> Vectors:
    """The direction of each cluster's sum; of one without vectors, or whose vectors cancel out, the one before."""
    order = np.argsort(nearest, kind="stable")
    kept, starts = np.unique(nearest[order], return_index=True)
    sums = np.add.reduceat(vectors[order], starts, axis=0)
    lengths = np.linalg.norm(sums, axis=1)
    fine = lengths > 1e-6  # np.add.reduceat gives float32
    means: Vectors = before.copy()
    means[kept[fine]] = sums[fine] / lengths[fine, None]
    return means
