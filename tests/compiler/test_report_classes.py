"""What each class lost, against counting photo by photo."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.compiler.report_classes import class_lines
from edgevision.errors import InputError
from edgevision.tasks.results import Label

pytestmark = pytest.mark.requires("torch", "onnx")

LABELS = tuple(Label(10 * i, f"class {i}") for i in range(8))


@pytest.mark.parametrize("seed", range(5))
def test_lines_are_what_counting_gives(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 1, 2, 5, 6], 150, p=[0.5, 0.2, 0.2, 0.05, 0.05])
    float_right, variant_right = rng.random(150) < 0.9, rng.random(150) < 0.8
    lines = class_lines(float_right, variant_right, truth, LABELS)
    assert {line.name for line in lines} == {LABELS[c].name for c in set(truth.tolist())}  # and no class without photos
    for line in lines:
        mine = [i for i in range(150) if LABELS[truth[i]].name == line.name]
        assert line.loss.n == len(mine)
        assert line.float_right == sum(bool(float_right[i]) for i in mine)
        assert line.variant_right == sum(bool(variant_right[i]) for i in mine)
        assert line.loss.lost == sum(bool(float_right[i] and not variant_right[i]) for i in mine)
        assert line.loss.gained == sum(bool(variant_right[i] and not float_right[i]) for i in mine)
        assert line.ruled == (len(mine) >= 20)
    nets = [line.loss.net for line in lines]
    assert nets == sorted(nets, reverse=True)


def test_of_equal_losses_the_larger_share_comes_first():
    truth = np.array([0] * 10 + [1] * 2 + [2] * 5)
    right = np.ones(17, bool)
    variant = right.copy()
    variant[[0, 10]] = False  # one photo each of the first two
    lines = class_lines(right, variant, truth, LABELS)
    assert [line.name for line in lines] == ["class 1", "class 0", "class 2"]
    assert lines[0].to_dict() == {
        "name": "class 1", "index": 1, "n": 2, "lost": 1, "gained": 0, "float_right": 2, "variant_right": 1,
    }  # fmt: skip


def test_a_class_without_a_label_is_refused():
    with pytest.raises(InputError, match="expected classes below 8"):
        class_lines([True], [True], [8], LABELS)
