"""Is this view worth keeping as an example of a product?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from edgevision.gallery.evidence import Evidence, gather_evidence
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.vectors import Vectors

MOST_BLUR = 0.84  # of ``blur_of``, which says what it was measured on
STEP = 0.05  # 1 - cosine: a view that is nearer to one that is kept adds nothing
_LEAST_STEP, _MOST_STEP = 0.02, 0.15
_SHARE_OF_USUAL = 0.4  # of the usual distance of a product's examples, as the gallery has them
_ENOUGH = 20  # examples of others, from which a gallery tells what is usual


class Verdict(str, Enum):
    """What is done with a view, and why."""

    TAKEN = "taken"
    BLURRED = "blurred"
    NOTHING_NEW = "nothing new"  # too near to a view that is kept
    ANOTHER_PRODUCT = "another product"  # the gallery knows it as that
    NOT_THE_SAME = "not the same"  # like none of the views that are kept
    ANOTHERS_EXAMPLE = "another product's example"  # the very same picture


@dataclass(frozen=True)
class Judgement:
    """``similarity``: cosine to the nearest view that is kept, None where there is none. ``like``: the product of the gallery that
    it was taken for, with ``ANOTHER_PRODUCT``."""

    verdict: Verdict
    similarity: float | None = None
    like: GalleryProduct | None = None


class ViewChoice:
    """Judges views of one product, one by one, beside those that are kept.

    ``gallery``: what is known already, None for a new one. ``product_id``: whose views these are. ``step``: how far from all
    that is kept a view must be, as 1 - cosine; None: by what is usual in the gallery. ``look_alikes``: the product may look like
    another one. ``refuse_unlike``: a view that is like none of those that are kept is of something else.
    """

    def __init__(
        self,
        gallery: Gallery | None,
        product_id: int,
        *,
        step: float | None = None,
        most_blur: float = MOST_BLUR,
        look_alikes: bool = False,
        refuse_unlike: bool = True,
    ) -> None:
        self._gallery = gallery
        self._product_id = product_id
        self._most_blur = most_blur
        self._look_alikes = look_alikes
        known = None if gallery is None else _evidence_of(gallery)
        self.step = _usual_step(known) if step is None else step
        self._least_similarity = _unlike(known) if refuse_unlike else -1.0
        self._kept: list[Vectors] = []
        if gallery is not None:
            own = [example.product == product_id for example in gallery.examples]
            self._kept = list(gallery.vectors[np.array(own, bool)])

    def judge(self, vector: Vectors, blur: float) -> Judgement:
        """Judge a view, and keep it where it is taken. ``vector``: [d] of length 1; ``blur``: its ``blur_of``."""
        near = max((float(one @ vector) for one in self._kept), default=None)
        if blur > self._most_blur:
            return Judgement(Verdict.BLURRED, near)
        like = self._other(vector, near)
        if like is not None:
            return Judgement(Verdict.ANOTHER_PRODUCT, near, like)
        if near is not None and near < self._least_similarity:
            return Judgement(Verdict.NOT_THE_SAME, near)
        if near is not None and near > 1 - self.step:
            return Judgement(Verdict.NOTHING_NEW, near)
        self._kept.append(vector)
        return Judgement(Verdict.TAKEN, near)

    def drop(self, vector: Vectors) -> None:
        """Keep a view no longer that was taken."""
        self._kept = [one for one in self._kept if one is not vector]

    def _other(self, vector: Vectors, near: float | None) -> GalleryProduct | None:
        """The other product that the gallery takes it for, unless it is nearer to its own. None as long as the gallery has too few
        examples to tell what is known: then all photos from one place look alike to it."""
        if self._gallery is None or self._look_alikes or self._gallery.rejection.basis != "examples":
            return None
        (answer,) = self._gallery.match(vector, top=1)
        best = answer.best
        if best is None or not answer.known or best.product.id == self._product_id:
            return None
        return None if near is not None and near >= best.similarity else best.product


def _evidence_of(gallery: Gallery) -> Evidence | None:
    """How alike examples are themselves; None of a gallery that has too few to tell."""
    if len(gallery.examples) < _ENOUGH:
        return None
    return gather_evidence(gallery.vectors, gallery.product_of, len(gallery.products))


def _usual_step(known: Evidence | None) -> float:
    if known is None or (has := known.has_own).sum() < _ENOUGH:
        return STEP
    usual = 1 - float(np.median(known.own[has]))
    return min(max(_SHARE_OF_USUAL * usual, _LEAST_STEP), _MOST_STEP)


def _unlike(known: Evidence | None) -> float:
    """Views that are less similar are of something else: most products are nearer to another product than this."""
    return -1.0 if known is None else float(np.quantile(known.first, 0.25))
