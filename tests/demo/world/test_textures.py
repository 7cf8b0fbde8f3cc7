"""Materials: pictures that repeat, and that do not pile up in memory."""

import numpy as np
import pytest

from edgevision.demo.world import textures


@pytest.mark.parametrize("make", [textures.speckled, textures.wooden])
def test_a_seed_gives_one_picture(make):
    first = make((100, 110, 120), 8.0, 4.0, 1).copy()
    assert first.shape == (32, 64, 3)
    assert not np.array_equal(first, make((100, 110, 120), 8.0, 4.0, 2))
    make.cache_clear()
    assert np.array_equal(first, make((100, 110, 120), 8.0, 4.0, 1))


@pytest.mark.parametrize("make", [textures.speckled, textures.wooden])
def test_a_thousand_worlds_keep_few_pictures(make):
    for seed in range(40):
        make((100, 110, 120), 2.0, 2.0, seed)
    assert make.cache_info().currsize <= 16
