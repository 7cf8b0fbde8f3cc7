"""Recall@1: is the product that an embedding finds nearest the right one?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError

_PORTION = 1024  # photos compared with all others at once: 1024 × n similarities in memory


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
    unit = vectors / np.where(length > 0, length, 1.0)
    nearest = np.empty(len(unit), np.int64)
    for start in range(0, len(unit), _PORTION):
        part = unit[start : start + _PORTION] @ unit.T
        part[np.arange(len(part)), np.arange(start, start + len(part))] = -np.inf  # not itself
        nearest[start : start + len(part)] = part.argmax(axis=1)
    return np.asarray(classes[nearest] == classes)


def has_another(truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Of each photo, whether another is of its class: bool [n] for classes [n]."""
    _, place, count = np.unique(np.asarray(truth), return_inverse=True, return_counts=True)
    return np.asarray(count[place] > 1)
