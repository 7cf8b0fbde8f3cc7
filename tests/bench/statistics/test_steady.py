from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.statistics.steady import first_steady, window_medians
from edgevision.errors import InputError


@pytest.mark.parametrize(
    ("figures", "place"),
    [
        ([10, 10, 10], 0),
        ([30, 14, 10.4, 10.0, 10.2], 2),
        ([10, 10], None),
        ([], None),
        ([10, 12, 10, 12, 10], None),
        ([10, 11, 10.5], 0),  # 10 %, and no more
        ([10, 11.01, 10.5], None),
        ([100, 80, 60, 50, 41, 40, 39, 10], 4),
    ],
)
def test_steady_is_where_three_windows_are_alike(figures, place):
    assert first_steady(figures) == place


def test_windows_that_are_not_full_are_left_out():
    assert window_medians(np.array([1, 2, 9, 4, 4, 4, 100]), 3) == [2.0, 4.0]
    assert window_medians(np.array([1, 2]), 3) == []


@pytest.mark.parametrize(
    "call",
    [lambda: first_steady([1, 0, 1]), lambda: first_steady([1, 1], windows=1), lambda: window_medians(np.ones(3), 0)],
)
def test_wrong_input_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()
