from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgevision.tensors import TensorInfo, describe, items_of, joined


@pytest.fixture
def outputs():
    return {"boxes": np.arange(24, dtype=np.float32).reshape(4, 3, 2), "classes": np.arange(4, dtype=np.uint8)[:, None]}


@pytest.mark.parametrize("items", [slice(0, 4), slice(1, 3), slice(2, 2), slice(3, 99)])
def test_items_are_views_of_each_output(outputs, items):
    part = items_of(outputs, items)
    assert list(part) == ["boxes", "classes"]
    for name, array in outputs.items():
        np.testing.assert_array_equal(part[name], array[items])
        assert np.shares_memory(part[name], array) == (part[name].size > 0)
        assert part[name].dtype == array.dtype


@pytest.mark.parametrize("cuts", [[], [1], [1, 3], [1, 2, 3], [0, 4]])
def test_parts_joined_are_the_whole(outputs, cuts):
    bounds = [0, *cuts, 4]
    whole = joined([items_of(outputs, slice(a, b)) for a, b in pairwise(bounds)])
    assert list(whole) == ["boxes", "classes"]
    for name, array in outputs.items():
        np.testing.assert_array_equal(whole[name], array)
        assert whole[name].dtype == array.dtype
        assert not np.shares_memory(whole[name], array)  # the parts may be somebody's memory


def test_parts_may_name_their_outputs_in_any_order(outputs):
    turned = dict(reversed(outputs.items()))
    whole = joined([outputs, turned])
    np.testing.assert_array_equal(whole["classes"][:, 0], [0, 1, 2, 3] * 2)


def test_parts_with_other_names_are_refused(outputs):
    with pytest.raises(KeyError):
        joined([outputs, {"boxes": outputs["boxes"]}])


def test_described_outputs_have_a_dynamic_first_axis(outputs):
    assert describe(outputs) == (
        TensorInfo("boxes", "float32", (None, 3, 2)), TensorInfo("classes", "uint8", (None, 1)),
    )  # fmt: skip
    assert describe({}) == ()
    assert all(type(side) is int for info in describe(outputs) for side in info.shape[1:])
