"""How often products change their ids, as the MOT challenge counts it.

After K. Bernardin and R. Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", EURASIP Journal
on Image and Video Processing, 2008: a pair of product and track that was made in the frame before stays as long as the boxes
overlap enough; the rest is paired anew; a product that is paired with another id than last time is one switch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevision.tracking.assignment import assign

LEAST_IOU = 0.5


class IdSwitches:
    """Counts over the frames of one film: ``switches``, ``misses`` (products without a track) and ``ids`` that were paired."""

    def __init__(self) -> None:
        self.switches = 0
        self.misses = 0
        self.ids: set[int] = set()
        self._last: dict[int, int] = {}  # product → the id that it had last
        self._now: dict[int, int] = {}  # product → its id in the frame before

    def update(
        self,
        products: Sequence[int],
        product_boxes: npt.NDArray[np.float64],
        ids: Sequence[int],
        boxes: npt.NDArray[np.float64],
    ) -> None:
        """One frame: the true ``products`` [n] with their boxes [n, 4], and the tracks' ``ids`` [m] with theirs [m, 4]."""
        iou = _iou(product_boxes, boxes)
        now: dict[int, int] = {}
        for row, product in enumerate(products):
            identity = self._now.get(product)
            if identity is not None and identity in ids and iou[row, ids.index(identity)] >= LEAST_IOU:
                now[product] = identity
        rows = [row for row, product in enumerate(products) if product not in now]
        columns = [column for column, identity in enumerate(ids) if identity not in now.values()]
        for row, column in assign(iou[np.ix_(rows, columns)], LEAST_IOU).tolist():
            now[products[rows[row]]] = ids[columns[column]]
        for product, identity in now.items():
            if self._last.get(product, identity) != identity:
                self.switches += 1
            self._last[product] = identity
        self.misses += len(products) - len(now)
        self.ids.update(now.values())
        self._now = now


def _iou(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[n, m] of boxes [n, 4] and [m, 4]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (boxes, others)]
    iou: npt.NDArray[np.float64] = common / np.maximum(areas[0][:, None] + areas[1][None, :] - common, 1e-9)
    return iou
