"""Boxes on pictures: where they are, what colour they have, and that names can be read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.tasks import Detections, Label, Timing
from edgevision.tasks.draw import draw
from edgevision.tasks.draw.detect import color_of


def found(*rows, names=("apple", "oat milk", "Crème")):
    """Of rows (class, score, box)."""
    return Detections(
        np.array([box for *_, box in rows], np.float32).reshape(-1, 4), np.array([row[1] for row in rows], np.float32),
        np.array([row[0] for row in rows], np.int64), tuple(Label(i, name) for i, name in enumerate(names)), Timing(0, 0, 0),
    )  # fmt: skip


def grey(height, width):
    return np.full((height, width, 3), 128, np.uint8)


def of_color(image, place):
    return (image == np.array(color_of(place))).all(axis=2)


def test_the_box_is_where_it_was_found():
    drawn = draw(grey(400, 600), found((0, 0.9, (100, 150, 300, 350))))
    rows, columns = np.nonzero(of_color(drawn, 0)[150:])  # under the label, which is above the box
    assert (columns.min(), columns.max()) == pytest.approx((100, 299), abs=1)
    assert rows.max() + 150 == pytest.approx(349, abs=1)
    assert (drawn[170:330, 120:280] == 128).all()  # the product itself is left alone


@pytest.mark.parametrize("size", [(1, 1), (24, 32), (240, 320), (1080, 1920), (2000, 400), (30, 3000)])
@pytest.mark.parametrize("part", [(0, 0, 1, 1), (0.4, 0.4, 0.6, 0.6), (0.9, 0, 1, 0.05), (0, 0.98, 0.02, 1)])
def test_any_size_gets_a_name_that_can_be_read(size, part):
    """The label lies inside the picture, wherever the box is; its text is as wide as another name's is not."""
    height, width = size
    box = np.array(part) * (width, height, width, height)
    image = grey(*size)
    drawn, other = (draw(image, found((0, 0.87, box), names=(name,))) for name in ("apple", "apples"))
    assert drawn.shape[1] >= 320
    assert drawn.shape[0] % height == 0
    assert drawn.shape[1] * height == drawn.shape[0] * width
    assert (image == 128).all()
    plate = of_color(drawn, 0)
    assert plate.any()
    if drawn.shape[0] >= 30:
        assert plate.sum() >= 14 * 40  # a line of text of 14 pixels, at least
        assert (drawn != other).any()


def test_classes_have_colours_that_differ():
    colors = np.array([color_of(place) for place in range(80)], float)
    assert len(np.unique(colors, axis=0)) == 80
    assert min(np.abs(a - b).max() for a, b in pairwise(colors)) >= 60
    first = colors[:12]
    assert min(np.abs(first[i] - first[j]).max() for i in range(12) for j in range(i)) >= 25


def test_each_class_is_drawn_in_its_own_colour():
    drawn = draw(grey(300, 400), found((0, 0.9, (20, 60, 120, 200)), (2, 0.8, (200, 60, 320, 200))))
    assert of_color(drawn, 0)[:, :150].any()
    assert of_color(drawn, 2)[:, 200:].any()
    assert not of_color(drawn, 1).any()
    assert not of_color(drawn, 0)[:, 200:].any()


def test_better_boxes_are_drawn_over_others():
    box = (100, 100, 200, 200)
    drawn = draw(grey(300, 400), found((1, 0.9, box), (0, 0.8, box)))
    assert of_color(drawn, 1).sum() > 500
    assert not of_color(drawn, 0)[100:].any()


def test_long_names_end_at_the_edge():
    box = (300, 100, 310, 200)
    drawn = draw(grey(300, 320), found((0, 0.9, box), names=("Very long product name " * 9,)))
    assert of_color(drawn, 0)[80:99].sum(axis=1).max() <= 320
    assert (drawn != 128).any()


def test_nothing_found_leaves_the_picture():
    image = grey(300, 400)
    drawn = draw(image, found())
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


@pytest.mark.parametrize("image", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)), "a"])
def test_refuses_what_is_no_bgr_picture(image):
    with pytest.raises(InputError, match="H×W×3 uint8 BGR"):
        draw(image, found((0, 0.9, (1, 1, 5, 5))))


def test_results_of_other_tasks_are_refused():
    with pytest.raises(InputError, match="draw knows the results of classify, detect, attributes, got dict"):
        draw(grey(9, 9), {})
