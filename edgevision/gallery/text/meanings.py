"""What a gallery's products mean, by their texts and by their pictures: an encoder's side of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgevision.errors import GalleryError
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.text.encoder import TextEncoder
from edgevision.gallery.text.fusion import Scores
from edgevision.gallery.text.projection import MIN_PRODUCTS, Projection, fit_projection
from edgevision.gallery.vectors import Vectors


@dataclass(frozen=True, eq=False)
class TextMatch:
    """A text that a picture is like. ``similarity``: the cosine of the two in the encoder's space, -1…1."""

    text: str
    similarity: float


class Meanings:
    """Of one gallery and one encoder. Immutable; threads may share it.

    ``texts``: [products, t], the products' wordings encoded. ``projection``: None for a gallery with too few products to learn what
    words look like; the pictures then say nothing to words.
    """

    def __init__(self, gallery: Gallery, encoder: TextEncoder, texts: Vectors, projection: Projection | None) -> None:
        self._gallery = gallery
        self.encoder = encoder
        self.texts = texts
        self.projection = projection
        self._lengths = np.zeros(0, np.float32)
        if projection is not None:  # of the projected pictures: those themselves are not kept
            self._lengths = projected_lengths(projection, gallery.vectors)

    def of_texts(self, query: Vectors) -> Scores:
        """[products]: cosine of an encoded query, [t], to each product's wording."""
        return np.asarray(self.texts @ query, np.float64)

    def of_pictures(self, query: Vectors) -> Scores:
        """[examples]: cosine of an encoded query, [t], to each picture, projected. NaN without a projection."""
        if self.projection is None:
            return np.full(len(self._gallery.examples), np.nan)
        forward = self.projection.to_text
        direction = forward.weights @ query
        offset = float(forward.offset @ query) - float(forward.centre @ direction)
        return np.asarray((self._gallery.vectors @ direction + offset) / self._lengths, np.float64)

    def describe(self, picture: Vectors, texts: Sequence[str], top: int = 5) -> list[TextMatch]:
        """The ``texts`` that a picture's vector, [d], is most like, best first: classes from their names alone.

        Raises GalleryError for a gallery too small to have learnt what words look like.
        """
        if self.projection is None:
            raise GalleryError(
                f"the gallery cannot say what pictures mean: it needs {MIN_PRODUCTS} products with pictures, in words that differ; add more"
            )
        likeness = self.encoder.encode(texts) @ self.projection.to_text(picture[None])[0]
        order = np.argsort(-likeness, kind="stable")[:top]
        return [TextMatch(texts[place], float(likeness[place])) for place in order]


def learn_projection(gallery: Gallery, texts: Vectors) -> Projection | None:
    """What words look like, learnt from the gallery; None where it has too few products. ``texts``: [products, t]."""
    if len({example.product for example in gallery.examples}) < MIN_PRODUCTS:
        return None
    return fit_projection(gallery.vectors, gallery.product_of, texts)


def projected_lengths(projection: Projection, pictures: Vectors) -> Vectors:
    """[n]: how long the pictures' projections are before they are made length 1, in portions."""
    forward = projection.to_text
    portions = np.array_split(pictures, max(1, len(pictures) // 4096))
    lengths = [np.linalg.norm((one - forward.centre) @ forward.weights + forward.offset, axis=1) for one in portions]
    return np.asarray(np.maximum(np.concatenate(lengths), 1e-12), np.float32)
