from __future__ import annotations

import numpy as np
import pytest

from edgevision.bench.scenarios.checks import KNOWN, Checker, known_answers, same_answer
from edgevision.bench.targets.base import Answer


def classes(*pairs: tuple[int, float]) -> Answer:
    return Answer(np.array([number for number, _ in pairs], np.int64), np.array([score for _, score in pairs]))


def boxes(*rows: tuple[int, float, float]) -> Answer:
    """(class, score, left edge) of boxes of 10 × 10 pixels."""
    places = np.array([(x, 0.0, x + 10.0, 10.0) for _, _, x in rows]).reshape(-1, 4)
    return Answer(np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows]), places)


def tensors(**values: list[float]) -> Answer:
    return Answer(np.zeros(0, np.int64), np.zeros(0), None, {name: np.array(value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (classes((1, 0.9), (2, 0.05)), classes((1, 0.9), (2, 0.05)), True),
        (classes((1, 0.9)), classes((1, 0.91)), True),
        (classes((1, 0.9)), classes((1, 0.8)), False),
        (classes((1, 0.9), (2, 0.05)), classes((2, 0.9), (1, 0.05)), False),
        (classes((1, 0.50), (2, 0.49)), classes((2, 0.50), (1, 0.49)), True),  # as good as equal
        (classes((1, 0.50)), classes((2, 0.50)), False),  # the other is not even named
        (classes((1, 40.0)), classes((1, 40.9)), True),  # logits: relative
        (classes((1, 40.0)), classes((1, 43.0)), False),
        (classes(), classes(), True),
        (classes(), classes((1, 0.9)), False),
        (boxes((1, 0.9, 0)), boxes((1, 0.9, 0.5)), True),
        (boxes((1, 0.9, 0), (1, 0.5, 50)), boxes((1, 0.9, 5), (1, 0.5, 50)), False),  # an overlap of a third
        (boxes((1, 0.9, 0), (1, 0.5, 50)), boxes((2, 0.9, 0), (1, 0.5, 50)), False),
        (boxes((1, 0.9, 0), (1, 0.26, 50)), boxes((1, 0.9, 0)), True),  # the lowest may be missing
        (boxes((1, 0.9, 0), (1, 0.8, 50), (1, 0.25, 90)), boxes((1, 0.9, 0), (1, 0.25, 90)), False),
        (boxes((1, 0.9, 0), (1, 0.9, 0)), boxes((1, 0.9, 0), (1, 0.3, 40)), False),  # one cannot stand for two
        (boxes((1, 0.9, 0)), classes((1, 0.9)), False),
        (tensors(x=[1, 2]), tensors(x=[1, 2.01]), True),
        (tensors(x=[1, 2]), tensors(x=[1, 2.5]), False),
        (tensors(x=[1, 2]), tensors(y=[1, 2]), False),
        (tensors(x=[1, 2]), tensors(x=[1, 2, 3]), False),
        (tensors(x=[1, np.nan]), tensors(x=[1, 2]), False),
    ],
)  # fmt: skip
def test_same_answer(a, b, same):
    assert same_answer(a, b) is same
    assert same_answer(b, a) is same


class Counting:
    def __init__(self) -> None:
        self.requests = 0

    def answer(self, frames, stages):
        self.requests += len(frames)
        return list(frames)

    def read(self, result):
        return classes((result, 0.9))


def test_answers_are_asked_once_and_only_of_some():
    target, frames = Counting(), list(range(KNOWN + 10))
    assert len(known_answers(target, frames)) == KNOWN
    known_answers(target, frames)
    assert target.requests == KNOWN
    known_answers(target, list(frames))  # other frames
    assert target.requests == 2 * KNOWN


@pytest.mark.parametrize(
    ("places", "results", "wrong"),
    [
        ([0, 1], [0, 1], []),
        ([0, 1], [0, 2], [7]),
        ([0, 1], [0], [7]),
        ([KNOWN, KNOWN + 1], [5, 5], []),  # nobody knows
        ([KNOWN, 3], [5, 3], []),
        ([KNOWN, 3], [5, 4], [7]),
    ],
)
def test_what_differs_is_noted(places, results, wrong):
    checker = Checker(Counting(), list(range(KNOWN + 10)), seconds=1.0)
    checker.look(7, places, results, now=1000)
    assert checker.wrong == wrong


def test_a_block_is_looked_at_so_often_and_no_more():
    checker = Checker(Counting(), list(range(4)), seconds=1.0)
    now = looks = 0
    while looks < 1000 and now < 1 << 60:
        now = checker.look(looks, [1], [1], now)
        looks += 1
    assert looks == 17  # the last says that there are no more


@pytest.mark.parametrize(("scores", "boxes"), [([0.5], None), ([0.5, 0.4, 0.3], None), ([0.5, 0.4], np.zeros((1, 4)))])
def test_an_answer_of_unequal_parts_is_none(scores, boxes):
    with pytest.raises(ValueError, match="as many scores and boxes as classes"):
        Answer(np.array([1, 2]), np.array(scores), boxes)
