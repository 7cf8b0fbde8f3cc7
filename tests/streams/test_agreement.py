"""How far two models agree: cases whose answer is counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from stream_items import TIMING, classified

from edgevision.streams.agreement import agreement
from edgevision.tasks.detections import Detections
from edgevision.tasks.products import Products
from edgevision.tasks.results import Classification, Label, Prediction

MILK, COLA = Label(7, "milk"), Label(9, "cola")
A, A_MOVED, A_FAR, B = (0, 0, 10, 10), (0, 0, 10, 8), (5, 0, 15, 10), (100, 100, 120, 120)


def seen(number: int, *, known: bool = True, score: float = 0.9) -> Classification:
    return Classification((Prediction(number, "", score),), known, TIMING)


def found(*boxes: tuple[tuple[float, ...], Label], labels: tuple[Label, ...] = (MILK, COLA)) -> Detections:
    return Detections(
        np.array([box for box, _ in boxes], np.float32).reshape(-1, 4), np.full(len(boxes), 0.5, np.float32),
        np.array([labels.index(label) for _, label in boxes], np.int64), labels, TIMING,
    )  # fmt: skip


@pytest.mark.parametrize(("one", "other", "expected"), [
    (seen(7), seen(7, score=0.3), 1), (seen(7), seen(9), 0), (seen(7), seen(7, known=False), 0),
    (seen(7, known=False), seen(9, known=False), 1),
])  # fmt: skip
def test_classifications_agree_by_class_and_by_what_is_unknown(one, other, expected):
    assert agreement(one, other) == expected


@pytest.mark.parametrize(("one", "other", "expected"), [
    ([], [], 1), ([(A, MILK)], [], 0), ([(A, MILK)], [(A, MILK)], 1), ([(A, MILK)], [(A, COLA)], 0),
    ([(A, MILK)], [(A_MOVED, MILK)], 1), ([(A, MILK)], [(A_FAR, MILK)], 0),  # IoU 0.8 and 1/3
    ([(A, MILK), (B, COLA)], [(B, COLA)], 2 / 3), ([(A, MILK), (A_MOVED, MILK)], [(A, MILK)], 2 / 3),
    ([(A, MILK), (B, COLA)], [(B, COLA), (A, MILK)], 1),
])  # fmt: skip
def test_detections_agree_by_the_boxes_that_both_have(one, other, expected):
    assert agreement(found(*one), found(*other)) == pytest.approx(expected)
    assert agreement(found(*other), found(*one)) == pytest.approx(expected)


def test_classes_are_compared_by_the_users_number_not_by_their_place():
    assert agreement(found((A, MILK)), found((A, MILK), labels=(COLA, MILK))) == 1
    assert agreement(found((A, MILK)), found((A, COLA), labels=(COLA, MILK))) == 0


def test_products_agree_by_where_they_are_and_what_was_recognised():
    one = Products(found((A, MILK), (B, MILK)), (seen(1), seen(2)))
    other = Products(found((B, MILK), (A, MILK)), (seen(2), seen(3)))
    assert agreement(one, one) == 1
    assert agreement(one, other) == pytest.approx(0.5)


def test_other_answers_agree_where_they_are_equal_and_kinds_never_do():
    assert agreement(("a", 1), ("a", 1)) == 1
    assert agreement(("a", 1), ("a", 2)) == 0
    assert agreement(classified(), found()) == 0
    with pytest.raises(ValueError, match="ambiguous"):
        agreement((np.zeros(3),), (np.zeros(3),))


def test_arrays_agree_where_all_their_numbers_are_equal():
    assert agreement(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 1
    assert agreement(np.array([1.0, 2.0]), np.array([1.0, 3.0])) == 0
    assert agreement(np.zeros(3), np.zeros(2)) == 0
