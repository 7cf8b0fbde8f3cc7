"""Boxes that hold one another, by hand, and against a plain loop over pairs."""

import numpy as np
import pytest

from edgevision.tracking.nested import nested

WHOLE, PART, BESIDE, AROUND = (100, 100, 200, 160), (110, 110, 150, 150), (190, 100, 290, 160), (90, 90, 300, 170)


def out(boxes, scores, classes=None, **options):
    kinds = np.zeros(len(boxes), np.int64) if classes is None else np.array(classes)
    return nested(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), kinds, **options).tolist()


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        ([], [], []),
        ([WHOLE], [0.9], [False]),
        ([WHOLE, PART], [0.8, 0.6], [False, True]),  # a part of a product
        ([PART, WHOLE], [0.6, 0.8], [True, False]),  # whatever their order
        ([WHOLE, PART], [0.6, 0.8], [True, False]),  # the greater one may be the weaker
        ([WHOLE, PART], [0.7, 0.7], [False, True]),  # of equal ones, the first stays
        ([WHOLE, BESIDE], [0.8, 0.7], [False, False]),  # neighbours that touch
        ([WHOLE, BESIDE, AROUND], [0.8, 0.7, 0.6], [False, False, True]),  # a box around two
        ([AROUND, WHOLE, PART], [0.9, 0.8, 0.7], [False, True, True]),
        # The middle one is out, so that the part, which lies in that one alone, stays.
        ([(0, 0, 100, 10), (50, 0, 130, 10), (105, 0, 125, 10)], [0.9, 0.8, 0.7], [False, True, False]),
        ([(0, 0, 0, 0), WHOLE], [0.9, 0.8], [False, False]),  # a box without area holds nothing
    ],
)
def test_of_two_boxes_the_stronger_stays(boxes, scores, expected):
    assert out(boxes, scores) == expected


def test_boxes_of_other_classes_stay():
    assert out([WHOLE, PART, PART], [0.9, 0.8, 0.7], [0, 1, 0]) == [False, False, True]


@pytest.mark.parametrize(("share", "expected"), [(0.59, [False, True]), (0.61, [False, False]), (1.0, [False, False])])
def test_the_share_is_of_the_smaller_box(share, expected):
    assert out([(0, 0, 100, 100), (70, 0, 120, 10)], [0.9, 0.8], share=share) == expected  # 30 of 50 pixels


def test_many_boxes_as_a_plain_loop_says():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 300, (60, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 150, (60, 2))], axis=1)
    scores, classes = rng.permutation(60) / 60, rng.integers(0, 2, 60)
    kept: list[int] = []
    for row in sorted(range(60), key=lambda one: -scores[one]):
        x1, y1, x2, y2 = boxes[row]
        for other in kept:
            a1, b1, a2, b2 = boxes[other]
            common = max(0.0, min(x2, a2) - max(x1, a1)) * max(0.0, min(y2, b2) - max(y1, b1))
            smaller = min((x2 - x1) * (y2 - y1), (a2 - a1) * (b2 - b1))
            if classes[row] == classes[other] and common > 0.6 * smaller:
                break
        else:
            kept.append(row)
    found = nested(boxes, scores, classes)
    assert 10 < found.sum() < 50
    assert np.flatnonzero(~found).tolist() == sorted(kept)
