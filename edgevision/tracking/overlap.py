"""How much boxes overlap."""

from __future__ import annotations

import numpy as np

from edgevision.tracking.motion import Floats


def iou(boxes: Floats, others: Floats, grown: Floats) -> Floats:
    """Intersection over union [n, m] of ``boxes`` [n, 4] and ``others`` [m, 4], all grown by ``grown`` [n, 1] pixels on each side.
    0 where both are empty."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2]) - grown[:, :, None]
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) + grown[:, :, None]
    common = np.prod(np.maximum(high - low, 0), axis=2)
    own = np.prod(boxes[:, None, 2:] - boxes[:, None, :2] + 2 * grown[:, :, None], axis=2)
    other = np.prod(others[None, :, 2:] - others[None, :, :2] + 2 * grown[:, :, None], axis=2)
    union = own + other - common
    iou: Floats = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return iou
