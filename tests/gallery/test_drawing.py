"""Where a gallery holds its examples, against plain loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from galleries import directions, held

from edgevision.gallery.drawing import PULL, drawn_to_means


@pytest.mark.parametrize("pull", [PULL, 0.25, 4.0])
@pytest.mark.parametrize("counts", [[3, 1, 4], [1], [2, 2], [7]])
def test_as_plain_loops_draw_them(counts, pull):
    product_of = np.random.default_rng(3).permutation(np.repeat([4, 9, 2][: len(counts)], counts))
    vectors = directions(len(product_of), seed=1).astype(np.float32)
    before = vectors.copy()
    drawn = drawn_to_means(vectors, product_of, pull)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn, held(vectors, product_of, pull), atol=1e-6)
    np.testing.assert_array_equal(vectors, before)


def test_a_single_example_stays_to_the_last_bit():
    vectors = directions(5).astype(np.float32)
    np.testing.assert_array_equal(drawn_to_means(vectors, np.arange(5)), vectors)


def test_views_that_point_against_each_other_have_no_mean():
    vectors = np.array([[1, 0], [-1, 0]], np.float32)
    np.testing.assert_array_equal(drawn_to_means(vectors, np.zeros(2, int)), vectors)


def test_what_lies_against_its_mean_stays():
    vectors = np.array([[1, 0], [1, 0], [-1, 0]], np.float32)
    np.testing.assert_array_equal(drawn_to_means(vectors, np.zeros(3, int)), vectors)


def test_no_examples():
    assert drawn_to_means(np.empty((0, 4), np.float32), np.empty(0, np.int64)).shape == (0, 4)
