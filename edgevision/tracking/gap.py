"""A time in which no frame came, as when a connection breaks: what it is, and what moved meanwhile.

Nobody looked, so that it ends no track. What was on a belt is looked for where its velocity takes it; but the belt may have stood still meanwhile, or
part of the time, as where both have one power supply. What is seen after the gap tells.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from edgevision.tracking.motion import Floats
from edgevision.tracking.overlap import iou

LEAST_S = 0.3
LEAST_PERIODS = 3.0  # usual times between frames: what is longer is a gap
REMEMBERED = 15  # times between frames; their median is the usual one
SHARES = np.linspace(0.0, 1.2, 25)  # of the way that the velocities give
WENT_ON = SHARES > 0.79  # and more than 1, for velocities are not exact
NEARLY = 0.6  # of the best explanation: the likelier one is taken. Products stand close, and a wrong share moves them onto their neighbours
LEAST_SEEN = 0.1  # squared overlap of one track: with less in all, nothing tells what moved


class Rhythm:
    """The usual time between two frames of a camera.

    >>> rhythm = Rhythm()
    >>> [rhythm.add(seconds, 3.0) for seconds in (0.1, 0.1, 0.1, 0.2, 1.2, 0.1)]
    [False, False, False, False, True, False]
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def usual_s(self) -> float:
        """The median of the last times; 0 before there is one."""
        return float(np.median(self._times)) if self._times else 0.0

    def add(self, passed_s: float, longest_s: float) -> bool:
        """So much time passed: whether that is a gap, no longer than ``longest_s``. A camera that has become slow has no gaps, once that is usual."""
        is_gap = len(self._times) >= 3 and max(LEAST_S, LEAST_PERIODS * self.usual_s) < passed_s <= longest_s
        self._times.append(passed_s)
        return is_gap


class Gap:
    """One gap. ``end_s``: when its first frame came; ``moving_s``: for how many of its seconds things moved, 0 where nothing tells."""

    def __init__(self, end_s: float, seconds: float, centers: Floats) -> None:
        """``centers`` [n, 2]: where the tracks were when it began."""
        self.end_s = end_s
        self.moving_s = 0.0
        self._seconds = seconds
        self._centers = centers
        self._share = 1.0

    def judge(self, predicted: Floats, confirmed: npt.NDArray[np.bool_], seen: Floats) -> None:
        """Which share of their way the tracks went: the one by which they overlap most with what is seen. That they went on goes before that they
        stood, and that before what lies between.

        ``predicted`` [n, 4]: the tracks' boxes, had they gone on as they did; ``confirmed`` [n]: those that count; ``seen`` [m, 4].
        """
        boxes, began = predicted[confirmed], self._centers[confirmed]
        if not len(boxes) or not len(seen):
            return
        way = (boxes[:, :2] + boxes[:, 2:]) / 2 - began
        still = np.zeros((len(boxes), 1))
        # Squares: neighbours on a full belt overlap a wrong place a little, each of them.
        overlaps = np.array([
            np.square(iou(boxes - np.tile((1 - share) * way, 2), seen, still).max(axis=1)).sum() for share in SHARES
        ])  # fmt: skip
        if overlaps.max() < LEAST_SEEN:
            return
        went_on, best = int(np.where(WENT_ON, overlaps, -1.0).argmax()), int(overlaps.argmax())
        chosen = next(one for one in (went_on, 0, best) if overlaps[one] >= NEARLY * overlaps[best])
        self._share = share = float(SHARES[chosen])
        self.moving_s = share * self._seconds

    def moved(self, predicted: Floats) -> Floats:
        """Where the tracks are, [n, 2], of where they had been, had they gone on as they did."""
        where: Floats = self._centers + self._share * (predicted - self._centers)
        return where
