"""Which views of a product are worth keeping, as ``gallery.view_choice`` judges them; and what was kept can be dropped again."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame
from edgevision.gallery.blur import blur_of
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.view_choice import Verdict, ViewChoice
from edgevision.tracking.luma import luma

Picked = Literal["taken", "alike", "blurred", "other"]
_WORDS: dict[Verdict, Picked] = {
    Verdict.TAKEN: "taken",
    Verdict.NOTHING_NEW: "alike",
    Verdict.BLURRED: "blurred",
    Verdict.NOT_THE_SAME: "other",
    Verdict.ANOTHER_PRODUCT: "other",
}


class ViewPicker:
    """Views of one product. ``gallery``: as it is now; ``product``: its id, None for a new one.

    A product may look like another one: that is when people teach it. They are told so, and decide.
    """

    def __init__(self, gallery: Gallery, product: int | None = None) -> None:
        self._gallery = gallery
        self._product = product
        self._taken: list[npt.NDArray[np.float32]] = []
        self._choice = self._new_choice()

    def offer(self, frame: Frame, vector: npt.NDArray[np.float32]) -> Picked:
        """Judge a view, cut to the product, with its ``vector``, [d] of length 1; what is taken counts from then on."""
        word = _WORDS[self._choice.judge(vector, blur_of(luma(frame))).verdict]
        if word == "taken":
            self._taken.append(vector)
        return word

    def drop(self, place: int) -> None:
        """Forget the view that was taken at this place, counted from 0."""
        del self._taken[place]
        self._choice = self._new_choice()
        for vector in self._taken:
            self._choice.judge(vector, 0.0)

    def _new_choice(self) -> ViewChoice:
        known = [one.id for one in self._gallery.products]
        product = max(known, default=0) + 1 if self._product is None else self._product
        return ViewChoice(self._gallery, product, look_alikes=True)
