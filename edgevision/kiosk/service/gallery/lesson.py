"""Teaching one product before a camera: "turn it slowly". Frames go in; views that add something are kept until they are saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame, ImageArray
from edgevision.gallery.sources import source_of_frame
from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.asked import the_one_in
from edgevision.kiosk.service.gallery.picking import Picked
from edgevision.kiosk.station.looks import Box, part_of, windows
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.scene import Scene
from edgevision.streams.pictures import to_bgr
from edgevision.tasks.embedding import Embedding

WANTED = 5  # views: what the recall of one product gains by more is little
MOST = 12
_MARGIN = 0.16  # around the product, of its longer side: as a Station shows it to the model
_MIDDLE = 0.8  # of the shorter side: where a product is held while nobody has shown the empty place

# nothing: the place is empty. learnt: what was seen is the empty place. full: there is room for no more views.
Word = Literal["taken", "alike", "blurred", "other", "nothing", "learnt", "dark", "covered", "full"]


class Picker(Protocol):
    """Decides which views are kept, see ``picking.ViewPicker``."""

    def offer(self, frame: Frame, vector: npt.NDArray[np.float32]) -> Picked:
        """Judge a view."""

    def drop(self, place: int) -> None:
        """Forget one."""


@dataclass(frozen=True, eq=False)
class View:
    """One view that was taken. ``source``: as ``source_of_frame`` has it; ``picture``: H×W×3 uint8 BGR; ``vector``: [d] float32."""

    source: str
    picture: ImageArray
    vector: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What came of one frame. ``view``: where it was taken. ``embedding``: where the model was asked."""

    word: Word
    view: View | None = None
    embedding: Embedding | None = None


class Lesson:
    """One product that is being taught. ``views``: those taken so far. One thread at a time uses it.

    ``embed``: what the embedder says of frames. ``finds``: whether it finds products by itself, and gets whole frames.

    Until ``learn_empty`` was called with nothing before the camera, the product is expected in the middle of the picture.
    """

    def __init__(
        self, embed: Callable[[Sequence[Frame]], Sequence[Any]], picker: Picker, *, finds: bool = False, most: int = MOST
    ) -> None:  # fmt: skip
        self.views: list[View] = []
        self._embed = embed
        self._picker = picker
        self._finds = finds
        self._most = most
        self._scene = Scene(StationOptions())
        self._learning = False

    def learn_empty(self) -> None:
        """The next frame shows the empty place."""
        self._learning = True

    def see(self, frame: Frame, at_s: float) -> Seen:
        """The next frame, captured at ``at_s`` seconds. Raises what the model raises."""
        sight = self._scene.see(frame, at_s)
        if sight.unseen is not None:
            return Seen("dark" if sight.unseen is BlockedReason.DARK else "covered")
        if self._learning:
            self._learning = False
            self._scene.learn(at_s)
            return Seen("learnt")
        if len(self.views) >= self._most:
            return Seen("full")
        if sight.boxes is not None and not sight.boxes:
            return Seen("nothing")
        return self._look(frame, sight.boxes)

    def drop(self, source: str) -> None:
        """Forget a view; one that is not there is no matter."""
        for place, view in enumerate(self.views):
            if view.source == source:
                del self.views[place]
                self._picker.drop(place)
                return

    def _look(self, frame: Frame, boxes: Sequence[Box] | None) -> Seen:
        part = part_of(frame, _window(frame, boxes))
        (result,) = self._embed([frame if self._finds else part])
        try:
            embedding = the_one_in(result)
        except RefusedError:  # the model that finds products found none
            return Seen("nothing")
        word = self._picker.offer(part, embedding.vector)
        if word != "taken":
            return Seen(word, None, embedding)
        view = View(source_of_frame(part), to_bgr(part).copy(), embedding.vector)
        self.views.append(view)
        return Seen("taken", view, embedding)


def _window(frame: Frame, boxes: Sequence[Box] | None) -> Box:
    """The part of a frame that shows the product: around the largest thing that is not the empty place, else the middle."""
    if boxes:
        return windows(boxes[0], frame.width, frame.height, [_MARGIN])[0]
    side = _MIDDLE * min(frame.width, frame.height)
    left, top = (frame.width - side) / 2, (frame.height - side) / 2
    return left, top, left + side, top + side
