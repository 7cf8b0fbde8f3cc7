"""What a Station sees without asking the model: whether anything moves, whether the place is empty, whether the lens is free.

All of it on the brightness of 80 × 60 cells, so that it costs a fraction of a millisecond for frames of any size, and sensor noise
averages out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgevision.errors import InputError
from edgevision.frames import Frame, MemoryKind, PixelFormat
from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.station.looks import Box
from edgevision.kiosk.station.options import StationOptions
from edgevision.preprocess.color import LIMITED

Grid = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CELLS = 80  # along the longer side
_LEAST_NOISE = 0.5 / 255  # half a level: what rounding to whole levels leaves
_MISFIT = 0.03  # of the brightness: what a gain that is one number leaves of light that changed
_NEAR = 0.05  # of the longer side: parts of a product that are no farther apart are one
_DETAIL_LEFT = 0.35  # of the empty place's: less is no place any more, but something before the lens
_COVERED = 0.8  # share of cells that are not the empty place's
_BORDER = 0.04  # of the border's cells: more of them, and it reaches out of the picture
_NOISE_STEP = 0.05  # of the way to the newest estimate


@dataclass(frozen=True, eq=False)
class Sight:
    """What one frame shows. ``unseen``: why nothing can be told; then the rest means nothing.

    ``still_since_s``: since when nothing has moved; the frame's own time where something just did. ``boxes``: what is not the empty place, x1 y1 x2 y2 in
    pixels of the frame, the largest first; empty where the place is, and None as long as no empty place is learnt.
    ``reaches_out``: whether one of them goes over the picture's border, as an arm does.
    """

    unseen: BlockedReason | None
    still_since_s: float
    boxes: list[Box] | None
    reaches_out: bool


class Scene:
    """Follows the frames of one place, in order."""

    def __init__(self, options: StationOptions) -> None:
        self._options = options
        self._alarms = NormalDist().inv_cdf(1.0 - options.noise_alarm / 2)  # standard deviations
        self._noise = 4 * _LEAST_NOISE  # of one cell, until it is measured
        self._last: Grid | None = None
        self._anchor: Grid | None = None  # the picture that has been still
        self._anchor_s = 0.0
        self._empty: Grid | None = None
        self._empty_detail = 0.0
        self._learnt_s = 0.0

    @property
    def knows_empty(self) -> bool:
        """Whether an empty place was learnt."""
        return self._empty is not None

    def see(self, frame: Frame, at_s: float) -> Sight:
        """Take the next frame. Raises InputError for one in the memory of a device."""
        now = cells_of(frame)
        if self._last is not None and self._last.shape != now.shape:
            self._last = self._anchor = self._empty = None  # the camera has another shape now: all anew
        if float(np.quantile(now, 0.75)) < self._options.dark:
            return self._unseen(BlockedReason.DARK, at_s)
        if self._is_covered(now):
            return self._unseen(BlockedReason.COVERED, at_s)
        self._measure_noise(now)
        if self._anchor is None or self._moved(now):
            self._anchor, self._anchor_s = now, at_s
        self._last = now
        if self._empty is None:
            return Sight(None, self._anchor_s, None, False)
        changed = self._changed(now, self._empty)
        boxes, reaches_out = self._blobs(changed, frame)
        if at_s > self._anchor_s:
            self._follow_light(now, changed, at_s)
        self._learnt_s = at_s
        return Sight(None, self._anchor_s, boxes, reaches_out)

    def learn(self, at_s: float) -> None:
        """What is seen now is the empty place."""
        assert self._anchor is not None  # a frame was seen
        self._empty = self._anchor.copy() if self._last is None else self._last.copy()
        self._empty_detail = _detail(self._empty)
        self._learnt_s = at_s

    # ---- inside ----

    def _unseen(self, why: BlockedReason, at_s: float) -> Sight:
        self._anchor, self._last = None, None
        return Sight(why, at_s, [], False)

    def _is_covered(self, now: Grid) -> bool:
        """Most of it is not the place, and hardly any detail is left: a palm on the lens, or something close to it."""
        if self._empty is None or _detail(now) > _DETAIL_LEFT * self._empty_detail:
            return False
        other = np.abs(now - self._empty) > self._threshold(self._empty)
        return float(other.mean()) > _COVERED

    def _measure_noise(self, now: Grid) -> None:
        """From what differs between two frames in most cells; less than half of them move."""
        if self._last is None:
            return
        spread = 1.4826 * float(np.median(np.abs(now - self._last))) / math.sqrt(2)
        if spread > 4 * self._noise:  # the whole picture moved, or the light did
            return
        self._noise = max(_LEAST_NOISE, self._noise + _NOISE_STEP * (spread - self._noise))

    def _threshold(self, reference: Grid) -> Grid:
        return np.asarray(self._alarms * math.sqrt(2) * self._noise + _MISFIT * reference, np.float32)

    def _moved(self, now: Grid) -> bool:
        assert self._anchor is not None
        return float(self._changed(now, self._anchor).mean()) > self._options.smallest

    def _changed(self, now: Grid, reference: Grid) -> Mask:
        """Cells that are not those of ``reference``, whatever the light does to all of them alike; single ones are noise."""
        import cv2

        threshold = self._threshold(reference)
        ratio = now / np.maximum(reference, 0.02)
        border = np.concatenate([ratio[0], ratio[-1], ratio[1:-1, 0], ratio[1:-1, -1]])
        best: Mask | None = None
        for gain in (1.0, float(np.median(ratio)), float(np.median(border))):
            changed = np.abs(now - gain * reference) > threshold
            if best is None or changed.sum() < best.sum():
                best = changed
        assert best is not None
        opened = cv2.morphologyEx(best.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        return np.asarray(opened, np.bool_)

    def _blobs(self, changed: Mask, frame: Frame) -> tuple[list[Box], bool]:
        import cv2

        rows, columns = changed.shape
        near = max(1, round(_NEAR * CELLS / 2))
        joined = cv2.dilate(changed.astype(np.uint8), np.ones((2 * near + 1, 2 * near + 1), np.uint8))
        count, labels = cv2.connectedComponents(joined)
        least = self._options.smallest * rows * columns
        found: list[tuple[int, Box]] = []
        reaches_out = False
        for label in range(1, count):
            mine = changed & (labels == label)
            cells = int(mine.sum())
            if cells < least:
                continue
            x1, x2 = _extent(mine.sum(axis=0))
            y1, y2 = _extent(mine.sum(axis=1))
            scale = (frame.width / columns, frame.height / rows)
            found.append((cells, (x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1])))
            border = int(mine[0].sum() + mine[-1].sum() + mine[:, 0].sum() + mine[:, -1].sum())
            reaches_out |= border > _BORDER * 2 * (rows + columns)
        found.sort(key=lambda one: -one[0])
        return [box for _, box in found], reaches_out

    def _follow_light(self, now: Grid, changed: Mask, at_s: float) -> None:
        """What is empty here and now is what the place looks like in this light."""
        import cv2

        assert self._empty is not None
        share = 1.0 - math.exp(-max(0.0, at_s - self._learnt_s) / self._options.adapt_s)
        around = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        followed = self._empty + np.float32(share) * (now - self._empty)
        self._empty = np.where(around, self._empty, followed).astype(np.float32)
        self._empty_detail = _detail(self._empty)


def cells_of(frame: Frame) -> Grid:
    """The brightness of a frame's cells, float32 in 0…1 of full white. Of YUV frames only the luma plane is read.

    Raises InputError for a frame in the memory of a device.
    """
    import cv2

    if frame.memory is not MemoryKind.HOST:
        raise InputError("expected a frame in host memory, got one on a CUDA device; copy it to the host first")
    longer = max(frame.width, frame.height)
    size = (max(1, round(CELLS * frame.width / longer)), max(1, round(CELLS * frame.height / longer)))
    plane = frame.planes[0]
    if frame.format is PixelFormat.YUYV:
        plane = np.ascontiguousarray(plane[..., 0])
    step = max(1, longer // (8 * CELLS))  # eight samples across a cell are plenty
    small = cv2.resize(np.ascontiguousarray(plane[::step, ::step]), size, interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        codes = {
            PixelFormat.BGR: cv2.COLOR_BGR2GRAY,
            PixelFormat.RGB: cv2.COLOR_RGB2GRAY,
            PixelFormat.BGRA: cv2.COLOR_BGRA2GRAY,
        }
        small = cv2.cvtColor(small, codes[frame.format])
    grid = small.astype(np.float32)
    if frame.format.is_yuv and frame.encoding in LIMITED:
        return np.asarray((grid - 16.0) / 219.0, np.float32)
    return np.asarray(grid / 255.0, np.float32)


def _detail(grid: Grid) -> float:
    """The mean step between neighbouring cells."""
    return float(np.abs(np.diff(grid, axis=0)).mean() + np.abs(np.diff(grid, axis=1)).mean())


def _extent(counts: npt.NDArray[np.integer]) -> tuple[int, int]:
    """First cell, and the first after the last, of what holds 98 % of them: thin tails are shadows."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, 0.01)), int(np.searchsorted(share, 0.99)) + 1
