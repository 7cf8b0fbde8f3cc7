"""The model that a Station asks: whichever is served now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgevision.errors import EdgeVisionError
from edgevision.kiosk.service.gallery.recognition import recognised
from edgevision.kiosk.service.gallery.shop_gallery import ShopGallery
from edgevision.streams.served_model import ServedModel

if TYPE_CHECKING:
    from edgevision.cascade import Cascade
    from edgevision.frames import Frame
    from edgevision.model import Model


def _ignore(words: str) -> None:
    return None


class CurrentModel:
    """Asks the model that ``current`` gives, each time anew, so that one that was swapped is taken up with the next frame.

    ``finds_boxes``: as of the first; a model that takes another's place does the same. ``trouble``: called where the model fails; again only
    after it was well, for whoever asks goes on asking. ``shop``: the gallery that an embedder's vectors are looked up in.
    """

    def __init__(
        self, current: Callable[[], Model | Cascade], trouble: Callable[[str], None] = _ignore, shop: ShopGallery | None = None
    ) -> None:  # fmt: skip
        from edgevision.tasks.registry import task_type

        self._current = current
        self._trouble = trouble
        self._shop = shop
        self._is_well = True
        self._served = ServedModel(current())
        self.finds_boxes = task_type(self._served.parts[0].task.spec.kind).finds_boxes

    @property
    def classes(self) -> int:
        """How many products it knows."""
        if self._shop is not None:
            return max(1, len(self._shop.now.labels))
        return len(self._served.parts[-1].labels)

    def predict_frames(self, frames: Sequence[Frame]) -> Sequence[Any]:
        """One result for each frame, in their order. Raises what the model raises."""
        try:
            results = self._asked(frames)
        except Exception as error:
            if self._is_well:
                self._trouble(f"the model failed on a Station's picture: {type(error).__name__}: {error}")
            self._is_well = False
            raise
        self._is_well = True
        return results if self._shop is None else recognised(results, self._shop.now.gallery)

    def _asked(self, frames: Sequence[Frame]) -> Sequence[Any]:
        served = self._now()
        try:
            return served.predict_frames(frames)
        except EdgeVisionError:
            newer = self._now()
            if newer is served:
                raise
            return newer.predict_frames(frames)  # it was swapped, and closed, just before

    def _now(self) -> ServedModel:
        model = self._current()
        if model is not self._served.model:
            self._served = ServedModel(model)
        return self._served
