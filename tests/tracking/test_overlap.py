"""Overlaps against areas that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tracking.overlap import iou


@pytest.mark.parametrize(("one", "other", "grown", "expected"), [
    ([0, 0, 10, 10], [0, 0, 10, 10], 0, 1.0), ([0, 0, 10, 10], [5, 0, 15, 10], 0, 50 / 150), ([0, 0, 10, 10], [10, 0, 20, 10], 0, 0.0),
    ([0, 0, 10, 10], [10, 0, 20, 10], 5, 200 / 600), ([0, 0, 0, 0], [0, 0, 0, 0], 0, 0.0),
])  # fmt: skip
def test_intersection_over_union(one, other, grown, expected):
    found = iou(np.array([one], float), np.array([other, [500, 500, 510, 510]], float), np.array([[float(grown)]]))
    np.testing.assert_allclose(found, [[expected, 0.0]])
