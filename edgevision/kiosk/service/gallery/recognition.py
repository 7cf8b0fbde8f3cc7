"""What an embedder says of a picture, answered from a gallery: as a classifier would, with the products that people taught it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevision.gallery.recogniser import RecognisedProduct
from edgevision.tasks.embedding import Embedding
from edgevision.tasks.products import Products
from edgevision.tasks.results import Prediction

if TYPE_CHECKING:
    from edgevision.gallery.gallery import Gallery
    from edgevision.gallery.matches import Matches

TOP = 5


def recognised(results: Sequence[Any], gallery: Gallery) -> list[Any]:
    """The same results, in their order, with a ``RecognisedProduct`` in place of each ``Embedding``, also of those in ``Products``."""
    matches = iter(matches_of(results, gallery))
    return [_answered(result, [next(matches) for _ in embeddings_in(result)]) for result in results]


def matches_of(results: Sequence[Any], gallery: Gallery, *, top: int = TOP) -> list[Matches]:
    """What the gallery says of each embedding in ``results``, all of them asked at once."""
    vectors = [one.vector for result in results for one in embeddings_in(result)]
    return gallery.match(np.stack(vectors), top=top) if vectors else []


def embeddings_in(result: Any) -> list[Embedding]:
    """The embeddings of one result: one, or one for each product that was found."""
    if isinstance(result, Embedding):
        return [result]
    return [one for one in result.results if isinstance(one, Embedding)] if isinstance(result, Products) else []


def recognised_product(embedding: Embedding, matches: Matches) -> RecognisedProduct:
    """``matches`` as a classifier's answer. ``top`` is empty, and nothing known, where the gallery is empty."""
    top = tuple(Prediction(one.product.id, one.product.name, one.score) for one in matches.top)
    return RecognisedProduct(top, matches.known and bool(top), embedding.timing, embedding.frame, matches)


def _answered(result: Any, matches: Sequence[Matches]) -> Any:
    if isinstance(result, Embedding):
        return recognised_product(result, matches[0])
    if not isinstance(result, Products):
        return result
    left = iter(matches)
    answers = [recognised_product(one, next(left)) if isinstance(one, Embedding) else one for one in result.results]
    return replace(result, results=tuple(answers))
