"""Teaching one product before a camera: "turn it slowly". Frames go in; views that add something are kept until they are saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgevision.frames import Frame, ImageArray
from edgevision.gallery.taken_views import TakenView, TakenViews
from edgevision.gallery.view_choice import Verdict
from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.service.answers import RefusedError
from edgevision.kiosk.service.gallery.asked import the_one_in
from edgevision.kiosk.station.looks import Box, part_of, windows
from edgevision.kiosk.station.options import StationOptions
from edgevision.kiosk.station.scene import Scene
from edgevision.streams.pictures import to_bgr
from edgevision.tasks.embedding import Embedding

WANTED = 5  # views: what the recall of one product gains by more is little
MOST = 12
_NOTE = "before the camera"
_MARGIN = 0.16  # around the product, of its longer side: as a Station shows it to the model
_MIDDLE = 0.8  # of the shorter side: where a product is held while nobody has shown the empty place

# nothing: the place is empty. learnt: what was seen is the empty place. full: there is room for no more views.
Word = Literal["taken", "alike", "blurred", "other", "nothing", "learnt", "dark", "covered", "full"]
_WORDS: dict[Verdict, Word] = {
    Verdict.TAKEN: "taken",
    Verdict.NOTHING_NEW: "alike",
    Verdict.BLURRED: "blurred",
    Verdict.NOT_THE_SAME: "other",
    Verdict.ANOTHER_PRODUCT: "other",
}


@dataclass(frozen=True, eq=False)
class Seen:
    """What came of one frame. ``embedding``: where the model was asked. ``view``, ``picture`` (H×W×3 uint8 BGR): where it was taken."""

    word: Word
    embedding: Embedding | None = None
    view: TakenView | None = None
    picture: ImageArray | None = None


class Lesson:
    """One product that is being taught. One thread at a time uses it.

    ``taken``: judges its views, and keeps those that are taken; ``views``: these. ``embed``: what the embedder says of frames. ``finds``: whether it finds products by itself, and gets whole frames.

    Until ``learn_empty`` was called with nothing before the camera, the product is expected in the middle of the picture.
    """

    def __init__(
        self, embed: Callable[[Sequence[Frame]], Sequence[Any]], taken: TakenViews, *, finds: bool = False, most: int = MOST
    ) -> None:  # fmt: skip
        self._embed = embed
        self._taken = taken
        self._finds = finds
        self._most = most
        self._scene = Scene(StationOptions())
        self._learning = False

    @property
    def views(self) -> Sequence[TakenView]:
        """Those taken so far."""
        return self._taken.views

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
        self._taken.drop(source)

    def _look(self, frame: Frame, boxes: Sequence[Box] | None) -> Seen:
        part = part_of(frame, _window(frame, boxes))
        (result,) = self._embed([frame if self._finds else part])
        try:
            embedding = the_one_in(result)
        except RefusedError:  # the model that finds products found none
            return Seen("nothing")
        word = _WORDS[self._taken.offer(part, embedding.vector, _NOTE).verdict]
        if word != "taken":
            return Seen(word, embedding)
        return Seen(word, embedding, self._taken.views[-1], to_bgr(part).copy())


def _window(frame: Frame, boxes: Sequence[Box] | None) -> Box:
    """The part of a frame that shows the product: around the largest thing that is not the empty place, else the middle."""
    if boxes:
        return windows(boxes[0], frame.width, frame.height, [_MARGIN])[0]
    side = _MIDDLE * min(frame.width, frame.height)
    left, top = (frame.width - side) / 2, (frame.height - side) / 2
    return left, top, left + side, top + side
