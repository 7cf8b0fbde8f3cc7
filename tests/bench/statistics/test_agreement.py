from __future__ import annotations

import numpy as np
import pytest
from bench_samples import classes, found, tensor

from edgevision.bench.statistics.agreement import agreement, same_answer
from edgevision.bench.targets.base import Answer
from edgevision.errors import InputError

BOX, NEAR, FAR = (0.0, 0, 10, 10), (0.0, 0, 10, 8), (50.0, 50, 60, 60)


@pytest.mark.parametrize(
    ("a", "b", "share", "worst"),
    [
        ([classes(1), classes(2)], [classes(1), classes(2)], 1.0, 0.0),
        ([classes(1), classes(2)], [classes(1), classes(20)], 0.5, 0.0),
        ([classes(1, 0.8)], [classes(1, 0.75)], 1.0, 0.05),
        ([found(BOX)], [found(NEAR)], 1.0, 0.0),  # IoU 0.8
        ([found(BOX)], [found(FAR)], 0.0, 0.0),
        ([found(BOX)], [found(BOX, label=1)], 0.0, 0.0),
        ([found(BOX, score=0.9)], [found(BOX, score=0.6)], 1.0, 0.3),
        ([found(BOX, FAR)], [found(BOX)], 2 / 3, 0.0),
        ([found(BOX, BOX)], [found(BOX)], 2 / 3, 0.0),  # each box once
        ([found(), found(BOX)], [found(), found(BOX)], 1.0, 0.0),
        ([found()], [found()], 1.0, 0.0),
        ([found()], [found(BOX)], 0.0, 0.0),
        ([tensor(3, 4)], [tensor(3, 4)], 1.0, 0.0),
        ([tensor(3, 4.5)], [tensor(3, 4)], 0.9, 0.1),
        ([tensor(-3, -4)], [tensor(3, 4)], 0.0, 2.0),
        ([tensor(0)], [tensor(0)], 1.0, 0.0),
    ],
)
def test_how_far_targets_agree(a, b, share, worst):
    result = agreement(a, b)
    assert result.share == pytest.approx(share)
    assert result.worst == pytest.approx(worst)
    assert result.text


def test_of_two_boxes_the_nearer_one_is_taken():
    result = agreement([found(BOX, NEAR)], [found(NEAR, BOX)])
    assert result.share == 1.0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "same frames"),
        ([classes(1)], [classes(1)] * 2, "same frames"),
        ([classes(1)], [found(BOX)], "one kind"),
        ([tensor(1)], [tensor(1, 2)], "as many"),
        ([tensor(1)], [Answer(np.zeros(0, np.int64), np.zeros(0), tensors={"other": np.ones(1)})], "same outputs"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, message):
    with pytest.raises(InputError, match=message):
        agreement(a, b)


TIED = Answer(np.array([1, 2]), np.array([0.4, 0.4]))
SWAPPED = Answer(np.array([2, 1]), np.array([0.4, 0.4]))


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (classes(1), classes(1), True),
        (classes(1, 0.8), classes(1, 0.8005), True),
        (classes(1, 0.8), classes(1, 0.81), False),
        (classes(1), classes(2), False),
        (TIED, SWAPPED, True),
        (found(BOX), found((0.3, 0, 10, 10)), True),
        (found(BOX), found((4.0, 0, 10, 10)), False),
        (found(BOX), found(BOX, FAR), False),
        (found(), found(), True),
        (found(BOX), classes(0, 0.9, others=0), False),
        (tensor(1, 2), tensor(1, 2.0001), True),
        (tensor(1, 2), tensor(1, 2.1), False),
    ],
)
def test_the_same_answer(a, b, same):
    assert same_answer(a, b) is same
