"""The sharpest recent view of each track: on it a barcode is read, rather than on every frame."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgevision.errors import InputError
from edgevision.frames import Frame, ImageArray
from edgevision.tracking.luma import luma


@dataclass(frozen=True, eq=False)
class View:
    """A track's product in one frame. ``image``: its brightness, [height, width] uint8, a copy. ``x``, ``y``: where the
    image's left upper corner lies in the frame, in pixels. ``time_s``: camera time. ``sharpness``: more is sharper."""

    image: ImageArray
    x: int
    y: int
    time_s: float
    sharpness: float


def sharpness(image: ImageArray) -> float:
    """The sum over all pixels of the squared gradient of the brightness: Tenengrad (Krotkov 1988, "Focusing"), not divided by
    the number of pixels. So it counts detail, which comes of sharpness and of size. To enlarge a blurred picture hardly
    changes it, for edges become as many times flatter as there are more pixels in each direction.

    ``image``: [height, width] uint8; pictures of less than 2×2 pixels have none, 0.
    """
    if min(image.shape) < 2:
        return 0.0
    import cv2

    across = cv2.Sobel(image, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1)
    return float(np.vdot(across, across) + np.vdot(down, down))


class SharpestViews:
    """Keeps for each track the sharpest view of the last ``keep_s`` seconds of camera time.

    Memory is bounded: pictures of ``max_bytes`` at most, and ``max_tracks`` tracks. What was offered longest ago goes first.
    Not thread-safe: one for each camera.

    >>> views = SharpestViews()
    >>> frame = Frame.from_array(np.zeros((480, 640, 3), np.uint8))
    >>> views.offer(7, 1.0, frame, (100.0, 50.0, 300.0, 250.0))
    True
    >>> views.take(7).image.shape
    (220, 220)
    """

    def __init__(
        self, keep_s: float = 2.0, *, margin: float = 0.05, max_bytes: int = 64_000_000, max_tracks: int = 1000
    ) -> None:
        """``margin``: added to a box on each side, as a share of its width and height: barcodes need the white beside them."""
        if not keep_s > 0 or not margin >= 0 or max_bytes < 1 or max_tracks < 1:
            raise InputError(
                f"expected keep_s > 0, margin ≥ 0, max_bytes and max_tracks ≥ 1, got {keep_s}, {margin}, {max_bytes} and {max_tracks}"
            )
        self._keep_s = keep_s
        self._margin = margin
        self._max_bytes = max_bytes
        self._max_tracks = max_tracks
        self._views: OrderedDict[int, View] = OrderedDict()  # the one offered last stands last
        self._bytes = 0

    def offer(self, track: int, time_s: float, frame: Frame, box: Sequence[float]) -> bool:
        """Show one track in one frame. ``box``: x1 y1 x2 y2 in pixels of the frame; what lies outside is cut off.

        Returns whether the view was kept: it is sharper than the one before, or that is older than ``keep_s``. Raises
        InputError for a time or a box that is not finite.
        """
        if not math.isfinite(time_s) or len(box) != 4 or not all(map(math.isfinite, box)):
            raise InputError(f"expected a finite time and box x1 y1 x2 y2, got {time_s} and {list(box)}")
        x1, y1, x2, y2 = self._with_margin(box, frame)
        if x1 >= x2 or y1 >= y2 or (x2 - x1) * (y2 - y1) > self._max_bytes:
            return False
        # Cut first: the brightness of the rest is of no use. Subsampled formats have a whole plane of it already.
        image = _cut(frame, x1, y1, x2, y2)
        view = View(image, x1, y1, time_s, sharpness(image))
        before = self._views.get(track)
        if before is not None and time_s - before.time_s <= self._keep_s and before.sharpness >= view.sharpness:
            self._views.move_to_end(track)
            return False
        self.forget(track)
        self._views[track] = replace(view, image=image.copy())
        self._bytes += image.size
        while self._bytes > self._max_bytes or len(self._views) > self._max_tracks:
            self.forget(next(iter(self._views)))
        return True

    def take(self, track: int) -> View | None:
        """The track's view, which is then given up: the next one is of another frame. None where there is no new one."""
        view = self._views.get(track)
        self.forget(track)
        return view

    def forget(self, track: int) -> None:
        """Give up what is kept of a track, such as one that has ended."""
        view = self._views.pop(track, None)
        if view is not None:
            self._bytes -= view.image.size

    def __len__(self) -> int:
        """How many tracks have a view."""
        return len(self._views)

    def _with_margin(self, box: Sequence[float], frame: Frame) -> tuple[int, int, int, int]:
        x1, y1, x2, y2 = box
        across, down = self._margin * (x2 - x1), self._margin * (y2 - y1)
        return (
            max(0, math.floor(x1 - across)),
            max(0, math.floor(y1 - down)),
            min(frame.width, math.ceil(x2 + across)),
            min(frame.height, math.ceil(y2 + down)),
        )


def _cut(frame: Frame, x1: int, y1: int, x2: int, y2: int) -> ImageArray:
    if frame.format.is_yuv:
        return luma(frame)[y1:y2, x1:x2]
    part = frame.planes[0][y1:y2, x1:x2]
    return luma(replace(frame, planes=(part,), height=y2 - y1, width=x2 - x1))
