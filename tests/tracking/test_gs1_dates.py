from __future__ import annotations

from datetime import date

import pytest

from edgevision.errors import BarcodeError
from edgevision.tracking.gs1_dates import full_year, gs1_date

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("on", "two_digits", "expected"),
    [  # the borders of the rule, around three years
        (2026, 26, 2026), (2026, 76, 2076), (2026, 77, 1977), (2026, 99, 1999), (2026, 0, 2000),
        (2049, 99, 2099), (2049, 0, 2000), (2050, 0, 2100), (2050, 1, 2001), (2050, 99, 2099),
        (2099, 99, 2099), (2099, 49, 2149), (2099, 50, 2050), (2099, 0, 2100),
        (2000, 50, 2050), (2000, 51, 1951), (1999, 0, 2000),
    ],
)  # fmt: skip
def test_years(on, two_digits, expected):
    assert full_year(two_digits, date(on, 6, 1)) == expected


@pytest.mark.parametrize("on", range(1990, 2110))
def test_a_year_is_never_far_away(on):
    """Each pair of digits means one year of a hundred around the year of reading."""
    years = [full_year(two_digits, date(on, 1, 1)) for two_digits in range(100)]
    assert sorted(years) == list(range(on - 49, on + 51))
    assert [year % 100 for year in years] == list(range(100))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("261231", date(2026, 12, 31)),
        ("260101", date(2026, 1, 1)),
        ("280229", date(2028, 2, 29)),
        ("280200", date(2028, 2, 29)),  # the last day, of a leap year
        ("270200", date(2027, 2, 28)),
        ("000200", date(2000, 2, 29)),
        ("260400", date(2026, 4, 30)),
        ("261200", date(2026, 12, 31)),
    ],
)
def test_dates(text, expected):
    assert gs1_date(text, TODAY) == expected


@pytest.mark.parametrize(
    "text", ["261301", "260001", "260000", "260230", "270229", "260431", "261232", "26121", "2612311", "26123x", "", "٢٦١٢٣١"]
)  # fmt: skip
def test_what_is_in_no_calendar_is_refused(text):
    with pytest.raises(BarcodeError):
        gs1_date(text, TODAY)


def test_day_00_may_be_forbidden():
    with pytest.raises(BarcodeError, match="no day 0 in month 12"):
        gs1_date("261200", TODAY, whole_months=False)
