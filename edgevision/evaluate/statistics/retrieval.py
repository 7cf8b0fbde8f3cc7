"""Every photo looked up among all the others of a set, leave one out: which is nearest, and is it of the same product?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

_PORTION = 1024  # photos compared with all others at once: 1024 × n similarities in memory

Vectors = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The photos nearest to each of n photos, as places int64 [n], -1 where there is none. ``first``: the nearest with another
    content; ``second``: the nearest that would be left without it. ``similarity``, ``next_similarity`` float64 [n]: their cosines,
    -inf where there is none."""

    first: Places
    second: Places
    similarity: npt.NDArray[np.float64]
    next_similarity: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well all others are ranked, of each photo, float64 [n] and bool [n]. ``precision``: average precision, 0…1, of finding
    all photos of its product; ``found``: whether one of the ``depth`` nearest is of its product. Both are NaN and False where
    there is nothing to find."""

    precision: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    depth: int


def neighbours(vectors: Vectors, contents: npt.ArrayLike | None = None, gallery: Vectors | None = None) -> Neighbours:
    """The nearest of each photo by cosine similarity; of equally near ones the first.

    ``vectors`` [n, d], of length 1. ``contents`` int [n]: photos with the same number are copies of each other, which never
    answer for one another; None = no two are. ``gallery`` [n, d]: what another model makes of the same photos, to look up in;
    None = ``vectors`` themselves.

    >>> found = neighbours(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]))
    >>> found.first.tolist(), found.second.tolist()
    ([1, 2, 1], [2, 0, 0])
    """
    own = _contents(contents, len(vectors))
    n = len(vectors)
    first, second = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    similarity, following = np.full(n, -np.inf), np.full(n, -np.inf)
    for rows, part in _similarities(vectors, vectors if gallery is None else gallery, own):
        first[rows], similarity[rows] = _best(part)
        part[own[first[rows]][:, None] == own[None]] = -np.inf
        second[rows], following[rows] = _best(part)
    return Neighbours(first, second, similarity, following)


def ranking(
    vectors: Vectors, products: npt.ArrayLike, contents: npt.ArrayLike | None = None, depth: int = 5
) -> Ranking:
    """All other photos ranked by cosine similarity, for each photo; equals by place.

    ``products`` int [n]; ``vectors`` and ``contents`` as ``neighbours`` has them. Average precision is the mean of the precisions at
    the ranks of the photos of its product (C. Manning et al., "Introduction to Information Retrieval", 2008, section 8.4).

    >>> ranking(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), [0, 1, 0]).precision.tolist()
    [0.5, nan, 0.5]
    """
    own, truth = _contents(contents, len(vectors)), np.asarray(products)
    precision, found = np.full(len(vectors), np.nan), np.zeros(len(vectors), np.bool_)
    ranks = np.arange(1, len(vectors) + 1)
    for rows, part in _similarities(vectors, vectors, own):
        order = np.argsort(-part, axis=1, kind="stable")
        others = np.isfinite(np.take_along_axis(part, order, axis=1))
        right = (truth[order] == truth[rows][:, None]) & others
        hits = right.sum(axis=1)
        gained = (np.cumsum(right, axis=1) / ranks * right).sum(axis=1)
        precision[rows] = np.where(hits > 0, gained / np.maximum(hits, 1), np.nan)
        found[rows] = right[:, :depth].any(axis=1)
    return Ranking(precision, found, depth)


def nearest_is_right(embeddings: npt.ArrayLike, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Of each photo, whether the nearest other photo by cosine similarity is of its class: bool [n].

    ``embeddings`` [n, d], any length; ``truth`` int [n]. Recall@1 is the mean, over the photos that have another of
    their class (``has_another``): the rest cannot be right. Of equally near photos the first counts.

    >>> nearest_is_right([[1, 0], [0.9, 0.1], [0, 1]], [0, 0, 1]).tolist()
    [True, True, False]
    """
    vectors, classes = np.asarray(embeddings, np.float64), np.asarray(truth)
    if vectors.ndim != 2 or classes.shape != vectors.shape[:1] or len(vectors) < 2 or not np.isfinite(vectors).all():
        raise InputError(
            f"expected finite embeddings [n, d] of at least 2 photos and a class for each, got {vectors.shape} and "
            f"{classes.shape}"
        )
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = neighbours(vectors / np.where(length > 0, length, 1.0)).first
    return np.asarray(classes[nearest] == classes)


def has_another(truth: npt.ArrayLike, contents: npt.ArrayLike | None = None) -> npt.NDArray[np.bool_]:
    """Of each photo, whether another is of its class: bool [n] for classes [n]. ``contents``: as ``neighbours`` has them; a copy is
    no other photo."""
    return others_of(truth, contents) > 0


def others_of(truth: npt.ArrayLike, contents: npt.ArrayLike | None = None) -> Places:
    """Of each photo, how many different photos besides it are of its class: int64 [n].

    >>> others_of([7, 7, 7, 9], contents=[0, 0, 1, 2]).tolist()
    [1, 1, 1, 0]
    """
    _, classes = np.unique(np.asarray(truth), return_inverse=True)
    own = _contents(contents, len(classes))
    different = np.unique(np.stack([classes, own], axis=1), axis=0)
    count = np.bincount(different[:, 0], minlength=1)
    return np.asarray(count[classes] - 1, np.int64)


def _similarities(vectors: Vectors, gallery: Vectors, own: Places) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
    """Some photos after the others: which, and their cosines [rows, n] to all of the gallery, -inf to themselves and to copies."""
    for start in range(0, len(vectors), _PORTION):
        rows = slice(start, min(start + _PORTION, len(vectors)))
        part = (vectors[rows] @ gallery.T).astype(np.float64)
        part[own[rows][:, None] == own[None]] = -np.inf
        yield rows, part


def _best(part: npt.NDArray[np.float64]) -> tuple[Places, npt.NDArray[np.float64]]:
    """The place of the largest number in each row, -1 where all are -inf; and the number."""
    best = part.argmax(axis=1)
    most = part[np.arange(len(part)), best]
    return np.where(np.isfinite(most), best, -1), most


def _contents(contents: npt.ArrayLike | None, n: int) -> Places:
    own = np.arange(n, dtype=np.int64) if contents is None else np.asarray(contents, np.int64)
    if own.shape != (n,):
        raise InputError(f"expected the content of each of {n} photos, got {own.shape}")
    return own
