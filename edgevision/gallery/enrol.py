"""Learning a product live: shown frames one by one, it keeps the views that add something and says what it wants next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import Frame
from edgevision.gallery.checks import checked_product
from edgevision.gallery.gallery import Gallery
from edgevision.gallery.products import GalleryProduct
from edgevision.gallery.taken_views import TakenViews, save_views
from edgevision.gallery.vectors import Vectors, unit_rows
from edgevision.gallery.view_choice import MOST_BLUR, Judgement, Verdict
from edgevision.gallery.writer import GalleryWriter

_LONGEST_STEP_S = 0.5  # between two frames that count as one movement
_STILL_AFTER_S = 1.0
_MOVED = 1 / 3  # of the step between views: so far from where it was, the product has turned


@dataclass(frozen=True)
class EnrolmentOptions:
    """``least``, ``most``: views of a product. ``settle_s``: it is done after so long a turning without a new view, and
    ``still_s`` without turning; seconds of camera time. ``step``, ``most_blur``, ``look_alikes``: see ``ViewChoice``."""

    least: int = 3
    most: int = 12
    settle_s: float = 4.0
    still_s: float = 15.0
    step: float | None = None
    most_blur: float = MOST_BLUR
    look_alikes: bool = False


@dataclass(frozen=True)
class EnrolmentStep:
    """What became of a frame. ``say``: what the person with the product is told. ``taken``: how many views there are. ``done``: no
    more are wanted."""

    verdict: Verdict
    say: str
    taken: int
    done: bool
    like: GalleryProduct | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "verdict": self.verdict.value,
            "say": self.say,
            "taken": self.taken,
            "done": self.done,
            "like": None if self.like is None else self.like.to_dict(),
        }


class Enrolment:
    """Learns one product from frames. Not thread-safe: one for each place.

    ``product``: new, or one that the gallery has, which then learns more views. ``gallery``: as it is now, None for a new one.
    ``dimension``: of the vectors. Nothing is written before ``save``.

    >>> enrolment = Enrolment(GalleryProduct(7, "Royal Gala"), gallery, dimension=256)  # doctest: +SKIP
    >>> for frame in camera:  # doctest: +SKIP
    ...     step = enrolment.offer(frame, model.predict(frame).vector, time_s=frame.captured_ns / 1e9)
    ...     print(step.say)
    ...     if step.done:
    ...         break
    >>> with GalleryWriter("shop.evg", bundle_id=model.id, dimension=256) as writer:  # doctest: +SKIP
    ...     enrolment.save(writer)
    """

    def __init__(
        self,
        product: GalleryProduct,
        gallery: Gallery | None,
        *,
        dimension: int,
        options: EnrolmentOptions | None = None,
    ) -> None:
        self.product = checked_product(product)
        self.options = options or EnrolmentOptions()
        if not 1 <= self.options.least <= self.options.most:
            raise InputError(f"expected 1 ≤ least ≤ most views, got {self.options.least} and {self.options.most}")
        self._taken = TakenViews(
            gallery, self.product.id, dimension=dimension, step=self.options.step, most_blur=self.options.most_blur,
            look_alikes=self.options.look_alikes,
        )  # fmt: skip
        self._pace = _Pace(self._taken.step * _MOVED)

    @property
    def vectors(self) -> Vectors:
        """Of the views that were taken, [n, d] float32 of length 1."""
        vectors = [one.vector for one in self._taken.views]
        return np.array(vectors, np.float32).reshape(-1, self._taken.dimension)

    @property
    def taken(self) -> int:
        """How many views there are."""
        return len(self._taken.views)

    @property
    def done(self) -> bool:
        """Whether no more views are wanted: there are ``most``, or new ones add nothing any more."""
        if self.taken >= self.options.most:
            return True
        if self.taken < self.options.least:
            return False
        return self._pace.turned_s >= self.options.settle_s or self._pace.quiet_s >= self.options.still_s

    def offer(self, frame: Frame, vector: npt.ArrayLike, *, time_s: float, note: str = "") -> EnrolmentStep:
        """Show a frame, cut to the product, with its vector [d]. ``time_s``: camera time, which does not go back.

        Raises InputError for a vector that is none, and for a frame in a device's memory.
        """
        (unit,) = unit_rows(vector, self._taken.dimension)
        if not np.isfinite(time_s):
            raise InputError(f"expected a finite time in seconds, got {time_s}")
        if self.done:
            return self._step(Judgement(Verdict.NOTHING_NEW))
        judgement = self._taken.offer(frame, unit, note)
        if judgement.verdict is Verdict.TAKEN:
            self._pace.start(unit, time_s)
        elif judgement.verdict is Verdict.NOTHING_NEW:
            self._pace.see(unit, time_s)
        else:
            self._pace.interrupt()
        return self._step(judgement)

    def save(self, writer: GalleryWriter) -> int:
        """Write the product, unless the gallery has it, and its views; how many were new. Raises GalleryError where there are none."""
        return save_views(writer, self.product, self._taken.views)

    def _step(self, judgement: Judgement) -> EnrolmentStep:
        return EnrolmentStep(judgement.verdict, self._words(judgement), self.taken, self.done, judgement.like)

    def _words(self, judgement: Judgement) -> str:
        if self.done:
            return f"Done: {self.taken} views. More would add nothing."
        if judgement.verdict is Verdict.BLURRED:
            return "The picture is blurred. Hold the product still for a moment, or give it more light."
        if judgement.like is not None:
            return f"This looks like {judgement.like.name}. Show the new product alone; if it is that one, choose it from the list."
        if judgement.verdict is Verdict.NOT_THE_SAME:
            return "This looks like something else than before. Show the product alone, without a hand over it."
        wanted = (
            f"{self.taken} of at least {self.options.least} views"
            if self.taken < self.options.least
            else f"{self.taken} views"
        )
        if judgement.verdict is Verdict.TAKEN:
            return f"Good, {wanted}. Turn it slowly."
        if self._pace.is_still:
            return f"This side is known, {wanted}. Turn the product, and show its other sides."
        return f"Go on turning it slowly, {wanted}."


class _Pace:
    """How long it has been since the last view was taken, and for how much of that the product was turning."""

    def __init__(self, moved: float) -> None:
        self._moved = moved
        self._before_s: float | None = None
        self._moved_s = 0.0  # when it last turned
        self._anchor: Vectors | None = None  # the vector since which it has not turned
        self.turned_s = 0.0
        self.quiet_s = 0.0

    @property
    def is_still(self) -> bool:
        """Whether it has not turned for a while."""
        return self._before_s is not None and self._before_s - self._moved_s > _STILL_AFTER_S

    def start(self, vector: Vectors, time_s: float) -> None:
        """A view was taken."""
        self._before_s = self._moved_s = time_s
        self._anchor = vector
        self.turned_s = self.quiet_s = 0.0

    def see(self, vector: Vectors, time_s: float) -> None:
        """A good view that adds nothing."""
        passed = 0.0 if self._before_s is None else min(max(0.0, time_s - self._before_s), _LONGEST_STEP_S)
        self._before_s = time_s
        if self._anchor is None or float(self._anchor @ vector) < 1 - self._moved:
            self._anchor, self._moved_s = vector, time_s
        self.quiet_s += passed
        if not self.is_still:
            self.turned_s += passed

    def interrupt(self) -> None:
        """A view that says nothing of the product: its time does not count."""
        self._before_s = None
