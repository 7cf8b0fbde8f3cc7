"""Galleries of made-up vectors: products are random directions, examples lie around them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.writer import GalleryWriter

BUNDLE = "ab" * 32
OTHER_BUNDLE = "cd" * 32
DIMENSION = 16


def source(*what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()


def directions(count: int, dimension: int = DIMENSION, seed: int = 0) -> npt.NDArray[np.float64]:
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def around(
    centres: npt.NDArray[np.float64], each: int, spread: float, seed: int = 1
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(vectors [n·each, d] of length 1, which centre each is of)."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(len(centres) * each, centres.shape[1])) / np.sqrt(centres.shape[1])
    vectors = np.repeat(centres, each, axis=0) + spread * noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.repeat(np.arange(len(centres)), each)


def held(vectors: npt.ArrayLike, product_of: npt.ArrayLike, pull: float = 1.0) -> npt.NDArray[np.float64]:
    """Where a gallery holds its examples, by loops: ``x + pull · m`` of length 1, where ``m`` is the direction of the product's mean."""
    rows, owners = np.asarray(vectors, np.float64), list(np.asarray(product_of).tolist())
    drawn = []
    for vector, owner in zip(rows, owners, strict=True):
        mine = [one for one, other in zip(rows, owners, strict=True) if other == owner]
        mean = np.sum(mine, axis=0)
        moved = vector if len(mine) == 1 else vector + pull * mean / np.linalg.norm(mean)
        drawn.append(moved / np.linalg.norm(moved))
    return np.array(drawn).reshape(rows.shape)


def make_gallery(
    path: Path, products: int = 4, each: int = 3, *, dimension: int = DIMENSION, spread: float = 0.5, seed: int = 0
) -> npt.NDArray[np.float64]:
    """A gallery of products 0 … products - 1; the directions of the products."""
    centres = directions(products, dimension, seed)
    vectors, of = around(centres, each, spread, seed + 1)
    with GalleryWriter(path, bundle_id=BUNDLE, dimension=dimension) as writer:
        for number in range(products):
            writer.add_product(GalleryProduct(number, f"product {number}", {"price": 1.5 * number}))
            chosen = np.flatnonzero(of == number)
            writer.add_examples(number, vectors[chosen], [source(int(place)) for place in chosen])
    return centres
