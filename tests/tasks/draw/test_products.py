"""A cascade's answer on its picture: the first model's boxes, the second one's names."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.tasks import Classification, Detections, Label, Prediction, Timing
from edgevision.tasks.draw import draw
from edgevision.tasks.draw.detect import color_of
from edgevision.tasks.draw.products import UNKNOWN
from edgevision.tasks.products import Products

TIMING = Timing(0, 0, 0)
BOX = (100, 150, 300, 350)


def one(result):
    detections = Detections(
        np.array([BOX], np.float32), np.array([0.8], np.float32), np.array([0]), (Label(5, "thing"),), TIMING
    )
    return Products(detections, (result,))


def classified(known, id=3, name="milk"):
    return Classification((Prediction(id, name, 0.75), Prediction(4, "tea", 0.25)), known, TIMING)


def grey():
    return np.full((400, 600, 3), 128, np.uint8)


@pytest.mark.parametrize(("result", "color"), [(classified(True), color_of(3)), (classified(False), UNKNOWN)])
def test_the_box_has_the_colour_of_what_it_was_recognised_as(result, color):
    drawn = draw(grey(), one(result))
    rows, columns = np.nonzero((drawn == np.array(color)).all(axis=2)[150:])
    assert (columns.min(), columns.max(), rows.max() + 150) == pytest.approx((100, 299, 349), abs=1)


def test_the_second_models_name_stands_there():
    """Pictures differ exactly where the text differs: by the name of the second model, and by whether it knows it."""
    milk, bread, unknown, another = (
        draw(grey(), one(result))
        for result in (
            classified(True),
            classified(True, name="bread"),
            classified(False),
            classified(False, name="bread"),
        )
    )
    assert (milk != bread).any()
    assert (milk != unknown).any()
    np.testing.assert_array_equal(unknown, another)
