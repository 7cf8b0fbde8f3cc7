"""Attributes on their picture, and in the boxes of a cascade."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tasks import Attribute, Attributes, Detections, Label, Timing
from edgevision.tasks.draw import draw
from edgevision.tasks.draw.attributes import UNKNOWN
from edgevision.tasks.products import Products

TIMING = Timing(0, 0, 0)


def found(*rows):
    return Attributes(tuple(Attribute(*row) for row in rows), TIMING)


RED = ("colour", "red", 0.9, True)


def grey(size=(400, 600)):
    return np.full((*size, 3), 128, np.uint8)


@pytest.mark.parametrize("size", [(400, 600), (120, 160), (16, 64)])
def test_a_line_for_each_attribute_at_the_foot(size):
    picture = grey(size)
    one, two = (draw(picture, found(*rows)) for rows in ([RED], [RED, ("kind", "apple", 0.5, True)]))
    assert (picture == 128).all()  # it is a copy that is drawn on
    assert one.shape == two.shape
    bands = [int((drawn != 128).any(axis=(1, 2)).sum()) for drawn in (one, two)]
    assert bands[0] < bands[1] or bands[1] == len(two)  # as many as fit
    if size[0] > 200:
        assert (one[: size[0] // 2] == 128).all()


def test_what_is_not_known_is_amber():
    known, unknown = (draw(grey(), found(("colour", "red", 0.9, known))) for known in (True, False))
    amber = [
        np.abs(one.astype(int) - np.array(UNKNOWN)).max(axis=2) <= 40 for one in (known, unknown)
    ]  # thin strokes are mixed
    assert not amber[0].any()
    assert amber[1].any()


def test_a_box_of_a_cascade_has_the_known_values():
    detections = Detections(
        np.array([(100, 150, 300, 350)], np.float32),
        np.array([0.8], np.float32),
        np.array([0]),
        (Label(5, "thing"),),
        TIMING,
    )
    pictures = [
        draw(grey(), Products(detections, (found(*rows),)))
        for rows in (
            [RED],
            [("colour", "red", 0.4, True)],
            [("colour", "blue", 0.9, True)],
            [("colour", "red", 0.9, False)],
        )
    ]
    assert np.array_equal(pictures[0], pictures[1])  # the score is not shown
    assert not np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[3])
