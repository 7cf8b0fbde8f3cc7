"""Orders of labels: the usual ones written down by hand, the suggested one against every order there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from edgevision.evaluate.tasks.label_orders import exchanged, learnt_order, usual_orders
from edgevision.tasks.results import Label


def named(*labels: tuple[int, str]) -> tuple[Label, ...]:
    return tuple(Label(id, name) for id, name in labels)


@pytest.mark.parametrize(
    ("labels", "order", "expected"),
    [
        (named((0, "pear"), (1, "Apple"), (2, "fig")), "sorted by name", [1, 2, 0]),
        (named((0, "pear"), (1, "Apple"), (2, "fig")), "backwards", [2, 1, 0]),
        (named((0, "b"), (1, "C"), (2, "a")), "sorted by name", [1, 2, 0]),
        (named((0, "b"), (1, "C"), (2, "a")), "sorted by name without regard to case", [2, 0, 1]),
        (named((0, "c1"), (1, "c10"), (2, "c2")), "sorted by the numbers in their names", [0, 2, 1]),
        (named((5, "b"), (3, "c"), (9, "a")), "sorted by id", [1, 0, 2]),
        (named((1, "z"), (2, "y"), (10, "x")), "sorted by id as text (1, 10, 2)", [0, 2, 1]),
        (named((0, "b"), (1, "a"), (2, "c")), "one place later (output 0 is none of them, such as a background)", [-1, 0, 1]),
        (named((0, "b"), (1, "a"), (2, "c")), "one place earlier (the first is of no output, such as a background)", [1, 2, -1]),
    ],
)  # fmt: skip
def test_usual_orders(labels, order, expected):
    found = {one.name: one.label_of.tolist() for one in usual_orders(labels)}
    assert found[order] == expected


def test_each_order_is_there_once_and_never_the_given_one():
    labels = named(*((i, f"{i:02d}") for i in range(12)))
    orders = [tuple(one.label_of.tolist()) for one in usual_orders(labels)]
    assert len(set(orders)) == len(orders)
    assert tuple(range(12)) not in orders


def test_answers_are_read_in_an_order():
    labels = named((0, "b"), (1, "a"), (2, "c"))
    order = next(one for one in usual_orders(labels) if one.name == "sorted by name")
    assert order.answers(np.array([0, 1, 1, 2])).tolist() == [1, 0, 0, 2]


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_learnt_is_the_best_of_all(classes, seed):
    rng = np.random.default_rng(seed)
    true = rng.permutation(classes)
    outputs = rng.integers(0, classes, 200)
    truth = np.where(rng.random(200) < 0.7, true[outputs], rng.integers(0, classes, 200))
    best = max(permutations(range(classes)), key=lambda order: int((np.array(order)[outputs] == truth).sum()))
    assert learnt_order(outputs, truth, classes).tolist() == list(best) == true.tolist()


def test_outputs_that_nothing_is_known_of_keep_their_label():
    assert learnt_order(np.array([3, 3]), np.array([1, 1]), 5).tolist() == [0, -1, 2, 1, 4]
    assert learnt_order(np.array([0]), np.array([0]), 1).tolist() == [0]


def test_of_equal_pairs_the_given_one_is_kept():
    assert learnt_order(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("label_of", "expected"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([1, 0, 2], [1, 0, 2]),
        ([1, 2, 0, 3], [1, 2, 0, 3]),
        ([1, 0, 3, -1], [1, 0, 2, 3]),  # a chain with an open end is no exchange
        ([-1, 0, 1], [0, 1, 2]),
        ([2, -1, 4, 1, 0], [2, 1, 4, 3, 0]),
    ],
)
def test_what_changes_places(label_of, expected):
    assert exchanged(np.array(label_of)).tolist() == expected
