"""A gallery, opened: which product is a vector like?"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevision.errors import GalleryError, InputError
from edgevision.gallery.drawing import PULL, drawn_to_means
from edgevision.gallery.evidence import Evidence, gather_evidence
from edgevision.gallery.examples import Example
from edgevision.gallery.file.reading import Contents, read_contents
from edgevision.gallery.index import VectorIndex, make_index
from edgevision.gallery.matches import Match, Matches
from edgevision.gallery.nearest import NearestProduct, nearest_products
from edgevision.gallery.owner import check_owner
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.rejection import Rejection, fit_rejection
from edgevision.gallery.vectors import unit_rows


class Gallery:
    """A snapshot of a gallery, made by ``open_gallery``: it does not change, and threads may share it.

    ``bundle_id``, ``dimension``: of the embedder that it belongs to. ``products``: by id. ``last_id``: the highest that a product ever had, also
    one that was removed; 0 where there was none. ``examples``: in the order they were added; ``vectors``: [examples, dimension] float32 of
    length 1, one for each, read-only.
    """

    def __init__(self, contents: Contents, lists: Path | None = None) -> None:
        """``lists``: the file that a large gallery's index is kept in, see ``make_index``; None: it is made anew."""
        self._lists = lists
        self.bundle_id = contents.bundle_id
        self.dimension = contents.dimension
        self.products = contents.products
        self.last_id = contents.last_id
        self.examples = contents.examples
        self.vectors = contents.vectors
        self._place_of = {product.id: place for place, product in enumerate(self.products)}
        self.product_of: npt.NDArray[np.int64] = np.array(
            [self._place_of[example.product] for example in self.examples], np.int64
        )
        self.product_of.flags.writeable = False
        self._has_examples = np.bincount(self.product_of, minlength=len(self.products)) > 0

    def __len__(self) -> int:
        """How many products there are."""
        return len(self.products)

    def find(self, product_id: int) -> GalleryProduct:
        """The product of this id. Raises GalleryError where there is none."""
        place = self._place_of.get(product_id)
        if place is None:
            raise GalleryError(f"the gallery has no product {product_id}")
        return self.products[place]

    def examples_of(self, product_id: int) -> tuple[Example, ...]:
        """The examples of a product, in the order they were added."""
        self.find(product_id)
        return self._by_product.get(product_id, ())

    @cached_property
    def _by_product(self) -> dict[int, tuple[Example, ...]]:
        gathered: dict[int, list[Example]] = {}
        for example in self.examples:
            gathered.setdefault(example.product, []).append(example)
        return {number: tuple(examples) for number, examples in gathered.items()}

    @cached_property
    def evidence(self) -> Evidence:
        """What its own examples tell of known and unknown products. Made when first asked for."""
        return gather_evidence(self.vectors, self.product_of, len(self.products), pull=PULL)

    @cached_property
    def rejection(self) -> Rejection:
        """How similarities become scores, and where "I don't know" begins. Fitted when first asked for."""
        return fit_rejection(self.evidence, [product.id for product in self.products])

    @cached_property
    def _index(self) -> VectorIndex:
        return make_index(drawn_to_means(self.vectors, self.product_of), cache=self._lists)

    def match(
        self,
        vectors: npt.ArrayLike,
        *,
        top: int = 5,
        where: Callable[[GalleryProduct], bool] | None = None,
    ) -> list[Matches]:
        """For each vector the ``top`` products that it is most like, best first, and whether the best is known.

        ``vectors``: [q, dimension] of any length but 0, or one of [dimension]. ``where``: which products count; the others are as
        if they were not there. Raises InputError for vectors that are not such.

        >>> gallery.match(embedding.vector)[0].best.product.name  # doctest: +SKIP
        'Royal Gala apple'
        """
        if top < 1:
            raise InputError(f"expected top ≥ 1, got {top}")
        queries = unit_rows(vectors, self.dimension)
        if not self.examples:
            return [Matches((), False) for _ in queries]
        allowed, chosen = None, self._has_examples
        if where is not None:
            chosen = chosen & np.array([bool(where(product)) for product in self.products])
            allowed = chosen[self.product_of]
        # The second product is always looked for: how far it is tells how sure the first is.
        count = min(max(2, top), int(chosen.sum()))
        found = nearest_products(self._index, self.product_of, queries, count, allowed)
        return [self._matches(nearest, top) for nearest in found]

    def _matches(self, nearest: list[NearestProduct], top: int) -> Matches:
        if not nearest:
            return Matches((), False)
        similarities = np.array([one.similarity for one in nearest])
        others = np.full(len(nearest), similarities[0])  # the best other product is the first, but for the first itself
        others[0] = similarities[1] if len(nearest) > 1 else -1.0
        products = [self.products[one.product] for one in nearest]
        scores = self.rejection.scores(similarities, others, [product.id for product in products])
        scores = np.minimum.accumulate(scores)  # what is less alike is no likelier, whatever is usual of its product
        matches = tuple(
            Match(product, one.similarity, float(score), self.examples[one.example])
            for product, one, score in zip(products[:top], nearest, scores, strict=False)
        )
        return Matches(matches, matches[0].score >= self.rejection.threshold)


def open_gallery(path: str | os.PathLike[str], *, bundle_id: str | None = None) -> Gallery:
    """Read a gallery: its state after the last transaction, whoever writes meanwhile.

    ``bundle_id``: of the embedder whose vectors it will be asked for (``Model.id``). Raises GalleryError for a file that is no
    gallery, is damaged, or was made for another bundle.

    Over 20,000 examples, what a search needs besides is kept in a file beside it, ``shop.evg.lists``, which may be deleted at any time.

    >>> gallery = open_gallery("shop.evg", bundle_id=model.id)  # doctest: +SKIP
    """
    contents = read_contents(Path(path))
    if bundle_id is not None:
        check_owner(path, contents.bundle_id, contents.dimension, bundle_id)
    return Gallery(contents, Path(f"{os.fspath(path)}.lists"))
