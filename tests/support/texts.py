"""A text encoder that knows a few words, and galleries whose pictures follow from their texts: the truth by construction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.gallery.examples import Example
from edgevision.gallery.file.reading import Contents
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.text.wording import words_of

# Words that mean the like point the same way.
MEANS = {"crimson": "red", "scarlet": "red", "lime": "green", "fruit": "apple", "bottle": "can"}


class WordEncoder:
    """A text's vector is the sum of its words' random directions; counts what it encodes."""

    id = "words-1"
    dimension = 24

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.encoded += texts
        rows = np.stack(
            [sum((direction(MEANS.get(word, word)) for word in words_of(text)), np.zeros(24)) for text in texts]
        )
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def direction(word: str, dimension: int = 24) -> npt.NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=dimension)


def gallery_of(
    products: Sequence[GalleryProduct], vectors: npt.ArrayLike, owners: Sequence[int], notes: Sequence[str] = ()
) -> Gallery:
    """``owners``: the id of the product that each vector is of."""
    rows = np.asarray(vectors, np.float32)
    examples = tuple(
        Example(
            owner,
            hashlib.sha256(bytes([place])).hexdigest(),
            "2026-01-02T03:04:05Z",
            (notes or [""] * len(owners))[place],
        )
        for place, owner in enumerate(owners)
    )
    return Gallery(
        Contents(
            "ab" * 32, rows.shape[1], tuple(products), examples, rows, max((one.id for one in products), default=0)
        )
    )


COLOURS = ("red", "green", "blue", "white", "black")
THINGS = ("apple", "can", "box", "jar")


def coloured_things(
    each: int = 2, noise: float = 0.1, seed: int = 0, named: bool = True
) -> tuple[Gallery, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """20 products, a colour and a thing each. Their pictures are a linear map of the encoded names, and noise.

    ``named``: False calls them "product 7" and so on. Returns the gallery, the map [24, 32], and a new unit picture of each.
    """
    random = np.random.default_rng(seed)
    linear = random.normal(size=(24, 32))
    names = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    shown = np.repeat(WordEncoder().encode(names), each + 1, axis=0) @ linear
    shown += noise * np.linalg.norm(shown, axis=1, keepdims=True) * random.normal(size=shown.shape) / np.sqrt(32)
    shown /= np.linalg.norm(shown, axis=1, keepdims=True)
    owners = np.repeat(np.arange(len(names)), each + 1)
    new = np.arange(len(shown)) % (each + 1) == each
    products = [
        GalleryProduct(place, name if named else f"product {place}", {"price": float(place)})
        for place, name in enumerate(names)
    ]
    return gallery_of(products, shown[~new], owners[~new].tolist()), linear, shown[new]
