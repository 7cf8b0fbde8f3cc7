"""Unit vectors as galleries hold them: products, each seen a few times."""

from __future__ import annotations

import numpy as np

Vectors = np.ndarray


def unit(rows: np.ndarray) -> Vectors:
    """[n, d] float32 of length 1."""
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, dimension: int = 64, views: int = 5, spread: float = 0.5, seed: int = 0) -> Vectors:
    """``count`` vectors of products with ``views`` each; ``spread``: the length of what sets two views of one product apart."""
    random = np.random.default_rng(seed)
    shared = (
        random.normal(size=dimension) * 0.8 / np.sqrt(dimension)
    )  # all embeddings of a network have something in common
    products = random.normal(size=(-(-count // views), dimension)) / np.sqrt(dimension)
    views_of = random.normal(size=(count, dimension)) * spread / np.sqrt(dimension)
    return unit(shared + products[np.arange(count) // views] + views_of)


def by_float64(
    vectors: Vectors, queries: Vectors, k: int, allowed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest by looking at all in float64: places, and similarities rounded to float32; equal ones of these by place."""
    chosen = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    similar = (queries.astype(np.float64) @ vectors[chosen].astype(np.float64).T).astype(np.float32)
    order = np.argsort(-similar, axis=1, kind="stable")[:, : min(k, len(chosen))]
    return chosen[order], np.take_along_axis(similar, order, axis=1)
