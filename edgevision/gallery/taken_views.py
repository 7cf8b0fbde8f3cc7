"""The views of one product that are taken while it is shown: those that add something, until they are saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.errors import GalleryError
from edgevision.frames import Frame
from edgevision.gallery.blur import blur_of
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.sources import source_of_frame
from edgevision.gallery.vectors import Vectors, unit_rows
from edgevision.gallery.view_choice import MOST_BLUR, Judgement, Verdict, ViewChoice
from edgevision.gallery.writer import GalleryWriter
from edgevision.tracking.luma import luma


@dataclass(frozen=True, eq=False)
class TakenView:
    """``source``: as ``source_of_frame`` has it. ``vector``: [d] float32 of length 1. ``note``: what people call it."""

    source: str
    vector: Vectors
    note: str = ""


class TakenViews:
    """``views``: those taken so far, in their order. Not thread-safe.

    ``gallery``: as it is now, None for a new one. ``product_id``: whose views these are; of a new product, one that the gallery has not.
    ``dimension``: of the vectors. ``step``, ``most_blur``, ``look_alikes``: see ``ViewChoice``. Raises GalleryError for another dimension than
    the gallery's.
    """

    def __init__(
        self, gallery: Gallery | None, product_id: int, *, dimension: int, step: float | None = None, most_blur: float = MOST_BLUR,
        look_alikes: bool = False,
    ) -> None:  # fmt: skip
        if gallery is not None and gallery.dimension != dimension:
            raise GalleryError(f"expected vectors of {gallery.dimension} numbers, as the gallery has, got {dimension}")
        self.dimension = dimension
        self.views: list[TakenView] = []
        self._choice = ViewChoice(gallery, product_id, step=step, most_blur=most_blur, look_alikes=look_alikes)

    @property
    def step(self) -> float:
        """How far from all that is kept a view must be, as 1 - cosine."""
        return self._choice.step

    def offer(self, frame: Frame, vector: npt.ArrayLike, note: str = "") -> Judgement:
        """Judge a frame, cut to the product, with its vector [d]; one that is taken is the last of ``views``.

        Raises InputError for a vector that is none, and for a frame in a device's memory.
        """
        (unit,) = unit_rows(vector, self.dimension)
        judgement = self._choice.judge(unit, blur_of(luma(frame)))
        if judgement.verdict is Verdict.TAKEN:
            self.views.append(TakenView(source_of_frame(frame), unit, note))
        return judgement

    def drop(self, source: str) -> None:
        """Forget a view, so that another one like it is taken. Nothing happens where there is no such view."""
        for place, view in enumerate(self.views):
            if view.source == source:
                del self.views[place]
                self._choice.drop(view.vector)
                return


def save_views(writer: GalleryWriter, product: GalleryProduct, views: Sequence[TakenView]) -> int:
    """Write a product, unless the gallery has it, and views of it; how many were new. Raises GalleryError where there are none."""
    if not views:
        raise GalleryError(f"no view of {product.name!r} was taken; show the product to the camera first")
    if not writer.has_product(product.id):
        writer.add_product(product)
    vectors = np.stack([one.vector for one in views])
    return writer.add_examples(product.id, vectors, [one.source for one in views], [one.note for one in views])
