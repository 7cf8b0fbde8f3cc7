"""In which order to paint solids, so that near ones cover far ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.demo.camera import Matrix, project
from edgevision.demo.raster import Solid

_TOUCH_CM = 0.05  # solids may overlap by this much and still count as side by side
_Floats = npt.NDArray[np.float64]


def far_first(solids: Sequence[Solid], turns: Sequence[Matrix], matrix: Matrix, eye: Matrix) -> list[int]:
    """Places in ``solids`` in painting order. ``turns``: the rotation of each, whose columns are its own axes.

    Where a side of one solid's box, prolonged, has the other solid on its far side, it also tells which of them cannot cover
    the other: the one that is not on the camera's side. Pairs that no side parts go by the distance of their middles.
    """
    if not solids:
        return []
    clear = _cannot_cover(solids, turns, eye)
    # ``before[i, j]``: i has to be painted before j.
    before = clear & ~clear.T & _overlap(solids, matrix)
    middles = np.stack([(s.points.min(axis=0) + s.points.max(axis=0)) / 2 for s in solids])
    away = ((middles - eye) ** 2).sum(axis=1)
    left, order = list(range(len(solids))), []
    while left:
        free = [i for i in left if not before[left, i].any()] or left  # a circle is broken at its farthest solid
        chosen = max(free, key=lambda i: float(away[i]))
        order.append(chosen)
        left.remove(chosen)
    return order


def _cannot_cover(solids: Sequence[Solid], turns: Sequence[Matrix], eye: Matrix) -> npt.NDArray[np.bool_]:
    """``[i, j]``: solid i cannot cover solid j, because a plane lies between them and j is on the camera's side."""
    n = len(solids)
    low, high, at = np.empty((n, 3, n)), np.empty((n, 3, n)), np.empty((n, 3))
    points = np.concatenate([s.points for s in solids])
    starts = np.cumsum([0, *(len(s.points) for s in solids[:-1])])
    for i, turn in enumerate(turns):
        along = points @ turn  # every solid's points along the axes of solid i
        low[i], high[i] = np.minimum.reduceat(along, starts).T, np.maximum.reduceat(along, starts).T
        at[i] = eye @ turn
    own = np.arange(n)
    own_low, own_high = low[own, :, own], high[own, :, own]
    above, below = low >= own_high[:, :, None] - _TOUCH_CM, high <= own_low[:, :, None] + _TOUCH_CM
    eye_above, eye_below = (at >= own_high)[:, :, None], (at <= own_low)[:, :, None]
    behind = (above & eye_above) | (below & eye_below)  # i is behind j, as i's own sides tell
    before = (above & ~eye_above) | (below & ~eye_below)
    return np.asarray(behind.any(axis=1) | before.any(axis=1).T, np.bool_)


def _overlap(solids: Sequence[Solid], matrix: Matrix) -> npt.NDArray[np.bool_]:
    """``[i, j]``: the boxes around both, in pixels, overlap."""
    pixels = [project(matrix, s.points) for s in solids]
    low, high = np.stack([p.min(axis=0) for p in pixels]), np.stack([p.max(axis=0) for p in pixels])
    return np.asarray(((low[:, None] < high[None]) & (low[None] < high[:, None])).all(axis=2), np.bool_)
