"""What is known of a photo that is looked up: its product; or, where nobody knows it, which photos are as good an answer as float's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import DataError, InputError
from edgevision.evaluate.base import Truth, Truths
from edgevision.evaluate.data.dataset import Dataset
from edgevision.evaluate.data.names import composed
from edgevision.evaluate.statistics.retrieval import Places, has_another
from edgevision.tasks.results import Label

# A photo is as good an answer as the nearest one where its distance, 1 - cosine, is at most so many times that one's, and this more.
AS_NEAR, AS_NEAR_AT_LEAST = 1.21, 2e-3


@dataclass(frozen=True)
class ShownProduct:
    """``product``: its name, in Unicode's form NFC; products of the same name are one, whatever their ids are. ``content``: SHA-256 of
    the photo's bytes, "" = not known: photos of the same bytes do not answer for each other."""

    product: str
    content: str = ""


@dataclass(frozen=True)
class GoodAnswers:
    """``photos``: places of the photos that are as good an answer as float's nearest one."""

    photos: frozenset[int]


@dataclass(frozen=True, eq=False)
class Products:
    """``names``: of the products that photos show, sorted. Of each photo, int64 [n]: ``truth``, the place of its product in
    ``names``, and ``contents``, a number for its bytes: the same number, the same bytes."""

    names: tuple[str, ...]
    truth: Places
    contents: Places

    @property
    def judged(self) -> npt.NDArray[np.bool_]:
        """bool [n]: whether another photo shows its product, so that there is something to find."""
        return has_another(self.truth, self.contents)


def truths_of(dataset: Dataset) -> list[ShownProduct | None]:
    """The product of each photo; None for each of an unlabelled data set. Raises DataError for one with boxes."""
    if dataset.boxed:
        dataset.require_labels(purpose="an embedder")
    names = [composed(label.name) for label in dataset.labels or ()]
    return [
        None if photo.label is None else ShownProduct(names[photo.label], content)
        for photo, content in zip(dataset.photos, dataset.content_hashes, strict=True)
    ]


def products_of(truths: Truths, labels: Sequence[Label]) -> Products:
    """The products of truths that are known: ``ShownProduct``, or of photos that travel in a checkpoint a place in ``labels``.

    Raises InputError for anything else.
    """
    shown = [_shown(one, labels) for one in truths]
    names = tuple(sorted({one.product for one in shown}))
    place = {name: i for i, name in enumerate(names)}
    number: dict[str, int] = {}
    contents = [number.setdefault(one.content or f"photo {i}", len(number)) for i, one in enumerate(shown)]
    truth = np.array([place[one.product] for one in shown], np.int64)
    return Products(names, truth, np.array(contents, np.int64))


def require_pairs(truths: Truths, labels: Sequence[Label], source: str) -> None:
    """Raise DataError where no product has two photos, so that nothing can be looked up."""
    if not products_of(truths, labels).judged.any():
        raise DataError(
            f"an embedder is judged by photos that find another photo of their product, and no product has two in {source}: "
            f"{len(truths)} photos of {len(set(truths))} products. Give 2 photos or more of each product"
        )


def good_answers(vectors: npt.NDArray[np.float32]) -> list[GoodAnswers]:
    """What a model's own vectors, unit [n, d], say of each photo: the nearest others.

    Not the nearest alone: photos of one scene are nearly equally near, and which of them is the nearest says nothing.
    """
    distances = 1.0 - np.asarray(vectors @ vectors.T, np.float64)
    np.fill_diagonal(distances, np.inf)
    limits = AS_NEAR * np.maximum(distances.min(axis=1, initial=np.inf), 0.0) + AS_NEAR_AT_LEAST
    return [
        GoodAnswers(frozenset(np.flatnonzero(row <= limit).tolist()))
        for row, limit in zip(distances, limits, strict=True)
    ]


def _shown(truth: Truth, labels: Sequence[Label]) -> ShownProduct:
    if isinstance(truth, ShownProduct):
        return truth
    if isinstance(truth, (int, np.integer)) and 0 <= truth < len(labels):
        return ShownProduct(composed(labels[int(truth)].name))
    raise InputError(
        f"expected the product of each photo, or its place among the model's {len(labels)} labels, got {truth!r}; take the "
        "model's own answers where products are not known"
    )
