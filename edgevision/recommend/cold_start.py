"""What is new is expected to sell like what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevision.recommend.shelf import Shelf

NEIGHBOURS = 5
_ROWS = 1024  # looked at together: a bound of memory


@dataclass(frozen=True, eq=False)
class LookAlikes:
    """For each new product (``new``: places on the shelf, [m]) the known ones that it looks like: ``places`` [m, k], with ``weights``
    [m, k] that add up to 1."""

    new: npt.NDArray[np.intp]
    places: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float64]

    def lend(self, values: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
        """``values`` [n] of all products, with those of new ones replaced by ``share`` of what their look-alikes have."""
        if not len(self.new):
            return values
        lent = values.copy()
        lent[self.new] = share * (values[self.places] * self.weights).sum(axis=1)
        return np.asarray(lent)


def find_look_alikes(shelf: Shelf, known: npt.NDArray[np.bool_], warmth: float) -> LookAlikes:
    """The known products ([n] bool) nearest to every pictured product that is not known, weighed by exp(cosine / ``warmth``)."""
    new = np.flatnonzero(~known & shelf.pictured)
    old = np.flatnonzero(known & shelf.pictured)
    k = min(NEIGHBOURS, len(old))
    if not k:
        return LookAlikes(np.zeros(0, np.intp), np.zeros((0, 0), np.intp), np.zeros((0, 0)))
    places = np.empty((len(new), k), np.intp)
    weights = np.empty((len(new), k))
    for start in range(0, len(new), _ROWS):
        rows = new[start : start + _ROWS]
        cosines = shelf.looks[rows] @ shelf.looks[old].T
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(cosines, nearest, axis=1).astype(np.float64)
        heat = np.exp((near - near.max(axis=1, keepdims=True)) / warmth)
        places[start : start + len(rows)] = old[nearest]
        weights[start : start + len(rows)] = heat / heat.sum(axis=1, keepdims=True)
    return LookAlikes(new, places, weights)
