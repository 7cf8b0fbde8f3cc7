"""``Cascade``: one model finds the products in a frame, another recognises each of them. ``edgevision.load`` makes one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgevision.closing import CLOSE_TIMEOUT_S
from edgevision.errors import InputError
from edgevision.fork import tell_after_fork
from edgevision.model import Model, count_of, most_in_flight

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edgevision.calls.deadline import Deadline
    from edgevision.frames import Frame
    from edgevision.preprocess import Region
    from edgevision.runtime.preparation import Item
    from edgevision.tasks.products import Products

MARGIN = 0.05  # of a box's side, on each side: detectors cut closely, and a product's edge tells something


class Cascade:
    """Two models, one after the other. Thread-safe; a context manager.

    ``finder`` finds boxes; ``recogniser`` sees each of them, as a picture of its own, with ``margin`` of the box's side
    around it. All boxes of all frames that are predicted together share the recogniser's batches.
    """

    def __init__(self, finder: Model, recogniser: Model, margin: float = MARGIN) -> None:
        from edgevision.calls.calls import Calls
        from edgevision.tasks.registry import task_type

        if not task_type(finder.task.spec.kind).finds_boxes:
            raise InputError(
                f"expected a model that finds boxes first, got '{finder.manifest.name}', which can {finder.task.spec.kind}; "
                "give a detector, and the other model as then"
            )
        if isinstance(margin, bool) or not isinstance(margin, (int, float)) or not 0 <= margin <= 1:
            raise InputError(f"margin is a share of the box's side, 0…1, got {margin!r}")
        self.finder = finder
        self.recogniser = recogniser
        self.margin = margin
        self._calls = Calls(finder.calls_at_once, most_in_flight())
        tell_after_fork(self)

    def predict(self, x: Any, *, max_decode_bytes: int | None = None, deadline_s: float | None = None) -> Any:
        """``Products`` of one picture, or a list of them for several. See ``Model.predict`` for what ``x`` may be, and for the deadline, which is
        looked at again before the second model runs.

        >>> with ev.load("shelf.edge", then="products.edge") as model:  # doctest: +SKIP
        ...     [product.result.best.name for product in model.predict("shelf.jpg")]
        """
        limit = self.finder.decode_limit(max_decode_bytes)
        return self._calls.run(lambda deadline: self._predict(x, limit, deadline), deadline_s, count_of(x))

    async def predict_async(
        self, x: Any, *, max_decode_bytes: int | None = None, deadline_s: float | None = None
    ) -> Any:
        """``predict`` for programs on asyncio: see ``Model.predict_async``."""
        limit = self.finder.decode_limit(max_decode_bytes)
        return await self._calls.run_async(lambda deadline: self._predict(x, limit, deadline), deadline_s, count_of(x))

    def predict_frames(self, frames: Sequence[Frame]) -> list[Products]:
        """``Products`` of each frame: of one camera, or of many."""
        return self._predict_frames(frames, None)

    def _predict(self, x: Any, max_decode_bytes: int, deadline: Deadline) -> tuple[Any, int]:
        """The products of one picture, or a list of those of several, and how many pictures there are."""
        from edgevision.decode import item_to_frame, pictures_in, to_frame

        pictures = pictures_in(x)
        if pictures is None:
            return self._predict_frames([to_frame(x, max_decode_bytes)], deadline)[0], 1
        frames = (item_to_frame(picture, place, max_decode_bytes) for place, picture in enumerate(pictures))
        portions = _portions(frames, self.finder.max_batch)
        results = [products for some in portions for products in self._predict_frames(some, deadline)]
        return results, len(results)

    def _predict_frames(self, frames: Sequence[Frame], deadline: Deadline | None) -> list[Products]:
        from edgevision.preprocess.preprocessor import packed_frame
        from edgevision.runtime.preparation import Item
        from edgevision.tasks.products import Products

        frames = [packed_frame(frame) for frame in frames]  # once, and not for each box
        if deadline is not None:
            deadline.check("its picture was read")
        found = self.finder.predict_items(frames)
        if deadline is not None:
            deadline.check("products were looked for")
        items: list[Item] = []
        for frame, detections in zip(frames, found, strict=True):
            items += [Item(frame, region) for region in regions(detections.boxes, frame, self.margin)]
        answers = iter(self.recogniser.predict_items(items))
        return [Products(detections, tuple(islice(answers, len(detections)))) for detections in found]

    def warm_up(self) -> None:
        """See ``Model.warm_up``, of both."""
        self.finder.warm_up()
        self.recogniser.warm_up()

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """See ``Model.close``."""
        self._calls.close()
        self.finder.refuse()
        self.recogniser.close(timeout_s)
        self.finder.close(timeout_s)

    @property
    def is_closed(self) -> bool:
        """Whether it predicts no more."""
        return self.finder.is_closed or self.recogniser.is_closed

    def after_fork(self) -> None:
        """In a child of ``fork``. Called by Python, not by you."""
        self._calls.after_fork()

    def __enter__(self) -> Cascade:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cascade {self.finder!r} → {self.recogniser!r}>"


def regions(boxes: npt.NDArray[np.floating[Any]], frame: Frame, margin: float = 0.0) -> list[Region]:
    """Boxes [n, 4], x1 y1 x2 y2 in the frame's pixels → regions of whole pixels that hold them, within the frame.

    ``margin``: share of the box's side that is added on each side. At least one pixel wide and high.

    >>> regions(np.array([[10.4, 20.0, 30.2, 40.0]]), frame)  # doctest: +SKIP
    [Region(x=10, y=20, width=21, height=20)]
    """
    return [_region(box, frame, margin) for box in boxes.tolist()]


def _region(box: Sequence[float], frame: Frame, margin: float) -> Region:
    from edgevision.preprocess import Region

    x1, y1, x2, y2 = box
    left, right = _side(x1, x2, margin, frame.width)
    top, bottom = _side(y1, y2, margin, frame.height)
    return Region(left, top, right - left, bottom - top)


def _side(low: float, high: float, margin: float, size: int) -> tuple[int, int]:
    """First pixel, and the first one after it, of what lies in ``low … high`` and its margin."""
    more = margin * (high - low)
    first = min(max(math.floor(low - more), 0), size - 1)
    return first, min(max(math.ceil(high + more), first + 1), size)


def _portions(frames: Iterable[Frame], count: int) -> Iterator[list[Frame]]:
    remaining = iter(frames)
    while portion := list(islice(remaining, count)):
        yield portion
