"""One place before one camera, drawn: what is told of each frame is so."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from edgevision.demo.products import LISTED
from edgevision.demo.visits import visits
from edgevision.errors import InputError


def test_a_place_is_empty_before_and_after_each_product():
    moments = list(visits(seed=4, count=2, fps=5))
    runs = [(product, len(list(some))) for product, some in groupby(moments, lambda moment: moment.product)]
    assert [length for _, length in runs] == [5, 8, 5, 8, 5]
    assert [product is None for product, _ in runs] == [True, False, True, False, True]
    products = [product for product, _ in runs if product]
    assert set(products) <= set(LISTED)
    assert len(set(products)) == 2
    assert [moment.at_s for moment in moments] == [number / 5 for number in range(31)]


def test_the_camera_does_not_move_and_its_frames_have_noise():
    moments = list(visits(seed=4, count=1, fps=5))
    empty = np.stack([moment.frame for moment in moments if moment.product is None]).astype(np.float32)
    there = np.stack([moment.frame for moment in moments if moment.product]).astype(np.float32)
    noise = np.abs(empty[1:] - empty[0]).mean((1, 2, 3))
    assert (noise > 0).all()
    assert noise.max() < 6
    assert np.abs(there.mean(0) - empty.mean(0)).mean() > 3 * noise.max()


def test_the_same_seed_gives_the_same_frames():
    first, second = (next(visits(seed=9, count=1)).frame for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (next(visits(seed=10, count=1)).frame != first).any()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "fps": 0.0}])
def test_a_place_without_frames_is_refused(wrong):
    with pytest.raises(InputError):
        next(visits(0, **wrong))
