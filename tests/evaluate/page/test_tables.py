from __future__ import annotations

import pytest

from edgevision.evaluate.page.html import Rich
from edgevision.evaluate.page.tables import FIRST, LONGEST, long_table, named


@pytest.mark.parametrize(
    ("text", "length", "full", "expected"),
    [
        ("salt", 36, "", "salt"),
        ("salt", 4, "", "salt"),
        ("salty", 4, "", Rich("s…ty", title="salty")),
        ("abcdefghijkl", 9, "", Rich("abc…hijkl", title="abcdefghijkl")),
        ("line\nbreak", 36, "", Rich("line break", title="line\nbreak")),
        ("stem.conv", 36, "conv1", Rich("stem.conv", title="conv1")),
        ("", 36, "", ""),
    ],
)
def test_long_names_lose_their_middle_and_keep_it_in_the_title(text, length, full, expected):
    assert named(text, length, full) == expected


def lines(count: int):
    return [(f"row {i}", i) for i in range(count)]


def test_a_short_table_is_one_table_in_the_order_asked_for():
    (table,) = long_table(("name", "value"), lines(LONGEST), range(LONGEST - 1, -1, -1), "the last", "all")
    assert table.columns == ("name", "value")
    assert [row[1] for row in table.rows] == list(range(LONGEST - 1, -1, -1))
    assert not table.folded


def test_of_a_long_table_the_first_are_shown_and_all_are_folded_as_given():
    count = LONGEST + 1
    few, every = long_table(("name", "value"), lines(count), range(count - 1, -1, -1), "the last", "all of them")
    assert [row[1] for row in few.rows] == list(range(count - 1, count - 1 - FIRST, -1))
    assert [row[1] for row in every.rows] == list(range(count))
    assert (few.folded, every.folded) == (False, True)
    assert few.caption == f"{FIRST} of {count}: the last."
    assert every.caption == f"{count} rows: all of them"
