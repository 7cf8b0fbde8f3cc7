"""How far a stock is from the truth, by hand."""

from collections import Counter

import pytest

from benchmarks.stream_stock import compare


@pytest.mark.parametrize(
    ("truth", "stock", "exact", "exact_total", "wrong"),
    [
        ({"tea": 2}, {"tea": 2}, True, True, 0),
        ({"tea": 2}, {"tea": 1, "milk": 1}, False, True, 1),  # one under another name
        ({"tea": 2}, {"tea": 3}, False, False, 1),
        ({"tea": 2, "milk": 1}, {"tea": 1}, False, False, 2),
        ({"tea": 2, "milk": 1}, {"cola": 3}, False, True, 3),
        ({}, {"cola": 1}, False, False, 1),
    ],
)
def test_products_wrong_are_those_to_add_to_take_away_or_to_rename(truth, stock, exact, exact_total, wrong):
    found = compare(Counter(truth), Counter(stock))
    assert (found["exact"], found["exact_total"], found["products_wrong"]) == (exact, exact_total, wrong)
    assert found["total"] == sum(stock.values())
