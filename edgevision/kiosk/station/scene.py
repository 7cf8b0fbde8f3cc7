"""What a Station sees without asking the model: whether anything moves, whether the place is empty, whether the lens is free.

All of it on 80 × 60 cells, so that it costs a millisecond or two for frames of any size, and sensor noise averages out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from edgevision.frames import Frame
from edgevision.kiosk.events import BlockedReason
from edgevision.kiosk.station.cells import CELLS, LEAST_TINTED, Grid, cells_of
from edgevision.kiosk.station.looks import Box, overlap
from edgevision.kiosk.station.options import StationOptions

Mask = npt.NDArray[np.bool_]

_LEAST_NOISE = 0.5 / 255  # half a level: what rounding to whole levels leaves
_MISFIT = 0.03  # of the brightness: what a gain that is one number leaves of light that changed
_NEAR = 0.05  # of the longer side: parts of a product that are no farther apart are one
_DETAIL_LEFT = 0.35  # of the empty place's: less is no place any more, but something before the lens
_EDGES = (
    0.98  # quantile of the steps between neighbouring cells that tells detail: edges are few, and noise is everywhere
)
_NOISE_EDGES = 4.5  # standard deviations of a cell: noise alone makes no such quantile
_CHANGED = 0.3  # share of cells that are not the empty place's: a palm may be as bright as half of it
_PATTERN = 0.3  # correlation of the empty place's pattern from frame to frame: less is noise, and nothing tells that it is gone
_UNLIKE = (
    0.1  # correlation of the pattern with the empty place's: 6,000 cells of noise alone stay under 0.05, in any light
)
_BORDER = 0.02  # of the border's cells: more of them, and it reaches out of the picture
_DEEPEST = math.log(0.25)  # a shadow leaves a quarter of the light: the rest of the room shines into it
_UNEVEN = (
    0.06  # of the logarithm of its brightness against the empty place's: what a shadow differs by from the cells around
)
_OTHER_TINT = 0.04  # of chroma by brightness: a shadow keeps its place's
_STRANGE_TINT = 0.1  # the same: what differs so much is another thing
_LEAST_SOLID = 0.1  # of the cells that changed
_BESIDE = 17  # cells: as far as eight from what changed is beside it
_WHITE = 0.97  # of full white: some of the cell's pixels are at the end of their range
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
        self._empty_tint: Grid | None = None
        self._pattern = 0.0  # how much the empty place's fine pattern is the same in two frames
        self._tint: Grid | None = None  # of the newest frame
        self._learnt_s = 0.0

    @property
    def knows_empty(self) -> bool:
        """Whether an empty place was learnt."""
        return self._empty is not None

    def see(self, frame: Frame, at_s: float) -> Sight:
        """Take the next frame. Raises InputError for one in the memory of a device."""
        now, self._tint = cells_of(frame)
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
        changed = self._changed(now, self._empty) | self._tinted(now)
        boxes, reaches_out = self._blobs(self._solid(now, changed), frame) if changed.any() else ([], False)
        if at_s > self._anchor_s:
            self._follow_light(now, changed, at_s)
        self._learnt_s = at_s
        return Sight(None, self._anchor_s, boxes, reaches_out)

    def learn(self, at_s: float) -> None:
        """What is seen now is the empty place."""
        assert self._anchor is not None  # a frame was seen
        self._empty = self._anchor.copy() if self._last is None else self._last.copy()
        self._empty_tint = self._tint
        self._pattern = 0.0 if self._anchor is self._last else _likeness(self._anchor, self._empty)
        self._learnt_s = at_s

    # ---- inside ----

    def _unseen(self, why: BlockedReason, at_s: float) -> Sight:
        self._anchor, self._last = None, None
        return Sight(why, at_s, [], False)

    def _is_covered(self, now: Grid) -> bool:
        """Most of it is not the place, and hardly any detail is left: a palm on the lens, or something close to it."""
        if self._empty is None or self._pattern < _PATTERN:
            return False
        other = np.abs(now - self._empty) > self._threshold(self._empty)
        if np.count_nonzero(other) <= _CHANGED * other.size:
            return False
        least = max(_DETAIL_LEFT * _detail(self._empty), _NOISE_EDGES * self._noise)
        return _detail(now) <= least and _likeness(now, self._empty) < _UNLIKE

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
        return int(np.count_nonzero(self._changed(now, self._anchor))) > self._options.smallest * now.size

    def _changed(self, now: Grid, reference: Grid) -> Mask:
        """Cells that are not those of ``reference``, whatever the light does to all of them alike; single ones are noise."""
        import cv2

        threshold = self._threshold(reference)
        ratio = now / np.maximum(reference, 0.02)
        border = np.concatenate([ratio[0], ratio[-1], ratio[1:-1, 0], ratio[1:-1, -1]])
        best: Mask = np.abs(now - reference) > threshold
        if not best.any():
            return best
        for gain in (float(np.median(ratio)), float(np.median(border))):
            changed = np.abs(now - np.minimum(gain * reference, 1.0)) > threshold
            if np.count_nonzero(changed) < np.count_nonzero(best):
                best = changed
        opened = cv2.morphologyEx(best.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        return np.asarray(opened, np.bool_)

    def _tinted(self, now: Grid) -> Mask:
        """Cells of another colour than the empty place's, whatever the light's colour does to all alike: an arm may be as bright as the counter."""
        import cv2

        if self._tint is None or self._empty_tint is None:
            return np.zeros(now.shape, np.bool_)
        difference = self._tint - self._empty_tint
        difference -= np.median(difference, axis=(0, 1))
        doubt = self._alarms * self._noise / np.maximum(now, LEAST_TINTED)
        other = np.abs(difference).max(axis=2) > np.maximum(_STRANGE_TINT, doubt)
        return np.asarray(cv2.morphologyEx(other.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.bool_)

    def _solid(self, now: Grid, changed: Mask) -> Mask:
        """Of the cells that changed, those that are no shadow: a shadow darkens evenly, and the place's pattern and tint stay in it.

        All of them where nearly all look like shadow: then it is a dark thing without a pattern.
        """
        import cv2

        assert self._empty is not None
        ratio = np.log(np.maximum(now, 0.01) / np.maximum(self._empty, 0.01))
        uneven = np.abs(ratio - cv2.blur(ratio, (3, 3)))
        doubt = 3 * math.sqrt(2) * self._noise / np.maximum(np.minimum(now, self._empty), 0.01)
        shadow = (ratio < 0) & (ratio > _DEEPEST) & (uneven < np.maximum(_UNEVEN, doubt))
        if self._tint is not None and self._empty_tint is not None:
            shadow &= np.abs(self._tint - self._empty_tint).max(axis=2) < np.maximum(_OTHER_TINT, doubt / 2)
        solid = cv2.morphologyEx((changed & ~shadow).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        if solid.sum() < _LEAST_SOLID * changed.sum():
            return changed
        return np.asarray(solid, np.bool_)

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
        return _joined([box for _, box in found]), reaches_out

    def _follow_light(self, now: Grid, changed: Mask, at_s: float) -> None:
        """What is empty here and now is what the place looks like in this light."""
        import cv2

        assert self._empty is not None
        share = 1.0 - math.exp(-max(0.0, at_s - self._learnt_s) / self._options.adapt_s)
        around = cv2.dilate(changed.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        around |= now > _WHITE  # how bright it really is cannot be told, and would be missed when the light goes back
        followed = self._empty + np.float32(share) * (now - self._empty)
        beside = (cv2.dilate(changed.astype(np.uint8), np.ones((_BESIDE, _BESIDE), np.uint8)) > 0) & ~around
        gain = float(np.median(now[beside] / np.maximum(self._empty[beside], 0.02))) if beside.any() else 1.0
        hidden = self._empty * np.float32(
            1.0 + share * (gain - 1.0)
        )  # under a product the light changes as it does beside it
        self._empty = np.where(around, hidden, followed).astype(np.float32)
        if self._tint is not None and self._empty_tint is not None:
            tint = self._empty_tint + np.float32(share) * (self._tint - self._empty_tint)
            self._empty_tint = np.where(around[..., None], self._empty_tint, tint).astype(np.float32)


def _detail(grid: Grid) -> float:
    """How high the higher steps between neighbouring cells are."""
    steps = np.concatenate([np.abs(np.diff(grid, axis=0)).ravel(), np.abs(np.diff(grid, axis=1)).ravel()])
    return float(np.quantile(steps, _EDGES))


def _joined(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap are parts of one thing: the box around both, the largest first."""
    found: list[Box] = []
    for box in boxes:
        grown = box
        for other in [one for one in found if overlap(one, grown) > 0]:
            grown = (min(grown[0], other[0]), min(grown[1], other[1]), max(grown[2], other[2]), max(grown[3], other[3]))
            found.remove(other)
        found.append(grown)
    return sorted(found, key=lambda one: -(one[2] - one[0]) * (one[3] - one[1]))


def _likeness(one: Grid, other: Grid) -> float:
    """The correlation of the fine patterns of both, -1…1."""
    import cv2

    fine = [grid - cv2.blur(grid, (5, 5)) for grid in (one, other)]
    scale = math.sqrt(float((fine[0] ** 2).sum()) * float((fine[1] ** 2).sum()))
    return float((fine[0] * fine[1]).sum()) / scale if scale > 0 else 0.0


def _extent(counts: npt.NDArray[np.integer]) -> tuple[int, int]:
    """First cell, and the first after the last, of what holds 98 % of them: thin tails are shadows."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, 0.01)), int(np.searchsorted(share, 0.99)) + 1
